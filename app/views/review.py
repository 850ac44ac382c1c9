"""Queues of decisions to confirm or overrule, by click or by key; every answer is a row that the run obeys."""

from __future__ import annotations

import math
import shlex

import numpy as np
import pandas as pd
import streamlit as st

from curate.report.numbers import count

from ..looking import Look
from ..queues import Filter, Queue, build_queues, pick
from ..reviews import said_of
from .answers import show_problem, undo_button, user
from .many import show_many
from .one import show_one
from .parts import show_table, term


@st.cache_resource(max_entries=2, show_spinner="Reading the decisions")
def _queues(_look: Look, stamp: str) -> list[Queue]:
    return build_queues(_look.run, _look.images)


def warm(look: Look) -> None:
    """Read the queues beforehand."""
    _queues(look, look.stamp)


def view(look: Look) -> None:
    """The page."""
    st.title("Review")
    queues = _queues(look, look.stamp)
    if not queues:
        st.info("No step of this run decided anything that a person could overrule.")
        return
    said = said_of(look.store.standing(), look.images)
    queue, wanted = _choose(look, queues)
    mine = _mine(queue, said)
    places = pick(queue, look.images, mine, wanted)
    done = int(queue.status(mine).sum())
    st.progress(done / len(queue), text=f"{count(done)} of {count(len(queue))} reviewed in this queue")
    if st.session_state.get("shown") != (queue.title, wanted):
        st.session_state["shown"] = (queue.title, wanted)
        st.session_state["position"] = 0
    if not len(places):
        st.success("Nothing is left here: every item that the filter lets through has been reviewed.")
        with st.container(horizontal=True, key="answers"):
            undo_button(look)
        show_problem()
    elif st.segmented_control("Answer", ["one by one", "many at once"], default="one by one", key="pace",
                              label_visibility="collapsed") == "many at once":  # fmt: skip
        show_many(look, queue, places)
    else:
        show_one(look, queue, places, mine, wanted)
    _resume(look, queues, said)


def _mine(queue: Queue, said: dict[str, set[int]]) -> set[int]:
    """The source rows with a word that counts for a queue."""
    return said.get(queue.step, set()) | said.get("", set())


def _choose(look: Look, queues: list[Queue]) -> tuple[Queue, Filter]:
    # The titles never change: a select box whose words change forgets what was chosen.
    titles = [queue.title for queue in queues]
    at = titles.index(st.selectbox("Queue", titles, key="queue"))
    queue = queues[at]
    with st.sidebar:
        st.text_input("Your name", key="reviewer", value=st.session_state.get("reviewer", user()),
                      help="Stands beside every decision that you make here.")  # fmt: skip
    with st.expander("Filter and order", icon=":material/filter_list:"):
        status = st.segmented_control("Show", ["open", "reviewed", "all"], default="open", key="status") or "open"
        orders = {"doubt": "most doubtful first", "surest": "surest first", "name": "by name"}
        order = st.selectbox("Order", list(orders), format_func=orders.get, key="order",
                             help="Doubtful: the score is nearest to the threshold.")  # fmt: skip
        group = _group(look)
        text = st.text_input("Image id holds", key="text")
        score = _range("Score", queue.score, f"score-{at}")
        sure = _range("Confidence", queue.confidence, f"confidence-{at}")
    return queue, Filter(status, group, score, sure, text, order)


def _group(look: Look) -> tuple[str, str] | None:
    choices: list[tuple[str, str] | None] = [None]
    for name in look.images.labels:
        values = look.images.label(name).cat.categories
        choices += [(name, str(value)) for value in values[:60]]
    return st.selectbox("Group", choices, key="group", help=term("group"),
                        format_func=lambda item: "all" if item is None else f"{item[0]}: {item[1]}")  # fmt: skip


def _range(name: str, values: np.ndarray, key: str) -> tuple[float, float] | None:
    """A slider over the values, None where it stands at both ends or there is nothing to choose."""
    known = values[np.isfinite(values)]
    if not len(known) or known.min() == known.max():
        return None
    low, high = math.floor(known.min() * 1000) / 1000, math.ceil(known.max() * 1000) / 1000
    chosen = st.slider(name, low, high, (low, high), step=(high - low) / 200, key=key)
    return None if chosen == (low, high) else chosen


def _resume(look: Look, queues: list[Queue], said: dict[str, set[int]]) -> None:
    rows = sum(map(len, said.values()))
    st.divider()
    done = [int(queue.status(_mine(queue, said)).sum()) for queue in queues]
    with st.expander("All queues"):
        show_table(pd.DataFrame({"queue": [queue.title for queue in queues], "items": list(map(len, queues)),
                                 "reviewed": done}))  # fmt: skip
    st.markdown(f"**{count(rows)}** answers of people stand in `review/decisions.parquet`. To carry them out, run the "
                "same command that made the run, or:")  # fmt: skip
    st.code(f"curate run {shlex.quote(str(look.path))}", language="bash")
    st.caption("Steps before the first changed answer are not done again. Reload this page afterwards.")


__all__ = ["view", "warm"]
