"""Recipes built on the spot: what a verb of the command line runs for a source that is named by a word or a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.collect import recognise
from curate.core import columns as col
from curate.core.errors import CurateError, InputError, nearest
from curate.core.files import read_json
from curate.core.shapes import Executor
from curate.recipe.features import Progress
from curate.recipe.run import Listener, RunResult, run_recipe
from curate.recipe.schema import Recipe, make_recipe

#: Parameters of `near_duplicates` that a calibration must share.
_MEASURED = ("mirrored", "crops")
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
        steps.insert(
            0,
            (
                "duplicate_calibration",
                {**{key: value for key, value in near.items() if key in _MEASURED}, "precision": precision},
            ),
        )
        first = verb_recipe("duplicates", source, steps, overrides, against=against)
        run_recipe(first, out, until="duplicate_calibration", **{**more, "on_step": None})
        chosen = read_json(out / "calibration" / "chosen.json")
        steps[2] = ("near_duplicates", {**near, **chosen["params"]})
    elif precision is not None:
        raise CurateError("--precision says what a calibration aims at: give --calibrate too")
    return run_recipe(verb_recipe("duplicates", source, steps, overrides, against=against), out, **more)


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
    recipe = verb_recipe("imbalance", source, [("imbalance", {"labels": labels})], _labelled(labels, overrides))
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
    from curate.balance.compare import IDR, LOOKAHEAD
    from curate.balance.rivals import BY_LABELS, BY_VECTORS

    given = {key: value for key, value in (limits or {}).items() if value is not None}
    labels = given.get("labels")
    shared = {key: given[key] for key in ("labels", "budget") if key in given}
    if method in (IDR, LOOKAHEAD):
        choice = "lookahead" if method == LOOKAHEAD else None
        balancing: StepWithParams = ("oversample", {**shared, "target": target, "choice": choice})
    elif method in BY_LABELS | BY_VECTORS:
        balancing = ("resample" if method in BY_LABELS else "resample_by_vectors", {**given, "method": method})
    else:
        raise InputError(f"no method {method!r}. {nearest(method, (IDR, LOOKAHEAD, *BY_LABELS, *BY_VECTORS))}")
    pixels = getattr(recognise(source), "root", None) is not None or recognise(source).kind == "synthetic"
    steps: list[StepWithParams] = [balancing, ("imbalance", {"labels": labels})]
    if compare:
        steps.insert(0, ("rivals_by_vectors" if pixels else "rivals", {**given, "target": target}))
    if pixels:
        steps.append(("training_batch", {"augment": augment}))
    recipe = verb_recipe("balance", source, steps, [f"seed={seed}", *_labelled(labels, overrides)])
    return run_recipe(recipe, out, executor=executor, **more)


def _labelled(labels: Sequence[str] | None, overrides: Sequence[str]) -> list[str]:
    """The overrides, with the labels that the verb was given declared to the recipe."""
    parts = dict.fromkeys(part for name in labels or () for part in name.split("/") if part != col.IDENTITY)
    # A mapping, so that an override can say of one what level it has: labels.age=identity.
    return [*(["labels={" + ", ".join(f"{name}: {{}}" for name in parts) + "}"] if parts else []), *overrides]
