"""What the verb that looks for wrong names runs: `curate noise`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.collect import recognise
from curate.core.errors import CurateError
from curate.core.shapes import Executor
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.verbs.shared import StepWithParams, labelled, verb_recipe


def run_noise(
    source: str,
    out: Path,
    *,
    executor: Executor,
    vectors: Path | None = None,
    ids: Path | None = None,
    given: Mapping[str, Any] | None = None,
    group_by: Sequence[str] | None = None,
    max_difference: float | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Find wrong names in a source: `curate noise`.

    vectors: the user's own, a store or a `.npy` with `ids`; None: the baseline descriptor, where there are pixels.
    given: parameters of `label_noise`. group_by: groups with thresholds of their own, whose removal rates are compared
    (`filter_impact`, with this max_difference). more: as `run_recipe` takes it. Raises CurateError for ids without
    vectors and a max_difference without groups.
    """
    if ids is not None and vectors is None:
        raise CurateError("--ids names the rows of --vectors: give both")
    if max_difference is not None and not group_by:
        raise CurateError("--max-difference compares groups: give --group-by")
    chosen = recognise(source)
    pixels = getattr(chosen, "root", None) is not None or chosen.kind == "synthetic"
    params = {key: value for key, value in (given or {}).items() if value is not None}
    steps: list[StepWithParams] = [
        ("label_noise", {"use_quality": pixels, "group_by": tuple(group_by) if group_by else None, **params}),
        ("noise", {}),
    ]
    if group_by:
        steps.append(("filter_impact", {"group_by": tuple(group_by), "max_difference": max_difference}))
    embedder = []
    if vectors is not None:
        paths = {"path": vectors, "ids": ids}
        whole = {key: str(path.expanduser().resolve()) for key, path in paths.items() if path is not None}
        embedder = [f"embedder={json.dumps({'kind': 'vectors', **whole})}"]
    recipe = verb_recipe("noise", source, steps, [*embedder, *labelled(group_by, overrides)])
    return run_recipe(recipe, out, executor=executor, **more)
