"""The two shapes: a step returns Decisions, a report returns tables and figure specs."""

from __future__ import annotations

import hashlib
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from curate.core.decisions import Decisions
from curate.core.errors import CurateError
from curate.core.manifest import Manifest
from curate.core.vectors import Vectors

T = TypeVar("T")
R = TypeVar("R")

#: Names of features, or a function from a step's parameters to them.
Needs = tuple[str, ...] | Callable[[Any], tuple[str, ...]]


#: Parameters of these names hold names of labels (or of cells, `gender/ethnicity`): a run checks them as it starts.
LABEL_FIELDS = ("labels", "cells", "group_by", "stratify")


class StrictParams(BaseModel):
    """Base of every parameter model: immutable, unknown keys refused, defaults checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


@runtime_checkable
class Executor(Protocol):
    """Where work is placed; it never changes what is computed."""

    workers: int

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """`function` of each item, in the order of the items; `function` is importable by name."""
        ...


class SerialExecutor:
    """The executor that needs nothing: one item after the other, here."""

    workers = 1

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See Executor.map."""
        return map(function, items)


class Features(Mapping[str, Any]):
    """What a step asked for by `needs`, by name; arrays have one row for each row of the manifest.

    `executor` is where tile functions place their work. `reference` is the set that the recipe holds its images
    against, with the same features, or None; nothing may be decided about its images.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        executor: Executor | None = None,
        reference: tuple[Manifest, Features] | None = None,
    ) -> None:
        self._values = dict(values or {})
        self.executor: Executor = executor or SerialExecutor()
        self.reference = reference

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise CurateError(f"the step uses the feature {name!r} without naming it in `needs`") from None

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Figure:
    """A picture to be drawn later: what kind, from which table of the report, under which title.

    kind: a name that `curate.report` knows; options: what that kind takes (columns, units, ...).
    """

    kind: str
    table: str
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a report step measured.

    tables: `folder/name` -> DataFrame, written as `RUN/folder/name.parquet`. documents: `folder/name` -> a JSON value,
    written as `RUN/folder/name.json`. summary: a few plain figures to print. notes: sentences that a reader must not
    miss. vectors: embeddings, written as a vector store at the top of the run folder, which is one then; the engine
    puts the model's name and fingerprint in.
    """

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)
    vectors: Vectors | None = None


@dataclass(frozen=True)
class Step:
    """A registered step (`kind` step: returns Decisions) or report (`kind` report: returns Report).

    needs: names of features, or what tells them from the parameters; `needs_of` says them either way. repeats: steps
    that it runs again as they ran before it: what they need, it needs too, and their parameters reach it (`steps`).
    """

    name: str
    kind: str
    function: Callable[[Manifest, Features, Any, np.random.Generator], Any]
    needs: Needs
    version: int
    params: type[StrictParams]
    before: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What it does: the first line of its docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]

    def needs_of(self, params: Any = None) -> tuple[str, ...]:
        """The names of the features that it needs under these parameters (default: its defaults)."""
        if callable(self.needs):
            return tuple(self.needs(self.params() if params is None else params))
        return self.needs

    def __call__(self, manifest: Manifest, features: Features, params: Any, rng: np.random.Generator) -> Any:
        return self.function(manifest, features, params, rng)


#: Every step and report known so far, by name.
STEPS: dict[str, Step] = {}


def _register(
    kind: str, name: str, needs: Needs, version: int, before: tuple[str, ...] = (), repeats: tuple[str, ...] = ()
) -> Callable[[Callable], Step]:
    def decorate(function: Callable) -> Step:
        params = typing.get_type_hints(function).get("params")
        if not (isinstance(params, type) and issubclass(params, StrictParams)):
            raise CurateError(f"{kind} {name!r}: annotate `params` with a StrictParams class")
        asked = needs if callable(needs) else tuple(needs)
        made = Step(name, kind, function, asked, version, params, tuple(before), tuple(repeats))
        earlier = STEPS.get(name)
        if earlier is not None and earlier.function.__module__ != function.__module__:
            raise CurateError(f"two steps are called {name!r}: in {earlier.function.__module__} and "
                              f"{function.__module__}; rename one")  # fmt: skip
        STEPS[name] = made
        return made

    return decorate


def step(name: str, *, needs: Needs = (), version: int = 1, before: tuple[str, ...] = ()) -> Callable[[Callable], Step]:
    """Register a function `(manifest, features, params, rng) -> Decisions` as a step.

    needs: names of features, or a function of the parameters that returns them. version: raise it when the same input
    gives another output. before: steps that rely on what this one decides; a recipe that names one of them earlier is
    refused. A parameter of type Path is an input: the run redoes the step when that file or folder changes.
    """
    return _register("step", name, needs, version, before)


def report(
    name: str, *, needs: Needs = (), version: int = 1, repeats: tuple[str, ...] = ()
) -> Callable[[Callable], Step]:
    """Register a function `(manifest, features, params, rng) -> Report` as a report, which changes nothing.

    repeats: steps that it runs again, with the parameters that they had before it in the recipe (see `Step`).
    """
    return _register("report", name, needs, version, repeats=repeats)


def seed_of(recipe_seed: int, name: str) -> int:
    """The seed of one step: 64 bits from the recipe's seed and the step's name."""
    digest = hashlib.sha256(f"{recipe_seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def step_rng(recipe_seed: int, name: str) -> np.random.Generator:
    """The random generator (PCG64) of one step."""
    return np.random.Generator(np.random.PCG64(seed_of(recipe_seed, name)))


__all__ = [
    "LABEL_FIELDS", "STEPS", "Decisions", "Executor", "Features", "Figure", "Manifest", "Report", "SerialExecutor",
    "Step", "StrictParams", "report", "seed_of", "step", "step_rng",
]  # fmt: skip
