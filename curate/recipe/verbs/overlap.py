"""What `curate overlap` runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.collect import recognise
from curate.collect.lists import is_list
from curate.collect.name_list import NamesParams, looks_like_names
from curate.core.errors import InputError, nearest
from curate.core.shapes import Executor, StrictParams
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.verbs.shared import StepWithParams, verb_recipe

WAYS = ("name", "image", "identity")


def run_overlap(
    sources: Sequence[str],
    out: Path,
    *,
    executor: Executor,
    by: Sequence[str] = ("name",),
    action: str = "flag",
    from_verdict: str | None = None,
    far: float | None = None,
    planted: int | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Compare two datasets or more: `curate overlap`.

    sources: what `curate.collect.recognise` knows, or plain lists of names, each as SOURCE or NAME=SOURCE; the first is
    the training set, the others are benchmarks. by: some of WAYS. action, from_verdict, far: parameters of `overlap`;
    planted: of `overlap_pairs`. more: as `run_recipe` takes it. Raises InputError for fewer than two sources and an
    unknown way.
    """
    if len(sources) < 2:
        raise InputError("an overlap is of two sets or more", value=list(sources), remedy="Give another SOURCE")
    for way in by:
        if way not in WAYS:
            raise InputError(f"there is no way {way!r} to compare. {nearest(way, WAYS)}")
    sets = [named_source(text) for text in sources]
    train = sets[0].dataset or _default_name(sets[0])
    shared = {"by": list(dict.fromkeys(by)), "train": train, "far": far}
    steps: list[StepWithParams] = [("exact_duplicates", {}), ("near_duplicates", {})] if "image" in by else []
    steps += [
        ("overlap", {**shared, "action": action, "from_verdict": from_verdict}),
        ("overlap_pairs", {**shared, "planted": planted}),
    ]  # fmt: skip
    source = {"kind": "several", "sources": [one.model_dump(exclude_none=True) for one in sets]}
    recipe = verb_recipe("overlap", source, steps, overrides)
    return run_recipe(recipe, out, executor=executor, **more)


def named_source(text: str) -> StrictParams:
    """The source that SOURCE or NAME=SOURCE means; a text file, or a CSV without `image_id`, is a list of names."""
    name, sign, rest = text.partition("=")
    if sign and "/" not in name and not Path(text).expanduser().exists():
        params = named_source(rest)
        return params.model_copy(update={"dataset": name})
    path = Path(text).expanduser()
    params = NamesParams(path=path) if looks_like_names(path) and not is_list(path) else recognise(text)
    if params.dataset is None:
        return params.model_copy(update={"dataset": _default_name(params)})
    return params


def _default_name(params: Any) -> str:
    root = getattr(params, "root", None)
    return Path(root).expanduser().resolve().name if root is not None else Path(params.path).stem
