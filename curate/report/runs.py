"""What a run folder holds, read for drawing; nothing here changes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.core.files import path_problem, read_json, read_table
from curate.core.manifest import text_array
from curate.core.shapes import Figure
from curate.core.tables import read_columns

#: What stands before the id of an image of the run held against, where a new image has the same id.
AGAINST = "against:"
_COUNTS = ("images_in", "images_out", "identities_in", "identities_out")


@dataclass(frozen=True)
class StepRecord:
    """One step or report of a run: what the plan says of it and what it wrote.

    `counts` has images_in, images_out, identities_in, identities_out (missing ones are 0); `actions` counts decisions
    by `action/reason`; `dropped` is how many images really went, which is fewer where a person protects some.
    """

    order: int
    name: str
    kind: str
    sentence: str
    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    actions: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[str, ...] = ()

    def decisions(self, columns: list[str] | None = None) -> pa.Table:
        """The step's decisions as an Arrow table; empty where it wrote none. Raises InputError where damaged."""
        file = self.folder / "decisions.parquet"
        if not file.is_file():
            return pa.table({name: pa.array([], pa.string()) for name in columns or col.DECISION_COLUMNS})
        try:
            return pq.read_table(file, columns=columns, memory_map=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InputError(f"not a readable Parquet file ({error})", file=file) from error


@dataclass(frozen=True)
class RunFolder:
    """A run folder: its plan, and the steps that are done, in order."""

    path: Path
    name: str
    plan: dict[str, Any]
    steps: tuple[StepRecord, ...]
    unfinished: tuple[str, ...] = ()

    @property
    def notes(self) -> list[tuple[str, str]]:
        """The notes of the source and of every step, each with its name."""
        file = self.path / "steps" / "00-source" / "summary.json"
        notes = [("source", str(note)) for note in (read_json(file).get("notes") if file.is_file() else None) or ()]
        return notes + [(step.name, note) for step in self.steps for note in step.notes]

    @property
    def root(self) -> Path | None:
        """The folder that the paths of the images are relative to."""
        root = (self.plan.get("source") or {}).get("root")
        return Path(root) if root else None

    def table(self, name: str) -> pd.DataFrame:
        """The table `folder/name` of a report. Raises InputError where it is missing, damaged, or leaves the run."""
        if path_problem(name):
            raise InputError("a table's name must stay in the run folder", value=name)
        return read_table(self.path / f"{name}.parquet")

    @cached_property
    def labels(self) -> dict[str, str]:
        """The labels of the source's manifest: name to level."""
        return self._source[1]

    @cached_property
    def _source(self) -> tuple[pa.Table, dict[str, str]]:
        table, levels = read_columns(self.path / "steps" / "00-source" / "manifest.parquet")
        if levels is None:
            levels = {name: col.default_level(name) for name in col.IDENTITY_LABELS if name in table.column_names}
        return table, {name: level for name, level in levels.items() if name in table.column_names}

    @cached_property
    def source(self) -> pd.DataFrame:
        """Dataset, identity and labels of what went in, as categoricals; one row for each image."""
        return _categories(self._source[0], list(self.labels))

    @property
    def source_ids(self) -> pa.ChunkedArray:
        """`image_id` of what went in, aligned with `source`."""
        return self._source[0][col.IMAGE_ID]

    @cached_property
    def final(self) -> pd.DataFrame:
        """Dataset, identity, split and labels of what came out, and `original` (False for a replica)."""
        return _categories(self._whole("manifest.parquet"), list(self.labels))

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """Identity and labels of what was dropped, with the step and the reason."""
        return _categories(self._whole("rejected.parquet"), [*self.labels, "step", "reason"])

    def _whole(self, name: str) -> pa.Table:
        file = self.path / name
        return read_columns(file)[0] if file.is_file() else self._source[0].slice(0, 0)

    def look_up(self, image_ids: list[str]) -> dict[str, dict[str, str | None]]:
        """Path and identity, as they went in, of those of the given images that the source has."""
        return _look_up(self._source[0], image_ids)

    def look_up_against(self, image_ids: list[str]) -> dict[str, tuple[dict[str, str | None], Path | None]]:
        """Path and identity of images of the run that this one was held against, and its root; empty without one."""
        if "against" not in self.plan:
            return {}
        other = Path(self.plan["against"])
        try:
            plan, (table, _) = read_json(other / "plan.json"), read_columns(other / "manifest.parquet")
        except (CurateError, OSError):
            return {}  # it was moved or removed since
        root = (plan.get("source") or {}).get("root")
        plain = {name.removeprefix(AGAINST): name for name in image_ids}
        found = _look_up(table, sorted(plain))
        return {plain[name]: (facts, Path(root) if root else None) for name, facts in found.items()}


def _look_up(table: pa.Table, image_ids: list[str]) -> dict[str, dict[str, str | None]]:
    ids = text_array(table[col.IMAGE_ID])
    rows = np.flatnonzero(pc.is_in(ids, value_set=pa.array(image_ids, ids.type)).to_numpy(zero_copy_only=False))
    found = {name: table[name].take(rows).to_pylist() for name in (col.PATH, col.IDENTITY)
             if name in table.column_names}  # fmt: skip
    return {
        image: {name: values[at] for name, values in found.items()}
        for at, image in enumerate(ids.take(pa.array(rows)).to_pylist())
    }


def read_run(path: Path | str) -> RunFolder:
    """Open a run folder. Raises InputError where it is none."""
    path = Path(path)
    plan_file = path / "plan.json"
    if not plan_file.is_file():
        raise InputError("not a run folder (no plan.json)", file=path,
                         remedy="Give the folder that `curate run --out` wrote")  # fmt: skip
    plan = read_json(plan_file)
    if not (path / "steps" / "00-source" / "manifest.parquet").is_file():
        raise InputError("the run has not read its source yet", file=path, remedy="Run the recipe again, then draw")
    steps, unfinished = [], []
    for entry in plan.get("steps", []):
        if int(entry.get("order", 1)) < 1:
            continue  # the source itself
        folder = path / entry["folder"]
        if (folder / "summary.json").is_file():
            steps.append(_record(entry, folder))
        else:
            unfinished.append(str(entry["name"]))
    return RunFolder(path, str(plan.get("name") or path.name), plan, tuple(steps), tuple(unfinished))


def _record(entry: dict[str, Any], folder: Path) -> StepRecord:
    summary = read_json(folder / "summary.json")
    actions = {str(name): int(count) for name, count in sorted((summary.get("actions") or {}).items())}
    return StepRecord(
        order=int(entry["order"]),
        name=str(entry["name"]),
        kind=str(entry.get("kind") or summary.get("kind") or "step"),
        sentence=str(entry.get("sentence") or ""),
        folder=folder,
        counts={name: int(summary.get(name) or 0) for name in _COUNTS},
        actions={name: count for name, count in actions.items() if "/" in name},
        dropped=actions.get("dropped", 0),
        summary=dict(summary.get("summary") or {}),
        notes=tuple(map(str, summary.get("notes") or ())),
        figures=tuple(
            Figure(str(item["kind"]), str(item["table"]), str(item.get("title") or ""), item.get("options") or {})
            for item in summary.get("figures") or ()
        ),
        tables=tuple(map(str, summary.get("tables") or ())),
    )


def _categories(table: pa.Table, wanted: list[str]) -> pd.DataFrame:
    names = [name for name in (col.DATASET, col.IDENTITY, col.SPLIT, *wanted) if name in table.column_names]
    data: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        column = table[name]
        if not pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column.cast(pa.string()))
        series = column.to_pandas()
        data[name] = series.cat.remove_unused_categories()
    parents = table[col.PARENT_ID] if col.PARENT_ID in table.column_names else None
    original = np.ones(len(table), dtype=bool) if parents is None else parents.is_null().to_numpy()
    return pd.DataFrame({**data, "original": original})
