"""Explain and undo: an image's story from the decisions alone, and the way back."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.core.manifest import text_array
from curate.core.shapes import Executor
from curate.recipe.run import Listener, RunResult, run_recipe
from curate.recipe.schema import make_recipe
from curate.recipe.store import RunFolder

_VERBS = {
    col.DROP: "dropped", col.MOVE: "moved", col.MERGE: "merged", col.FLAG: "flagged", col.ADD: "copied",
    col.ASSIGN: "assigned", col.KEEP: "kept",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One line of an image's story: which step, what it did, in words."""

    order: int
    step: str
    action: str
    text: str


def explain(run: Path | str, image_id: str) -> list[Event]:
    """The whole story of one image, told from the decisions of a run alone.

    Raises InputError with the closest ids where the run never had that image.
    """
    folder = RunFolder(run)
    folder.check_finished()
    source = folder.path / "steps/00-source/manifest.parquet"
    known = _is_known(source, image_id)
    events: list[Event] = []
    dropped = False
    for step, decisions in folder.decisions():
        mine = decisions[(decisions[col.IMAGE_ID] == image_id).to_numpy(bool)]
        kept = (mine["action"] == col.KEEP).any()
        for row in mine.itertuples():
            overruled = kept and row.action in (col.DROP, col.MOVE, col.MERGE)
            events.append(Event(step["order"], step["name"], row.action, _sentence(row, overruled)))
            dropped |= row.action == col.DROP and not overruled
        events += _mentions(step, decisions, image_id)
        known |= bool(len(mine))
    if not known:
        raise InputError(f"the run has no image {image_id!r}", file=folder.path, allowed=_closest(source, image_id))
    end = "left out of the manifest" if dropped else "in the manifest"
    return [Event(0, "source", "read", "read from the source"), *events, Event(999, "end", "end", end)]


def _sentence(row: object, overruled: bool) -> str:
    text = f"{_VERBS.get(row.action, row.action)}: {row.reason}" if pd.notna(row.reason) else _VERBS[row.action]
    if pd.notna(row.new_value):
        text += f" -> {row.new_value}"
    if pd.notna(row.related_id):
        text += f", because of {row.related_id}"
    if pd.notna(row.score):
        text += f" (score {row.score:.6g}" + (f", threshold {row.threshold:.6g})" if pd.notna(row.threshold) else ")")
    if row.source == col.HUMAN_SOURCE:
        text += " [a person]"
    return text + (" - overruled by a person" if overruled else "")


def _mentions(step: dict, decisions: pd.DataFrame, image_id: str) -> list[Event]:
    """Decisions about other images in which this one is the evidence, a line for each kind."""
    others = decisions[(decisions["related_id"] == image_id).to_numpy(bool)]
    events = []
    for (action, reason), rows in others.astype({"action": "str", "reason": "str"}).groupby(["action", "reason"]):
        names = rows[col.IMAGE_ID].tolist()
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        events.append(Event(step["order"], step["name"], "evidence", f"{shown} {_VERBS[action]} for it: {reason}"))
    return events


def _is_known(source: Path, image_id: str) -> bool:
    return bool(pq.read_table(source, columns=[col.IMAGE_ID], filters=[(col.IMAGE_ID, "==", image_id)]).num_rows)


def _closest(source: Path, image_id: str) -> str:
    """The ids most like a misspelt one: those of the nearest identities, else those with a like beginning."""
    ids = pq.read_table(source, columns=[col.IMAGE_ID])[col.IMAGE_ID].combine_chunks()
    ids = text_array(ids)
    if len(ids) > 50_000:
        near = np.searchsorted(np.arange(len(ids)), pc.sum(pc.less(ids, image_id)).as_py() or 0)
        ids = ids.slice(max(0, int(near) - 5_000), 10_000)
    close = difflib.get_close_matches(image_id, ids.to_pylist(), n=5, cutoff=0.4)
    return "ids of this run, the closest: " + ", ".join(close) if close else "ids of this run"


def undo(
    run: Path | str,
    *,
    step: str | None = None,
    images: Sequence[str] = (),
    executor: Executor,
    on_step: Listener | None = None,
) -> RunResult:
    """Bring back what a step dropped or moved, or some images, and rerun what depends on it.

    step: every image that this step dropped or moved is kept from it. images: each is kept from every step that
    dropped it, until it stands in the manifest. Nothing is deleted: `keep` rows are appended to the review.
    Raises InputError for an unknown step or image, and for an image that was never dropped.
    """
    folder = RunFolder(run)
    folder.check_finished()
    plan = folder.plan()
    recipe = make_recipe(plan["recipe"], origin=str(folder.path / "plan.json"))
    if (step is None) == (not images):
        raise CurateError("undo takes either --step or --image")
    if step is not None:
        chosen = _acted(folder, step)
        if step not in {item["name"] for item in plan["steps"]}:
            names = ", ".join(item["name"] for item in plan["steps"] if item["kind"] == "step")
            raise InputError(f"the run has no step {step!r}", allowed=names)
        if not chosen:
            raise InputError(f"step {step!r} dropped and moved nothing", remedy="There is nothing to undo")
        _keep(folder, chosen, step)
        return run_recipe(recipe, folder.path, executor=executor, cache=Path(plan["cache"]), on_step=on_step)
    for image in images:
        explain(folder.path, image)  # an unknown id is refused before anything is written
    result = None
    while True:
        dropping = _who_dropped(folder, images)
        if not dropping:
            break
        for name, dropped in dropping.items():
            _keep(folder, dropped, name)
        result = run_recipe(recipe, folder.path, executor=executor, cache=Path(plan["cache"]), on_step=on_step)
    if result is None:
        raise InputError(f"no step dropped {', '.join(images)}", remedy="There is nothing to undo")
    return result


def _acted(folder: RunFolder, step: str) -> list[str]:
    found: set[str] = set()
    for item, decisions in folder.decisions():
        if item["name"] == step:
            kept = set(decisions[col.IMAGE_ID][(decisions["action"] == col.KEEP).to_numpy(bool)])
            acted = decisions["action"].isin([col.DROP, col.MOVE, col.MERGE]).to_numpy(bool)
            found |= set(decisions[col.IMAGE_ID][acted]) - kept
    return sorted(found)


def _who_dropped(folder: RunFolder, images: Sequence[str]) -> dict[str, list[str]]:
    """For each step, the images of `images` that it really dropped."""
    rejected = pd.read_parquet(folder.path / "rejected.parquet", filters=[(col.IMAGE_ID, "in", list(images))])
    return {
        str(name): sorted(rows[col.IMAGE_ID]) for name, rows in rejected.groupby("step", observed=True) if len(rows)
    }


def _keep(folder: RunFolder, images: Sequence[str], step: str) -> None:
    folder.append_review(pd.DataFrame({col.IMAGE_ID: list(images), "action": col.KEEP, "reason": "undo", "step": step}))
