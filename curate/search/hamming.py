"""All pairs of 64-bit hashes within a Hamming distance."""

from __future__ import annotations

from functools import partial

import numpy as np

from curate.core.errors import InputError
from curate.core.shapes import Executor

#: Hashes on one side of a tile: two sides fit the second-level cache, and a tile holds at most TILE**2 pairs.
TILE = 8192


def pairs_within(
    hashes: np.ndarray, max_distance: int, executor: Executor, *, others: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of hashes at most `max_distance` bits apart, compared one by one.

    hashes: `(N,)` uint64. Returns (i, j, distance) with i < j, in order of (i, j): int64, int64, uint8 `(P,)`.
    With `others` `(N,)` uint64 the distance is that of hashes[i] and others[j] or of hashes[j] and others[i],
    whichever is smaller (for hashes of mirror images). Work is cut into square tiles that go through the executor;
    besides the result, memory is that of one tile's pairs per worker.
    Raises InputError for a distance outside 0 to 64 or arrays of the wrong kind.
    """
    hashes = _checked(hashes)
    others = None if others is None else _checked(others, len(hashes))
    if not 0 <= max_distance <= 64:
        raise InputError("max_distance is out of range", value=max_distance, allowed="0 to 64 bits")
    starts = range(0, len(hashes), TILE)
    tiles = ((_Tile.cut(hashes, others, top, left)) for top in starts for left in starts if left >= top)
    found = list(executor.map(partial(_pairs_of_tile, max_distance=max_distance), tiles))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8)
    i, j, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((j, i))
    return i[order], j[order], distance[order]


class _Tile(tuple):
    """(top, left, hashes and others of the rows, hashes and others of the columns)."""

    __slots__ = ()

    @classmethod
    def cut(cls, hashes: np.ndarray, others: np.ndarray | None, top: int, left: int) -> _Tile:
        rows, columns = slice(top, top + TILE), slice(left, left + TILE)
        if others is None:
            return cls((top, left, hashes[rows], None, hashes[columns], None))
        return cls((top, left, hashes[rows], others[rows], hashes[columns], others[columns]))


def _pairs_of_tile(tile: _Tile, *, max_distance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from curate.search.kernels import close_pairs, close_pairs_either

    top, left, rows, rows_other, columns, columns_other = tile
    if rows_other is None:
        i, j, distance = close_pairs(rows, columns, max_distance, top == left)
    else:
        i, j, distance = close_pairs_either(rows, rows_other, columns, columns_other, max_distance, top == left)
    return i + top, j + left, distance


def _checked(hashes: np.ndarray, length: int | None = None) -> np.ndarray:
    hashes = np.ascontiguousarray(hashes)
    if hashes.dtype != np.uint64 or hashes.ndim != 1 or (length is not None and len(hashes) != length):
        wanted = "(N,) uint64" if length is None else f"({length},) uint64"
        raise InputError("not an array of 64-bit hashes", value=f"{hashes.shape} {hashes.dtype}", allowed=wanted)
    return hashes
