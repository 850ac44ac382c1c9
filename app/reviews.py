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
class Answer:
    """What is said of some rows of the source: the row that is the evidence, and the identity that they go to."""

    rows: tuple[int, ...]
    related: int = -1
    identity: str | None = None


@dataclass(frozen=True)
class Spoken:
    """One click: the rows that it appended, and what had been said of their images before (to take it back)."""

    said: pd.DataFrame
    before: pd.DataFrame


def now() -> str:
    """The time in UTC, to the microsecond, as ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat()


def say(
    folder: RunFolder, images: Images, answers: Sequence[Answer], *, action: str, step: str, reason: str, reviewer: str
) -> Spoken:
    """Append a person's word on some images, all or none of them, and return what undoes it.

    answers: of an image that several are about the first counts. action: one of WORDS. step: the step that it is an
    answer to. Raises InputError, and appends nothing, for a word that can't be carried out.
    """
    if action not in WORDS:
        raise InputError("no such word", value=action, allowed=", ".join(WORDS))
    leads = action in (col.MOVE, col.MERGE)
    said: dict[int, tuple[str | None, str | None]] = {}
    for answer in answers:
        identity = answer.identity.strip() if leads and answer.identity else None
        if leads and not identity:
            raise InputError(f"a {action} needs an identity", allowed="the name of the identity that it leads to")
        related = images.id_of(answer.related) if answer.related >= 0 else None
        for row in answer.rows:
            said.setdefault(int(row), (related, identity))
    ids = [images.id_of(row) for row in said]
    before = standing(folder, ids, step)
    frame = pd.DataFrame({
        col.IMAGE_ID: ids, "action": action, "reason": reason, "related_id": [related for related, _ in said.values()],
        "new_value": [identity for _, identity in said.values()], "step": step, "reviewer": reviewer, "time": now(),
    })  # fmt: skip
    folder.append_review(frame)
    return Spoken(frame, before)


def take_back(folder: RunFolder, spoken: Spoken, reviewer: str) -> int:
    """Undo a click by appending: what was said before stands again, and where nothing was, nothing does.

    An image of which another word stands by now, somebody else's or a later one, keeps that. Returns how many do.
    """
    word = [col.IMAGE_ID, "action", "new_value", "reviewer"]
    ids, step = spoken.said[col.IMAGE_ID], spoken.said["step"].iloc[0]
    stands = set(standing(folder, ids, step)[word].fillna("").itertuples(index=False, name=None))
    mine = [tuple(row) in stands for row in spoken.said[word].fillna("").itertuples(index=False, name=None)]
    undone = ids[mine]
    kept = ["action", "reason", "related_id", "new_value"]
    frame = spoken.before.set_index(col.IMAGE_ID)[kept].reindex(undone).astype("object")
    nothing = frame["action"].isna()
    frame.loc[nothing, ["action", "reason"]] = [col.FLAG, WITHDRAWN]
    if len(frame):
        folder.append_review(frame.reset_index().assign(step=step, reviewer=reviewer, time=now()))
    return len(ids) - len(undone)


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


__all__ = ["WORDS", "Answer", "Spoken", "said_of", "say", "standing", "take_back"]
