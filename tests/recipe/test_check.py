"""Every step keeps the rules of the house, and check_step finds those that do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import curate
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Step, StrictParams
from curate.recipe.check import StepCheckError, check_step, example
from curate.recipe.registry import BUILTIN, all_steps

PARAMS = {
    "label_conflicts": {"conflict": {"gender": "majority", "ethnicity": "null"}},
    "holdout": {"fraction": 0.3, "stratify": ["gender"]},
    "oversample": {"labels": ["identity", "gender"], "target": 1.5},
    "imbalance": {"labels": ["identity", "gender"], "cells": ["gender", "ethnicity"]},
    "verification_protocol": {"group_by": ["gender"], "pairs_per_group": 20, "folds": 2, "allow_fewer": True},
    "audit": {"group_by": ["gender"], "far": [0.1]},
    "label_noise": {"group_by": ["gender"], "mislabelled": "move"},
    "duplicate_calibration": {"sample": 10, "alterations": ["flipped", "cropped"]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example set is drawn, once for all steps."""
    return tmp_path_factory.mktemp("example")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", sorted(all_steps()))
def test_every_step(name: str, folder: Path):
    step = all_steps()[name]
    check_step(step, *example(step, folder), params=step.params(**PARAMS.get(name, {})))


def test_it_brings_its_own_example():
    check_step("unreadable")


def test_every_module_that_registers_is_listed():
    assert {step.function.__module__ for step in all_steps().values()} == set(BUILTIN)


def test_every_step_says_what_it_does():
    assert [name for name, step in all_steps().items() if not step.sentence.endswith(".")] == []


class NoParams(StrictParams):
    """Nothing to set."""


@pytest.fixture
def manifest() -> Manifest:
    frame = pd.DataFrame({col.IMAGE_ID: list("abcdef"), col.IDENTITY: list("xxyyzz"), "gender": list("ffmmff")})
    return Manifest.from_frame(frame)


def _step(function) -> Step:
    return Step("mine", "step", function, (), 1, NoParams)


def test_it_is_public():
    assert curate.check_step is check_step


def test_a_good_step_passes(manifest: Manifest):
    check_step(_step(lambda m, f, p, r: Decisions.of(m.frame[col.IMAGE_ID], "flag", "look")), manifest)


def _changes_manifest(m, f, p, r):
    if len(m):
        m.frame.loc[0, col.IMAGE_ID] = "changed"
    return Decisions.empty()


def _changes_feature(m, f, p, r):
    f["quality"][:] = 0
    return Decisions.empty()


def _unseeded(m, f, p, r):
    return Decisions.of(m.frame[col.IMAGE_ID], "flag", "look", score=np.random.default_rng().random())


def _drops_keeper(m, f, p, r):
    ids = m.frame[col.IMAGE_ID].tolist()
    return Decisions.of(ids[:2], "drop", "twin", related_id=ids[:2][::-1])


def _fails_when_empty(m, f, p, r):
    return Decisions.of([m.frame[col.IMAGE_ID][0]], "flag", "look")


def _returns_a_list(m, f, p, r):
    return []


def _grows_when_repeated(m, f, p, r):
    # The identity that it moves to depends on what a first application leaves behind.
    ids = m.frame[col.IMAGE_ID].tolist()
    return Decisions.of(ids[:1], "move", "other", new_value="y") if ids else Decisions.empty()


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (_changes_manifest, "changes the manifest"),
        (_changes_feature, "changes a feature"),
        (_unseeded, "two runs with the same seed differ"),
        (_drops_keeper, "names as the kept one"),
        (_fails_when_empty, "fails on a manifest of 0 rows"),
        (_returns_a_list, "must return Decisions"),
    ],
)
def test_a_bad_step_is_found(manifest: Manifest, function, rule: str):
    with pytest.raises(StepCheckError, match=rule):
        check_step(_step(function), manifest, {"quality": np.ones(6)})


def test_a_move_twice_equals_once(manifest: Manifest):
    check_step(_step(_grows_when_repeated), manifest)
