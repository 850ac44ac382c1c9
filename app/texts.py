"""Strangers' text, made harmless: for Markdown, and for HTML."""

from __future__ import annotations

import html

_SPECIAL = frozenset("\\`*_{}[]()<>#+-.!|~$:&")


def literal(text: object) -> str:
    """Text from the data that Markdown shows as it is."""
    return "".join("\\" + char if char in _SPECIAL else char for char in str(text).replace("\n", " "))


def escaped(text: object, limit: int = 80) -> str:
    """Text from the data that HTML shows as it is, shortened."""
    plain = "".join(char if char.isprintable() else " " for char in str(text))
    return html.escape(plain if len(plain) <= limit else plain[: limit - 1] + "…", quote=True)


def unique(names: tuple[str, ...]) -> list[str]:
    """The names, repeated ones numbered, since a table needs distinct headings."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


__all__ = ["escaped", "literal", "unique"]
