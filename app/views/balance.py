"""What balancing did, and what another target or budget would do to the same images."""

from __future__ import annotations

import streamlit as st

from curate.core.shapes import Figure
from curate.report.numbers import count, number

from ..looking import Look
from ..texts import literal
from ..whatif import WhatIf, batch, pool, usual, what_if
from .parts import card, grid, show_figure, show_report, show_table, term

#: Reports that this page shows.
REPORTS = ("imbalance", "reach", "rivals", "training_batch")
_BATCH = 24
_ENDED = {
    "target": "Every label reaches the target.",
    "budget": "The budget is used up before the target is reached.",
    "cap": "The rare categories can't be raised any further.",
    "stall": "The largest IDR fell no further.",
}


@st.cache_resource(max_entries=8, show_spinner="Drawing replicas")
def _computed(_look: Look, stamp: str, labels: tuple[str, ...], target: float, budget: int, choice: str) -> WhatIf:
    return what_if(_look.run, list(labels), target, budget, choice)  # type: ignore[arg-type]


def warm(look: Look) -> None:
    """Balance as the run itself did, beforehand: this also loads the compiled kernel."""
    size = len(pool(look.run))
    if size:
        labels, target, budget, choice = usual(look.run, size)
        _computed(look, look.stamp, tuple(labels), min(max(target, 1.0), 10.0), min(budget, 3 * size), choice)


def view(look: Look) -> None:
    """The page."""
    st.title("Balance")
    size = len(pool(look.run))
    if not size:
        st.info("The run has no training images yet: it is not finished, or everything was dropped.")
    else:
        _what_if(look, size)
    reports = [step for step in look.run.steps if step.kind == "report" and step.name in REPORTS]
    if reports:
        st.header("What the run did")
    for step in reports:
        st.subheader(literal(step.sentence.rstrip(".")))
        show_report(look, step)


def _what_if(look: Look, size: int) -> None:
    st.header("What if")
    st.caption(f"Replicas are drawn for the {count(size)} training photographs of this run as the step `oversample` "
               "would draw them, with its seed. Nothing is written.")  # fmt: skip
    known, target, budget, choice = usual(look.run, size)
    every = list(dict.fromkeys(["identity", *look.run.labels]))
    left, right = st.columns(2)
    with left:
        labels = st.multiselect("Labels to balance", every, default=known, key="whatif-labels")
        choice = st.segmented_control(
            "Choice", ["uniform", "lookahead"], default=choice, key="whatif-choice",
            help="uniform: any image of the rarest category. lookahead: the one that helps the other labels too.",
        ) or "uniform"  # fmt: skip
    with right:
        target = st.slider("Target: IDR of each label at most", 1.0, 10.0, min(max(target, 1.0), 10.0), 0.1,
                           key="whatif-target", help=term("idr"))  # fmt: skip
        budget = st.slider("Budget: replicas at most", 0, 3 * size, min(budget, 3 * size),
                           max(size // 100, 1), key="whatif-budget", help=term("replica"))  # fmt: skip
    if not labels:
        st.info("Choose at least one label.")
        return
    made = _computed(look, look.stamp, tuple(labels), target, budget, choice)
    with st.container(horizontal=True):
        st.metric("Replicas needed", count(len(made.picked)), width=180, help=term("replica"))
        st.metric("Effective sample size", f"{number(round(made.effective_size))} of {count(size)}", width=260,
                  help="(sum n)² / sum n² over how often each photograph is used: how many photographs used once "
                       "would weigh the same.")  # fmt: skip
    (st.success if made.ended == "target" else st.warning)(_ENDED[made.ended])
    left, right = st.columns(2)
    for place, column, title in (
        (left, "idr", "IDR of each label against replicas added"),
        (right, "max_min", "Largest over smallest category against replicas added"),
    ):
        with place:
            show_figure(Figure("lines", "", title, {"x": "replicas", "y": column, "color": "label", "log_y": True}),
                        made.history, look, f"whatif-{column}")  # fmt: skip
    if len(made.counts):
        options = {"x": "category", "y": "images", "color": "stage", "facet": "label", "unit": "images"}
        show_figure(Figure("bars", "", "Images of each category before and after", options), made.counts, look,
                    "whatif-counts")  # fmt: skip
    show_table(made.measures)
    _batch(look, made)


def _batch(look: Look, made: WhatIf) -> None:
    st.subheader("A training batch")
    before, after = batch(made, _BATCH)
    left, right = st.columns(2)
    for place, name, rows in ((left, "before", before), (right, "after", after)):
        with place:
            st.markdown(f"**{name.capitalize()}**: {len(rows)} images, drawn uniformly")
            st.html(grid([_card(look, int(row)) for row in rows]))


def _card(look: Look, final_row: int) -> str:
    images = look.images
    row = images.row(images.final_id(final_row))
    labels = "/".join(str(value) for value in images.labels_of(row).values() if value) if row >= 0 else ""
    return card(look, row, [labels], side=72) if row >= 0 else ""


__all__ = ["REPORTS", "view", "warm"]
