"""Drawing numbers without replacement, and sharing a total out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Says of numbers which may not be drawn.
Refuse = Callable[[np.ndarray], np.ndarray]


def sample(
    sizes: np.ndarray,
    counts: np.ndarray,
    rng: np.random.Generator,
    refuse: Refuse | None = None,
    free: np.ndarray | None = None,
) -> np.ndarray:
    """From each of several ranges of numbers so many, drawn uniformly without replacement; ascending int64.

    sizes: `(B,)` lengths of the ranges, which follow each other from 0. counts: `(B,)` how many to draw of each, at
    most what it holds. refuse(numbers) is true of numbers that are not there; free: `(B,)` how many are.
    Where less than half of a range is wanted, numbers are drawn again until enough differ (the set of the first k
    distinct draws is uniform by symmetry); else the range is listed and shuffled, so that neither time nor memory
    grows with the sizes.
    """
    sizes, counts = np.asarray(sizes, dtype=np.int64), np.asarray(counts, dtype=np.int64)
    free = sizes if free is None else np.asarray(free, dtype=np.int64)
    start = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    dense = (2 * counts >= free) & (counts > 0)
    parts = [_listed(start[dense], sizes[dense], counts[dense], rng, refuse)] if dense.any() else []
    sparse = ~dense & (counts > 0)
    if sparse.any():
        parts.append(_redrawn(start[sparse], sizes[sparse], counts[sparse], rng, refuse))
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)


def _listed(
    start: np.ndarray, sizes: np.ndarray, counts: np.ndarray, rng: np.random.Generator, refuse: Refuse | None
) -> np.ndarray:
    if len(start) == 1 and refuse is None and sizes[0] == counts[0]:
        return np.arange(start[0], start[0] + sizes[0])
    which = np.repeat(np.arange(len(sizes)), sizes)
    numbers = start[which] + np.arange(len(which)) - (np.cumsum(sizes) - sizes)[which]
    if refuse is not None:
        keep = ~refuse(numbers)
        which, numbers = which[keep], numbers[keep]
    order = np.lexsort((rng.random(len(which)), which))
    which, numbers = which[order], numbers[order]
    place = np.arange(len(which)) - np.searchsorted(which, which, side="left")
    return numbers[place < counts[which]]


def _redrawn(
    start: np.ndarray, sizes: np.ndarray, counts: np.ndarray, rng: np.random.Generator, refuse: Refuse | None
) -> np.ndarray:
    taken = np.zeros(0, dtype=np.int64)
    need = counts
    while need.any():
        if len(start) == 1:
            fresh = rng.integers(0, sizes[0], int(need[0])) + start[0]
        else:
            which = np.repeat(np.arange(len(start)), need)
            fresh = rng.integers(0, sizes[which]) + start[which]
        if refuse is not None:
            fresh = fresh[~refuse(fresh)]
        taken = np.sort(np.concatenate([taken, fresh]))  # faster than numpy.unique, which hashes first
        taken = taken[np.r_[True, taken[1:] != taken[:-1]]] if len(taken) else taken
        ends = np.searchsorted(taken, np.stack([start, start + sizes]))
        need = counts - (ends[1] - ends[0])
    return taken


def share(
    total: int, room: np.ndarray, weights: np.ndarray | None = None, luck: np.ndarray | None = None
) -> np.ndarray:
    """Share a total out in proportion to weights, nobody more than there is room: integers `(n,)` that add up to it.

    room: `(n,)` integers >= 0, which add up to the total at least (else each gets its room). weights: `(n,)` > 0;
    default equal. Someone whose room is full leaves the rest to the others (water-filling). What is left over by
    rounding goes to the largest fractions, ties to the smallest `luck`, then to the first.
    """
    room = np.asarray(room, dtype=np.int64)
    if total >= room.sum():
        return room.copy()
    weights = np.ones(len(room)) if weights is None else np.asarray(weights, dtype=np.float64)
    level = np.divide(room, weights, out=np.zeros(len(room)), where=weights > 0)
    order = np.argsort(level, kind="stable")
    full = np.concatenate([[0.0], np.cumsum(room[order])])[:-1]
    open_weight = np.cumsum(weights[order][::-1])[::-1]
    # The water level, were exactly those before each one full; the first that is not full says the true one.
    water = (total - full) / np.maximum(open_weight, 1e-300)
    at = int((water <= level[order]).argmax())
    exact = np.minimum(water[at] * weights, room)
    given = np.minimum(np.floor(exact + 1e-9).astype(np.int64), room)
    left = total - int(given.sum())
    while left > 0:
        able = np.flatnonzero(given < room)
        fraction = np.round(exact[able] - given[able], 9)
        keys = (able, fraction * 0 if luck is None else luck[able], -fraction)
        more = able[np.lexsort(keys)][:left]
        given[more] += 1
        left -= len(more)
    return given
