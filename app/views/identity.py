"""One identity: its images, how alike they are, and what was decided about them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from curate.core.errors import CurateError
from curate.core.shapes import Figure
from curate.report.numbers import count

from ..histories import history
from ..looking import Look
from ..texts import literal
from ..vectors import similarities
from .clusters import run_vectors
from .parts import card, grid, pager, show_figure, show_table

_PAGE = 48
_MATRIX = 40
_DROPPED = "#d55e00"


def view(look: Look) -> None:
    """The page."""
    st.title("Identity")
    name = _choose(look)
    if name is None:
        return
    rows = look.images.rows_of_identity(name)
    st.subheader(literal(name))
    if not len(rows):
        st.info("No image has this identity now.")
        return
    gone = int(look.images.dropped[rows].sum())
    st.caption(f"{count(len(rows))} images, {count(gone)} of them dropped (framed).")
    start, stop = pager(len(rows), _PAGE, "identity")
    shown = rows[start:stop]
    st.html(grid([_card(look, int(row), start + at + 1) for at, row in enumerate(shown)]))
    _matrix(look, shown, start)
    st.subheader("History")
    told = history(look.run, [look.images.id_of(row) for row in shown])
    told = told[told["action"] != "assign"].reset_index(drop=True)
    if len(told):
        show_table(told, key="history")
    else:
        st.caption("No step dropped, moved, flagged or kept one of these images.")


def _choose(look: Look) -> str | None:
    asked = str(st.query_params.get("name", ""))
    text = st.text_input("Name, or part of it", value=asked, key="identity-name")
    found = look.images.find_identities(text.strip())
    if not found:
        st.info("No identity has such a name.")
        return None
    return st.selectbox(f"Identity ({count(len(look.images.identities))} in all)", found, key="identity")


def _card(look: Look, row: int, number: int) -> str:
    images = look.images
    came = images.came_as(row)
    lines = [f"{number}. {images.id_of(row)}", images.fate_of(row)]
    if came != images.identity_of(row):
        lines.append(f"came as {came}")
    return card(look, row, lines, mark=_DROPPED if images.dropped[row] else "")


def _matrix(look: Look, rows: np.ndarray, start: int) -> None:
    st.subheader("How alike they are")
    try:
        found, why = run_vectors(look)
    except CurateError as error:
        found, why = None, str(error)
    if found is None:
        st.caption(literal(why))
        return
    have, matrix = found.of(rows[:_MATRIX])
    if len(have) < 2:
        st.caption("Fewer than two of these images have a vector.")
        return
    number = {int(row): start + at + 1 for at, row in enumerate(rows)}
    names = [str(number[int(row)]) for row in have]
    alike = similarities(matrix)
    np.fill_diagonal(alike, np.nan)  # each is like itself: that would take the scale away from the rest
    table = pd.DataFrame({
        "image": np.repeat(names, len(names)), "other image": np.tile(names, len(names)),
        "similarity": alike.ravel().astype(np.float64),
    })  # fmt: skip
    figure = Figure("heatmap", "", "Cosine similarity of each pair; images by their number above",
                    {"x": "image", "y": "other image", "value": "similarity"})  # fmt: skip
    show_figure(figure, table, look, "matrix")
    if len(rows) > _MATRIX:
        st.caption(f"The first {_MATRIX} images of this page.")


__all__ = ["view"]
