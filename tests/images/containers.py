"""Small containers for tests, written as MXNet's RecordIO and GNU tar write them."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

MAGIC = 0xCED7230A


def write_rec(path: Path, images: Sequence[bytes], labels: Sequence[Sequence[float]] | None = None) -> list[int]:
    """Write images as records, the label of each in its header or, where there are several, behind it; the offsets.

    A record is cut where its bytes, at a multiple of four, are the magic number.
    """
    offsets, out = [], io.BytesIO()
    magic = struct.pack("<I", MAGIC)
    for number, image in enumerate(images):
        own = list((labels or [[float(n)] for n in range(len(images))])[number])
        header = struct.pack("<IfQQ", 0, own[0], number, 0) if len(own) == 1 else (
            struct.pack(f"<IfQQ{len(own)}f", len(own), 0.0, number, 0, *own))  # fmt: skip
        data = header + image
        parts, start = [], 0
        for at in range(0, len(data) - 3, 4):
            if data[at : at + 4] == magic and at >= start:
                parts.append(data[start:at])
                start = at + 4
        parts.append(data[start:])
        offsets.append(out.tell())
        for place, part in enumerate(parts):
            kind = 0 if len(parts) == 1 else 1 if place == 0 else 3 if place == len(parts) - 1 else 2
            out.write(struct.pack("<II", MAGIC, kind << 29 | len(part)) + part + bytes(-len(part) % 4))
    path.write_bytes(out.getvalue())
    return offsets


def write_tar(path: Path, members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> None:
    """Write an uncompressed archive."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
