"""A manifest that exists already, as Parquet or CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from curate.collect.labels import join_labels
from curate.collect.source import Collected, Source, checked_folder
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import Manifest, read_columns, read_manifest
from curate.core.shapes import Executor, StrictParams


class TableParams(StrictParams):
    """A table with `image_id` and `identity`, and any of the other columns of a manifest."""

    kind: Literal["table"] = "table"
    path: Path
    root: Path | None = None  # folder that the column `path` is relative to; None: no pixels
    labels: Path | None = None  # a second table, joined by image or identity
    columns: dict[str, str] = Field(default_factory=dict)  # our name -> the name in the table, else in `labels`
    dataset: str | None = None  # default: the table's own column, else the file's name


def read_table_source(
    params: TableParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """Read a manifest from Parquet or CSV, with labels of a second table if one is named.

    Raises InputError for a missing file or root, repeated image ids, and whatever else is not allowed in a manifest.
    """
    path = params.path.expanduser()
    root = checked_folder(params.root).resolve() if params.root is not None else None
    wanted = None if levels is None else dict(levels)
    if params.labels is None:
        wanted = _with_mapped(wanted, params.columns, path)
        manifest = read_manifest(path, root=root, levels=wanted, columns=params.columns)
        return Collected(_named(manifest, params.dataset))
    names, _ = _schema(path)
    own = {ours: theirs for ours, theirs in params.columns.items() if theirs in names}
    other = {ours: theirs for ours, theirs in params.columns.items() if theirs not in names}
    inside = {name for name in wanted or {} if name in own or (name in names and name not in other)}
    own_levels = None if wanted is None else {name: wanted[name] for name in inside}
    manifest = read_manifest(path, root=root, levels=_with_mapped(own_levels, own, path), columns=own)
    outside = None if wanted is None else {name: level for name, level in wanted.items() if name not in inside}
    joined = join_labels(manifest.frame, params.labels.expanduser(), outside, other)
    merged = Manifest.from_frame(
        joined.frame, root=root, levels={**manifest.levels, **joined.levels}, origin=params.labels
    )
    return Collected(_named(merged, params.dataset), joined.notes)


def _schema(path: Path) -> tuple[list[str], dict[str, str] | None]:
    """The names of the columns and the levels stored in the file, if any."""
    if path.suffix.lower() == ".csv" or not path.is_file():
        table, stored = read_columns(path)
        return table.column_names, stored
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"the table can't be read ({error})", file=path, allowed="CSV (UTF-8) or Parquet") from error
    return list(schema.names), _levels_of(schema.metadata)


def _levels_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, str] | None:
    text = (metadata or {}).get(b"curate.levels")
    return None if text is None else dict(pair.split("=") for pair in text.decode().split(",") if pair)


def _with_mapped(levels: dict[str, str] | None, columns: Mapping[str, str], path: Path) -> dict[str, str] | None:
    """The labels, and every mapped column that is no column of a manifest; None: the file's own."""
    mapped = [name for name in columns if name not in col.RESERVED]
    if not mapped:
        return levels
    if levels is None:
        names, stored = _schema(path)
        levels = stored or {name: col.default_level(name) for name in col.IDENTITY_LABELS if name in names}
    return {**{name: col.default_level(name) for name in mapped}, **levels}


def _named(manifest: Manifest, dataset: str | None) -> Manifest:
    if dataset is None:
        return manifest
    frame = manifest.frame.assign(**{col.DATASET: dataset})
    return Manifest.from_frame(frame, root=manifest.root, levels=manifest.levels)


SOURCE = Source("table", TableParams, read_table_source)
