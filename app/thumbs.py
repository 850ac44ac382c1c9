"""Thumbnails of a run's images, made once and kept on disk."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from curate.report.pictures import thumbnail

_HEAD = "data:image/jpeg;base64,"


@dataclass(frozen=True)
class Thumbs:
    """Thumbnails as JPEG bytes, upright, from one folder of cached files.

    A thumbnail is found by the image's path, size and modification time, so that a changed file gets a new one.
    """

    folder: Path

    def get(self, root: Path | None, path: str | None, side: int) -> tuple[bytes | None, str | None]:
        """The JPEG of at most `side` pixels each way and None, or None and why there is none. Never raises."""
        mark = _mark(root, path)
        file = self.folder / mark[:2] / f"{mark}-{side}.jpg" if mark else None
        if file is not None:
            try:
                return file.read_bytes(), None
            except OSError:
                pass  # not made yet
        uri, problem = thumbnail(root, path, side=side)
        if uri is None:
            return None, problem
        data = base64.b64decode(uri.removeprefix(_HEAD))
        if file is not None:
            _keep(file, data)
        return data, None


def _keep(file: Path, data: bytes) -> None:
    """Write a file by one rename; it is only a cache, so nothing waits for the disk, and a full one does no harm."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(data)
        os.replace(name, file)


def _mark(root: Path | None, path: str | None) -> str | None:
    """A digest that changes with the file, None where there is none; a member changes with its container."""
    if root is None or not path:
        return None
    for name in (path, path.rsplit("#", 1)[0]):
        try:
            found = os.stat(os.path.join(root, name))
        except (OSError, ValueError):
            continue
        text = f"{root}\0{path}\0{found.st_size}\0{found.st_mtime_ns}"
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return None


__all__ = ["Thumbs"]
