"""Which way to find all pairs of hashes within a distance costs least."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: Nanoseconds of one core: one comparison of a long run of hashes, per word; one comparison within short buckets, per
#: word; one hash meeting one bucket; one hash put into its bucket. Only their ratios matter, and only to speed.
_RUN, _SHORT, _VISIT, _SORT = 0.1, 0.15, 12.0, 30.0
#: Fewer comparisons than this are made one by one, without looking at the data.
FEW = 50_000_000
#: Widest substring, bits: a table of its values has 2**_WIDEST entries.
_WIDEST, _NARROWEST, _MOST_MASKS = 22, 6, 5000
#: Rows counted, rows that meet them, and numbers of substrings tried, to estimate a cost.
_SAMPLE, _QUERIES, _TRIED = 1 << 16, 512, 3


@dataclass(frozen=True)
class Part:
    """A substring of the hash: bits `start` to `start + width`, within which up to `radius` bits are flipped."""

    start: int
    width: int
    radius: int


@dataclass(frozen=True)
class SearchPlan:
    """How the pairs are found: `parts` empty means every hash with every other, else by buckets of these substrings.

    comparisons: of two whole hashes, expected (exact without parts). all_comparisons: what comparing all would take.
    seconds: expected, of one core (a rough figure: it only ranks the plans).
    """

    parts: tuple[Part, ...]
    comparisons: float
    all_comparisons: float
    seconds: float

    @property
    def method(self) -> str:
        """`buckets` or `all`."""
        return "buckets" if self.parts else "all"

    def sentence(self) -> str:
        """The plan in words."""
        if not self.parts:
            return f"All {self.all_comparisons:,.0f} pairs of hashes are compared."
        used = ", ".join(f"{part.width} bits within {part.radius}" for part in self.parts)
        return (f"About {self.comparisons:,.0f} of {self.all_comparisons:,.0f} pairs of hashes are compared: those "
                f"that agree in one of {len(self.parts)} substrings ({used}).")  # fmt: skip


def plan_search(left: np.ndarray, right: np.ndarray | None, max_distance: int, method: str = "auto") -> SearchPlan:
    """The cheapest exact plan for pairs within `max_distance` of left's rows, or of left and right.

    left, right: checked hashes, `(N,)` or `(N, 4)` uint64. Cut into m substrings with radii a_1 to a_m whose
    a_k + 1 add up to max_distance + 1, a pair within max_distance has a substring k within a_k (pigeonhole; Norouzi,
    Punjani and Fleet 2012; with unequal radii Qin et al. 2018). For the three most promising m the radii are those of
    least expected cost: bucket sizes are counted on up to 65,536 rows spread over the data, met by 512 of them. So
    data of which many share a substring, or are all one hash, are given the cost that they have.
    """
    bits = 64 if left.ndim == 1 else 256
    words, n, others = bits // 64, len(left), None if right is None else len(right)
    total = n * (n - 1) / 2 if others is None else float(n * others)
    every = SearchPlan((), total, total, total * words * _RUN * 1e-9)
    if not total or method == "all" or max_distance >= bits or (method == "auto" and total < FEW):
        return every
    sample = _spread(left if right is None else right, _SAMPLE)
    queries = _spread(left, _QUERIES)
    best = None if method == "buckets" else every
    fewest = max(2, -(-bits // _WIDEST))
    counts = range(fewest, bits // _NARROWEST + 1)
    for count in sorted(counts, key=lambda m: _uniform_cost(bits, m, n, max_distance))[:_TRIED]:
        plan = _plan_of(count, bits, sample, queries, n, others, max_distance, total)
        if plan is not None and (best is None or plan.seconds < best.seconds):
            best = plan
    return best or every


@lru_cache(maxsize=64)
def masks_of(width: int, weight: int) -> np.ndarray:
    """All numbers of `width` bits with at most `weight` set, fewest first: int64, read only."""
    found = [
        sum(1 << bit for bit in bits) for k in range(weight + 1) for bits in itertools.combinations(range(width), k)
    ]
    result = np.array(found, dtype=np.int64)
    result.flags.writeable = False
    return result


def _mask_count(width: int, weight: int) -> float:
    count, term = 0.0, 1.0
    for k in range(weight + 1):
        count += term
        term *= (width - k) / (k + 1)
    return count


def _uniform_cost(bits: int, count: int, n: int, max_distance: int) -> float:
    """Cost per row and partner if hashes were random, with radii as equal as they can be."""
    width, spare = bits / count, max_distance + 1 - count
    radius, more = divmod(max(spare, 0), count)
    used = min(count, max_distance + 1)
    masks = (used - more) * _mask_count(int(width), radius) + more * _mask_count(int(width), radius + 1)
    return used * _SORT + masks * (_VISIT + _SHORT * bits / 64 * n / 2.0**width)


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """Up to so many rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return np.ascontiguousarray(rows[np.arange(most) * len(rows) // most])


def _plan_of(
    count: int, bits: int, sample: np.ndarray, queries: np.ndarray, n: int, others: int | None, max_distance: int,
    total: float,
) -> SearchPlan | None:  # fmt: skip
    """The best radii for so many substrings, or None where none is sensible."""
    from curate.search.hamming_kernels import candidates, substrings

    edges = [bits * k // count for k in range(count + 1)]
    words, sides = bits // 64, 1 if others is None else 2
    sorted_rows = n + (others or 0)
    scale = n / len(queries) * (others or n) / len(sample) / (1 if sides == 2 else 2)
    best: list[tuple[float, float, tuple[int, ...]] | None] = [(0.0, 0.0, ())] + [None] * (max_distance + 1)
    for start, end in itertools.pairwise(edges):
        width = end - start
        histogram = np.bincount(substrings(sample, start, width).astype(np.int64), minlength=1 << width)
        keys = substrings(queries, start, width).astype(np.int64)
        options = [(0.0, 0.0)]  # radius -1: the substring is not used
        for radius in range(min(width, max_distance) + 1):
            if _mask_count(width, radius) > _MOST_MASKS:
                break
            masks = masks_of(width, radius)
            compared = candidates(histogram, keys, masks) * scale
            visits = n * len(masks) / (1 if sides == 2 else 2)
            cost = sorted_rows * _SORT + visits * _VISIT + compared * words * _SHORT
            options.append((cost, compared))
            if radius and cost > total * words * _RUN:
                break
        best = _extended(best, options)
    chosen = best[max_distance + 1]
    if chosen is None:
        return None
    parts = tuple(
        Part(start, end - start, radius)
        for (start, end), radius in zip(itertools.pairwise(edges), chosen[2], strict=True)
        if radius >= 0
    )
    return SearchPlan(parts, chosen[1], total, chosen[0] * 1e-9)


def _extended(best: list, options: list[tuple[float, float]]) -> list:
    """One more substring: for each sum of (radius + 1), capped at the last, the cheapest (cost, compared, radii)."""
    last, result = len(best) - 1, [None] * len(best)
    for reached, before in enumerate(best):
        if before is None:
            continue
        for step, (cost, compared) in enumerate(options):
            place = min(reached + step, last)
            new = (before[0] + cost, before[1] + compared, (*before[2], step - 1))
            if result[place] is None or new < result[place]:
                result[place] = new
    return result
