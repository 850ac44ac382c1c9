"""A folder of images, WebDataset shards, and Hugging Face's Parquet."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from curate.collect.write.base import Image, Writer, Written, labels_of, named, row_values, sidecar
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import atomic_path, decode_name, path_problem
from curate.core.manifest import Manifest
from curate.core.tables import LEVELS_KEY

#: A new shard after so many bytes.
_SHARD = 1 << 30
_ROWS = 256  # of a Parquet row group: what a reader of one image has to read


def _write_folder(manifest: Manifest, images: Iterator[Image], path: Path, written: Written) -> None:
    """Files called by image_id, and `manifest.parquet` among them, which is written last."""
    path.mkdir(parents=True, exist_ok=True)
    for image in images:
        name = named(image)
        if problem := path_problem(name):
            raise InputError(problem, column=col.IMAGE_ID, value=image.image_id)
        target = path / decode_name(name).decode("utf-8", "surrogateescape")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(image.data)
        written.paths[image.row] = name
    written.files.append(path)
    sidecar(manifest, written, path / "manifest.parquet")


def _write_shards(manifest: Manifest, images: Iterator[Image], path: Path, written: Written) -> None:
    """`KEY.jpg` and `KEY.json` with the columns of the manifest; the key is the number of the row.

    A key may hold no dot but its ending's, which names of people and files do; so image_id and identity stand in the
    JSON. Shards of about 1 GiB: `faces.tar`, or from the second on `faces-000001.tar`.
    """
    names = labels_of(manifest)
    number, archive, handle, context = 0, None, None, None
    try:
        for image in images:
            if archive is None or handle.tell() > _SHARD:
                if archive is not None:
                    archive.close()
                    handle.close()
                    context.__exit__(None, None, None)
                target = path if number == 0 else path.with_name(f"{path.stem}-{number:06d}.tar")
                context = atomic_path(target)
                handle = open(context.__enter__(), "wb")  # noqa: SIM115
                archive = tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
                written.files.append(target)
                number += 1
            values = {col.IMAGE_ID: image.image_id, **row_values(manifest, image.row, names)}
            key = f"{image.row:09d}"
            for ending, data in (
                (image.ending, image.data),
                (".json", json.dumps(values, ensure_ascii=False).encode()),
            ):
                entry = tarfile.TarInfo(key + ending)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        if archive is not None:
            archive.close()
            handle.close()
            context.__exit__(None, None, None)
            context = None
    finally:
        if handle is not None and not handle.closed:
            handle.close()
    written.lost.append("WebDataset shards hold no levels of labels: declare them in the recipe")


def _write_parquet(manifest: Manifest, images: Iterator[Image], path: Path, written: Written) -> None:
    """One row for each image: `image` (bytes, path), image_id, identity and the other columns, as `datasets` reads."""
    names = labels_of(manifest)
    frame = manifest.frame[names].copy()
    for name in names:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            frame[name] = frame[name].astype("str")
    base = pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, col.IMAGE_ID: {"dtype": "string", "_type": "Value"}}
    levels = ",".join(f"{name}={level}" for name, level in sorted(manifest.levels.items()))
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode(), LEVELS_KEY: levels.encode()}
    schema = pa.schema([("image", image_type), (col.IMAGE_ID, pa.string()), *base], metadata=metadata)
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="none") as writer:
        batch: list[Image] = []
        for image in images:
            batch.append(image)
            if len(batch) == _ROWS:
                writer.write_table(_rows(batch, frame, schema))
                batch = []
        writer.write_table(_rows(batch, frame, schema))
    written.files.append(path)


def _rows(batch: list[Image], frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    pictures = [{"bytes": image.data, "path": image.image_id} for image in batch]
    others = pa.Table.from_pandas(frame.take([image.row for image in batch]), preserve_index=False)
    columns = [
        pa.array(pictures, schema.field("image").type),
        pa.array([image.image_id for image in batch], pa.string()),
    ]
    return pa.table([*columns, *(others[name] for name in others.column_names)], names=schema.names).cast(schema)


FOLDER = Writer("folder", "", _write_folder)
WEBDATASET = Writer("webdataset", ".tar", _write_shards)
PARQUET = Writer("huggingface", ".parquet", _write_parquet)
