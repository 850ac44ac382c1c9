"""What people decide: from a click to rows of `review/decisions.parquet`, and back."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from curate.core import columns as col
from curate.core.errors import InputError
from curate.recipe.store import WITHDRAWN, RunFolder

from .images import Images

#: What a person can say of an image.
WORDS = (col.KEEP, col.DROP, col.MOVE, col.MERGE)


@dataclass(frozen=True)
class Spoken:
    """One click: of which images, for which step, and what had been said of them before (to take it back)."""

    rows: tuple[int, ...]
    step: str
    before: pd.DataFrame


def now() -> str:
    """The time in UTC, to the microsecond, as ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat()


def say(
    folder: RunFolder, images: Images, rows: Sequence[int], *, action: str, step: str, reason: str, reviewer: str,
    related: int = -1, identity: str | None = None,
) -> Spoken:  # fmt: skip
    """Append a person's word on some images, and return what undoes it.

    rows: of the source. action: one of WORDS. step: the step that it is an answer to. identity: the one that a move or
    merge leads to. Raises InputError, and appends nothing, for a word that can't be carried out.
    """
    if action not in WORDS:
        raise InputError("no such word", value=action, allowed=", ".join(WORDS))
    identity = identity.strip() if identity else None
    if action in (col.MOVE, col.MERGE) and not identity:
        raise InputError(f"a {action} needs an identity", allowed="the name of the identity that it leads to")
    ids = [images.id_of(row) for row in rows]
    before = standing(folder, ids, step)
    frame = pd.DataFrame({
        col.IMAGE_ID: ids, "action": action, "reason": reason,
        "related_id": images.id_of(related) if related >= 0 else None,
        "new_value": identity if action in (col.MOVE, col.MERGE) else None,
        "step": step, "reviewer": reviewer, "time": now(),
    })  # fmt: skip
    folder.append_review(frame)
    return Spoken(tuple(map(int, rows)), step, before)


def take_back(folder: RunFolder, images: Images, spoken: Spoken, reviewer: str) -> None:
    """Undo a click by appending: what was said before stands again, and where nothing was, nothing does."""
    ids = [images.id_of(row) for row in spoken.rows]
    old = spoken.before.set_index(col.IMAGE_ID)
    rows = []
    for image in ids:
        if image in old.index:
            rows.append({col.IMAGE_ID: image, **old.loc[image, ["action", "reason", "related_id", "new_value"]]})
        else:
            rows.append({col.IMAGE_ID: image, "action": col.FLAG, "reason": WITHDRAWN})
    frame = pd.DataFrame(rows).assign(step=spoken.step, reviewer=reviewer, time=now())
    folder.append_review(frame)


def standing(folder: RunFolder, ids: Sequence[str], step: str) -> pd.DataFrame:
    """The words on the fate of some images that hold for a step, one row each."""
    rows = folder.standing()
    mine = rows[col.IMAGE_ID].isin(list(ids)) & (rows["step"] == step) & rows["action"].isin(WORDS)
    return rows[mine.to_numpy(bool)]


def said_of(standing_rows: pd.DataFrame, images: Images) -> dict[str, set[int]]:
    """For each step the source rows that a person has spoken on; a word without a step is under ""."""
    rows = standing_rows[standing_rows["action"].isin(WORDS).to_numpy(bool)]
    places = images.rows(rows[col.IMAGE_ID])
    steps = rows["step"].fillna("").tolist()
    result: dict[str, set[int]] = {}
    for step, place in zip(steps, places.tolist(), strict=True):
        if place >= 0:
            result.setdefault(step, set()).add(place)
    return result


__all__ = ["WORDS", "Spoken", "said_of", "say", "standing", "take_back"]
