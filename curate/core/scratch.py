"""Arrays too large for memory: in a file without a name, which vanishes with the process."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path

import numpy as np

#: Bytes up to which an array stays in memory.
IN_MEMORY = 256 << 20
#: Bytes of one row from which on an array may lie in a file: smaller ones are read in any order, again and again.
LARGE_ROW = 4096


def scratch(shape: tuple[int, ...], dtype: np.dtype, folder: Path) -> np.ndarray:
    """An array of zeros: of large rows and more than IN_MEMORY bytes a memory map of a file in `folder`, else plain.

    Raises OSError where the folder can't be written.
    """
    row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    if row <= LARGE_ROW or shape[0] * row <= IN_MEMORY:
        return np.zeros(shape, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, prefix="scratch-") as handle:
        return np.memmap(handle, dtype=dtype, mode="w+", shape=shape)


def let_go(array: np.ndarray) -> None:
    """Give the memory of a memory map's pages back to the system, which keeps their contents; nothing for others."""
    pages = getattr(array, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


class Rows:
    """Rows of one array or of several laid end to end, read when they are asked for.

    parts: arrays `(n, ...)` alike but for n. rows: `(N,)` numbers into them all. `rows[key]` is `(..., )` in memory for
    a slice or an array of numbers.
    """

    def __init__(self, parts: list[np.ndarray], rows: np.ndarray) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        rows = self._rows[key]
        which = np.searchsorted(self._ends, rows, side="right")
        found = np.empty((len(rows), *self._parts[0].shape[1:]), self._parts[0].dtype)
        for at, part in enumerate(self._parts):
            mine = which == at
            if mine.any():
                found[mine] = part[rows[mine] - (self._ends[at] - len(part))]
                let_go(part)
        return found
