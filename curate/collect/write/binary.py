"""InsightFace's layouts: `.rec` with `.idx` and `.lst`, and the verification `.bin`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from curate.collect.write.base import Image, Writer, Written, sidecar
from curate.core import columns as col
from curate.core.files import atomic_path, write_text
from curate.core.manifest import Manifest
from curate.images.records import HEADER, MAGIC

_PART = 1 << 29  # bytes of a record at most
_MAGIC_BYTES = struct.pack("<I", MAGIC)


def _write_records(manifest: Manifest, images: Iterator[Image], path: Path, written: Written) -> None:
    """Records with the number of the identity as label, and the manifest beside them, which keeps the names."""
    codes = manifest.codes(col.IDENTITY)
    lines, listed = [], []
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        for key, image in enumerate(images):
            offset = handle.tell()
            _record(handle, HEADER.pack(0, float(codes[image.row]), key, 0) + image.data)
            written.paths[image.row] = f"{path.name}#{offset}"
            lines.append(f"{key}\t{offset}\n")
            listed.append(f"{key}\t{float(codes[image.row]):f}\t{image.image_id}\n")
    write_text(path.with_suffix(".idx"), "".join(lines))
    write_text(path.with_suffix(".lst"), "".join(listed))
    written.files += [path, path.with_suffix(".idx"), path.with_suffix(".lst")]
    sidecar(manifest, written, path.with_name(path.name + ".parquet"))
    written.lost.append(f"a .rec holds identities as numbers, and no labels; names {_others(manifest)}are in "
                        f"{path.name}.parquet beside it")  # fmt: skip


def _others(manifest: Manifest) -> str:
    names = [name for name in manifest.labels if name != col.IDENTITY]
    return f"and the labels {', '.join(names)} " if names else ""


def _record(handle: BinaryIO, data: bytes) -> None:
    """One record; it is cut wherever a word of its bytes is the magic number, as dmlc-core's writer does."""
    cuts, at = [], data.find(_MAGIC_BYTES)
    while at >= 0:
        if at % 4 == 0:
            cuts.append(at)
            at = data.find(_MAGIC_BYTES, at + 4)
        else:
            at = data.find(_MAGIC_BYTES, at + 1)
    starts, stops = [0, *(cut + 4 for cut in cuts)], [*cuts, len(data)]
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        kind = 0 if not cuts else 1 if number == 0 else 3 if stop == len(data) else 2
        part = data[start:stop]
        handle.write(struct.pack("<II", MAGIC, kind << 29 | len(part)) + part + bytes(-len(part) % 4))


def _write_bin(manifest: Manifest, images: Iterator[Image], path: Path, written: Written) -> None:
    """A pickle of (images, same), written opcode by opcode, so that no more than one image is in memory.

    Images 2i and 2i + 1 are a pair; of an odd number the last stands twice. Beside it lie the manifest and the
    identity of each image as CSV.
    """
    identity = manifest.frame[col.IDENTITY]
    rows: list[int] = []
    last = b""
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        handle.write(b"\x80\x03](")  # protocol 3, a list, its items
        for image in images:
            rows.append(image.row)
            last = image.data
            written.paths[image.row] = f"{path.name}#{handle.tell() + 5}:{len(last)}"
            handle.write(b"B" + struct.pack("<I", len(last)) + last)
        if len(rows) % 2:
            rows.append(rows[-1])
            handle.write(b"B" + struct.pack("<I", len(last)) + last)
        names = identity.take(rows).astype(object).tolist()
        same = [a == b and not pd.isna(a) for a, b in zip(names[::2], names[1::2], strict=True)]
        handle.write(b"e](" + b"".join(b"\x88" if one else b"\x89" for one in same) + b"e\x86.")
    beside = path.with_name(path.stem + ".identities.csv")
    table = pd.DataFrame({col.IMAGE_ID: manifest.frame[col.IMAGE_ID].take(rows), col.IDENTITY: names})
    write_text(beside, table.to_csv(index=False, lineterminator="\n"))
    written.files += [path, beside]
    sidecar(manifest, written, path.with_name(path.name + ".parquet"))
    written.lost.append(f"a .bin holds images, and whether two are of one person; names and identities "
                        f"{_others(manifest)}are in {beside.name} and {path.name}.parquet beside it")  # fmt: skip


RECORDS = Writer("records", ".rec", _write_records)
BIN = Writer("bin", ".bin", _write_bin)
