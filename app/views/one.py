"""One item of a queue: the images that it is about, what the step said, and the answers."""

from __future__ import annotations

import numpy as np
import streamlit as st

from curate.core import columns as col
from curate.report.numbers import count, number

from ..items import Item, group_of
from ..looking import Look
from ..queues import Filter, Queue
from ..texts import literal
from .answers import show_problem, speak, undo_button, walk
from .parts import card, grid

_CONTEXT = 10  # images of an identity shown beside the one in question
_MARKS = {"item": "#e08a00", "other": "#0f7fbf"}
_PAST = {col.DROP: "dropped", col.MOVE: "moved", col.MERGE: "merged", col.FLAG: "flagged"}


def show_one(look: Look, queue: Queue, places: np.ndarray, mine: set[int], wanted: Filter) -> None:
    """The item at the visitor's position, its buttons, and the images around it."""
    position = min(int(st.session_state.get("position", 0)), len(places) - 1)
    st.session_state["position"] = position
    at, images = int(places[position]), look.images
    item = Item.of(queue, at, images, swapped=bool(st.session_state.get("swapped")))
    group = group_of(queue, at)
    st.caption(f"Item {count(position + 1)} of {count(len(places))}. {_sentence(queue, at)}")
    _buttons(look, queue, item, group, wanted)
    shown = [card(look, item.row, _lines(look, item.row, "in question"), side=230, mark=_MARKS["item"])]
    if item.other >= 0:
        shown.append(card(look, item.other, _lines(look, item.other, "compared with"), side=230, mark=_MARKS["other"]))
    st.html(grid(shown))
    said = [images.id_of(row) for row in (item.row, item.other) if row >= 0 and row in mine]
    if said:
        st.caption(f"Reviewed: {', '.join(literal(_word(look, queue.step, name)) for name in said)}.")
    if len(item.members) > 1:
        _strip(look, f"All {count(len(item.members))} images that the answer is about", np.array(item.members), set())
    copies = np.setdiff1d(queue.row[group], [item.row, item.other])
    if len(copies):
        _strip(look, f"The step compared {count(len(copies))} more with {images.id_of(int(queue.other[at]))}", copies,
               set())  # fmt: skip
    for name in dict.fromkeys((images.came_as(item.row), images.identity_of(item.row), item.target)):
        if name is not None:
            _strip(look, f"Images of {name}", images.rows_of_identity(name), {item.row, item.other})


def _sentence(queue: Queue, at: int) -> str:
    decided = _PAST[str(queue.action[at])]
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


def _buttons(look: Look, queue: Queue, item: Item, group: np.ndarray, wanted: Filter) -> None:
    target = item.target
    given = (look, queue, item, wanted)
    with st.container(horizontal=True, key="answers"):
        st.button("Keep", shortcut="k", on_click=_answer, args=(col.KEEP, None, *given),
                  help="Nothing that this step decides may drop or move the image.")  # fmt: skip
        st.button("Drop", shortcut="d", on_click=_answer, args=(col.DROP, None, *given),
                  help="Leave the image out of the manifest.")  # fmt: skip
        st.button("Move", shortcut="m", disabled=target is None,
                  on_click=_answer, args=(col.MOVE, target, *given),
                  help=f"Give the image to {literal(target)}." if target else "None is named.")  # fmt: skip
        st.button("Merge", shortcut="g", disabled=target is None or item.own is None,
                  on_click=_answer, args=(col.MERGE, target, *given),
                  help=f"All images of {literal(item.own)} join {literal(target)}: they are one person."
                  if target else "None is named.")  # fmt: skip
        if item.other >= 0:
            st.button("Other side", shortcut="s", on_click=_swap,
                      help="Speak of the other image instead.")  # fmt: skip
        undo_button(look)
        st.button("Back", shortcut="left", on_click=walk, args=(-1,))
        st.button("Next", shortcut="right", on_click=walk, args=(1,))
    if len(group) > 1:
        _group_buttons(look, queue, group)
    with st.expander("Move to another identity", icon=":material/search:"):
        chosen = _other_identity(look, item.own)
        if chosen:
            st.button(f"Move to {literal(chosen)}", on_click=_answer, args=(col.MOVE, chosen, *given))
    show_problem()


def _group_buttons(look: Look, queue: Queue, group: np.ndarray) -> None:
    """One answer for all items that were compared with the same image."""
    with st.container(horizontal=True, key="group-answers"):
        for word, action, key in (("Keep", col.KEEP, "shift+k"), ("Drop", col.DROP, "shift+d")):
            st.button(f"{word} all {count(len(group))} of this group", shortcut=key, on_click=_answer_group,
                      args=(action, look, queue, group),
                      help="All images that the step compared with the same image.")  # fmt: skip


def _answer(action: str, identity: str | None, look: Look, queue: Queue, item: Item, wanted: Filter) -> None:
    speak(look, queue, action, [item.answer(look.images, action, identity)], walks=wanted.status != "open")


def _answer_group(action: str, look: Look, queue: Queue, group: np.ndarray) -> None:
    answers = [Item.of(queue, int(at), look.images).answer(look.images, action) for at in group]
    speak(look, queue, action, answers, walks=False)


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


def _swap() -> None:
    st.session_state["swapped"] = not st.session_state.get("swapped")


__all__ = ["show_one"]
