"""How a verb makes its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.collect import recognise
from curate.collect.name_list import NamesParams
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.shapes import StrictParams
from curate.recipe.schema import Recipe, make_recipe

#: A step with the parameters that the user gave; those that are None keep their defaults.
StepWithParams = tuple[str, Mapping[str, Any]]


def verb_recipe(
    verb: str,
    source: str | StrictParams | Mapping[str, Any],
    steps: Sequence[StepWithParams],
    overrides: Sequence[str] = (),
    *,
    against: Path | None = None,
    embedder: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe of a verb: its steps over a source that `curate.collect.recognise` knows, or over one that is spelt
    out: its parameters, or a mapping with its kind.

    The recipe's name is the verb's; files and folders are named by whole paths, so that the run can be resumed and
    undone from anywhere. overrides: `key.path=value`, as `--set` takes them (`source.labels=labels.csv`, `seed=3`).
    Raises InputError for a source, a key or a value that is not allowed.
    """
    raw: dict[str, Any] = {
        "name": verb,
        "source": _plain(_parameters(source, verb)),
        "steps": [{name: {key: value for key, value in given.items() if value is not None}} for name, given in steps],
    }
    if embedder is not None:
        raw["embedder"] = _plain(embedder)
    if against is not None:
        raw["against"] = str(against.expanduser().resolve())
    return make_recipe(raw, overrides, origin=f"curate {verb}")


def _parameters(source: str | StrictParams | Mapping[str, Any], verb: str) -> Any:
    known = recognise(source) if isinstance(source, str) else source
    if isinstance(known, NamesParams):
        raise InputError(f"a list of names, without images or labels: `curate {verb}` can do nothing with it",
                         file=known.path, remedy="Compare it with another set: curate overlap A B; or give the folder "
                         "or the table of the images")  # fmt: skip
    return known if isinstance(known, Mapping) else known.model_dump(exclude_none=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value.expanduser().resolve()) if isinstance(value, Path) else value


def labelled(labels: Sequence[str] | None, overrides: Sequence[str]) -> list[str]:
    """The overrides, with the labels that the verb was given declared to the recipe."""
    parts = dict.fromkeys(part for name in labels or () for part in name.split("/") if part != col.IDENTITY)
    # A mapping, so that an override can say of one what level it has: labels.age=identity.
    return [*(["labels={" + ", ".join(f"{name}: {{}}" for name in parts) + "}"] if parts else []), *overrides]
