"""Queues of decisions that a person may look at: by step and reason, filtered, in order of doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.core import columns as col
from curate.core.manifest import text_array
from curate.report.runs import RunFolder, StepRecord

from .images import Images

#: What a person can overrule; the rest (splits, replicas) is drawn, not judged.
REVIEWABLE = (col.DROP, col.MOVE, col.MERGE, col.FLAG)
_COLUMNS = ["image_id", "action", "reason", "score", "threshold", "related_id", "new_value", "source"]


@dataclass(frozen=True)
class Queue:
    """The items of one step and reason, one entry of each array for each item.

    row: of the image in the source. other: row of the image that is the evidence, -1 where there is none. action: what
    the step decided. score, threshold: NaN where none. confidence: in [0, 1], NaN where the step gives none. suggested:
    the identity that the step names, or "". members: rows of all images that the item is about (more than one where it
    is about a whole identity, or about one person of two under one name).
    """

    step: str
    reason: str
    row: np.ndarray
    other: np.ndarray
    action: np.ndarray
    score: np.ndarray
    threshold: np.ndarray
    confidence: np.ndarray
    suggested: np.ndarray
    members: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def title(self) -> str:
        """Step and reason in words."""
        return f"{self.step.replace('_', ' ')}: {(self.reason or 'no reason given').replace('_', ' ')}"

    def status(self, said: set[int]) -> np.ndarray:
        """Which items a person has spoken on `(n,)` bool; `said`: rows that have a word for this step."""
        if not said:
            return np.zeros(len(self), dtype=bool)
        rows = np.fromiter(said, dtype=np.int64)
        return np.isin(self.row, rows) | ((self.other >= 0) & self._pairs & np.isin(self.other, rows))

    @property
    def _pairs(self) -> np.ndarray:
        """Items of two equal sides: a word on either answers the question."""
        return self.action == col.FLAG


#: Reasons that begin so concern a whole identity, not one image.
_WHOLE = ("mixed", "split")


@dataclass(frozen=True)
class Faults:
    """What a label-noise report says of one kind of fault, by row of the source."""

    confidence: dict[int, float]
    suggested: dict[int, str]


def build_queues(run: RunFolder, images: Images) -> list[Queue]:
    """Every queue of a run, in order of its steps; empty ones are left out."""
    faults = read_faults(run, images)
    made = []
    for step in run.steps:
        if step.kind != "report" and any(key.split("/", 1)[0] in REVIEWABLE for key in step.actions):
            made += queues_of(step, images, faults)
    return made


def read_faults(run: RunFolder, images: Images) -> dict[str, Faults]:
    """The confidence and the suggestion of each image of the table `noise`, by the kind of fault; empty without one."""
    file = run.path / "noise.parquet"
    if not file.is_file() or "kind" not in pq.read_schema(file).names:
        return {}
    table = pq.read_table(file, columns=[col.IMAGE_ID, "kind", "confidence", "suggested_identity"])
    rows = images.rows(table[col.IMAGE_ID]).tolist()
    found: dict[str, Faults] = {}
    columns = (table[name].to_pylist() for name in ("kind", "confidence", "suggested_identity"))
    for row, kind, sure, name in zip(rows, *columns, strict=True):
        fault = found.setdefault(str(kind), Faults({}, {}))
        if row >= 0 and sure is not None:
            fault.confidence[row] = float(sure)
        if row >= 0 and name:
            fault.suggested[row] = str(name)
    return found


def queues_of(step: StepRecord, images: Images, faults: dict[str, Faults]) -> list[Queue]:
    """The queues of one step, one for each reason."""
    table = step.decisions(_COLUMNS)
    action = table["action"].cast(pa.string())
    mine = pc.and_(pc.is_in(action, value_set=pa.array(REVIEWABLE)),
                   pc.not_equal(pc.fill_null(table["source"].cast(pa.string()), ""), col.HUMAN_SOURCE))  # fmt: skip
    table = table.filter(mine)
    reasons = pc.fill_null(table["reason"].cast(pa.string()), "")
    rows = images.rows(table["image_id"])
    result = []
    for reason in sorted(pc.unique(reasons).to_pylist()):
        chosen = pc.equal(reasons, reason).to_numpy(zero_copy_only=False) & (rows >= 0)
        if chosen.any():
            result.append(_queue(step.name, reason, table.filter(pa.array(chosen)), rows[chosen], images, faults))
    return result


def _queue(
    step: str, reason: str, table: pa.Table, rows: np.ndarray, images: Images, faults: dict[str, Faults]
) -> Queue:
    other = images.rows(table["related_id"].cast(pa.large_string()))
    action = np.asarray(table["action"].cast(pa.string()).to_pylist(), dtype=object)
    suggested = np.asarray(pc.fill_null(text_array(table["new_value"]), "").to_pylist(), dtype=object)
    fault = next((found for kind, found in faults.items() if reason.startswith(kind)), Faults({}, {}))
    if fault.suggested:
        told = [name or fault.suggested.get(row, "") for row, name in zip(rows.tolist(), suggested, strict=True)]
        suggested = np.asarray(told, dtype=object)
    whole = (action == col.MERGE) | reason.startswith(_WHOLE)
    first, members = _items(rows, other, action, suggested, whole, images)
    score, threshold = (table[name].to_numpy().astype(np.float64)[first] for name in ("score", "threshold"))
    sure = np.array([fault.confidence.get(row, np.nan) for row in rows[first].tolist()], dtype=np.float64)
    return Queue(step, reason, rows[first], other[first], action[first], score, threshold, sure, suggested[first],
                 members)  # fmt: skip


def _items(
    rows: np.ndarray, other: np.ndarray, action: np.ndarray, suggested: np.ndarray, whole: np.ndarray, images: Images
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Which decisions stand for an item, and the source rows that each item is about.

    What concerns a whole identity is one item for it and the identity that it leads to. Of two flags that name each
    other the first is shown.
    """
    keep = np.ones(len(rows), dtype=bool)
    pairs = (action == col.FLAG) & (other >= 0) & ~whole
    if pairs.any():
        size = len(images)
        forward = rows[pairs] * size + other[pairs]
        mirrored = np.isin(other[pairs] * size + rows[pairs], forward)
        keep[pairs] = ~(mirrored & (rows[pairs] > other[pairs]))
    together = np.flatnonzero(whole)
    members: dict[int, np.ndarray] = {}
    if len(together):
        keys = {"from": images.codes_before[rows[together]], "to": suggested[together], "at": together,
                "what": action[together]}  # fmt: skip
        for _, part in pd.DataFrame(keys).groupby(["from", "to", "what"], sort=False):
            places = part["at"].to_numpy()
            keep[places[1:]] = False
            members[int(places[0])] = rows[places]
    first = np.flatnonzero(keep)
    return first, tuple(members.get(int(at), rows[at : at + 1]) for at in first)


@dataclass(frozen=True)
class Filter:
    """Which items to show, and in which order.

    status: `open`, `reviewed` or `all`. group: (label, value) of the image, or None. score, confidence: (low, high),
    both ends included; items without a value stay. text: part of the image_id. order: `doubt` (nearest to the
    threshold first; without one, the lowest score), `surest` (the reverse) or `name`.
    """

    status: str = "open"
    group: tuple[str, str] | None = None
    score: tuple[float, float] | None = None
    confidence: tuple[float, float] | None = None
    text: str = ""
    order: str = "doubt"


def pick(queue: Queue, images: Images, said: set[int], wanted: Filter) -> np.ndarray:
    """The places of the items that the filter lets through, in its order."""
    mask = np.ones(len(queue), dtype=bool)
    if wanted.status != "all":
        mask &= queue.status(said) == (wanted.status == "reviewed")
    if wanted.group is not None:
        label = images.label(wanted.group[0])
        mask &= (label.iloc[queue.row] == wanted.group[1]).to_numpy(dtype=bool, na_value=False)
    for values, bounds in ((queue.score, wanted.score), (queue.confidence, wanted.confidence)):
        if bounds is not None:
            mask &= ~((values < bounds[0]) | (values > bounds[1]))
    if wanted.text:
        names = images.ids.take(pa.array(queue.row))
        mask &= pc.match_substring(names, wanted.text, ignore_case=True).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(mask)
    if wanted.order == "name":
        return places[np.argsort(queue.row[places], kind="stable")]
    distance = np.abs(queue.score - queue.threshold)
    doubt = np.where(np.isfinite(distance), distance, np.where(np.isfinite(queue.score), queue.score, np.inf))[places]
    return places[np.lexsort((queue.row[places], -doubt if wanted.order == "surest" else doubt))]


__all__ = ["REVIEWABLE", "Faults", "Filter", "Queue", "build_queues", "pick", "queues_of", "read_faults"]
