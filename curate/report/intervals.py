"""A rate with its limits for each name: a forest plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from curate.report.axes import MAX_BARS, places_axis, safe, series_of, styles_of, value_axis
from curate.report.numbers import heading, write
from curate.report.styles import Style


def draw_intervals(
    picture: go.Figure, table: pd.DataFrame, options: dict[str, Any], styles: Mapping[str, Style] | None
) -> list:
    """A rate with its limits for each name, a row each: a forest plot on a logarithmic axis."""
    x, y, low, high = (options[key] for key in ("x", "y", "low", "high"))
    if "same" in options:
        one, two = options["same"]
        table = table[(table[one] == table[two]).to_numpy(bool, na_value=False)]
    table = table[table[x].notna()]
    names = table[y].astype("str").drop_duplicates().tolist()
    notes = [] if len(names) <= MAX_BARS else [f"The first {MAX_BARS} of {len(names):,} are shown."]
    names = names[:MAX_BARS]
    place = {name: at for at, name in enumerate(names)}
    parts, left_out = series_of(table[table[y].isin(names)], options)
    style = styles_of(parts, styles)
    bounds = table.loc[table[low] > 0, low].min(), table.loc[table[x] > 0, x].min()
    least = np.nanmin([*bounds, table[high].min() if len(table) else np.nan, 1.0]) / 2  # where zero is drawn
    log = bool(len(table)) and table[high].max() > 20 * least  # more than a decade
    for at, (name, part) in enumerate(parts):
        value, ends = part[x].to_numpy(np.float64), part[[low, high]].to_numpy(np.float64)
        bound = ends[:, 0] <= 0
        shown = np.where(value > 0, value, ends[:, 1])
        series = "" if name is None else f"{heading(str(options['color']))} {name}"
        rows = part[y].astype("str").map(place).to_numpy(np.float64) + 0.18 * (at - (len(parts) - 1) / 2)
        picture.add_scatter(
            x=np.maximum(shown, least), y=rows, mode="markers", name=safe(series),
            marker={"color": style[name].colour, "size": 8,
                    "symbol": np.where(bound, "triangle-left-open", "circle").tolist()},
            error_x={"type": "data", "symmetric": False, "array": np.maximum(ends[:, 1] - shown, 0),
                     "arrayminus": np.maximum(shown - np.maximum(ends[:, 0], least), 0), "thickness": 1.4, "width": 4},
            customdata=[write(v, "scientific") for v in value.tolist()],
            hovertemplate=f"%{{customdata}}<extra>{safe(series)}</extra>",
        )  # fmt: skip
    picture.update_xaxes(value_axis(x, table, log, None))
    picture.update_yaxes({**places_axis(names, ""), "autorange": "reversed"})
    picture.update_layout(height=int(130 + 44 * max(len(names), 1)), showlegend=len(parts) > 1)
    if not log:
        picture.update_xaxes(rangemode="normal")
    if (table[low] <= 0).any():
        notes.append("An open triangle stands at a rate of few errors, or at its upper bound where there is none: the "
                     "limit on its left is zero.")  # fmt: skip
    return notes + left_out
