"""A small recipe that goes through every room, and one finished run of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.recipe.execute import LocalExecutor
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.schema import make_recipe

SMALL: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "source": {"kind": "synthetic", "identities": 30, "seed": 11},
    "labels": {"gender": {"level": "identity", "conflict": "majority"}, "ethnicity": "identity"},
    "embedder": {"kind": "baseline", "dimensions": 16},
    "steps": [
        "unreadable",
        "exact_duplicates",
        "near_duplicates",
        {"small_identities": {"min_images": 2}},
        {"holdout": {"fraction": 0.4, "stratify": ["gender"]}},
        {"oversample": {"labels": ["identity", "gender"], "target": 1.6}},
        {"imbalance": {"labels": ["identity", "gender"], "cells": ["gender", "ethnicity"]}},
        {"verification_protocol": {"group_by": ["gender"], "pairs_per_group": 40, "folds": 2, "allow_fewer": True}},
        {"audit": {"group_by": ["gender"], "far": [0.1, 0.01]}},
        "planted_faults",
    ],
}


@pytest.fixture
def small() -> dict[str, Any]:
    """The small recipe as a mapping, free to be changed."""
    return copy.deepcopy(SMALL)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature cache shared by the tests of this room."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def go(cache: Path) -> Callable[..., RunResult]:
    """Run a recipe mapping into a folder."""

    def call(raw: dict[str, Any], out: Path, workers: int = 1, place: Path | None = None, **more: Any) -> RunResult:
        with LocalExecutor(workers) as executor:
            return run_recipe(make_recipe(raw), out, executor=executor, cache=place or cache, **more)

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A finished run of the small recipe: only to be read."""
    out = tmp_path_factory.mktemp("finished") / "run"
    with LocalExecutor(1) as executor:
        run_recipe(make_recipe(copy.deepcopy(SMALL)), out, executor=executor, cache=cache)
    return out


def table_bytes(run: Path) -> dict[str, bytes]:
    """Every table of a run, by its path below the run."""
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.parquet"))}


@pytest.fixture
def tables() -> Callable[[Path], dict[str, bytes]]:
    """See table_bytes."""
    return table_bytes
