"""Many items of a queue at once, and one answer for those that are chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import streamlit as st

from curate.core import columns as col
from curate.report.numbers import count, number

from ..items import Item
from ..looking import Look
from ..queues import Queue
from .answers import show_problem, speak, undo_button
from .parts import card, grid, pager

_SHOWN = 24
_HERE, _ALL = "these", "all that the filter lets through"


def show_many(look: Look, queue: Queue, places: np.ndarray) -> None:
    """A page of items side by side; what is said counts for those that are chosen, at first for all of them."""
    start, stop = pager(len(places), _SHOWN, f"many-{queue.title}")
    shown = places[start:stop]
    scope = _HERE
    if len(places) > len(shown):
        scope = st.segmented_control("The answer is for", [_HERE, _ALL], default=_HERE, key="scope") or _HERE
    numbers = list(range(start + 1, start + len(shown) + 1))
    chosen = numbers
    if scope == _HERE and len(numbers) > 1:
        # Another page has another key, so that all of it is chosen at first.
        mark = hashlib.blake2b(shown.tobytes(), digest_size=8).hexdigest()
        chosen = st.pills("Chosen: click a number to leave it out", numbers, selection_mode="multi", default=numbers,
                          key=f"chosen-{mark}")  # fmt: skip
    meant = places if scope == _ALL else shown[[at - start - 1 for at in sorted(chosen)]]
    _buttons(look, queue, meant)
    left_out = set(numbers) - set(chosen) if scope == _HERE else set()
    st.html(_pictures(look, queue, shown, numbers, left_out))


def _buttons(look: Look, queue: Queue, meant: np.ndarray) -> None:
    # A move goes where the step or the other image leads; of a large choice the first ones say whether any does.
    few = [Item.of(queue, int(at), look.images) for at in meant[:_SHOWN]]
    movable = sum(item.target is not None for item in few)
    size = count(len(meant))
    moved = size if movable in (0, len(few)) else f"{movable} of {size}" if len(few) == len(meant) else "where named"
    with st.container(horizontal=True, key="answers"):
        for word, action, key, told in (
            (f"Keep {size}", col.KEEP, "k", "Nothing that this step decides may drop or move these images."),
            (f"Drop {size}", col.DROP, "d", "Leave these images out of the manifest."),
            (f"Move {moved}", col.MOVE, "m", "Each goes to the identity that the step or its other image names; "
             "those without one are left open."),
        ):  # fmt: skip
            st.button(word, shortcut=key, disabled=not len(meant) or (action == col.MOVE and not movable),
                      on_click=_answer, args=(action, look, queue, meant), help=told)  # fmt: skip
        undo_button(look)
    show_problem()


def _answer(action: str, look: Look, queue: Queue, meant: np.ndarray) -> None:
    items = [Item.of(queue, int(at), look.images) for at in meant]
    if action == col.MOVE:
        items = [item for item in items if item.target]
    speak(look, queue, action, [item.answer(look.images, action) for item in items], walks=False)


def _pictures(look: Look, queue: Queue, shown: np.ndarray, numbers: Sequence[int], left_out: set[int]) -> str:
    cards = []
    for at, place in zip(numbers, shown, strict=True):
        item = Item.of(queue, int(place), look.images)
        lines = [f"{at}{' (left out)' if at in left_out else ''}", look.images.id_of(item.row)]
        if len(item.members) > 1:
            lines.append(f"{count(len(item.members))} images")
        if np.isfinite(queue.score[place]):
            lines.append(f"score {number(queue.score[place])}")
        if item.target:
            lines.append(f"to {item.target}")
        pair = [card(look, item.row, lines, side=96, share=40)]
        if item.other >= 0:
            pair.append(card(look, item.other, ["compared with"], side=96, share=40))
        faint = "opacity:.35;" if at in left_out else ""
        cards.append('<div style="border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:8px;'
                     f'{faint}">{grid(pair)}</div>')  # fmt: skip
    return f'<div style="display:flex;flex-wrap:wrap;gap:10px;align-items:stretch">{"".join(cards)}</div>'


__all__ = ["show_many"]
