"""A cache on disk of arrays by 128-bit keys: appended to in shards, never rewritten, damaged shards ignored."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curate.core.files import atomic_path
from curate.core.scratch import let_go, scratch


def default_cache() -> Path:
    """The folder of cached features: CURATE_CACHE, else `curate` in the user's cache folder."""
    base = os.environ.get("CURATE_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "curate"


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
        for rows, _, _ in self._matches(keys, with_values=False):
            found[rows] = True
        return found

    def lookup(self, keys: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """The mask `(n,)` of known keys, and the values `(n, *shape)`, zeros where there is none.

        Values of large rows that don't fit into memory are a memory map of a file beside this folder.
        """
        found = np.zeros(len(keys), dtype=bool)
        values = scratch((len(keys), *shape), dtype, self._folder.parent)
        for rows, there, places in self._matches(keys, with_values=True):
            found[rows] = True
            values[rows] = there[places]
            let_go(values)
        return found, values

    def _matches(self, keys: np.ndarray, with_values: bool) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each shard: rows of `keys` that it has, its values (or keys), and where they stand in it."""
        if not len(keys) or not self._folder.is_dir():
            return
        real = np.flatnonzero(keys.any(axis=1))
        order = real[np.argsort(keys[real, 0], kind="stable")]
        ranked = keys[order, 0]
        for path in sorted(self._folder.glob("*.npz")):
            there = _read(path, "keys")
            if there is None:
                continue
            # A shard is small and the request may be huge: its keys are looked up in the request, repeats included.
            low, high = np.searchsorted(ranked, there[:, 0]), np.searchsorted(ranked, there[:, 0], side="right")
            places = np.repeat(np.arange(len(there)), high - low)
            starts = np.repeat(low - np.concatenate([[0], np.cumsum(high - low)[:-1]]), high - low)
            rows = order[starts + np.arange(len(places))]
            same = keys[rows, 1] == there[places, 1]
            values = _read(path, "values") if with_values and same.any() else there
            if same.any() and values is not None:
                yield rows[same], values, places[same]


def _read(path: Path, name: str) -> np.ndarray | None:
    """An array of a shard, or None where the shard is damaged: then its rows are simply computed again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return stored[name]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
