"""Numbers as a reader sees them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

#: Columns with a name of their own in headings and on axes.
HEADINGS = {
    "fmr": "FMR (FAR)", "fnmr": "FNMR (FRR)", "fta": "FTA", "eer": "EER", "tar": "TAR", "idr": "IDR",
    "mean_ir": "MeanIR", "max_over_min": "largest / smallest", "max_min": "largest / smallest",
    "far_target": "FAR target", "target_fmr": "target FMR", "target": "target FMR",
    "image_id": "image", "n_eff": "N_eff",
}  # fmt: skip
_SCIENTIFIC = {"fmr", "far", "target", "fmrs"}
_PERCENT = {"fnmr", "frr", "fta", "fte", "eer", "share", "rate", "tar", "tmr", "recall", "precision"}
_INTERVAL = (("_low", "_high"), ("_lower", "_upper"), ("_lo", "_hi"))


@dataclass(frozen=True)
class PlainTable:
    """A table as text: headings, rows of cells, which columns are numbers, and how many rows there are in all."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    total: int


def heading(column: str) -> str:
    """What a reader calls a column."""
    return HEADINGS.get(column, column.replace("_", " "))


def count(value: float) -> str:
    """A whole number with thousands separators."""
    return f"{round(value):,}"


def scientific(value: float) -> str:
    """Two significant digits and a power of ten: `1.0e-3`; zero is `0`."""
    if value == 0:
        return "0"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


def percent(value: float) -> str:
    """A rate in [0, 1] in percent, at least two significant digits for small ones."""
    share = abs(value) * 100
    decimals = 1 if share >= 10 else 2 if share >= 0.1 or share == 0 else 3
    return f"{value * 100:.{decimals}f}%"


def number(value: float) -> str:
    """Any other number: four significant digits, whole ones with separators."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


_WRITERS = {"count": count, "scientific": scientific, "percent": percent, "number": number}


def column_kind(name: str, values: pd.Series) -> str:
    """How a column is written: text, flag, count, scientific, percent or number."""
    if isinstance(values.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(values):
        return "text"
    if pd.api.types.is_bool_dtype(values):
        return "flag"
    if pd.api.types.is_integer_dtype(values):
        return "count"
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if words & _SCIENTIFIC:
        return "scientific"
    if words & _PERCENT:
        return "percent"
    return "number"


def summary_text(name: str, value: Any) -> str:
    """One entry of a summary as text, written as a column of that name would be; a mapping entry by entry."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {summary_text(name, part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(summary_text(name, part) for part in value)
    kind = column_kind(name, pd.Series([value])) if isinstance(value, bool | int | float) else "text"
    return write(value, kind)


def write(value: Any, kind: str) -> str:
    """One value as text; a missing one is a dash. `kind` may also be a format specification such as `.3f`."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        if kind in _WRITERS:
            return _WRITERS[kind](float(value))
        if kind not in ("text", "flag"):
            try:
                return format(value, kind)
            except ValueError:
                return number(float(value))
        return number(float(value))
    return str(value)


def plain_table(
    frame: pd.DataFrame,
    *,
    columns: list[str] | None = None,
    formats: Mapping[str, str] | None = None,
    limit: int = 200,
) -> PlainTable:
    """A table as text; rows after `limit` are left out.

    A value and its interval (`x`, `x_low`, `x_high`) share one cell. columns: which, in this order; default: all.
    formats: for a column a kind (see `column_kind`) or a format specification.
    """
    names = [name for name in (columns or list(map(str, frame.columns))) if name in frame.columns]
    formats = dict(formats or {})
    bounds = {name: pair for name in names if (pair := _bounds(name, frame)) is not None}
    hidden = {name for pair in bounds.values() for name in pair}
    shown = [name for name in names if name not in hidden]
    kinds = {name: formats.get(name) or column_kind(name, frame[name]) for name in shown}
    head = frame.iloc[:limit]
    cells = []
    for name in shown:
        texts = [write(value, kinds[name]) for value in head[name].tolist()]
        if name in bounds:
            low, high = (head[bound].tolist() for bound in bounds[name])
            texts = [
                f"{text} [{write(a, kinds[name])}, {write(b, kinds[name])}]" if text != "–" or not _missing(a) else text
                for text, a, b in zip(texts, low, high, strict=True)
            ]
        cells.append(texts)
    headings = tuple(heading(name) + (" [95% interval]" if name in bounds else "") for name in shown)
    numeric = tuple(kinds[name] not in ("text", "flag") for name in shown)
    return PlainTable(headings, tuple(zip(*cells, strict=True)) if cells else (), numeric, len(frame))


def rates_first(names: list[str]) -> list[str]:
    """Columns in their order; in a table of rates, how many were compared and at which threshold goes last."""
    if not {"fmr", "fnmr"} <= set(names):
        return names
    later = {name for name in names if name.startswith("n_") or name.endswith(("_pairs", "threshold"))}
    later |= {"impostors", "genuines", "false_matches", "false_non_matches"}
    return [name for name in names if name not in later] + [name for name in names if name in later]


def _bounds(name: str, frame: pd.DataFrame) -> tuple[str, str] | None:
    for low, high in _INTERVAL:
        if name + low in frame.columns and name + high in frame.columns:
            return name + low, name + high
    return None


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
