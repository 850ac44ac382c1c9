"""A recipe: the YAML of one whole job, validated before anything runs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from curate.collect import SOURCES
from curate.core.bundled import bundled
from curate.core.columns import default_level
from curate.core.errors import InputError, nearest
from curate.core.shapes import Step, StrictParams
from curate.embed import EmbedderParams
from curate.recipe.registry import find_step


class LabelParams(StrictParams):
    """How one label is read.

    level: whether it belongs to the person or to the photograph (default: identity for gender and ethnicity).
    conflict: what becomes of an identity with two values of an identity-level label.
    """

    level: Literal["identity", "image"]
    conflict: Literal["null", "majority"] = "null"

    @model_validator(mode="before")
    @classmethod
    def _yaml_null(cls, value: Any) -> Any:
        # YAML reads a bare `null` as None; the word is meant.
        if isinstance(value, dict) and "conflict" in value and value["conflict"] is None:
            return {**value, "conflict": "null"}
        return value


class RecipeParams(StrictParams):
    """The top level of a recipe file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    source: dict[str, Any]
    labels: dict[str, LabelParams] = {}
    embedder: dict[str, Any] = {"kind": "baseline"}
    against: str | None = None  # a finished run: what it holds is compared with the source's images, and never changed
    steps: list[str | dict[str, Any]]

    @model_validator(mode="before")
    @classmethod
    def _short_labels(cls, value: Any) -> Any:
        """`labels: [gender, age]` and `labels: {gender: identity}` are short for the full form."""
        labels = value.get("labels") if isinstance(value, dict) else None
        if isinstance(labels, list):
            labels = {str(name): {} for name in labels}
        if isinstance(labels, dict):
            full = {}
            for name, spec in labels.items():
                spec = {"level": spec} if isinstance(spec, str) else dict(spec or {})
                full[name] = {"level": default_level(name), **spec}
            value = {**value, "labels": full}
        return value


def paths_of(params: StrictParams) -> dict[str, Path]:
    """The parameters that name a file or a folder, as whole paths."""
    return {key: value.expanduser().resolve() for key, value in params if isinstance(value, Path)}


@dataclass(frozen=True)
class PlannedStep:
    """One step of a recipe with its checked parameters; `order` starts at 1.

    repeated: the steps before it that it runs again.
    """

    order: int
    step: Step
    params: StrictParams
    repeated: tuple[PlannedStep, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The features that it needs under its parameters, and those of the steps that it runs again."""
        others = (need for item in self.repeated for need in item.needs)
        return tuple(dict.fromkeys((*self.step.needs_of(self.params), *others)))

    @property
    def files(self) -> dict[str, Path]:
        """The parameters that name a file or a folder."""
        return paths_of(self.params)

    @property
    def folder(self) -> str:
        """Where its results lie, below the run folder."""
        return f"steps/{self.order:02d}-{self.step.name}"


@dataclass(frozen=True)
class Recipe:
    """A checked recipe."""

    name: str
    seed: int
    source: StrictParams
    labels: Mapping[str, LabelParams]
    embedder: StrictParams
    steps: tuple[PlannedStep, ...]
    raw: Mapping[str, Any]
    origin: str
    against: Path | None = None

    @property
    def levels(self) -> dict[str, str] | None:
        """The level of each declared label, or None where none is declared."""
        return {name: spec.level for name, spec in self.labels.items()} or None


def recipe_path(name: str) -> Path:
    """The file of a recipe: a path, or the name of a bundled one. Raises InputError with the nearest name."""
    path = Path(name)
    if path.is_file():
        return path
    known = {found.stem: found for found in bundled("recipes").glob("*.yaml")}
    if name in known:
        return known[name]
    raise InputError(f"no recipe file and no bundled recipe {name!r}. {nearest(name, known)}")


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe file, or a bundled recipe by name.

    overrides: `key.path=value` as in `source.root=faces` or `steps.near_duplicates.max_distance=6`; values are YAML.
    Raises InputError with the file, the key and the nearest valid name.
    """
    path = recipe_path(name)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"not valid YAML ({error})", file=path) from error
    if not isinstance(raw, dict):
        raise InputError("a recipe is a mapping", file=path, allowed="keys name, source, labels, steps, ...")
    return make_recipe(raw, overrides, origin=str(path))


def make_recipe(raw: Mapping[str, Any], overrides: Sequence[str] = (), *, origin: str = "recipe") -> Recipe:
    """Check a recipe that is already a mapping; overrides and errors are those of `load_recipe`."""
    raw = copy.deepcopy(dict(raw))
    for override in overrides:
        _override(raw, override)
    top = _validate(TypeAdapter(RecipeParams), dict(raw), origin, "")
    kind = top.source.get("kind")
    if kind not in SOURCES:
        raise InputError(f"source.kind is {kind!r}. {nearest(str(kind), SOURCES)}", file=origin)
    source = _validate(TypeAdapter(SOURCES[kind].params), top.source, origin, "source")
    embedder = _validate(TypeAdapter(EmbedderParams), top.embedder, origin, "embedder")
    against = Path(top.against).expanduser() if top.against is not None else None
    steps = _steps(top, origin)
    return Recipe(top.name, top.seed, source, top.labels, embedder, steps, _plain(raw), origin, against)


def _steps(top: RecipeParams, origin: str) -> tuple[PlannedStep, ...]:
    entries: list[tuple[str, dict[str, Any]]] = []
    conflicts = {name: spec.conflict for name, spec in top.labels.items() if spec.level == "identity"}
    named = [entry if isinstance(entry, str) else next(iter(entry), None) for entry in top.steps]
    if "label_conflicts" not in named:
        # Every recipe settles conflicts first, those of labels that the source brings unasked too.
        entries.append(("label_conflicts", {"conflict": conflicts}))
    for entry in top.steps:
        if isinstance(entry, str):
            entries.append((entry, {}))
        elif len(entry) == 1:
            name, params = next(iter(entry.items()))
            entries.append((str(name), params or {}))
        else:
            raise InputError("a step is a name, or one name with its parameters", file=origin, value=entry)
    planned = []
    for order, (name, params) in enumerate(entries, start=1):
        step = find_step(name, file=origin)
        checked = _validate(TypeAdapter(step.params), params, origin, f"steps.{name}")
        # Whole paths, in the recipe that the run folder keeps too: `undo` finds the same files from anywhere.
        whole = paths_of(checked)
        params.update({key: str(path) for key, path in whole.items()})
        again = tuple(item for item in planned if item.step.name in step.repeats)
        planned.append(PlannedStep(order, step, checked.model_copy(update=whole), again))
    for item in planned:
        early = [
            other.step.name for other in planned if other.order < item.order and other.step.name in item.step.before
        ]
        if early:
            raise InputError(f"the step {item.step.name!r} stands after {early[0]!r}, which relies on what it decides",
                             file=origin, remedy=f"Put it before {early[0]!r}")  # fmt: skip
    reports = [item.step.name for item in planned if item.step.kind == "report"]
    for name in reports:
        if reports.count(name) > 1:
            raise InputError(f"the report {name!r} stands twice: its tables would overwrite each other", file=origin)
    return tuple(planned)


def _validate(adapter: TypeAdapter, value: Any, origin: str, prefix: str) -> Any:
    """Validate, and turn pydantic's error into one that names the key, what was found, and what to write."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([prefix, *(str(part) for part in first["loc"])]).strip(".")
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][-1])
            raise InputError(f"unknown key {where!r}. {nearest(name, _fields(adapter, value))}", file=origin) from None
        if first["type"] == "missing":
            raise InputError(
                f"the key {where!r} is missing", file=origin, remedy=f"Write it there, or give --set {where}=VALUE"
            ) from None
        quoted = first["type"] in ("string_type", "path_type") and isinstance(first["input"], int | float | date)
        raise InputError(
            f"the key {where!r}: {first['msg']}", file=origin, value=first["input"],
            remedy=f"YAML reads a number or a date there: write quotes, as in {where}='\"{first['input']}\"'"
            if quoted else None,
        ) from None  # fmt: skip


def _fields(adapter: TypeAdapter, value: Any) -> list[str]:
    schema = adapter.json_schema()
    kind = value.get("kind") if isinstance(value, dict) else None
    for variant in schema.get("$defs", {}).values():
        if kind is not None and variant.get("properties", {}).get("kind", {}).get("const") == kind:
            return list(variant["properties"])
    return list(schema.get("properties", {}))


def _override(raw: dict[str, Any], text: str) -> None:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise InputError("--set takes key=value", value=text, remedy="For example --set source.root=faces")
    *parents, last = key.split(".")
    place: Any = raw
    for depth, name in enumerate(parents):
        if isinstance(place, list):
            place = _step_entry(place, name, key)
        else:
            place = place.setdefault(name, {})
        if not isinstance(place, dict | list):
            raise InputError(f"--set {key}: {'.'.join(parents[: depth + 1])} is a single value", value=place)
    if isinstance(place, list):
        raise InputError(f"--set {key}: name the parameter too, as in steps.{last}.PARAMETER=value")
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {key}: the value is not valid YAML", value=value) from error


def _step_entry(steps: list[Any], name: str, key: str) -> dict[str, Any]:
    for index, entry in enumerate(steps):
        if entry == name:
            steps[index] = {name: {}}
            return steps[index][name]
        if isinstance(entry, dict) and name in entry:
            if entry[name] is None:
                entry[name] = {}
            return entry[name]
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in steps]
    raise InputError(f"--set {key}: the recipe has no step {name!r}. {nearest(name, names)}")


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
