"""Call one step: what it needs is handed to it, what it returns is checked, and a person's word overrules it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd
from threadpoolctl import threadpool_limits

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import CurateError
from curate.core.files import read_table
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, Features, Report, step_rng
from curate.recipe.against import Against
from curate.recipe.features import FeatureStore
from curate.recipe.needs import DECISIONS, EVIDENCE, OF_THE_RUN, SOURCE, STEPS_RUN
from curate.recipe.pixels import Progress
from curate.recipe.schema import PlannedStep, Recipe
from curate.recipe.store import RunFolder

T = TypeVar("T")
R = TypeVar("R")


class Watched:
    """An executor that tells how many tiles of a step's work are done; of how many, where that is known."""

    def __init__(self, executor: Executor, name: str, progress: Progress) -> None:
        self.workers = executor.workers
        self._executor = executor
        self._name = name
        self._progress = progress

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See Executor.map."""
        total = len(items) if isinstance(items, Sized) else None
        for done, result in enumerate(self._executor.map(function, items), start=1):
            self._progress(self._name, done, total)
            yield result


@dataclass(frozen=True)
class Caller:
    """What every step of one run is called with."""

    recipe: Recipe
    folder: RunFolder
    store: FeatureStore
    executor: Executor
    against: Against | None
    progress: Progress | None

    def call(self, item: PlannedStep, manifest: Manifest) -> tuple[Any, list[str]]:
        """What the step returned, and what it warned of."""
        values = {need: self.store.get(need, manifest) for need in item.needs if need not in OF_THE_RUN}
        if DECISIONS in item.needs:
            values[DECISIONS] = self._earlier(item.order)
        if STEPS_RUN in item.needs:
            values[STEPS_RUN] = {done.step.name: done.params for done in self.recipe.steps if done.order < item.order}
        if EVIDENCE in item.needs:
            values[EVIDENCE] = self._evidence(item.order)
        if SOURCE in item.needs:
            values[SOURCE] = self.store.source
        executor = self.executor
        if self.progress is not None:
            executor = Watched(executor, item.step.name, self.progress)
        reference = self.against.bound(item.needs) if self.against is not None else None
        with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            rng = step_rng(self.recipe.seed, item.step.name)
            try:
                made = item.step(manifest, Features(values, executor, reference), item.params, rng)
            except CurateError:
                raise
            except Exception as error:
                error.add_note(f"raised by step {item.order:02d} {item.step.name!r}")
                raise
        expected = Report if item.step.kind == "report" else Decisions
        if not isinstance(made, expected):
            raise CurateError(f"step {item.step.name!r} returned {type(made).__name__}, not {expected.__name__}")
        return made, [str(warning.message) for warning in caught if warning.category is UserWarning]

    def _earlier(self, order: int) -> pd.DataFrame:
        frames = [
            Decisions.from_frame(read_table(self.folder.path / item.folder / "decisions.parquet"))
            for item in self.recipe.steps
            if item.order < order and item.step.kind == "step"
        ]
        return Decisions.concat(frames).frame

    def _evidence(self, order: int) -> dict[str, pd.DataFrame]:
        """The evidence of earlier steps by name; that of a step that stands twice is put together."""
        found: dict[str, pd.DataFrame] = {}
        for item in self.recipe.steps:
            path = self.folder.path / item.folder / "evidence.parquet"
            if item.order < order and path.exists():
                parts = [found[item.step.name]] if item.step.name in found else []
                found[item.step.name] = pd.concat([*parts, read_table(path)], ignore_index=True)
        return found


def overruled(made: Decisions, human: Decisions) -> Decisions:
    """A step's decisions where a person decided otherwise: theirs becomes a `flag`, so that it is seen and not done.

    A `keep` needs nothing of the kind: `apply_decisions` knows it.
    """
    mine, theirs = human.frame, made.frame
    slots = {col.DROP: "fate", col.MOVE: "fate", col.MERGE: "fate"}

    def keys(frame: pd.DataFrame) -> pd.MultiIndex:
        column = frame["new_value"].str.replace("=.*", "", regex=True)
        slot = frame["action"].astype("str")
        return pd.MultiIndex.from_arrays([frame[col.IMAGE_ID], slot.map(slots).fillna(column).fillna(slot)])

    acting = mine["action"].isin([col.DROP, col.MOVE, col.MERGE, col.ASSIGN]).to_numpy(bool)
    if not acting.any():
        return made
    acts = theirs["action"].isin([col.DROP, col.MOVE, col.MERGE, col.ASSIGN]).to_numpy(bool)
    lost = acts & keys(theirs).isin(keys(mine[acting]))
    return Decisions.from_frame(theirs.assign(action=theirs["action"].astype("str").mask(lost, col.FLAG)))
