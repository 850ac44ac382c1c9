"""What the drawers of figures share: text that is safe, series and their styles, axes."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from curate.report.numbers import column_kind, heading
from curate.report.styles import PALETTE, Style, assign_styles

MAX_SERIES = 24  # lines or bar colours in one figure
MAX_BARS = 60
MAX_CELLS = 60  # rows or columns of a heatmap
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def safe(text: object, limit: int = 48) -> str:
    """Text that plotly shows as it is: its HTML subset escaped, control characters gone, shortened."""
    plain = _CONTROL.sub(" ", str(text))
    if len(plain) > limit:
        plain = plain[: limit - 1] + "…"
    return html.escape(plain, quote=False).replace("$", "&#36;").replace("%{", "&#37;{")


def series_of(
    table: pd.DataFrame, options: Mapping[str, Any]
) -> tuple[list[tuple[str | None, pd.DataFrame]], list[str]]:
    """The rows of each series, in order of first appearance, and what was left out."""
    column = options.get("color")
    if not column:
        return [(None, table)], []
    names = table[column].dropna().astype("str").unique().tolist()
    left_out = [] if len(names) <= MAX_SERIES else [f"The first {MAX_SERIES} of {len(names):,} series are shown."]
    text = table[column].astype("str")
    return [(name, table[(text == name).to_numpy(dtype=bool, na_value=False)]) for name in names[:MAX_SERIES]], left_out


def styles_of(parts: list[tuple[str | None, pd.DataFrame]], styles: Mapping[str, Style] | None) -> dict[Any, Style]:
    """The style of each series by its name, given or next in order; of None, where there is only one."""
    names = [name for name, _ in parts if name is not None]
    known = dict(styles or {})
    missing = [name for name in names if name not in known]
    return {None: Style(PALETTE[0], "solid"), **known, **assign_styles([missing])}


def axis_title(column: str, unit: str | None) -> str:
    """What stands along an axis."""
    return safe(f"{heading(column)} ({unit})" if unit and unit != column else heading(column), 80)


def value_axis(column: str, table: pd.DataFrame, log: bool, unit: str | None) -> dict[str, Any]:
    """Title, scale and number format of an axis that shows a numeric column."""
    kind = column_kind(column, table[column])
    axis: dict[str, Any] = {"title": {"text": axis_title(column, unit)}}
    if log:
        known = table[column][(table[column] > 0).to_numpy(bool, na_value=False)]
        narrow = len(known) and known.max() < 100 * known.min()  # a tick at each power of ten would be one or two
        axis |= {"type": "log", "exponentformat": "power", "dtick": "D2" if narrow else 1,
                 "tickformat": ",d" if kind == "count" else None}  # fmt: skip
    elif kind == "percent":
        axis |= {"tickformat": ".0%", "rangemode": "tozero"}
    elif kind == "count":
        axis |= {"tickformat": ",", "rangemode": "tozero"}
        if len(table) and table[column].max() <= 5:
            axis["dtick"] = 1  # there are no half images
    return axis


def places_axis(names: list[str], title: str) -> dict[str, Any]:
    """An axis that shows names at 0, 1, ...: the names are only ever labels, never values that plotly interprets."""
    return {"title": {"text": title}, "tickmode": "array", "tickvals": list(range(len(names))),
            "ticktext": [safe(name, 24) for name in names], "zeroline": False}  # fmt: skip
