"""Colours that colour-blind readers can tell apart, and which group has which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: Okabe and Ito (2008), without black and yellow, which vanish on a dark or a light page.
PALETTE = ("#0f7fbf", "#e08a00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c7a3f")
DASHES = ("solid", "dash", "dot", "dashdot")
_PATTERNS = {"solid": "", "dash": "/", "dot": ".", "dashdot": "x"}


class Style(NamedTuple):
    """How a series is drawn: a colour, and a dash for when colours run out."""

    colour: str
    dash: str

    @property
    def pattern(self) -> str:
        """The hatching that stands for the dash in a bar."""
        return _PATTERNS[self.dash]


#: Names that are no group have neutral colours, which no group gets.
_NEUTRAL = {
    "all": Style("#7a7f87", "solid"), "overall": Style("#7a7f87", "solid"), "pooled": Style("#7a7f87", "solid"),
    "before": Style("#b3bac3", "solid"), "after": Style("#6a7ea6", "solid"),
}  # fmt: skip
_STYLES = tuple(Style(colour, dash) for dash in DASHES for colour in PALETTE)


def assign_styles(figures: Iterable[Sequence[str]]) -> dict[str, Style]:
    """A style for every series name, the same in all figures and different within each.

    figures: the names of the series of each figure. A name keeps the style that it got first; a new one takes the first
    style that nothing else in its figure has. More than 28 names in one figure repeat styles.
    """
    styles: dict[str, Style] = {}
    for names in figures:
        taken = {styles[name] for name in names if name in styles}
        for name in names:
            if name in styles:
                continue
            if name in _NEUTRAL:
                styles[name] = _NEUTRAL[name]
                continue
            free = [style for style in _STYLES if style not in taken]
            styles[name] = free[0] if free else _STYLES[len(styles) % len(_STYLES)]
            taken.add(styles[name])
    return styles
