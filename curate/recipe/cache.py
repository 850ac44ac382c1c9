"""A cache on disk of arrays by 128-bit keys: appended to in shards, never rewritten, damaged shards ignored."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.files import atomic_path


class KeyedCache:
    """Values by key in one folder; a key is a row `(2,)` uint64, and the zero key stands for nothing.

    Each `save` writes one file by one rename, so that killed and simultaneous runs do no harm.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Keep `values` `(n, ...)` under `keys` `(n, 2)`; rows with the zero key are left out."""
        real = keys.any(axis=1)
        keys, values = keys[real], values[real]
        if len(keys):
            digest = hashlib.blake2b(keys.tobytes(), digest_size=12).hexdigest()
            with atomic_path(self._folder / f"{digest}.npz") as temporary, open(temporary, "wb") as handle:
                np.savez(handle, keys=keys, values=values)

    def known(self, keys: np.ndarray) -> np.ndarray:
        """Mask `(n,)` of the keys that have a value."""
        found = np.zeros(len(keys), dtype=bool)
        for rows, _, _ in self._matches(keys):
            found[rows] = True
        return found

    def lookup(self, keys: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """The mask `(n,)` of known keys, and the values `(n, *shape)`, zeros where there is none."""
        found = np.zeros(len(keys), dtype=bool)
        values = np.zeros((len(keys), *shape), dtype=dtype)
        for rows, stored, places in self._matches(keys):
            found[rows] = True
            values[rows] = stored["values"][places]
        return found, values

    def _matches(self, keys: np.ndarray) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
        """For each shard: rows of `keys` that it has, the shard, and where they stand in it."""
        if not len(keys) or not self._folder.is_dir():
            return
        order = np.argsort(keys[:, 0], kind="stable")
        ranked = keys[order]
        real = ranked.any(axis=1)
        for path in sorted(self._folder.glob("*.npz")):
            with _open(path) as stored:
                if stored is None:
                    continue
                there = stored["keys"]
                sorter = np.argsort(there[:, 0], kind="stable")
                at = np.minimum(np.searchsorted(there[sorter, 0], ranked[:, 0]), len(there) - 1)
                places = sorter[at]
                same = (there[places] == ranked).all(axis=1) & real
                if same.any():
                    yield order[same], stored, places[same]


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The arrays of a shard, or None where it is damaged: then its rows are simply computed again."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        yield None
        return
    with stored:
        yield stored
