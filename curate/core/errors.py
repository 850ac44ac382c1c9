"""Errors that say where, what was found, what is allowed, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CurateError(Exception):
    """Any failure that a user can mend: its message says how."""


class InputError(CurateError, ValueError):
    """A value in the user's input is not allowed.

    The message names, as far as known, the file, the row (1 is the first data row), the column,
    the value found, the values allowed, and the remedy.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: object = None,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
        allowed: object = None,
        remedy: str | None = None,
    ) -> None:
        where = [
            f"{name} {text}" for name, text in (("file", file), ("row", row), ("column", column)) if text is not None
        ]
        message = f"{', '.join(where)}: {problem}" if where else problem
        if value is not None:
            message += f"; found {value!r}"
        if allowed is not None:
            message += f"; allowed: {allowed}"
        if remedy:
            message += f". {remedy}"
        super().__init__(message)


class MissingExtra(CurateError, ImportError):
    """An optional library is not installed; the message is the pip line that brings it."""

    def __init__(self, library: str, extra: str, unlocks: str) -> None:
        super().__init__(f"{unlocks} needs {library}: pip install 'curate[{extra}]'")


def nearest(name: str, valid: Iterable[str]) -> str:
    """A sentence that names the valid word closest to `name`, and all of them if few."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    listed = ", ".join(valid) if valid else "none"
    return f"{guess}Valid names: {listed}"
