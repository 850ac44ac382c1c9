"""What went in, what came out, and what happened between."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from curate.core.shapes import Figure
from curate.report.groups import GroupTables
from curate.report.numbers import count, percent
from curate.report.words import INTENDED_USE, LABEL_LIMITS

from ..looking import Look
from ..texts import literal
from .balance import REPORTS as BALANCE
from .parts import show_figure, show_report, show_table, term


def view(look: Look) -> None:
    """The page."""
    st.title(literal(look.run.name))
    if look.run.unfinished:
        st.warning(f"This run is not finished. Not done yet: {literal(', '.join(look.run.unfinished))}")
    _headline(look)
    if look.run.notes:
        told = [f"- **{literal(name)}**: {literal(note)}" for name, note in look.run.notes]
        st.warning("\n".join(["Read this first:", *told]))
    _funnel(look)
    st.subheader("By group")
    if not look.summary.groups:
        st.caption("The run has no label with few enough values to compare groups.")
    for entry in look.summary.groups:
        _group(look, entry)
    others = [step for step in look.run.steps if step.kind == "report" and not _has_a_page(step.name)]
    if others:
        st.subheader("Other reports")
    for step in others:
        with st.expander(f"{literal(step.name.replace('_', ' '))}: {literal(step.sentence)}"):
            show_report(look, step)
    with st.expander("Intended use, and the limits of demographic labels"):
        st.write(INTENDED_USE)
        st.write(LABEL_LIMITS)


def _has_a_page(report: str) -> bool:
    """Whether another page shows the report."""
    return report in BALANCE or report.startswith("audit") or "overlap" in report


def _headline(look: Look) -> None:
    top = look.summary.headline
    with st.container(horizontal=True):
        st.metric("Images in", count(top.images_in), width=150)
        st.metric("Dropped", f"{count(top.dropped)} ({percent(top.dropped_share)})", width=200)
        st.metric("Images out", count(top.images_out), width=150)
        st.metric("Identities out", f"{count(top.identities_out)} of {count(top.identities_in)}", width=210,
                  help=term("identity"))  # fmt: skip
        st.metric("Flagged for a look", count(top.flagged), width=170, help=term("flagged"))
        if top.replicas:
            st.metric("Replicas added", count(top.replicas), width=150, help=term("replica"))


def _funnel(look: Look) -> None:
    steps = [step for step in look.run.steps if step.kind != "report"]
    if not steps:
        st.info("No step of this run decides anything.")
        return
    top = look.summary.headline
    names = ["source", *(f"{step.order}. {step.name.replace('_', ' ')}" for step in steps)]
    parts = {"images": [top.images_in], "identities": [top.identities_in]}
    for step in steps:
        parts["images"].append(step.counts["images_out"])
        parts["identities"].append(step.counts["identities_out"])
    st.subheader("Images and identities through the steps")
    left, right = st.columns(2)
    for place, (what, sizes) in zip((left, right), parts.items(), strict=True):
        title = f"{what.capitalize()} after each step" + (" (replicas included)" if what == "images" else "")
        with place:
            show_figure(Figure("bars", "", title, {"x": "step", "y": what, "unit": what}),
                        pd.DataFrame({"step": names, what: sizes}), look, f"funnel-{what}")  # fmt: skip
    with st.expander("What each step does, and what was decided"):
        show_table(pd.DataFrame(
            {"step": names[1:], "what it does": [step.sentence for step in steps]}
            | {name: [step.counts[name] for step in steps] for name in (
                "images_in", "images_out", "identities_in", "identities_out")}
        ))  # fmt: skip
        rows = [(step.name, *key.split("/", 1), number) for step in steps for key, number in step.actions.items()]
        if rows:
            show_table(pd.DataFrame(rows, columns=["step", "action", "reason", "decisions"]))
        else:
            st.info("No step changed anything.")


def _group(look: Look, entry: GroupTables) -> None:
    title = f"Share of images dropped, by {entry.label} (bars: 95% interval)"
    options = {"x": "group", "y": "share", "color": "group", "low": "share_low", "high": "share_high"}
    left, right = st.columns(2)
    with left:
        show_figure(Figure("bars", "", title, options), entry.removal, look, f"removal-{entry.label}")
    stages = {"before": "images_before", "after": "images_after"}
    counts = pd.concat([
        pd.DataFrame({"group": entry.counts["group"], "stage": stage, "images": entry.counts[column]})
        for stage, column in stages.items()
    ])  # fmt: skip
    with right:
        show_figure(Figure("bars", "", f"Images before and after, by {entry.label}", {"x": "group", "y": "images",
                    "color": "stage", "unit": "images"}), counts, look, f"counts-{entry.label}")  # fmt: skip
    with st.expander(f"Imbalance and counts by {literal(entry.label)}"):
        show_table(entry.measures)
        show_table(entry.counts)
        show_table(entry.removal)
    if entry.unlabelled:
        st.caption(f"{count(entry.unlabelled)} images have no value of {literal(entry.label)}; they are in no group.")
