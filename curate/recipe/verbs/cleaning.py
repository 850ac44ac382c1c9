"""What verbs that clean run: `curate duplicates`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.core.errors import CurateError
from curate.core.files import read_json
from curate.core.shapes import Executor
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.verbs.shared import StepWithParams, verb_recipe

#: Parameters of `near_duplicates` that a calibration must share.
_MEASURED = ("method", "mirrored", "crops")


def run_duplicates(
    source: str,
    out: Path,
    *,
    executor: Executor,
    near: Mapping[str, Any] | None = None,
    level: str | None = None,
    calibrate: bool = False,
    precision: float | None = None,
    against: Path | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Find the copies of a source: `curate duplicates`.

    near: parameters of `near_duplicates`. level: of `exact_duplicates`. calibrate: thresholds are first measured on
    altered copies of the source's own images (`duplicate_calibration`, for this precision), and then used; the plan in
    the run folder names them. more: as `run_recipe` takes it. Raises CurateError where both thresholds and a
    calibration are asked for.
    """
    near = {key: value for key, value in (near or {}).items() if value is not None}
    steps: list[StepWithParams] = [
        ("exact_duplicates", {"level": level}), ("near_duplicates", near), ("duplicate_pairs", {}),
    ]  # fmt: skip
    if calibrate:
        if fixed := {"max_distance", "min_similarity", "min_correlation"} & set(near):
            raise CurateError(f"--calibrate chooses {', '.join(sorted(fixed))}: leave one of the two out")
        steps.insert(
            0,
            (
                "duplicate_calibration",
                {**{key: value for key, value in near.items() if key in _MEASURED}, "precision": precision},
            ),
        )
        first = verb_recipe("duplicates", source, steps, overrides, against=against)
        run_recipe(first, out, executor=executor, until="duplicate_calibration", **{**more, "on_step": None})
        chosen = read_json(out / "calibration" / "chosen.json")
        steps[2] = ("near_duplicates", {**near, **chosen["params"]})
    elif precision is not None:
        raise CurateError("--precision says what a calibration aims at: give --calibrate too")
    recipe = verb_recipe("duplicates", source, steps, overrides, against=against)
    return run_recipe(recipe, out, executor=executor, **more)
