"""Several sources as one manifest, each a dataset of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, TypeAdapter, ValidationError, field_validator

from curate.collect.source import Collected, Source
from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest, text_array
from curate.core.shapes import Executor, StrictParams

#: Parameters of a source that name a file or a folder.
_PATHS = ("root", "path", "labels")
#: Columns whose values mean something only within their source.
_OWN = (col.IMAGE_ID, col.IDENTITY, col.PARENT_ID)


class SeveralParams(StrictParams):
    """Sources that stand beside one another, each with its `kind` and parameters."""

    kind: Literal["several"] = "several"
    sources: Annotated[tuple[dict[str, Any], ...], Field(min_length=2)]
    names_are_global: bool = False  # whether an identity of one source is the same person in another

    @field_validator("sources", mode="after")
    @classmethod
    def _whole_paths(cls, sources: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """Paths of the sources are whole in the plan of a run, as those of a single source are."""
        return tuple({key: str(Path(value).expanduser().resolve()) if key in _PATHS and value is not None else value
                      for key, value in one.items()} for one in sources)  # fmt: skip

    def paths(self) -> dict[str, Path]:
        """The parameters of the sources that name a file or a folder, as whole paths, by `sources.NUMBER.KEY`."""
        return {f"sources.{number}.{key}": Path(one[key]) for number, one in enumerate(self.sources, start=1)
                for key in _PATHS if one.get(key) is not None}  # fmt: skip


def read_several(params: SeveralParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """Read sources into one manifest in which nothing of one is taken for anything of another.

    image_id, identity and parent_id are `dataset/...`, so that equal names stay two identities; with
    `names_are_global` identities keep their names, and equal ones are one identity. Paths are relative to
    the folder that all roots lie in; rows of sources without pixels have none. A label that a source lacks is null
    there. Raises InputError for one source that stands twice, two with one dataset name, and what their readers refuse.
    """
    parts = []
    for number, given in enumerate(params.sources, start=1):
        kind, inner = source_params(given, f"source.sources.{number}")
        parts.append((inner, kind.read(inner, levels, executor, cache)))
    _refuse_twice([inner for inner, _ in parts], [found.manifest for _, found in parts])
    roots = [found.manifest.root for _, found in parts if found.manifest.root is not None]
    root = Path(os.path.commonpath(roots)) if roots else None
    merged: dict[str, str] = {}
    for _, found in parts:
        for label, level in found.manifest.levels.items():
            if merged.setdefault(label, level) != level:
                raise InputError(f"the label {label!r} is of the person in one source and of the image in another",
                                 remedy=f"Declare it in the recipe: labels: {{{label}: identity}}")  # fmt: skip
    own = (col.IMAGE_ID, col.PARENT_ID) if params.names_are_global else _OWN
    frames = [below(prefixed(found.manifest, own), root, merged) for _, found in parts]
    frame = pd.concat(frames, ignore_index=True)
    notes = [f"{_named(found.manifest)}: {note}" for _, found in parts for note in found.notes]
    return Collected(Manifest.from_frame(frame, root=root, levels=merged), tuple(notes))


def source_params(given: Mapping[str, Any], where: str) -> tuple[Source, StrictParams]:
    """One of the sources and its checked parameters. Raises InputError naming the key."""
    from curate.collect import SOURCES

    kinds = sorted(set(SOURCES) - {SOURCE.kind})
    if given.get("kind") not in kinds:
        raise InputError(f"{where}.kind is {given.get('kind')!r}. {nearest(str(given.get('kind')), kinds)}")
    kind = SOURCES[given["kind"]]
    try:
        return kind, TypeAdapter(kind.params).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"the key {'.'.join([where, *map(str, first['loc'])])}: {first['msg']}",
                         value=first["input"]) from None  # fmt: skip


def _refuse_twice(params: list[StrictParams], manifests: list[Manifest]) -> None:
    places: set[str] = set()
    datasets: set[str] = set()
    for inner, manifest in zip(params, manifests, strict=True):
        given = inner.model_dump(exclude={"dataset"})
        where = str(next((given[key].expanduser().resolve() for key in ("root", "path") if given.get(key)), given))
        if where in places:
            raise InputError("one source stands twice", value=where,
                             remedy="Give two different ones: a set shares all with itself")  # fmt: skip
        places.add(where)
        for name in manifest.frame[col.DATASET].cat.categories:
            if name in datasets:
                raise InputError("two sources have one dataset name", value=name, remedy="Name them apart: NAME=SOURCE "
                                 "on the command line, dataset: NAME in a recipe")  # fmt: skip
        datasets.update(manifest.frame[col.DATASET].cat.categories)


def _named(manifest: Manifest) -> str:
    return ", ".join(manifest.frame[col.DATASET].cat.categories)


def prefixed(manifest: Manifest, columns: Iterable[str] = _OWN) -> Manifest:
    """The same with `dataset/` before every image_id, identity and parent_id, or those of them in `columns`."""
    frame = manifest.frame.copy(deep=False)
    dataset = text_array(frame[col.DATASET].astype("str"))
    slash = pa.scalar("/", pa.large_string())
    for name in columns:
        if name in frame:
            text = text_array(frame[name].astype("str"))
            frame[name] = pd.Series(pd.array(pc.binary_join_element_wise(dataset, text, slash), dtype="str"))
    return Manifest(frame, manifest.root, manifest.levels)


def below(manifest: Manifest, root: Path | None, labels: Iterable[str]) -> pd.DataFrame:
    """The table with paths relative to a folder above its root, if there is one, and every one of the labels, as text.

    A manifest without pixels has null paths where others have some, and a label that it lacks is null.
    """
    frame = manifest.frame.copy(deep=False)
    if root is not None:
        way = os.path.relpath(manifest.root, root) if manifest.root is not None else None
        if way is None or col.PATH not in frame:
            frame[col.PATH] = pd.array(pa.nulls(len(frame), pa.large_string()), "str")
        elif way != ".":
            before, slash = (pa.scalar(text, pa.large_string()) for text in (Path(way).as_posix(), "/"))
            frame[col.PATH] = pd.array(pc.binary_join_element_wise(before, text_array(frame[col.PATH]), slash), "str")
    elif col.PATH in frame:
        frame = frame.drop(columns=col.PATH)
    for name in labels:
        if name not in frame:
            frame[name] = pd.Categorical.from_codes(np.full(len(frame), -1), categories=pd.Index([], dtype="str"))
        frame[name] = frame[name].astype("str")
    return frame.astype({col.DATASET: "str"})


SOURCE = Source("several", SeveralParams, read_several)
