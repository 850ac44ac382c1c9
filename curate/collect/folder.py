"""A folder of images, one folder for each identity."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from curate.collect.labels import join_labels
from curate.collect.source import Collected, Source, checked_folder, counted
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import encode_name
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, StrictParams

#: File names that count as images, in lower case.
EXTENSIONS = (
    b".jpg", b".jpeg", b".jpe", b".jfif", b".png", b".bmp", b".webp", b".tif", b".tiff", b".pgm", b".ppm", b".pbm",
    b".pnm", b".gif",
)  # fmt: skip

_CHUNK = 65_536  # paths held as Python text before they go into Arrow


class FolderParams(StrictParams):
    """`ROOT/identity/image.jpg`, with labels from a CSV or Parquet file."""

    kind: Literal["folder"] = "folder"
    root: Path
    labels: Path | None = None  # a table with a row for each image (image_id, path or file) or each identity
    columns: dict[str, str] = Field(default_factory=dict)  # our name -> the label file's name
    dataset: str | None = None  # default: the name of the root


@dataclass
class Listing:
    """The images below a root, and what was passed over."""

    chunks: list[pa.Array] = field(default_factory=list)
    codes: array = field(default_factory=lambda: array("i"))
    identities: dict[str, int] = field(default_factory=dict)
    in_root: int = 0
    deeper: int = 0
    skipped: dict[str, list] = field(default_factory=dict)  # why -> [how many, the first name in order]
    _pending: list[str] = field(default_factory=list)

    def add(self, folder: bytes, name: bytes) -> None:
        """One image, in the folder with this path below the root."""
        parts = folder.split(b"/", 1)
        if folder:
            identity = encode_name(parts[0])
            self.codes.append(self.identities.setdefault(identity, len(self.identities)))
            self.deeper += len(parts) > 1
        else:
            self.codes.append(-1)
            self.in_root += 1
        self._pending.append(encode_name(folder + b"/" + name if folder else name))
        if len(self._pending) >= _CHUNK:
            self.flush()

    def skip(self, why: str, folder: bytes, name: bytes) -> None:
        """Something that is not listed."""
        text = encode_name(folder + b"/" + name if folder else name)
        entry = self.skipped.setdefault(why, [0, text])
        entry[0] += 1
        entry[1] = min(entry[1], text)

    def flush(self) -> None:
        """Move the pending paths into Arrow."""
        if self._pending:
            self.chunks.append(pa.array(self._pending, pa.large_string()))
            self._pending.clear()

    def notes(self) -> Iterator[str]:
        """What a reader should know about the listing."""
        if self.in_root:
            yield f"{counted(self.in_root, 'image lies', 'images lie')} directly in the root and so have no identity"
        if self.deeper:
            yield (f"{counted(self.deeper, 'image lies', 'images lie')} deeper than identity/image; "
                   "the first folder is taken as the identity")  # fmt: skip
        for why, (number, first) in sorted(self.skipped.items()):
            yield f"{number:,} {why}, not listed (first: {first})"


def scan(root: Path) -> Listing:
    """List the images below `root`, without opening any.

    Links to files are listed (what opens them refuses those that leave the root). A link to a folder is followed only
    if it stays below the root and its folder was not read already, so loops end. Hidden files and folders are skipped.
    Memory: the Arrow text of the paths and one 4-byte code for each image; no Python object per image is kept.
    """
    base = os.path.realpath(os.fsencode(root))
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    links: list[bytes] = []
    folders = [b""]
    while folders or links:
        if not folders:  # real folders first: a link must not take the place of the folder it leads to
            links.sort(reverse=True)
            link = links.pop()
            real = os.path.realpath(os.path.join(base, link))
            parent, _, name = link.rpartition(b"/")
            if os.path.commonpath([base, real]) != base:
                listing.skip("linked folders lead out of the root", parent, name)
            elif _mark(os.path.join(base, link)) in seen:
                listing.skip("linked folders lead to a folder that is read already", parent, name)
            else:
                folders.append(link)
            continue
        folder = folders.pop()
        seen.add(_mark(os.path.join(base, folder)))
        _scan_one(base, folder, listing, folders, links)
    listing.flush()
    return listing


def _mark(path: bytes) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _scan_one(base: bytes, folder: bytes, listing: Listing, folders: list[bytes], links: list[bytes]) -> None:
    try:
        entries = os.scandir(os.path.join(base, folder))
    except PermissionError:
        parent, _, name = folder.rpartition(b"/")
        listing.skip("folders may not be read", parent, name)
        return
    with entries as found:
        for entry in found:
            name = entry.name
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                listing.skip("links lead nowhere", folder, name)
                continue
            if name.startswith(b"."):
                listing.skip("hidden folders" if is_folder else "hidden files", folder, name)
            elif is_folder:
                (links if entry.is_symlink() else folders).append(folder + b"/" + name if folder else name)
            elif name.lower().endswith(EXTENSIONS):
                listing.add(folder, name)
            else:
                listing.skip("files are no images by their name", folder, name)


def read_folder(params: FolderParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """Read `root/identity/image.ext`: the path below the root is the image_id, its first folder the identity.

    An image that lies directly in the root has no identity. Nothing is decoded here.
    Raises InputError for a missing root, a root without images, and a missing or contradictory label file.
    """
    root = checked_folder(params.root)
    if params.labels is not None and not params.labels.expanduser().is_file():
        raise InputError("no such label file", file=params.labels, remedy="Check the source's `labels`")
    listing = scan(root)
    if not listing.chunks:
        passed = "; ".join(listing.notes())
        raise InputError(
            f"no images below {root}; expected {root}/identity/image.jpg" + (f" ({passed})" if passed else "")
        )
    notes = list(listing.notes())
    name = params.dataset or root.resolve().name or "data"
    frame = _frame(listing, name)
    asked: dict[str, str] = {}
    if params.labels is not None:
        joined = join_labels(frame, params.labels.expanduser(), levels, params.columns)
        frame, asked = joined.frame, joined.levels
        notes += joined.notes
    elif levels or params.columns:
        wanted = ", ".join(sorted({*(levels or {}), *params.columns}))
        raise InputError(f"a folder alone has no labels, but the recipe asks for {wanted}",
                         remedy="Name the label file as the source's `labels`")  # fmt: skip
    return Collected(Manifest.from_frame(frame, root=root.resolve(), levels=asked, origin=root), tuple(notes))


def _frame(listing: Listing, dataset: str) -> pd.DataFrame:
    ids = pa.chunked_array(listing.chunks).combine_chunks()
    listing.chunks.clear()
    text = pd.array(ids, dtype="str")
    names = pd.Index(list(listing.identities), dtype="str")
    codes = np.frombuffer(listing.codes, dtype=np.int32)
    return pd.DataFrame(
        {
            col.IMAGE_ID: text,
            col.PATH: text,
            col.IDENTITY: pd.Categorical.from_codes(codes, categories=names),
            col.DATASET: pd.Categorical.from_codes(
                np.zeros(len(codes), dtype=np.int8), categories=pd.Index([dataset], dtype="str")
            ),
        }
    )


SOURCE = Source("folder", FolderParams, read_folder)
