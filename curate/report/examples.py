"""Which images stand for a step's decisions, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.report import numbers
from curate.report.pictures import Picture, thumbnail
from curate.report.runs import RunFolder, StepRecord
from curate.report.words import PAST, ROLES

MAX_PICTURES = 60  # of one step
MAX_GROUPS = 12  # reasons of one step that get pictures
_COLUMNS = ["image_id", "action", "reason", "score", "threshold", "related_id", "new_value", "source"]


@dataclass(frozen=True)
class Example:
    """One decision, shown: its image, the other image of its evidence if there is one, and what is said of both."""

    image: Picture
    role: str
    other: Picture | None
    other_role: str
    score: str | None
    detail: str | None


@dataclass(frozen=True)
class Reason:
    """All decisions of one action for one reason in one step.

    scores: the finite ones. threshold: as text, None where there is none. values: for assignments, how many got what.
    """

    action: str
    reason: str
    said: str
    count: int
    by_person: int
    threshold: str | None
    thresholds: tuple[float, ...]
    scores: np.ndarray
    values: tuple[tuple[str, int], ...]
    examples: tuple[Example, ...]


def reasons_of(run: RunFolder, step: StepRecord) -> list[Reason]:
    """The decisions of a step by action and reason, with examples spread evenly over their scores.

    At most 60 pictures in all. The choice depends on the decisions alone, so the same run shows the same pictures.
    """
    table = step.decisions(_COLUMNS)
    if not len(table):
        return []
    action, reason = (table[name].cast(pa.string()) for name in ("action", "reason"))
    kinds = pa.table({"action": action, "reason": reason}).group_by(["action", "reason"]).aggregate([([], "count_all")])
    keys = sorted((row["action"], row["reason"] or "") for row in kinds.to_pylist())
    # Without pixels there is nothing to show: the tables name the images.
    shown = [key for key in keys if key[0] != col.ASSIGN][:MAX_GROUPS] if run.root is not None else []
    budget = MAX_PICTURES // max(len(shown), 1)
    chosen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    parts: dict[tuple[str, str], pa.Table] = {}
    for key in keys:
        same = pc.and_(pc.equal(action, key[0]), pc.equal(pc.fill_null(reason, ""), key[1]))
        parts[key] = table.filter(same)
        if key in shown:
            pairs = pc.any(pc.is_valid(parts[key]["related_id"])).as_py() and key[0] != col.ADD
            chosen[key] = _choose(parts[key], min(12, budget // 2) if pairs else min(24, budget))
    shown_rows = [row for rows in chosen.values() for row in rows]
    wanted = {row[name] for row in shown_rows for name in ("image_id", "related_id") if row[name]}
    gallery = _Gallery(run, wanted)
    return [_reason(key, parts[key], [gallery.example(row) for row in chosen.get(key, ())]) for key in keys]


def _choose(part: pa.Table, limit: int) -> list[dict[str, Any]]:
    """`limit` rows at even steps in order of score; the ends of the order are among them."""
    score = part["score"].to_numpy()
    order = np.argsort(score, kind="stable")  # rows come in order of image_id, which breaks ties; NaN goes last
    picked = np.unique(np.linspace(0, len(order) - 1, min(limit, len(order))).round().astype(np.int64))
    return part.take(pa.array(order[picked])).to_pylist()


def _reason(key: tuple[str, str], part: pa.Table, examples: list[Example]) -> Reason:
    scores = part["score"].to_numpy()
    limits = part["threshold"].to_numpy()
    distinct = tuple(np.unique(limits[np.isfinite(limits)]).tolist())
    threshold = None
    if distinct:
        threshold = numbers.number(distinct[0])
        if len(distinct) > 1:
            threshold += f" to {numbers.number(distinct[-1])}"
    values: tuple[tuple[str, int], ...] = ()
    if key[0] == col.ASSIGN:
        counted = part["new_value"].value_counts().to_pylist()
        values = tuple(
            sorted(((str(c["values"]), int(c["counts"])) for c in counted), key=lambda v: (-v[1], v[0]))[:20]
        )
    person = pc.sum(pc.equal(part["source"].cast(pa.string()), col.HUMAN_SOURCE)).as_py() or 0
    return Reason(key[0], key[1], PAST.get(key[0], key[0]), len(part), int(person), threshold, distinct,
                  scores[np.isfinite(scores)], values, tuple(examples))  # fmt: skip


@dataclass(frozen=True)
class PairSheet:
    """Pairs of a table as a contact sheet: `examples` of `total`, thinned evenly."""

    examples: tuple[Example, ...]
    total: int


def pair_sheet(run: RunFolder, table: pd.DataFrame, options: Mapping[str, Any]) -> PairSheet:
    """The contact sheet of a figure of the kind `pairs`.

    options: a, b: the columns of the two images; keep (optional): of the image that is kept in favour of the other;
    order: the columns that pairs are sorted by before they are thinned at even steps; say: the columns told under each
    pair; limit: pairs shown at most. Raises InputError for a column that the table lacks.
    """
    a, b, keep = options["a"], options["b"], options.get("keep")
    say, order = list(options.get("say", ())), list(options.get("order", ()))
    for name in (a, b, *([keep] if keep else []), *say, *order):
        if name not in table.columns:
            raise InputError(
                f"the figure names a column that its table lacks. {nearest(name, map(str, table.columns))}"
            )
    table = table.sort_values([*order, a, b], kind="stable")
    picked = np.linspace(0, len(table) - 1, min(int(options.get("limit", MAX_PICTURES)), len(table))).round()
    rows = table.iloc[np.unique(picked.astype(np.int64))].to_dict("records")
    gallery = _Gallery(run, {row[name] for row in rows for name in (a, b)})
    examples = []
    for row in rows:
        kept = row[keep] if keep and isinstance(row[keep], str) else None
        one, two = (row[b], row[a]) if kept == row[a] else (row[a], row[b])
        roles = ("dropped", "kept") if kept is not None else ("one", "other")
        kinds = {name: numbers.column_kind(name, table[name]) for name in say}
        told = [f"{numbers.heading(name)} {numbers.write(row[name], kinds[name])}".replace("_", " ") for name in say]
        examples.append(Example(gallery.picture(one), roles[0], gallery.picture(two), roles[1], None, ", ".join(told)))
    return PairSheet(tuple(examples), len(table))


class _Gallery:
    """The pictures of some images; each is read once."""

    def __init__(self, run: RunFolder, wanted: set[str]) -> None:
        self._known = run.look_up(sorted(wanted))
        self._root = run.root
        missing = sorted(wanted - set(self._known))
        self._against = run.look_up_against(missing) if missing else {}
        self._made: dict[str, Picture] = {}

    def picture(self, image_id: str) -> Picture:
        """The picture of one image, or a placeholder that says why there is none."""
        if image_id not in self._made:
            known, root = self._known.get(image_id), self._root
            if known is None and image_id in self._against:
                known, root = self._against[image_id]
            if known is None:
                made = Picture(image_id, None, None, "not an image of the source")
            else:
                uri, problem = thumbnail(root, known.get(col.PATH))
                made = Picture(image_id, known.get(col.IDENTITY), uri, problem)
            self._made[image_id] = made
        return self._made[image_id]

    def example(self, row: dict[str, Any]) -> Example:
        """One decision as an example."""
        action, related = row["action"], row["related_id"]
        role, other_role = ROLES.get(action, (action, "compared with"))
        detail = None
        if action == col.ADD:  # a replica has no file: its parent stands for it
            image, other = self.picture(related or row["image_id"]), None
        else:
            image = self.picture(row["image_id"])
            other = self.picture(related) if related else None
            if action in (col.MOVE, col.MERGE) and row["new_value"]:
                detail = f"to {row['new_value']}"
            elif action == col.FLAG and row["new_value"]:
                detail = f"suggested: {row['new_value']}"
        if row["source"] == col.HUMAN_SOURCE:
            role += " by a person"
        score = row["score"]
        text = numbers.number(score) if score is not None and np.isfinite(score) else None
        return Example(image, role, other, other_role, text, detail)
