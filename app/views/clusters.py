"""The run's vectors as a map in two dimensions, with lasso."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from curate.core import columns as col
from curate.core.errors import CurateError
from curate.report.figures import safe
from curate.report.numbers import count
from curate.report.styles import Style, assign_styles

from ..looking import Look
from ..texts import literal
from ..vectors import METHODS, RunVectors, find_vectors, flat, load
from .parts import card, grid, pager

_SHOWN = 36
_NAMED = 12  # identities that get a colour of their own
_REST = Style("#b3bac3", "solid")


@st.cache_resource(max_entries=2, show_spinner="Opening the vectors")
def _loaded(_look: Look, place: str, mark: float, stamp: str) -> RunVectors:
    return load(Path(place), _look.images)


def run_vectors(look: Look) -> tuple[RunVectors | None, str]:
    """The vectors of a run, or None and why there are none. Raises CurateError where they can't be read."""
    place, why = find_vectors(look.cache, look.path)
    if place is None:
        return None, why
    return _loaded(look, str(place), place.stat().st_mtime, look.stamp), ""


@st.cache_resource(max_entries=4, show_spinner="Drawing the map; it is computed once")
def _map(_look: Look, _found: RunVectors, mark: str, method: str) -> pd.DataFrame:
    return flat(_found, method, _look.cache)


def view(look: Look) -> None:
    """The page."""
    st.title("Clusters")
    st.caption("Each point is an image; images that the embedder finds alike lie near each other. "
               "Draw a lasso around points to see them.")  # fmt: skip
    try:
        found, why = run_vectors(look)
        if found is None:
            st.info(literal(why))
            return
        method, colour = _choose(look)
        points = _map(look, found, f"{found.folder} {look.stamp}", method)
    except CurateError as error:
        st.error(literal(error))
        return
    names, styles = _colours(look, found, points, colour)
    picture = _draw(look, points, names, styles, method)
    chosen = st.plotly_chart(picture, key="map", on_select="rerun", selection_mode=("lasso", "box", "points"),
                             config={"displaylogo": False, "modeBarButtonsToRemove": ["zoom2d"]})  # fmt: skip
    have = int((found.at >= 0).sum())
    if len(points) < have:
        st.caption(f"{count(len(points))} of {count(have)} images that have a vector, evenly spaced.")
    rows = _selected(chosen)
    if not rows:
        return
    st.subheader(f"{count(len(rows))} images selected")
    start, stop = pager(len(rows), _SHOWN, "selected")
    images = look.images
    st.html(grid([card(look, row, [images.id_of(row), str(images.identity_of(row)), images.fate_of(row)])
                  for row in rows[start:stop]]))  # fmt: skip


def _choose(look: Look) -> tuple[str, str]:
    titles = {"pca": "PCA", "umap": "UMAP"}
    with st.container(horizontal=True):
        method = st.segmented_control("Map", METHODS, default="pca", key="method", format_func=titles.get,
                                      help="PCA: the two directions in which the vectors differ most. UMAP: keeps near "
                                           "neighbours near; distances between far groups mean nothing.")  # fmt: skip
        choices = [*look.images.labels, "identity", "what became of it", "quality"]
        colour = st.selectbox("Colour", choices, key="colour")
    return method or "pca", str(colour)


def _colours(
    look: Look, found: RunVectors, points: pd.DataFrame, colour: str
) -> tuple[np.ndarray, dict[str, Style] | None]:
    """The name or number that colours each point, and the styles of names; None for numbers."""
    rows = points["row"].to_numpy()
    images = look.images
    if colour == "quality":
        sharp = found.quality(images)
        return (np.full(len(rows), np.nan) if sharp is None else sharp[rows]), None
    if colour == "what became of it":
        dropped = images.dropped[rows]
        return np.where(dropped, "dropped", "kept"), {
            "dropped": Style("#d55e00", "solid"), "kept": Style("#0f7fbf", "solid")}  # fmt: skip
    if colour == col.IDENTITY:
        codes = images.identity_codes[rows]
        values, sizes = np.unique(codes[codes >= 0], return_counts=True)
        largest = values[np.argsort(-sizes, kind="stable")][:_NAMED]
        names = np.array([images.identities[code] if code in set(largest.tolist()) else "others" for code in codes],
                         dtype=object)  # fmt: skip
        styles = assign_styles([[images.identities[code] for code in largest.tolist()]])
        return names, {**styles, "others": _REST}
    names = images.label(colour).iloc[rows].astype("str").fillna("no value").to_numpy(dtype=object)
    missing = [name for name in dict.fromkeys(names.tolist()) if name not in look.summary.styles]
    return names, {**look.summary.styles, **assign_styles([missing]), "no value": _REST}


def _draw(
    look: Look, points: pd.DataFrame, names: np.ndarray, styles: dict[str, Style] | None, method: str
) -> go.Figure:
    picture = go.Figure()
    rows = points["row"].to_numpy()
    told = np.array([safe(look.images.id_of(row)) for row in rows], dtype=object)
    common = {"mode": "markers", "hovertemplate": "%{text}<extra></extra>"}
    if styles is None:
        values = np.asarray(names, dtype=np.float64)
        known = values[np.isfinite(values)]
        top = float(np.quantile(known, 0.98)) if len(known) else 1.0
        picture.add_scattergl(x=points["x"], y=points["y"], text=told, customdata=rows, showlegend=False, **common,
                              marker={"size": 6, "color": np.minimum(values, top), "colorscale": "Cividis",
                                      "colorbar": {"title": {"text": "sharpness"}, "thickness": 12}})  # fmt: skip
    else:
        order = sorted(set(names.tolist()), key=lambda name: (name not in ("others", "no value"), str(name)))
        symbols = {"solid": "circle", "dash": "diamond", "dot": "square", "dashdot": "cross"}
        for name in order:
            mine = np.flatnonzero(names == name)
            style = styles[name]
            picture.add_scattergl(x=points["x"].iloc[mine], y=points["y"].iloc[mine], text=told[mine],
                                  customdata=rows[mine], name=safe(name), **common,
                                  marker={"size": 6, "color": style.colour, "symbol": symbols[style.dash],
                                          "opacity": 0.8})  # fmt: skip
    axis = {"showticklabels": False, "zeroline": False, "showgrid": False}
    names_of = {"pca": ("first component", "second component"), "umap": ("UMAP 1 (no unit)", "UMAP 2 (no unit)")}
    picture.update_xaxes(title={"text": names_of[method][0]}, **axis)
    picture.update_yaxes(title={"text": names_of[method][1]}, **axis)
    picture.update_layout(
        height=560, dragmode="lasso", margin={"l": 8, "r": 8, "t": 8, "b": 8}, uirevision="map",
        legend={"orientation": "h", "y": -0.08, "itemsizing": "constant"},
    )  # fmt: skip
    return picture


def _selected(chosen: object) -> list[int]:
    """The source rows of the points that were selected."""
    points = (chosen or {}).get("selection", {}).get("points", [])  # type: ignore[union-attr]
    rows = []
    for point in points:
        row = point.get("customdata")
        row = row[0] if isinstance(row, list) else row
        if row is not None:
            rows.append(int(row))
    return sorted(set(rows))


__all__ = ["run_vectors", "view"]
