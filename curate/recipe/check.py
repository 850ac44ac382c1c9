"""check_step: proof that a step keeps the house rules, for the built-in steps and for anybody's own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curate.core import columns as col
from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Report, Step, StrictParams, step_rng
from curate.core.vectors import StoredVectors
from curate.recipe.registry import find_step


class StepCheckError(AssertionError):
    """A step breaks a rule of the house; the message says which."""


def check_step(
    step: Step | str,
    manifest: Manifest | None = None,
    features: Mapping[str, Any] | None = None,
    params: StrictParams | None = None,
    *,
    seed: int = 0,
) -> None:
    """Prove of a step or report that it keeps the rules that every run relies on.

    It leaves its inputs alone; gives the same result twice, and for shuffled rows; its decisions applied twice equal
    once; it never drops an image that it names as the kept one; it works on empty and one-row manifests.
    manifest, features: what to try it on, features row for row; default: a small synthetic set with planted faults
    and every feature the step needs. params: default those of the step.
    Raises StepCheckError naming the rule.
    """
    step = find_step(step) if isinstance(step, str) else step
    params = params if params is not None else step.params()
    if manifest is None:
        with tempfile.TemporaryDirectory() as folder:
            manifest, features = example(step, Path(folder), params)
            _check(step, manifest, dict(features), params, seed)
    else:
        _check(step, manifest, dict(features or {}), params, seed)


def example(step: Step, folder: Path, params: StrictParams | None = None) -> tuple[Manifest, dict[str, Any]]:
    """A small synthetic manifest with planted faults, split in two, and the features that a step needs."""
    from curate.collect import SOURCES
    from curate.core.shapes import SerialExecutor
    from curate.recipe.features import FeatureStore
    from curate.recipe.needs import DECISIONS, EVIDENCE, OF_THE_RUN, SOURCE, STEPS_RUN
    from curate.recipe.schema import make_recipe

    needs = step.needs_of(params)
    recipe = make_recipe({
        "name": "example", "source": {"kind": "synthetic", "identities": 24, "seed": 5}, "steps": [],
        "labels": ["gender", "ethnicity"], "embedder": {"kind": "baseline", "dimensions": 16},
    })  # fmt: skip
    executor = SerialExecutor()
    manifest = SOURCES["synthetic"].read(recipe.source, recipe.levels, executor, folder).manifest
    codes = manifest.codes(col.IDENTITY)
    split = np.where(codes % 3 == 0, col.HOLDOUT, col.TRAIN)
    manifest = Manifest.from_frame(manifest.frame.assign(split=split), root=manifest.root, levels=manifest.levels)
    store = FeatureStore(manifest, folder, executor, recipe.embedder)
    values = {need: store.get(need, manifest) for need in needs if need not in OF_THE_RUN}
    if DECISIONS in needs:
        a, b = manifest.frame[col.IMAGE_ID].iloc[[0, -1]]
        flags = Decisions.of([a, b], col.FLAG, "near_duplicate_other_identity", score=1.0, related_id=[b, a])
        values[DECISIONS] = flags.stamped("near_duplicates", 1).frame
    if STEPS_RUN in needs:
        values[STEPS_RUN] = {"near_duplicates": find_step("near_duplicates").params()}
    if EVIDENCE in needs:
        values[EVIDENCE] = {}
    if SOURCE in needs:
        values[SOURCE] = manifest
    return manifest, values


def _check(step: Step, manifest: Manifest, values: dict[str, Any], params: StrictParams, seed: int) -> None:
    def run(chosen: Manifest, given: dict[str, Any]) -> Any:
        return step(chosen, Features(given), params, step_rng(seed, step.name))

    def rule(holds: bool, text: str) -> None:
        if not holds:
            raise StepCheckError(f"{step.kind} {step.name!r}: {text}")

    frame_before = manifest.frame.copy(deep=True)
    values_before = {name: _copy(value) for name, value in values.items()}
    first = run(manifest, values)
    kind = Report if step.kind == "report" else Decisions
    rule(isinstance(first, kind), f"it must return {kind.__name__}, and returned {type(first).__name__}")
    rule(manifest.frame.equals(frame_before), "it changes the manifest that it was given")
    rule(all(_same(values[n], values_before[n]) for n in values), "it changes a feature that it was given")
    rule(_same_result(first, run(manifest, values)), "two runs with the same seed differ")

    order = np.random.default_rng(seed).permutation(len(manifest))
    shuffled = Manifest.from_frame(manifest.frame.iloc[order], root=manifest.root, levels=manifest.levels)
    rule(_same_result(first, run(shuffled, values)), "its result depends on the order of the rows")

    for size in (0, 1):
        few = manifest.take(np.arange(min(size, len(manifest))))
        given = {n: _first(v, len(few)) if _row_aligned(v, manifest) else v for n, v in values.items()}
        try:
            small = run(few, given)
        except Exception as error:
            raise StepCheckError(
                f"{step.kind} {step.name!r}: it fails on a manifest of {size} rows: {error}"
            ) from error
        rule(isinstance(small, kind), f"on {size} rows it returns {type(small).__name__}")
    if isinstance(first, Decisions):
        _check_decisions(first, manifest, rule)


def _check_decisions(decisions: Decisions, manifest: Manifest, rule: Any) -> None:
    dropped = decisions.having(col.DROP)
    keepers = set(dropped["related_id"].dropna())
    rule(not keepers & set(dropped[col.IMAGE_ID]), "it drops an image that it names as the kept one")
    once, _ = apply_decisions(manifest, decisions)
    twice, _ = apply_decisions(once, decisions)
    rule(once.frame.equals(twice.frame), "applying its decisions twice differs from once")


def _row_aligned(value: Any, manifest: Manifest) -> bool:
    return isinstance(value, np.ndarray | StoredVectors) and len(value) == len(manifest)


def _first(value: Any, rows: int) -> Any:
    return value.take(slice(rows)) if isinstance(value, StoredVectors) else value[:rows]


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    if isinstance(value, Manifest):
        return Manifest(value.frame.copy(deep=True), value.root, value.levels)
    if isinstance(value, StoredVectors):
        return StoredVectors(value.matrix.copy(), value.rows.copy())
    return value if isinstance(value, tuple | StrictParams) else value.copy()  # those cannot change


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple | StrictParams):
        return a == b
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, pd.DataFrame):
        return a.equals(b)
    if isinstance(a, Manifest):
        return a.frame.equals(b.frame)
    if isinstance(a, StoredVectors):
        return _same(a.matrix, b.matrix) and _same(a.rows, b.rows)
    return a.tobytes() == b.tobytes()


def _same_result(a: Any, b: Any) -> bool:
    if isinstance(a, Decisions):
        both = a.evidence is not None and b.evidence is not None
        return a.frame.equals(b.frame) and (a.evidence.equals(b.evidence) if both else a.evidence is b.evidence)
    return (
        list(a.tables) == list(b.tables)
        and all(a.tables[name].equals(b.tables[name]) for name in a.tables)
        and (a.figures, dict(a.summary), a.notes, dict(a.documents))
        == (b.figures, dict(b.summary), b.notes, dict(b.documents))
    )
