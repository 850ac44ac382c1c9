"""What verbs that measure and mend imbalance run: `curate imbalance`, `curate balance`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.collect import recognise
from curate.core.errors import InputError, nearest
from curate.core.shapes import Executor
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.verbs.shared import StepWithParams, labelled, verb_recipe


def run_imbalance(
    source: str,
    out: Path,
    *,
    executor: Executor,
    labels: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Measure how even the labels of a source are: `curate imbalance`. more: as `run_recipe` takes it."""
    recipe = verb_recipe("imbalance", source, [("imbalance", {"labels": labels})], labelled(labels, overrides))
    return run_recipe(recipe, out, executor=executor, **more)


def run_balance(
    source: str,
    out: Path,
    *,
    executor: Executor,
    method: str = "idr",
    limits: Mapping[str, Any] | None = None,
    target: float | None = None,
    seed: int = 0,
    compare: bool = False,
    augment: str | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Balance a source by one method, and measure it before and after: `curate balance`.

    method: `idr` or `idr_lookahead` (the step `oversample`), or a rival of it. limits: labels, budget, keep, images,
    identities, for the method and the comparison. compare: put all methods in one table first; those that look at
    vectors are among them where the source has pixels. more: as `run_recipe` takes it. Raises InputError for an
    unknown method.
    """
    from curate.balance.compare import IDR, LOOKAHEAD, OURS
    from curate.balance.resample import METHODS

    given = {key: value for key, value in (limits or {}).items() if value is not None}
    labels = given.get("labels")
    shared = {key: given[key] for key in ("labels", "budget") if key in given}
    if method in (IDR, LOOKAHEAD):
        choice = "lookahead" if method == LOOKAHEAD else None
        ours = {**shared, "target": target, "choice": choice}
        # Before anything is replicated: what the target needs at least, and whether it is out of reach.
        balancing: list[StepWithParams] = [("reach", ours), ("oversample", ours)]
        own = "steps.oversample."
        overrides = [*overrides, *(text.replace(own, "steps.reach.", 1) for text in overrides if text.startswith(own))]
    elif method in METHODS:
        balancing = [("resample", {**given, "method": method})]
    else:
        raise InputError(f"no method {method!r}. {nearest(method, (IDR, LOOKAHEAD, *METHODS))}")
    pixels = getattr(recognise(source), "root", None) is not None or recognise(source).kind == "synthetic"
    steps: list[StepWithParams] = [*balancing, ("imbalance", {"labels": labels})]
    if compare:
        methods = [*OURS, *METHODS] if pixels else None
        steps.insert(0, ("rivals", {**given, "target": target, "methods": methods}))
    if pixels:
        steps.append(("training_batch", {"augment": augment}))
    recipe = verb_recipe("balance", source, steps, [f"seed={seed}", *labelled(labels, overrides)])
    return run_recipe(recipe, out, executor=executor, **more)
