"""What verbs that audit run: `curate audit pairs`, `curate audit all-pairs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.collect.scores import ScoresParams
from curate.core.shapes import Executor
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.verbs.shared import labelled, verb_recipe


def run_audit_pairs(
    scores: Path,
    out: Path,
    *,
    executor: Executor,
    asked: Mapping[str, Any],
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Error rates per group from a table of scores: `curate audit pairs`.

    asked: parameters of `audit_scores`; those that are None keep their defaults. more: as `run_recipe` takes it.
    """
    steps = [("audit_scores", {**_given(asked), "scores": str(scores)})]
    recipe = verb_recipe("audit", ScoresParams(path=scores), steps, overrides)
    return run_recipe(recipe, out, executor=executor, **more)


def run_audit_vectors(
    manifest: str,
    out: Path,
    *,
    executor: Executor,
    asked: Mapping[str, Any],
    vectors: Path | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Error rates per group from every comparison of a source's images: `curate audit all-pairs`.

    vectors: of the images; None: those of the embedder. asked: parameters of `audit`, of which `split` None means all
    images; others that are None keep their defaults. more: as `run_recipe` takes it.
    """
    given = _given(asked)
    whole = [] if "split" in given else ["steps.audit.split=null"]
    embedder = None if vectors is None else {"kind": "vectors", "path": vectors}
    labels = given.get("group_by")
    recipe = verb_recipe(
        "audit", manifest, [("audit", given)], [*whole, *labelled(labels, overrides)], embedder=embedder
    )
    return run_recipe(recipe, out, executor=executor, **more)


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as YAML would hold it."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in asked.items() if value is not None
    }
