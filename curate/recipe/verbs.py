"""Recipes built on the spot: what a verb of the command line runs for a source that is named by a word or a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.collect import recognise
from curate.core.errors import CurateError
from curate.core.files import read_json
from curate.core.shapes import Executor
from curate.recipe.features import Progress
from curate.recipe.run import Listener, RunResult, run_recipe
from curate.recipe.schema import Recipe, make_recipe

#: A step with the parameters that the user gave; those that are None keep their defaults.
StepWithParams = tuple[str, Mapping[str, Any]]


def verb_recipe(
    verb: str,
    source: str,
    steps: Sequence[StepWithParams],
    overrides: Sequence[str] = (),
    *,
    against: Path | None = None,
) -> Recipe:
    """The recipe of a verb: its steps over a source that `curate.collect.recognise` knows.

    The recipe's name is the verb's; files and folders are named by whole paths, so that the run can be resumed and
    undone from anywhere. overrides: `key.path=value`, as `--set` takes them (`source.labels=labels.csv`, `seed=3`).
    Raises InputError for a source, a key or a value that is not allowed.
    """
    raw: dict[str, Any] = {
        "name": verb,
        "source": _plain(recognise(source).model_dump(exclude_none=True)),
        "steps": [{name: {key: value for key, value in given.items() if value is not None}} for name, given in steps],
    }
    if against is not None:
        raw["against"] = str(against.expanduser().resolve())
    return make_recipe(raw, overrides, origin=f"curate {verb}")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return str(value.expanduser().resolve()) if isinstance(value, Path) else value


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
    cache: Path | None = None,
    on_step: Listener | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Find the copies of a source: `curate duplicates`.

    near: parameters of `near_duplicates`. level: of `exact_duplicates`. calibrate: thresholds are first measured on
    altered copies of the source's own images (`duplicate_calibration`, for this precision), and then used; the plan in
    the run folder names them. Raises CurateError where both thresholds and a calibration are asked for.
    """
    near = {key: value for key, value in (near or {}).items() if value is not None}
    steps: list[StepWithParams] = [
        ("exact_duplicates", {"level": level}), ("near_duplicates", near), ("duplicate_pairs", {}),
    ]  # fmt: skip
    more: dict[str, Any] = {"executor": executor, "cache": cache, "on_step": on_step, "progress": progress}
    if calibrate:
        if fixed := {"max_distance", "min_correlation"} & set(near):
            raise CurateError(f"--calibrate chooses {', '.join(sorted(fixed))}: leave one of the two out")
        steps.insert(0, ("duplicate_calibration", {**near, "precision": precision}))
        first = verb_recipe("duplicates", source, steps, overrides, against=against)
        run_recipe(first, out, until="duplicate_calibration", **{**more, "on_step": None})
        chosen = read_json(out / "calibration" / "chosen.json")
        steps[2] = ("near_duplicates", {**near, **chosen["params"]})
    elif precision is not None:
        raise CurateError("--precision says what a calibration aims at: give --calibrate too")
    return run_recipe(verb_recipe("duplicates", source, steps, overrides, against=against), out, **more)
