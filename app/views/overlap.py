"""Which identities and images two or more sets share."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import streamlit as st

from ..looking import Look
from ..texts import literal
from .parts import show_report, show_table

_PAIRS = ("pairs", "overlap/pairs")
_COLUMNS = {"dataset_a", "identity_a", "dataset_b", "identity_b", "verdict"}


def view(look: Look) -> None:
    """The page."""
    st.title("Overlap")
    reports = [step for step in look.run.steps if step.kind == "report" and "overlap" in step.name]
    pairs = _pairs(look)
    if not reports and pairs is None:
        st.info("This run compared no sets. `curate overlap A B --out DIR` does.")
        return
    for step in reports:
        for note in step.notes:
            st.warning(literal(note))
        # The pairs come below, with filters and pages.
        show_report(look, step, without=_PAIRS)
    if pairs is not None:
        _table(pairs)


def _pairs(look: Look) -> pd.DataFrame | None:
    """The pairs of identities, where the run has found some."""
    for name in _PAIRS:
        file = look.path / f"{name}.parquet"
        if file.is_file() and set(pq.read_schema(file).names) >= _COLUMNS:
            return look.run.table(name)
    return None


def _table(pairs: pd.DataFrame) -> None:
    st.header("Pairs of identities")
    with st.container(horizontal=True):
        verdicts = sorted(pairs["verdict"].dropna().astype("str").unique())
        wanted = st.pills("Verdict", verdicts, selection_mode="multi", default=verdicts, key="verdicts",
                          help="same: one person. likely: probably one. look: a person must decide.")  # fmt: skip
        text = st.text_input("Name holds", key="overlap-name").strip()
    mask = pairs["verdict"].astype("str").isin(wanted or [])
    if text:
        held = pairs["identity_a"].astype("str").str.contains(text, case=False, regex=False)
        mask &= held | pairs["identity_b"].astype("str").str.contains(text, case=False, regex=False)
    show_table(pairs[mask.to_numpy(bool)], key="overlap-pairs")


__all__ = ["view"]
