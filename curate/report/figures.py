"""Figure specs drawn with plotly: the same spec and table always give the same picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from curate.core.errors import InputError, nearest
from curate.core.shapes import Figure
from curate.report.axes import (
    MAX_BARS,
    MAX_CELLS,
    MAX_SERIES,
    axis_title,
    places_axis,
    safe,
    series_of,
    styles_of,
    value_axis,
)  # fmt: skip
from curate.report.intervals import draw_intervals
from curate.report.numbers import column_kind, heading, plain_table, write
from curate.report.styles import DASHES, PALETTE, Style
from curate.report.thin import thin_curve

MAX_POINTS = 400  # of one line


def draw(figure: Figure, table: pd.DataFrame, styles: Mapping[str, Style] | None = None) -> go.Figure:
    """The plotly figure of a spec.

    table: the table that the spec names. styles: colour and dash of each series by its name, so that a group looks the
    same in every figure; default: in order of the names. Large tables are thinned: lines to 400 points, bars to the 60
    largest, and the figure says so. Raises InputError for an unknown kind, or a column that the table lacks.
    """
    if figure.kind not in _KINDS:
        raise InputError(f"no figure of the kind {figure.kind!r}. {nearest(figure.kind, _KINDS)}")
    drawer, needed = _KINDS[figure.kind]
    options = dict(figure.options)
    if figure.kind == "det":
        options = {"x": "fmr", "y": "fnmr", "color": "group", **options}
    for key in (*needed, "color", "dash", "facet", "low", "high"):
        column = options.get(key)
        if column is None and key in needed:
            raise InputError(f"the figure {figure.title!r} lacks the option {key!r}", remedy="Name a column for it")
        if column is not None and column not in table.columns:
            raise InputError(f"the figure {figure.title!r} names a column that its table lacks. "
                             f"{nearest(str(column), map(str, table.columns))}")  # fmt: skip
    picture = go.Figure()
    picture.update_layout(
        template="none", dragmode=False,
        title={"text": safe(figure.title, 160), "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 12}},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", hovermode="closest", height=380,
        margin={"l": 8, "r": 12, "t": 76, "b": 8}, colorway=list(PALETTE),
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip
    picture.update_xaxes(automargin=True, fixedrange=True)
    picture.update_yaxes(automargin=True, fixedrange=True, title_standoff=10)
    notes = drawer(picture, table, options, styles)
    if notes:
        picture.update_layout(meta={"note": " ".join(notes)})
    return picture


def note_of(picture: go.Figure) -> str | None:
    """What a drawn figure leaves out, as a sentence, or None."""
    return (picture.layout.meta or {}).get("note")


def _dashed(parts: list[tuple[str | None, pd.DataFrame]], column: str, styles: dict[Any, Style]) -> tuple[list, dict]:
    """Each series cut by the values of a column, which have a dash of their own in every series."""
    values = list(dict.fromkeys(str(v) for _, part in parts for v in part[column].dropna()))
    cut: list[tuple[str | None, pd.DataFrame]] = []
    result: dict[Any, Style] = {}
    for name, part in parts:
        text = part[column].astype("str")
        for at, value in enumerate(values):
            rows = part[(text == value).to_numpy(dtype=bool, na_value=False)]
            if len(rows):
                label = value if name is None else f"{name}, {value}"
                cut.append((label, rows))
                result[label] = Style(styles[name].colour, DASHES[at % len(DASHES)])
    return cut, result


def _bars(picture: go.Figure, table: pd.DataFrame, options: dict[str, Any], styles: Mapping[str, Style] | None) -> list:
    x, y = options["x"], options["y"]
    notes: list[str] = []
    named = column_kind(x, table[x]) == "text"
    names: list[str] = []
    if named:
        table = table.assign(**{x: table[x].astype("str").fillna("(none)")})
        if "facet" in options:  # values of different labels may share a name
            table = table.assign(**{x: table[options["facet"]].astype("str").fillna("") + ": " + table[x]})
        names = table[x].drop_duplicates().tolist()
        if len(names) > MAX_BARS:
            size = table.groupby(x, sort=False)[y].max().sort_values(ascending=False, kind="stable")
            notes.append(f"The {MAX_BARS} largest of {len(names):,} are shown.")
            names = size.index[:MAX_BARS].tolist()
            table = table[table[x].isin(names)]
    elif len(table) > 10 * MAX_POINTS:
        table = table.iloc[np.linspace(0, len(table) - 1, MAX_POINTS).astype(int)]
        notes.append("Only some of the bars are shown.")
    flat = named and (len(names) > 5 or max(map(len, names), default=0) > 10)
    place = {name: at for at, name in enumerate(names)}
    parts, left_out = series_of(table, options)
    style = styles_of(parts, styles)
    for name, part in parts:
        values = part[y].astype("float64")
        places = part[x].map(place).astype("int64") if named else part[x]
        labels = [safe(text) for text in part[x]] if named else part[x].tolist()
        spread = _error(part, values, options)
        picture.add_bar(
            x=values if flat else places, y=places if flat else values, orientation="h" if flat else "v",
            name=safe(name) if name is not None else "", marker={"color": style[name].colour, "line": {"width": 0}},
            marker_pattern={"shape": style[name].pattern, "fgopacity": 0.6}, customdata=labels,
            error_x=spread if flat else None, error_y=None if flat else spread,
            hovertemplate="%{customdata}: %{x}" if flat else "%{customdata}: %{y}",
        )  # fmt: skip
    along = value_axis(y, table, bool(options.get("log_y")), options.get("unit"))
    title = axis_title(x, None)
    place_axis = places_axis(names, title) if named else {"title": {"text": title}}
    if flat:
        rows = len(names) * (1 if options.get("color") == x else 1 + 0.45 * (len(parts) - 1))
        picture.update_layout(height=int(max(260, 130 + 22 * rows)))
        picture.update_xaxes(along).update_yaxes({**place_axis, "autorange": "reversed"})
    else:
        picture.update_xaxes(place_axis).update_yaxes(along)
    own_colours = options.get("color") == x  # each bar is its own series: the axis names them
    picture.update_layout(
        barmode="overlay" if own_colours else "group", bargap=0.25 if named else 0.04,
        showlegend=len(parts) > 1 and not own_colours,
    )  # fmt: skip
    return notes + left_out


def _error(part: pd.DataFrame, values: pd.Series, options: Mapping[str, Any]) -> dict[str, Any] | None:
    if "low" not in options or "high" not in options:
        return None
    above, below = part[options["high"]] - values, values - part[options["low"]]
    return {"type": "data", "symmetric": False, "array": above.clip(lower=0).to_numpy(),
            "arrayminus": below.clip(lower=0).to_numpy(), "thickness": 1.2, "width": 3, "color": "#7a7f87"}  # fmt: skip


def _lines(
    picture: go.Figure, table: pd.DataFrame, options: dict[str, Any], styles: Mapping[str, Style] | None
) -> list:
    x, y = options["x"], options["y"]
    log_x, log_y = bool(options.get("log_x")), bool(options.get("log_y"))
    x_axis = value_axis(x, table, log_x, None)
    if column_kind(x, table[x]) == "text":
        names = table[x].astype("str").fillna("(none)")
        order = names.drop_duplicates().tolist()[:MAX_BARS]
        place = {name: float(at) for at, name in enumerate(order)}
        table, x_axis, log_x = table.assign(**{x: names.map(place)}), places_axis(order, axis_title(x, None)), False
    parts, notes = series_of(table, options)
    style = styles_of(parts, styles)
    if "dash" in options:
        parts, style = _dashed(parts, options["dash"], style)
    heading_x, heading_y = axis_title(x, None), axis_title(y, None)
    for name, part in parts:
        xs, ys = (part[column].to_numpy(dtype=np.float64, na_value=np.nan) for column in (x, y))
        keep = thin_curve(xs, ys, MAX_POINTS, log_x=log_x, log_y=log_y)
        label = safe(name) if name is not None else ""
        picture.add_scatter(
            x=xs[keep], y=ys[keep], name=label, mode="lines+markers" if len(keep) < 3 else "lines",
            line={"color": style[name].colour, "dash": style[name].dash, "width": 2.2},
            hovertemplate=f"{heading_x} %{{x:.3g}}<br>{heading_y} %{{y:.3g}}<extra>{label}</extra>",
        )  # fmt: skip
    picture.update_xaxes(x_axis).update_yaxes(value_axis(y, table, log_y, options.get("unit")))
    picture.update_layout(showlegend=len(parts) > 1)
    if not any(len(trace.y) for trace in picture.data):
        notes.append("Nothing can be drawn here: there is no value that has a place on these axes.")
    return notes


def _det(picture: go.Figure, table: pd.DataFrame, options: dict[str, Any], styles: Mapping[str, Style] | None) -> list:
    options = {**options, "log_x": True, "log_y": True}
    notes = _lines(picture, table, options, styles)
    picture.update_layout(height=440)
    picture.update_xaxes(title={"text": "FMR (FAR), share of impostor pairs"})
    picture.update_yaxes(title={"text": "FNMR (FRR), share of genuine pairs"})
    if "low" in options and "high" in options:
        _limits(picture, table, options, styles)
    drawn = np.concatenate([np.asarray(trace.x, dtype=float) for trace in picture.data] or [np.empty(0)])
    if len(drawn):
        ends = [max(float(drawn.min()), 1e-6), 1.0]
        picture.add_scatter(x=ends, y=ends, mode="lines", name="equal error", showlegend=False, hoverinfo="skip",
                            line={"color": "#8a8a8a", "dash": "dot", "width": 1})  # fmt: skip
        notes.append("The dotted line is where both rates are equal; nearer to the lower left is better. "
                     "Rates of zero have no place on a logarithmic axis.")  # fmt: skip
    return notes


def _limits(
    picture: go.Figure, table: pd.DataFrame, options: dict[str, Any], styles: Mapping[str, Style] | None
) -> None:
    """Upright bars at the points of a curve whose limits are known."""
    parts, _ = _series_with_limits(table, options)
    style = styles_of(parts, styles)
    for name, part in parts:
        value = part[options["y"]].to_numpy(np.float64)
        low, high = (part[options[key]].to_numpy(np.float64) for key in ("low", "high"))
        picture.add_scatter(
            x=part[options["x"]].to_numpy(np.float64), y=value, mode="markers", name=safe(name or ""), showlegend=False,
            marker={"color": style[name].colour, "size": 5},
            error_y={"type": "data", "symmetric": False, "array": high - value,
                     "arrayminus": np.minimum(value - low, 0.9 * value), "thickness": 1, "width": 3},
            hovertemplate="%{y:.3g}<extra>95% limits</extra>",
        )  # fmt: skip


def _series_with_limits(table: pd.DataFrame, options: dict[str, Any]) -> tuple[list, list]:
    known = table[options["high"]].notna() & (table[options["x"]] > 0) & (table[options["y"]] > 0)
    return series_of(table[known], options)


def _heatmap(picture: go.Figure, table: pd.DataFrame, options: dict[str, Any], styles: object) -> list:
    x, y, value = options["x"], options["y"], options["value"]
    cells = pd.DataFrame(
        {"x": table[x].astype("str"), "y": table[y].astype("str"), "v": table[value].astype("float64")}
    )
    grid = cells.pivot_table(index="y", columns="x", values="v", aggfunc="mean", observed=True, sort=False)
    notes = []
    if max(grid.shape) > MAX_CELLS:
        notes.append(f"The first {MAX_CELLS} rows and columns of {grid.shape[0]:,} x {grid.shape[1]:,} are shown.")
        grid = grid.iloc[:MAX_CELLS, :MAX_CELLS]
    values = grid.to_numpy(dtype=np.float64)
    kind = column_kind(value, table[value])
    none = 0.5 if kind == "count" else np.nan  # that two share none is worth seeing: a cell below that of one
    shown = (
        np.log10(np.where(values > 0, values, np.where(values == 0, none, np.nan))) if options.get("log") else values
    )
    title = heading(value) + (", log10" if options.get("log") else "")
    picture.add_heatmap(
        x=list(range(grid.shape[1])), y=list(range(grid.shape[0])), z=shown,
        text=[[write(cell, kind) for cell in row] for row in values.tolist()],
        colorscale="Cividis", colorbar={"title": {"text": safe(title), "side": "right"}, "thickness": 12},
        xgap=1, ygap=1, hovertemplate="%{text}<extra></extra>", hoverongaps=False,
    )  # fmt: skip
    if max(grid.shape, default=0) <= 6:
        _write_cells(picture, shown, [[write(cell, kind) for cell in row] for row in values.tolist()])
    picture.update_xaxes(places_axis([str(name) for name in grid.columns], axis_title(x, None)))
    picture.update_yaxes(
        {**places_axis([str(name) for name in grid.index], axis_title(y, None)), "autorange": "reversed"}
    )
    picture.update_layout(height=int(min(720, 200 + 26 * len(grid))))
    return notes


def _write_cells(picture: go.Figure, shown: np.ndarray, texts: list[list[str]]) -> None:
    """The value in each cell, in the darker or lighter ink that its colour lets one read."""
    known = shown[np.isfinite(shown)]
    if not known.size:
        return
    middle = (known.min() + known.max()) / 2
    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            ink = "#111111" if value > middle else "#ffffff"  # Cividis grows lighter with the value
            picture.add_annotation(x=column, y=row, text=texts[row][column], showarrow=False, font={"color": ink})


def _table(picture: go.Figure, table: pd.DataFrame, options: dict[str, Any], styles: object) -> list:
    plain = plain_table(table, columns=options.get("columns"), formats=options.get("formats"))
    columns = list(zip(*plain.rows, strict=True)) if plain.rows else [() for _ in plain.headings]
    align = ["right" if numeric else "left" for numeric in plain.numeric]
    picture.add_table(
        header={"values": [safe(text, 80) for text in plain.headings], "align": align},
        cells={"values": [[safe(text, 80) for text in column] for column in columns], "align": align},
    )
    return (
        [] if plain.total <= len(plain.rows) else [f"The first {len(plain.rows):,} of {plain.total:,} rows are shown."]
    )


_Drawer = Callable[[go.Figure, pd.DataFrame, dict[str, Any], Mapping[str, Style] | None], list]
_KINDS: dict[str, tuple[_Drawer, tuple[str, ...]]] = {
    "bars": (_bars, ("x", "y")),
    "lines": (_lines, ("x", "y")),
    "det": (_det, ("x", "y")),
    "heatmap": (_heatmap, ("x", "y", "value")),
    "intervals": (draw_intervals, ("x", "y", "low", "high")),
    "table": (_table, ()),
}


def series_names(figures: Iterable[tuple[Figure, pd.DataFrame]]) -> list[list[str]]:
    """The names of the series of each figure, for `assign_styles`."""
    names = []
    for figure, table in figures:
        column = figure.options.get("color", "group" if figure.kind == "det" else None)
        if column and column in table.columns:
            names.append(table[column].dropna().astype("str").unique().tolist()[:MAX_SERIES])
    return names
