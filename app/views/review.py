"""Queues of decisions to confirm or overrule, by click or by key; every answer is a row that the run obeys."""

from __future__ import annotations

import getpass
import math
import shlex

import numpy as np
import pandas as pd
import streamlit as st

from curate.core import columns as col
from curate.core.errors import CurateError
from curate.report.numbers import count, number

from ..looking import Look
from ..queues import Filter, Queue, build_queues, pick
from ..reviews import Spoken, said_of, say, take_back
from ..texts import literal
from .parts import card, grid, show_table, term

_CONTEXT = 10  # images of an identity shown beside the one in question
_MARKS = {"item": "#e08a00", "other": "#0f7fbf"}


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
            _undo_button(look)
    else:
        _item(look, queue, places, mine, wanted)
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
        st.text_input("Your name", key="reviewer", value=st.session_state.get("reviewer", _user()),
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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


# ---- one item -----------------------------------------------------------------------------------------------------


def _item(look: Look, queue: Queue, places: np.ndarray, mine: set[int], wanted: Filter) -> None:
    position = min(int(st.session_state.get("position", 0)), len(places) - 1)
    st.session_state["position"] = position
    at = int(places[position])
    swapped = bool(st.session_state.get("swapped")) and queue.other[at] >= 0
    row, other = int(queue.row[at]), int(queue.other[at])
    members = queue.members[at]
    if swapped:
        row, other, members = other, row, np.array([other])
    images = look.images
    st.caption(f"Item {count(position + 1)} of {count(len(places))}. " + _sentence(look, queue, at))
    target = _buttons(look, queue, at, row, other, members, wanted)
    shown = [card(look, row, _lines(look, row, "in question"), side=230, mark=_MARKS["item"])]
    if other >= 0:
        shown.append(card(look, other, _lines(look, other, "compared with"), side=230, mark=_MARKS["other"]))
    st.html(grid(shown))
    answers = [images.id_of(member) for member in (row, other) if member >= 0 and member in mine]
    if answers:
        st.caption(f"Reviewed: {', '.join(literal(_word(look, queue.step, name)) for name in answers)}.")
    if len(members) > 1:
        _strip(look, f"All {count(len(members))} images that the answer is about", members, set())
    copies = np.setdiff1d(queue.row[(queue.other == other) & (other >= 0)], [row, other])
    if len(copies):
        _strip(look, f"The step compared {count(len(copies))} more with {images.id_of(other)}", copies, set())
    for name in dict.fromkeys((images.came_as(row), images.identity_of(row), target)):
        if name is not None:
            _strip(look, f"Images of {name}", images.rows_of_identity(name), {row, other})


def _sentence(look: Look, queue: Queue, at: int) -> str:
    decided = {col.DROP: "dropped", col.MOVE: "moved", col.MERGE: "merged", col.FLAG: "flagged"}[str(queue.action[at])]
    text = f"The step {decided} it"
    if queue.suggested[at]:
        text += f", to {literal(queue.suggested[at])}" if decided != "flagged" else (
            f", and suggests {literal(queue.suggested[at])}")  # fmt: skip
    if np.isfinite(queue.score[at]):
        text += f"; score {literal(number(queue.score[at]))}"
        if np.isfinite(queue.threshold[at]):
            text += f", threshold {literal(number(queue.threshold[at]))}"
    if np.isfinite(queue.confidence[at]):
        text += f", confidence {literal(number(queue.confidence[at]))}"
    return text + "."


def _lines(look: Look, row: int, role: str) -> list[str]:
    images = look.images
    labels = ", ".join(f"{name} {value}" for name, value in images.labels_of(row).items() if value)
    now, came = images.identity_of(row), images.came_as(row)
    said = f"identity {now}" if now == came else f"identity {now}, came as {came}"
    return [role, images.id_of(row), said, labels, images.fate_of(row)]


def _word(look: Look, step: str, image_id: str) -> str:
    rows = look.store.standing()
    rows = rows[((rows[col.IMAGE_ID] == image_id) & ((rows["step"] == step) | rows["step"].isna())).to_numpy(bool)]
    if not len(rows):
        return image_id
    row = rows.iloc[-1]
    to = f" to {row['new_value']}" if isinstance(row["new_value"], str) else ""
    return f"{image_id}: {row['action']}{to}, by {row['reviewer']}"


def _strip(look: Look, title: str, rows: np.ndarray, without: set[int]) -> None:
    others = [int(row) for row in rows if int(row) not in without]
    st.markdown(f"**{literal(title)}**")
    if not others:
        st.caption("No other images.")
        return
    shown = np.unique(np.linspace(0, len(others) - 1, min(_CONTEXT, len(others))).astype(int))
    st.html(grid([card(look, others[at], side=84) for at in shown]))
    if len(shown) < len(others):
        st.caption(f"{len(shown)} of {count(len(others))}, spread evenly.")


# ---- answers ------------------------------------------------------------------------------------------------------


def _buttons(
    look: Look, queue: Queue, at: int, row: int, other: int, members: np.ndarray, wanted: Filter
) -> str | None:
    """The row of buttons; returns the identity that a move or merge would lead to."""
    images = look.images
    proposals = [name for name in (queue.suggested[at], images.identity_of(other) if other >= 0 else None) if name]
    own = images.came_as(row)  # what a step made of it is the proposal, which a person confirms or not
    proposals = [name for name in dict.fromkeys(map(str, proposals)) if name != own]
    target = proposals[0] if proposals else None
    common = (look, queue, row, other, members, wanted)
    with st.container(horizontal=True, key="answers"):
        st.button("Keep", shortcut="k", on_click=_answer, args=(col.KEEP, None, *common),
                  help="Nothing that this step decides may drop or move the image.")  # fmt: skip
        st.button("Drop", shortcut="d", on_click=_answer, args=(col.DROP, None, *common),
                  help="Leave the image out of the manifest.")  # fmt: skip
        st.button("Move", shortcut="m", disabled=target is None,
                  on_click=_answer, args=(col.MOVE, target, *common),
                  help=f"Give the image to {literal(target)}." if target else "None is named.")  # fmt: skip
        st.button("Merge", shortcut="g", disabled=target is None or own is None,
                  on_click=_answer, args=(col.MERGE, target, *common),
                  help=f"All images of {literal(own)} join {literal(target)}: they are one person."
                  if target else "None is named.")  # fmt: skip
        if other >= 0:
            st.button("Other side", shortcut="s", on_click=_swap,
                      help="Speak of the other image instead.")  # fmt: skip
        _undo_button(look)
        st.button("Back", shortcut="left", on_click=_walk, args=(-1,))
        st.button("Next", shortcut="right", on_click=_walk, args=(1,))
    with st.expander("Move to another identity", icon=":material/search:"):
        chosen = _other_identity(look, own)
        if chosen:
            st.button(f"Move to {literal(chosen)}", on_click=_answer, args=(col.MOVE, chosen, *common))
    if problem := st.session_state.pop("problem", None):
        st.error(literal(problem))
    return target


def _other_identity(look: Look, own: str | None) -> str | None:
    text = st.text_input("Name, or part of it", key="identity-search",
                         help="A name that no identity has makes a new one.").strip()  # fmt: skip
    if not text:
        return None
    found = [name for name in look.images.find_identities(text, 20) if name != own]
    if text not in found and text != own:
        found.append(text)
    return st.selectbox("Identity", found, key="identity-found",
                        format_func=lambda name: name if name in look.images.find_identities(name, 20)
                        else f"{name} (new)")  # fmt: skip


def _answer(
    action: str, identity: str | None, look: Look, queue: Queue, row: int, other: int, members: np.ndarray,
    wanted: Filter,
) -> None:  # fmt: skip
    images = look.images
    rows = [row]
    if action == col.MERGE:
        own = images.came_as(row)
        rows = sorted({*map(int, members), *(map(int, images.rows_of_identity(own)) if own else ())})
    elif len(members) > 1:
        rows = list(map(int, members))
    try:
        spoken = say(look.store, images, rows, action=action, step=queue.step, reason=queue.reason,
                     reviewer=_reviewer(), related=other, identity=identity)  # fmt: skip
    except (CurateError, OSError) as error:
        st.session_state["problem"] = str(error)
        return
    st.session_state.setdefault("spoken", []).append(spoken)
    st.session_state["swapped"] = False
    if wanted.status != "open":
        _walk(1)


def _reviewer() -> str:
    return str(st.session_state.get("reviewer") or "").strip() or _user()


def _undo_button(look: Look) -> None:
    spoken: list[Spoken] = st.session_state.get("spoken", [])
    st.button("Undo", shortcut="u", disabled=not spoken, on_click=_undo, args=(look,),
              help="Take your last answer back. Nothing is deleted: a row is appended.")  # fmt: skip


def _undo(look: Look) -> None:
    spoken: list[Spoken] = st.session_state.get("spoken", [])
    if not spoken:
        return
    try:
        take_back(look.store, look.images, spoken[-1], _reviewer())
    except (CurateError, OSError) as error:
        st.session_state["problem"] = str(error)
        return
    spoken.pop()


def _swap() -> None:
    st.session_state["swapped"] = not st.session_state.get("swapped")


def _walk(step: int) -> None:
    st.session_state["position"] = max(int(st.session_state.get("position", 0)) + step, 0)
    st.session_state["swapped"] = False


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
