"""What an item of a queue asks, and the rows that an answer to it is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.core import columns as col

from .images import Images
from .queues import Queue
from .reviews import Answer


@dataclass(frozen=True)
class Item:
    """One item, seen from one side: the row in question, the row that is the evidence (-1: none), all its rows.

    own: the identity that the image came with. target: the one that a move or merge would lead to; None: none is named.
    """

    row: int
    other: int
    members: tuple[int, ...]
    own: str | None
    target: str | None

    @classmethod
    def of(cls, queue: Queue, at: int, images: Images, *, swapped: bool = False) -> Item:
        """The item at a place of a queue; swapped: speak of the other image of the pair."""
        row, other, members = int(queue.row[at]), int(queue.other[at]), tuple(map(int, queue.members[at]))
        if swapped and other >= 0:
            row, other, members = other, row, (other,)
        own = images.came_as(row)  # what a step made of it is the proposal, which a person confirms or not
        named = (queue.suggested[at], images.identity_of(other) if other >= 0 else None)
        return cls(row, other, members, own, next((str(name) for name in named if name and name != own), None))

    def answer(self, images: Images, action: str, identity: str | None = None) -> Answer:
        """What an answer says of which rows: of all images of the identity where it is to be merged.

        identity: where a move leads; default: `target`.
        """
        rows = self.members
        if action == col.MERGE:
            rows = tuple(sorted({*rows, *(map(int, images.rows_of_identity(self.own)) if self.own else ())}))
        leads = action in (col.MOVE, col.MERGE)
        return Answer(rows, self.other, (identity or self.target) if leads else None)


def group_of(queue: Queue, at: int) -> np.ndarray:
    """The places of the items that were compared with the same image, such as the copies of one photograph."""
    other = queue.other[at]
    return np.flatnonzero(queue.other == other) if other >= 0 else np.array([at])


__all__ = ["Item", "group_of"]
