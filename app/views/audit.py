"""Error rates per group and across groups, with their intervals, and at any other threshold."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st

from curate.core.errors import CurateError
from curate.core.shapes import Figure
from curate.report.numbers import number
from curate.report.page import explains_supported, tables_of
from curate.report.runs import StepRecord
from curate.report.words import SUPPORTED

from ..looking import Look
from ..rates import COLUMNS, edge_for, edges_of, rates_at
from ..texts import literal
from .parts import show_figure, show_report, show_table, term

_HISTOGRAM = "audit/histogram"


def view(look: Look) -> None:
    """The page."""
    st.title("Audit")
    reports = [step for step in look.run.steps if step.kind == "report" and step.name.startswith("audit")]
    if not reports:
        st.info("This run measured no error rates: its recipe has no audit.")
        return
    for step in reports:
        for note in step.notes:
            st.warning(literal(note))
    histogram = _histogram(look)
    if histogram is not None:
        _slider(look, histogram)
    for step in reports:
        _rates(look, step)
        st.subheader(literal(step.sentence.rstrip(".")))
        show_report(look, step)
        if explains_supported(look.run, step):
            st.caption(SUPPORTED)


def _histogram(look: Look) -> pd.DataFrame | None:
    try:
        histogram = look.run.table(_HISTOGRAM)
    except (CurateError, OSError):
        return None
    return histogram if len(histogram) and set(histogram) >= COLUMNS else None


def _slider(look: Look, histogram: pd.DataFrame) -> None:
    st.header("At another threshold")
    edges = edges_of(histogram)
    if len(edges) < 2:
        return
    step = float(edges[1] - edges[0])
    # Of one more digit than the step, so that a threshold is told as it is.
    chosen = st.slider("Threshold (similarity)", float(edges[0]), float(edges[-1]), edge_for(histogram, 1e-3),
                       step=step, format=f"%.{max(0, 1 - math.floor(math.log10(step)))}f", key="threshold",
                       help=term("threshold"))  # fmt: skip
    rates = rates_at(histogram, chosen)
    within = rates[(rates["group_a"] == rates["group_b"]).to_numpy(bool)].rename(columns={"group_a": "group"})
    for column, rate, word, log in zip(st.columns(2), ("fmr", "fnmr"), ("FMR (FAR)", "FNMR (FRR)"), (True, False),
                                       strict=True):  # fmt: skip
        options = {"x": "group", "y": rate, "color": "group", "low": f"{rate}_low", "high": f"{rate}_high",
                   "log_y": log}  # fmt: skip
        title = f"{word} of each group at {number(chosen)}, with 95% limits{', logarithmic' if log else ''}"
        drawn = within[np.isfinite(within[rate]) & (within[rate] > 0 if log else True)]
        with column:
            if len(drawn):
                show_figure(Figure("bars", "", title, options), drawn, look, f"slider-{rate}")
            else:
                st.markdown(f"**{literal(title)}**")
                st.caption("No group has an error at this threshold.")
    if len(rates) > len(within):
        cross = rates[(rates["group_a"] != rates["group_a"].iloc[0]).to_numpy(bool)]
        mirrored = cross.rename(columns={"group_a": "group_b", "group_b": "group_a"})
        both = pd.concat([cross, mirrored], ignore_index=True).drop_duplicates(["group_a", "group_b"])
        figure = Figure("heatmap", "", f"FMR (FAR) within and between groups at {number(chosen)}",
                        {"x": "group_a", "y": "group_b", "value": "fmr", "log": True})  # fmt: skip
        show_figure(figure, both.sort_values(["group_a", "group_b"]), look, "slider-cross")
    show_table(rates.drop(columns="exact"), key="slider-rates")
    said = "Counted from the histograms of scores that the audit kept, at the edges of their bins."
    if not rates["exact"].all():
        said += (" This threshold is below those that the audit looked at in full: its false matches are counted from "
                 "screened scores, and have no limits.")  # fmt: skip
    st.caption(said)


def _rates(look: Look, step: StepRecord) -> None:
    shown = [table for table in tables_of(look.run, step) if table.is_rates]
    if shown:
        st.header("Rates at the thresholds fixed beforehand")
    for table in shown:
        show_table(look.run.table(table.name), key=table.name)


__all__ = ["view"]
