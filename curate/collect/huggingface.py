"""Hugging Face datasets: Parquet with image bytes, folders that `save_to_disk` wrote, and image folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from curate.collect.source import Collected, Source, counted
from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest, text_array
from curate.core.shapes import Executor, StrictParams
from curate.core.tables import stored_levels
from curate.images.containers import bytes_column


class HuggingFaceParams(StrictParams):
    """A Parquet file with image bytes, or a folder of such files or of `.arrow` files."""

    kind: Literal["huggingface"] = "huggingface"
    path: Path
    image: str | None = None  # the column of images; default: the first that holds bytes
    columns: dict[str, str] = Field(default_factory=dict)  # our name -> the dataset's
    dataset: str | None = None  # default: the name of the path


def image_files(path: Path) -> list[Path]:
    """The Parquet and Arrow files at or below a path that hold image bytes, in order of name."""
    files = sorted([*path.rglob("*.parquet"), *path.rglob("*.arrow")]) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            if bytes_column(_schema(file)) is not None:
                found.append(file)
        except (pa.ArrowInvalid, OSError):
            continue
    return found


def _schema(file: Path) -> pa.Schema:
    if file.suffix == ".parquet":
        return pq.read_schema(file)
    with pa.memory_map(str(file)) as mapped:
        try:
            return pa.ipc.open_stream(mapped).schema
        except pa.ArrowInvalid:
            return pa.ipc.open_file(mapped).schema


def read_huggingface(
    params: HuggingFaceParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """Read a dataset's columns but for the images, which stay where they are.

    The identity is the column `identity`, else `label`; class numbers become the names that the dataset gives them. The
    image_id is the column `image_id`, else the image's own path, else `file/row`. A file that can't be read is left
    out and counted. Raises InputError where there is no column of images, or none of the identity.
    """
    path = params.path.expanduser().resolve()
    files = image_files(path)
    if not files:
        raise InputError("no Parquet or Arrow file with a column of image bytes", file=path)
    root = path if path.is_dir() else path.parent
    parts, notes, stored = [], [], None
    for file in files:
        try:
            table, levels_there = _read(file, params)
        except (pa.ArrowInvalid, OSError) as error:
            notes.append(f"{file.name} can't be read and is left out ({str(error)[:80]})")
            continue
        name = file.relative_to(root).as_posix()
        prefix = f"{name}#{params.image}:" if params.image else f"{name}#"
        rows = pa.array(np.arange(len(table))).cast(pa.large_string())
        big = pa.large_string()
        table = table.append_column(
            " member", pc.binary_join_element_wise(pa.scalar(prefix, big), rows, pa.scalar("", big))
        )
        table = table.append_column(" row", pc.binary_join_element_wise(
            pa.scalar(name, big), pc.utf8_lpad(rows, 8, "0"), pa.scalar("/", big)))  # fmt: skip
        parts.append(table)
        stored = stored or levels_there
    if not parts:
        raise InputError("no file of the dataset can be read", file=path, value=notes)
    table = pa.concat_tables(parts, promote_options="permissive")
    named = {"identity": "identity" if "identity" in table.column_names else "label", **params.columns}
    for ours, theirs in named.items():
        if theirs not in table.column_names:
            raise InputError(f"the dataset has no column {theirs!r} for {ours}", file=path,
                             remedy=nearest(theirs, _names(table)))  # fmt: skip
    asked = _levels(levels, params.columns, stored, table)
    frame = pd.DataFrame({
        col.IMAGE_ID: pd.array(_ids(table, notes), dtype="str"),
        col.PATH: pd.array(text_array(table[" member"]), dtype="str"),
        col.DATASET: params.dataset or path.stem,
    })  # fmt: skip
    for name in [col.IDENTITY, *asked, *(n for n in (col.SPLIT, col.BBOX, col.LANDMARKS) if n in table.column_names)]:
        theirs = named.get(name, name)
        if theirs not in table.column_names:
            raise InputError(f"the dataset has no label {theirs!r}", file=path, remedy=nearest(theirs, _names(table)))
        frame[name] = table[theirs].to_pandas()
    for name in _names(table):  # what is no label comes along all the same
        if name not in frame and name not in (*named.values(), col.PARENT_ID, col.REPLICA, col.AUGMENT_SEED):
            frame[name] = table[name].to_pandas()
    empty = int(pc.sum(table[" empty"]).as_py() or 0)
    if empty:
        notes.append(f"{counted(empty, 'row')} without image bytes; the step `unreadable` drops them")
    return Collected(Manifest.from_frame(frame, root=root, levels=asked, origin=path), tuple(notes))


def _names(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if not name.startswith(" ")]


def _levels(
    levels: Mapping[str, str] | None, columns: Mapping[str, str], stored: Mapping[str, str] | None, table: pa.Table
) -> dict[str, str]:
    if levels is not None:
        return dict(levels)
    mapped = {name: col.default_level(name) for name in columns if name not in col.RESERVED}
    if stored is not None:
        return {**stored, **mapped}
    return {**{name: col.default_level(name) for name in col.IDENTITY_LABELS if name in table.column_names}, **mapped}


def _read(file: Path, params: HuggingFaceParams) -> tuple[pa.Table, dict[str, str] | None]:
    """The columns of a file without the images, the paths of the images (` name`), and where bytes are missing."""
    schema = _schema(file)
    image = params.image or bytes_column(schema)
    if image not in schema.names:
        raise InputError(f"no column {image!r}", file=file, remedy=nearest(str(image), schema.names))
    others = [name for name in schema.names if name != image and bytes_column(pa.schema([schema.field(name)])) is None]
    inner = schema.field(image).type
    parts = []
    for batch in _batches(file, [*others, image]):
        column = batch.column(image)
        data = pc.struct_field(column, "bytes") if pa.types.is_struct(inner) else column
        has_path = pa.types.is_struct(inner) and inner.get_field_index("path") >= 0
        names = pc.struct_field(column, "path") if has_path else pa.nulls(len(batch), pa.string())
        extra = [names.cast(pa.large_string()), pc.fill_null(pc.equal(pc.binary_length(data), 0), True)]
        parts.append(pa.table([*(batch.column(name) for name in others), *extra], [*others, " name", " empty"]))
    table = pa.concat_tables(parts) if parts else pa.table({})
    return _with_class_names(table, schema), stored_levels(schema)


def _batches(file: Path, columns: list[str]) -> list[pa.RecordBatch]:
    if file.suffix == ".parquet":
        return pq.ParquetFile(file).iter_batches(1024, columns=columns)
    mapped = pa.memory_map(str(file))
    try:
        return list(pa.ipc.open_stream(mapped))
    except pa.ArrowInvalid:
        opened = pa.ipc.open_file(mapped)
        return [opened.get_batch(at) for at in range(opened.num_record_batches)]


def _with_class_names(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Class numbers as names, where the dataset's own metadata give them (`ClassLabel`)."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return table
    for name, feature in features.items():
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        if not names or name not in table.column_names or not pa.types.is_integer(table.schema.field(name).type):
            continue
        codes = table[name]
        inside = pc.and_(pc.greater_equal(codes, 0), pc.less(codes, len(names)))
        known = pc.if_else(inside, codes, None)
        table = table.set_column(table.column_names.index(name), name, pa.array(names, pa.string()).take(known))
    return table


def _ids(table: pa.Table, notes: list[str]) -> pa.Array:
    for name in (col.IMAGE_ID, " name"):
        if name in table.column_names:
            ids = text_array(table[name])
            if not ids.null_count and pc.count_distinct(ids).as_py() == len(ids):
                return ids
            if name == col.IMAGE_ID or ids.null_count < len(ids):
                what = "image ids" if name == col.IMAGE_ID else "paths of the images"
                notes.append(f"the {what} are not all there, or repeat: rows are called file/row instead")
    return text_array(table[" row"])


SOURCE = Source("huggingface", HuggingFaceParams, read_huggingface)
