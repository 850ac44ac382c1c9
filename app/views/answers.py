"""What the buttons of the page Review do: say, undo, walk on."""

from __future__ import annotations

import getpass
from collections.abc import Sequence

import streamlit as st

from curate.core.errors import CurateError

from ..looking import Look
from ..queues import Queue
from ..reviews import Answer, Spoken, say, take_back
from ..texts import literal


def user() -> str:
    """The name of whoever started the app."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


def speak(look: Look, queue: Queue, action: str, answers: Sequence[Answer], *, walks: bool) -> None:
    """Write one word on some images; walks: go on to the next item, which the answer does not take out of sight."""
    try:
        spoken = say(look.store, look.images, answers, action=action, step=queue.step, reason=queue.reason,
                     reviewer=_reviewer())  # fmt: skip
    except (CurateError, OSError) as error:
        st.session_state["problem"] = str(error)
        return
    st.session_state.setdefault("spoken", []).append(spoken)
    st.session_state["swapped"] = False
    if walks:
        walk(1)


def undo_button(look: Look) -> None:
    """The button that takes this window's last answer back."""
    spoken: list[Spoken] = st.session_state.get("spoken", [])
    many = len(spoken[-1].said) if spoken else 0
    st.button("Undo" if many < 2 else f"Undo {many:,}", shortcut="u", disabled=not spoken, on_click=_undo, args=(look,),
              key="undo", help="Take your last answer back, also one for many images. Nothing is deleted: rows are "
              "appended. What somebody else has said since stays.")  # fmt: skip


def _undo(look: Look) -> None:
    spoken: list[Spoken] = st.session_state.get("spoken", [])
    if not spoken:
        return
    try:
        others = take_back(look.store, spoken[-1], _reviewer())
    except (CurateError, OSError) as error:
        st.session_state["problem"] = str(error)
        return
    spoken.pop()
    if others:
        st.session_state["problem"] = f"{others:,} images keep what was said of them since: they were not taken back."


def walk(step: int) -> None:
    """Go to another item of the queue."""
    st.session_state["position"] = max(int(st.session_state.get("position", 0)) + step, 0)
    st.session_state["swapped"] = False


def show_problem() -> None:
    """What went wrong with the last click, if anything did."""
    if problem := st.session_state.pop("problem", None):
        st.error(literal(problem))


def _reviewer() -> str:
    return str(st.session_state.get("reviewer") or "").strip() or user()


__all__ = ["show_problem", "speak", "undo_button", "user", "walk"]
