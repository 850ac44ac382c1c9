"""All pairs of 64-bit or 256-bit hashes within a Hamming distance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from curate.core.errors import InputError
from curate.core.shapes import Executor
from curate.search.buckets import Found, bucket_search
from curate.search.listing import MAX_PAIRS, Pairs, new_rows
from curate.search.plan import SearchPlan, plan_search

#: Hashes on one side of a tile where all are compared: two sides fit the second-level cache.
TILE = 8192


def pairs_within(
    hashes: np.ndarray,
    max_distance: int,
    executor: Executor,
    *,
    others: np.ndarray | None = None,
    new: np.ndarray | None = None,
    max_pairs: int = MAX_PAIRS,
    method: str = "auto",
) -> Pairs:
    """Every pair of hashes at most `max_distance` bits apart: exactly what comparing all of them finds.

    hashes: `(N,)` uint64 (64 bits) or `(N, 4)` uint64 (256 bits). Returns (i, j, distance) with i < j, in order of
    (i, j): int64, int64 and uint8 (64 bits) or uint16 (256 bits), `(P,)`.
    others: like hashes, for instance of each image mirrored or cropped. Then the distance is that of hashes[i] and
    others[j] or of hashes[j] and others[i], whichever is smaller.
    new: `(N,)` bool; then only pairs with at least one new row, those among old rows being neither sought nor paid for.
    method: `auto` takes the cheaper by `plan_search` of `buckets` (multi-index) and `all` (every pair compared).
    Work goes through the executor in blocks that do not depend on its workers. Memory of all processes: about 5 times
    that of the hashes, and 50 bytes a pair.
    Raises InputError for a distance outside 0 to the number of bits, arrays of the wrong kind, and where there are
    more than `max_pairs` pairs: equal hashes are counted before anything is compared.
    """
    hashes = _checked(hashes)
    bits = _bits(hashes, max_distance)
    others = None if others is None else _checked(others, hashes.shape)
    if new is not None:
        new = new_rows(new, len(hashes))
    found = []
    for left, right, left_rows, right_rows in _searches(hashes, others, new):
        twice = others is not None and right_rows is left_rows
        i, j, distance = _search(left, right, max_distance, executor, max_pairs, method, twice=twice)
        i, j = (i if left_rows is None else left_rows[i]), (j if right_rows is None else right_rows[j])
        found.append((i, j, distance))
    return _in_order(found, bits, max_pairs)


def pairs_between(
    left: np.ndarray,
    right: np.ndarray,
    max_distance: int,
    executor: Executor,
    *,
    max_pairs: int = MAX_PAIRS,
    method: str = "auto",
) -> Pairs:
    """Every pair of one hash of `left` and one of `right` at most `max_distance` bits apart.

    left, right: `(N,)` and `(M,)`, or `(N, 4)` and `(M, 4)`, uint64. Returns (i, j, distance) in order of (i, j), i a
    row of left and j one of right. Otherwise, and in what it raises, as `pairs_within`.
    """
    left = _checked(left)
    right = _checked(right, (len(right), *left.shape[1:]))
    bits = _bits(left, max_distance)
    i, j, distance = _search(left, right, max_distance, executor, max_pairs, method)
    return _sorted(i, j, distance, bits)


def _searches(hashes: np.ndarray, others: np.ndarray | None, new: np.ndarray | None) -> Iterator[tuple]:
    """(left, right or None for left with itself, left's rows, right's rows; None for all) of each search needed."""
    if new is None:
        yield hashes, others, None, None
        return
    fresh, old = np.flatnonzero(new), np.flatnonzero(~new)
    one, two = hashes[fresh], hashes[old]
    if others is None:
        yield one, None, fresh, fresh
        yield one, two, fresh, old
    else:
        yield one, others[fresh], fresh, fresh
        yield one, others[old], fresh, old
        yield others[fresh], two, fresh, old


def _in_order(found: list[Pairs], bits: int, max_pairs: int) -> Pairs:
    """i < j, each pair once with its smallest distance."""
    i, j, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    apart = i != j
    if not apart.all():
        i, j, distance = i[apart], j[apart], distance[apart]
    i, j, distance = _sorted(np.minimum(i, j), np.maximum(i, j), distance, bits)
    repeated = (i[1:] == i[:-1]) & (j[1:] == j[:-1])
    if repeated.any():
        np.minimum(distance[1:], distance[:-1], out=distance[:-1], where=repeated)
        first = np.append(True, ~repeated)
        i, j, distance = i[first], j[first], distance[first]
    if len(i) > max_pairs:
        raise _too_many(len(i), max_pairs)
    return i, j, distance


def _sorted(i: np.ndarray, j: np.ndarray, distance: np.ndarray, bits: int) -> Pairs:
    order = np.argsort((i.astype(np.uint64) << np.uint64(32)) | j.astype(np.uint64), kind="stable")
    return i[order].astype(np.int64), j[order].astype(np.int64), distance[order].astype(_distance_type(bits))


def _search(
    left: np.ndarray, right: np.ndarray | None, max_distance: int, executor: Executor, max_pairs: int, method: str,
    *, twice: bool = False,
) -> Pairs:  # fmt: skip
    """Unordered pairs. `twice`: the sides are one set, so that a pair may be met twice and a row may meet itself."""

    def least(count: int) -> int:
        return (count - len(left) + 1) // 2 if twice else count

    equal = least(equal_pairs(left, right))
    if equal > max_pairs:
        raise _too_many(equal, max_pairs, "at least ")
    room = 2 * max_pairs + len(left) if twice else max_pairs
    plan = plan_search(left, right, max_distance, method)
    if plan.parts:
        results = bucket_search(left, right, plan.parts, max_distance, room + 1, executor)
    else:
        results = _compare_all(left, right, max_distance, room + 1, executor)
    parts, total = [], 0
    for first, second, distance, count in results:
        total += count
        if total > room:
            raise _too_many(least(total), max_pairs, "at least ")
        if count:
            parts.append((first, second, distance))
    if not parts:
        return np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint16)
    i, j, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return i, j, distance


def equal_pairs(left: np.ndarray, right: np.ndarray | None = None) -> int:
    """Number of pairs of equal hashes, within left or between left and right: every search returns at least these."""
    ones, counts = np.unique(_key(left), return_counts=True)
    if right is None:
        return sum(c * (c - 1) // 2 for c in counts[counts > 1].tolist())
    others, other_counts = np.unique(_key(right), return_counts=True)
    _, at, other_at = np.intersect1d(ones, others, assume_unique=True, return_indices=True)
    return sum(a * b for a, b in zip(counts[at].tolist(), other_counts[other_at].tolist(), strict=True))


def _key(hashes: np.ndarray) -> np.ndarray:
    """One word for each hash: itself, or of four words a mix of them (two hashes share one by chance of 2**-64)."""
    if hashes.ndim == 1:
        return hashes
    key = np.zeros(len(hashes), np.uint64)
    for word in range(4):
        key = (key ^ hashes[:, word]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _too_many(count: int, max_pairs: int, about: str = "") -> InputError:
    return InputError(
        f"{about}{count:,} pairs of hashes are within the distance", allowed=f"up to max_pairs = {max_pairs:,}",
        remedy="Drop exact copies and images of one colour first (their hashes are all equal), lower max_distance, or "
               "raise max_pairs where there is memory for it: 50 bytes a pair",
    )  # fmt: skip


def _compare_all(
    left: np.ndarray, right: np.ndarray | None, max_distance: int, most: int, executor: Executor
) -> Iterator[Found]:
    columns = left if right is None else right
    tiles = (
        (top, across, left[top : top + TILE], columns[across : across + TILE], right is None and across == top)
        for top in range(0, len(left), TILE)
        for across in range(0 if right is not None else top, len(columns), TILE)
    )
    return executor.map(partial(_pairs_of_tile, max_distance=max_distance, most=most), tiles)


def _pairs_of_tile(tile: tuple, *, max_distance: int, most: int) -> Found:
    from curate.search.hamming_kernels import close_pairs

    top, across, rows, columns, diagonal = tile
    i, j, distance, count = close_pairs(rows, columns, max_distance, diagonal, most)
    return i + np.uint32(top), j + np.uint32(across), distance, count


def _bits(hashes: np.ndarray, max_distance: int) -> int:
    bits = 64 if hashes.ndim == 1 else 256
    if not 0 <= max_distance <= bits:
        raise InputError("max_distance is out of range", value=max_distance, allowed=f"0 to {bits} bits")
    return bits


def _distance_type(bits: int) -> type[np.unsignedinteger]:
    return np.uint8 if bits == 64 else np.uint16


def _checked(hashes: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    hashes = np.ascontiguousarray(hashes)
    known = hashes.dtype == np.uint64 and (hashes.ndim == 1 or (hashes.ndim == 2 and hashes.shape[1] == 4))
    if not known or (shape is not None and hashes.shape != shape):
        wanted = "(N,) uint64 for 64-bit hashes, (N, 4) for 256-bit hashes" if shape is None else f"{shape} uint64"
        raise InputError("not an array of 64-bit hashes or of 256-bit hashes",
                         value=f"{hashes.shape} {hashes.dtype}", allowed=wanted)  # fmt: skip
    if len(hashes) >= 2**32:
        raise InputError("more hashes than one search takes", value=len(hashes), allowed="below 2**32")
    return hashes


__all__ = ["SearchPlan", "equal_pairs", "pairs_between", "pairs_within", "plan_search"]
