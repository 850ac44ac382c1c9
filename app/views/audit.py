"""Error rates per group and across groups, with their intervals, and at any other threshold."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st

from curate.core.errors import CurateError
from curate.core.shapes import Figure
from curate.report.numbers import number, percent, scientific
from curate.report.page import explains_supported, tables_of
from curate.report.runs import StepRecord
from curate.report.words import SUPPORTED

from ..looking import Look
from ..rates import at_threshold, threshold_for
from ..texts import literal
from .parts import show_figure, show_report, show_table, term

_CURVES = "audit/curves"


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
    curves = _curves(look)
    if curves is not None:
        _slider(look, curves)
    for step in reports:
        _rates(look, step)
        st.subheader(literal(step.sentence.rstrip(".")))
        show_report(look, step)


def _curves(look: Look) -> pd.DataFrame | None:
    try:
        curves = look.run.table(_CURVES)
    except (CurateError, OSError):
        return None
    return curves if len(curves) and {"group", "threshold", "fmr", "fnmr"} <= set(curves) else None


def _slider(look: Look, curves: pd.DataFrame) -> None:
    st.header("At another threshold")
    low, high = float(curves["threshold"].min()), float(curves["threshold"].max())
    groups = curves["group"].astype("str").drop_duplicates().tolist()
    pooled = "all" if "all" in groups else groups[0]
    start = threshold_for(curves, pooled, 1e-3)
    low, high = math.floor(low * 1000) / 1000, math.ceil(high * 1000) / 1000
    if not low < high:
        return
    chosen = st.slider("Threshold (cosine similarity)", low, high, min(max(start or (low + high) / 2, low), high),
                       step=(high - low) / 500, format="%.3f", key="threshold", help=term("threshold"))  # fmt: skip
    rates = at_threshold(curves, chosen)
    told = pd.DataFrame({
        "group": rates["group"],
        "FMR (FAR)": [_between(a, b, scientific) for a, b in zip(rates["fmr_least"], rates["fmr"], strict=True)],
        "FNMR (FRR)": [_between(a, b, percent) for a, b in zip(rates["fnmr_least"], rates["fnmr"], strict=True)],
    })  # fmt: skip
    left, right = st.columns(2)
    drawn = rates[np.isfinite(rates["fmr"]) & (rates["fmr"] > 0)]
    with left:
        options = {"x": "group", "y": "fmr", "color": "group", "log_y": True}
        show_figure(Figure("bars", "", f"FMR (FAR) of each group at {number(chosen)}, logarithmic", options), drawn,
                    look, "slider-fmr")  # fmt: skip
    with right:
        options = {"x": "group", "y": "fnmr", "color": "group"}
        show_figure(Figure("bars", "", f"FNMR (FRR) of each group at {number(chosen)}", options),
                    rates[np.isfinite(rates["fnmr"])], look, "slider-fnmr")  # fmt: skip
    show_table(told)
    st.caption("Read from the curves that the audit kept. Where a threshold lies between two of their points, the two "
               "rates around it are given. These rates have no interval; the table below has.")  # fmt: skip


def _between(low: float, high: float, write) -> str:
    if not np.isfinite(high):
        return "–"
    return write(high) if low == high else f"{write(low)} to {write(high)}"


def _rates(look: Look, step: StepRecord) -> None:
    shown = [table for table in tables_of(look.run, step) if table.is_rates]
    if shown:
        st.header("Rates at the thresholds fixed beforehand")
    for table in shown:
        show_table(look.run.table(table.name), key=table.name)
    if explains_supported(look.run, step):
        st.caption(SUPPORTED)


__all__ = ["view"]
