"""Manifests to files: each image's own bytes, never decoded, in the layout that a trainer or a library wants."""

from __future__ import annotations

from pathlib import Path

from curate.collect.write.base import Writer, Written, write_images
from curate.collect.write.binary import BIN, RECORDS
from curate.collect.write.files import FOLDER, PARQUET, WEBDATASET
from curate.core.errors import InputError, nearest

#: Every layout by its name.
WRITERS: dict[str, Writer] = {writer.name: writer for writer in (FOLDER, RECORDS, BIN, WEBDATASET, PARQUET)}


def writer_for(path: Path, name: str | None = None) -> Writer:
    """The writer of that name, else the one that the path's ending means; none: a folder.

    Raises InputError for an unknown name or ending.
    """
    if name is not None:
        if name not in WRITERS:
            raise InputError(f"there is no layout {name!r}. {nearest(name, WRITERS)}")
        return WRITERS[name]
    for writer in WRITERS.values():
        if path.suffix.lower() == writer.ending:
            return writer
    known = ", ".join(f"{writer.ending or 'none'} ({writer.name})" for writer in WRITERS.values())
    raise InputError("the ending does not say in which layout to write", file=path, allowed=known)


__all__ = ["WRITERS", "Writer", "Written", "write_images", "writer_for"]
