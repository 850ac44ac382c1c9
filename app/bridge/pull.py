"""A person's tags in FiftyOne as decisions of the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from curate.core import columns as col
from curate.core.errors import InputError
from curate.recipe.store import WITHDRAWN, RunFolder
from curate.report.runs import read_run

from ..reviews import now
from .database import connected, dataset_name, fiftyone, open_dataset
from .rows import GONE, decision_of

REASON = "fiftyone"


@dataclass(frozen=True)
class Pulled:
    """What a pull appended: new or changed decisions, and decisions taken back because their tag is gone."""

    decided: int
    withdrawn: int


def pull(run: Path | str, name: str | None = None, reviewer: str = "fiftyone") -> Pulled:
    """Turn the tags `curate:drop`, `curate:keep` and `curate:move=NAME` into rows of `review/decisions.parquet`.

    A row is appended only where a tag says something that does not stand yet, so pulling twice changes nothing. Where a
    tag that an earlier pull had read is gone, its word is taken back. Words spoken elsewhere are left alone.
    Raises MissingExtra without FiftyOne, InputError where an image has two tags that contradict each other, or a move
    names no identity; nothing is appended then.
    """
    folder = read_run(run)
    fo = fiftyone()
    with connected(fo):
        dataset = open_dataset(fo, dataset_name(folder.name, name))
        images, tags = dataset.values(["image_id", "tags"])
    wanted = _wanted(images, tags)
    store = RunFolder(run)
    known = _known(store)
    rows = [
        {col.IMAGE_ID: image, "action": action, "reason": REASON, "new_value": identity}
        for image, (action, identity) in sorted(wanted.items())
        if known.get(image) != (action, identity)
    ]
    gone = [{col.IMAGE_ID: image, "action": col.FLAG, "reason": WITHDRAWN, "new_value": None}
            for image in sorted((set(known) - set(wanted)) & set(images))]  # fmt: skip
    if rows or gone:
        store.append_review(pd.DataFrame(rows + gone).assign(reviewer=reviewer, time=now()))
    return Pulled(len(rows), len(gone))


def _wanted(images: list[str], tags: list[list[str] | None]) -> dict[str, tuple[str, str | None]]:
    """What the tags of each image say."""
    wanted: dict[str, tuple[str, str | None]] = {}
    for image, mine in zip(images, tags, strict=True):
        if GONE in (mine or ()):
            continue
        said = sorted({found for tag in mine or () if (found := decision_of(tag))}, key=str)
        if len(said) > 1:
            told = ", ".join(tag for tag in mine or () if decision_of(tag))
            raise InputError("the tags of an image contradict each other", value=f"{image}: {told}",
                             remedy="Take all but one of them away in FiftyOne, then pull again")  # fmt: skip
        if said and said[0][0] == col.MOVE and not said[0][1]:
            raise InputError("the tag of an image names no identity", value=f"{image}: curate:move=",
                             allowed="curate:move=NAME")  # fmt: skip
        if said:
            wanted[image] = said[0]
    return wanted


def _known(store: RunFolder) -> dict[str, tuple[str, str | None]]:
    """What earlier pulls said and still stands."""
    rows = store.standing()
    mine = rows[((rows["reason"] == REASON) & rows["step"].isna()).to_numpy(bool)]
    return {
        row.image_id: (row.action, row.new_value if isinstance(row.new_value, str) else None)
        for row in mine.itertuples()
    }


__all__ = ["REASON", "Pulled", "pull"]
