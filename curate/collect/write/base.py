"""What every writer is, and the images that are handed to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.images.files import read_bytes
from curate.images.reasons import FINE, REASONS


class Image(NamedTuple):
    """One image: its row of the manifest, its id, its bytes as they are, and the file ending of its format."""

    row: int
    image_id: str
    data: bytes
    ending: str


@dataclass
class Written:
    """What was written: files, images, the images left out by reason, and what the layout cannot hold.

    paths: for each written row of the manifest where its image lies now, relative to the folder of the files.
    """

    files: list[Path] = field(default_factory=list)
    images: int = 0
    left_out: Counter = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    paths: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Writer:
    """One layout: its name, the ending of its file, and `write(manifest, images, path, written)`, which is atomic."""

    name: str
    ending: str
    write: Callable[[Manifest, Iterator[Image], Path, Written], None]


def write_images(manifest: Manifest, path: Path, writer: Writer) -> Written:
    """Write the images of a manifest in a layout, in order of `image_id`, one after the other through memory.

    Encoded images are copied byte for byte. An image that can't be read is left out and counted; replicas are left out,
    since their pixels are made at load time. Raises InputError where the manifest has no pixels, or the place is taken.
    """
    if manifest.root is None or col.PATH not in manifest.frame:
        raise InputError("the source has no images to write", remedy="Name their folder as the source's root")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError("there is something already", file=path, remedy="Choose a new name")
    written = Written()
    writer.write(manifest, _images(manifest, written), path, written)
    return written


def _images(manifest: Manifest, written: Written) -> Iterator[Image]:
    originals = manifest.originals()
    written.left_out["replica"] = int((~originals).sum())
    ids, paths = manifest.frame[col.IMAGE_ID], manifest.frame[col.PATH]
    for row in originals.nonzero()[0]:
        path = paths.iat[row]
        reason, data = read_bytes(manifest.root, None if pd.isna(path) else path)
        if reason != FINE:
            written.left_out[REASONS[reason]] += 1
            continue
        written.images += 1
        yield Image(int(row), ids.iat[row], data, ending_of(data))


_STARTS = {
    b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png", b"BM": ".bmp", b"GIF8": ".gif", b"II*\0": ".tif",
    b"MM\0*": ".tif", b"P5": ".pgm", b"P6": ".ppm", b"P4": ".pbm",
}  # fmt: skip


def ending_of(data: bytes) -> str:
    """The file ending of an image's format, by its first bytes; `.jpg` where they are unknown."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((ending for start, ending in _STARTS.items() if data.startswith(start)), ".jpg")


def named(image: Image) -> str:
    """The image_id as a file's name: the ending added where it has none."""
    has = Path(image.image_id).suffix.lower() in (*_STARTS.values(), ".webp", ".jpeg", ".jpe", ".jfif", ".tiff", ".pnm")
    return image.image_id if has else image.image_id + image.ending


def labels_of(manifest: Manifest) -> list[str]:
    """The columns of a manifest besides id, path and what only replicas have."""
    without = (col.IMAGE_ID, col.PATH, col.PARENT_ID, col.REPLICA, col.AUGMENT_SEED)
    return [name for name in manifest.frame if name not in without]


def row_values(manifest: Manifest, row: int, names: list[str]) -> dict[str, Any]:
    """The values of a row as JSON can hold them; missing ones are left out."""
    found: Mapping[str, Any] = {name: manifest.frame[name].iat[row] for name in names}
    return {name: _plain(value) for name, value in found.items() if not _missing(value)}


def _missing(value: Any) -> bool:
    return (not hasattr(value, "__len__") and pd.isna(value)) or value is None


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def sidecar(manifest: Manifest, written: Written, path: Path) -> None:
    """The manifest of what was written, with each image's new place."""
    rows = sorted(written.paths)
    frame = manifest.frame.take(rows).reset_index(drop=True)
    frame = frame.drop(columns=[name for name in (col.PARENT_ID, col.REPLICA, col.AUGMENT_SEED) if name in frame])
    frame = frame.assign(**{col.PATH: pd.array([written.paths[row] for row in rows], dtype="str")})
    Manifest.from_frame(frame, root=path.parent, levels=manifest.levels, origin=path).write(path)
    written.files.append(path)
