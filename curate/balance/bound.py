"""What can be said before the oversampling runs: how many replicas a target needs at least, and whether it is in reach.

All of it holds for any replicas of the rows, whatever rule chooses them. Three bounds:

1. One label. Counts only go up, so D9 stays at or above what it is, and D1 must come up to `D9 / target`. The fewest
   replicas that bring the two categories around D1 there, in whole numbers, go to the largest categories below.
2. Caps. A count can't pass what the caps allow; where D1 of those counts is below `D9 / target`, no replicas will do.
3. Labels together. Where D9 weighs the largest category and D1 the smallest (linear deciles: up to ten categories), the
   mean of the largest categories that make up a share u, u being that weight, is at most D9, and that of the smallest
   at least D1. Both means are linear programs (Rockafellar, Uryasev, Optimization of conditional value-at-risk, 2000),
   and so is the number of replicas of each combination of values that occurs. The optimum bounds the replicas from
   below; no solution proves that the labels can't reach the target together.

A target that none of these rules out is *not proven* to be unreachable; it may be so all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.balance.draw import Quantile

if TYPE_CHECKING:
    from curate.balance.state import Cap

#: Combinations of values up to which the labels are looked at together.
_COMBINATIONS = 4096
_SLACK = 1e-6
#: Whole counts of one category that are tried one by one.
_WHOLE = 1_000_000


@dataclass(frozen=True)
class Bound:
    """What is known before a run.

    replicas: the fewest that can do, 0 where every label is there already; label: which label says so, None for several
    together. unreachable: the sentence that says why no replicas will do, None where that is not proven; preventing:
    the labels that prevent it, fewest that do.
    """

    replicas: int
    label: str | None
    unreachable: str | None = None
    preventing: tuple[str, ...] = ()


def bounds(
    codes: np.ndarray,
    names: Sequence[str],
    target: float,
    *,
    budget: int | None = None,
    max_per_image: int | None = None,
    caps: Sequence[Cap] = (),
    quantile: Quantile = "linear",
) -> Bound:
    """The fewest replicas that bring the IDR of each label of `codes` `(N, L)` to the target, or why none do.

    Codes of each label run over 0..K-1, each in use, -1 missing; names: of the labels. The other arguments are those of
    `curate.balance.draw.draw_replicas`.
    """
    fewest, first = 0, None
    for place, name in enumerate(names):
        column = codes[:, place]
        counts = np.bincount(column[column >= 0])
        if not len(counts):
            continue
        wanted = np.quantile(counts, 0.9, method=quantile) / target
        extra = _most_replicas(column, len(counts), max_per_image, caps)
        reach = float(np.quantile(np.minimum(counts + extra, 2.0**53), 0.1, method=quantile))
        if reach < wanted * (1 - _SLACK):
            return Bound(0, name, f"with these caps D1 of {name!r} comes to {reach:,.4g} at most, and {wanted:,.4g} is "
                         f"needed", (name,))  # fmt: skip
        needed = _one_label(np.sort(counts), float(wanted), quantile)
        if needed > fewest:
            fewest, first = needed, name
    small = [place for place in range(len(names)) if _hangs_on_ends(codes[:, place], quantile)]
    together = _Together.of(codes, small, max_per_image, caps, quantile)
    if together is not None:
        needed = together.fewest(range(len(small)), target)
        if needed is None:
            tried = together.preventing(target)
            preventing = tuple(names[small[place]] for place in tried)
            what = f"{preventing[0]!r} prevents it" if len(tried) == 1 else (
                f"{preventing[0]!r} prevents it, together with {', '.join(map(repr, preventing[1:]))}")  # fmt: skip
            return Bound(fewest, first, f"no replicas of these images bring the labels there: {what}", preventing)
        if needed > fewest:
            fewest, first = needed, None
    if budget is not None and fewest > budget:
        by = repr(first) if first is not None else "the labels together"
        return Bound(fewest, first, f"{by} needs at least {fewest:,} replicas, and the budget is {budget:,}",
                     () if first is None else (first,))  # fmt: skip
    return Bound(fewest, first)


def _one_label(counts: np.ndarray, wanted: float, quantile: Quantile) -> int:
    """The fewest replicas with which D1 of sorted counts is at least `wanted`."""
    from curate.balance.state import position

    below, above, weight = position(len(counts), 0.1, quantile)
    now = (1 - weight) * counts[below] + weight * counts[above]
    if now >= wanted:
        return 0
    rest = counts[above:].astype(np.float64)
    if weight == 0 or above == below:
        return int(np.maximum(0, np.ceil(wanted * (1 - _SLACK)) - counts[below:]).sum())
    # The upper rank comes to q, the lower one to what D1 still lacks. The cost is convex in q, up to the rounding of
    # the lower count; whole numbers are tried one by one where that is quick, else the corners of the relaxed cost.
    least, most = max(wanted, rest[0]), (wanted - (1 - weight) * counts[below]) / weight
    whole = max(most, least) - least < _WHOLE
    q = np.arange(np.ceil(least * (1 - _SLACK)), max(np.ceil(most), np.ceil(least)) + 1) if whole else (
        np.unique([corner for corner in (least, most, *rest[rest > wanted]) if corner >= least]))  # fmt: skip
    sums = np.concatenate([[0.0], np.cumsum(rest)])
    lower = np.searchsorted(rest, q, side="left")
    lacking = (
        np.maximum(0.0, (wanted * (1 - _SLACK) - weight * q) / (1 - weight) - counts[below]) if weight < 1 else 0.0
    )
    cost = (np.ceil(lacking) if whole else lacking) + lower * q - sums[lower]
    return int(np.ceil(cost.min() * (1 - _SLACK)))


def _most_replicas(part: np.ndarray, size: int, max_per_image: int | None, caps: Sequence[Cap]) -> np.ndarray:
    """How many replicas each part of the rows (codes, -1: none) may have under the caps: `(size,)`, inf for any."""
    rows = np.bincount(part[part >= 0], minlength=size).astype(np.float64)
    each = np.inf if max_per_image is None else float(max_per_image)
    most = rows * each if max_per_image is not None else np.full(size, np.inf)
    for cap in caps:
        known = part >= 0
        grouped = known & (cap.groups >= 0)
        width = int(cap.groups.max(initial=-1)) + 1
        pairs, number = np.unique(part[grouped].astype(np.int64) * max(width, 1) + cap.groups[grouped],
                                  return_counts=True)  # fmt: skip
        allowed = np.minimum(float(cap.limit), number * each)
        total = np.bincount(pairs // max(width, 1), weights=allowed, minlength=size)
        alone = np.bincount(part[known & ~grouped], minlength=size)
        most = np.minimum(most, total + np.where(alone > 0, alone * each if np.isfinite(each) else np.inf, 0.0))
    return most


def _hangs_on_ends(column: np.ndarray, quantile: Quantile) -> bool:
    """Whether D9 of a label weighs its largest category and D1 its smallest."""
    size = int(column.max(initial=-1)) + 1
    return size > 1 and min(_end_weights(size, quantile)) > 0


def _end_weights(size: int, quantile: Quantile) -> tuple[float, float]:
    """The weight of the smallest category in D1, and of the largest in D9."""
    from curate.balance.state import position

    low, high = position(size, 0.1, quantile), position(size, 0.9, quantile)
    smallest = 0.0 if low[0] > 0 else (1.0 if low[1] == 0 else 1 - low[2])
    largest = high[2] if high[1] == size - 1 and high[0] < high[1] else float(high[0] == size - 1)
    return smallest, largest


@dataclass(frozen=True)
class _Together:
    """Combinations of values of labels that hang on their ends: `(C, S)` codes, rows and replicas allowed of each."""

    combos: np.ndarray
    rows: np.ndarray
    most: np.ndarray
    quantile: Quantile

    @classmethod
    def of(
        cls, codes: np.ndarray, places: list[int], max_per_image: int | None, caps: Sequence[Cap], quantile: Quantile
    ) -> _Together | None:
        """None where there is nothing to look at, or too much."""
        if not places or not len(codes):
            return None
        key = np.zeros(len(codes), dtype=np.int64)
        for place in places:
            size = int(codes[:, place].max()) + 2
            key = np.unique(key * size + codes[:, place] + 1, return_inverse=True)[1]
        rows = np.bincount(key)
        if len(rows) > _COMBINATIONS:
            return None
        combos = np.empty((len(rows), len(places)), dtype=np.int64)
        combos[key] = codes[:, places]
        return cls(combos, rows, _most_replicas(key, len(rows), max_per_image, caps), quantile)

    def preventing(self, target: float) -> list[int]:
        """The labels that can't reach the target together, so few that without any one of them it is not proven."""
        kept = list(range(self.combos.shape[1]))
        for label in reversed(range(self.combos.shape[1])):
            rest = [other for other in kept if other != label]
            if rest and self.fewest(rest, target) is None:
                kept = rest
        return sorted(kept, reverse=True)

    def fewest(self, labels: Sequence[int], target: float) -> int | None:
        """The optimum of the linear program, rounded up; None where it has no solution.

        Variables: replicas n of each combination; for each label a level and an excess over it of each category (the
        mean of the largest), a level and a shortfall of each category (the mean of the smallest).
        """
        from scipy.optimize import linprog
        from scipy.sparse import coo_array

        scale = float(self.rows.sum())
        size, at = len(self.rows), len(self.rows)
        entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        limits: list[float] = []
        bounds: list[tuple[float, float | None]] = [
            (0.0, None if np.isinf(most) else most / scale) for most in self.most
        ]
        goal = target * (1 + _SLACK)

        def add(row: int, columns: np.ndarray, values: np.ndarray) -> None:
            entries.append((np.full(len(columns), row), columns, np.broadcast_to(values, len(columns))))

        for label in labels:
            column = self.combos[:, label]
            k = int(column.max()) + 1
            low, high = _end_weights(k, self.quantile)
            counts = np.bincount(column[column >= 0], weights=self.rows[column >= 0], minlength=k) / scale
            top, excess, bottom, shortfall = at, at + 1 + np.arange(k), at + 1 + k, at + 2 + k + np.arange(k)
            at += 2 + 2 * k
            bounds += [(0.0, None)] * (2 + 2 * k)
            add(len(limits), np.r_[top, excess, bottom, shortfall],
                np.r_[1.0, np.full(k, high), -goal, np.full(k, goal * low)])  # fmt: skip
            limits.append(0.0)
            for category in range(k):
                here = np.flatnonzero(column == category)
                add(len(limits), np.r_[here, top, excess[category]], np.r_[np.ones(len(here)), -1.0, -1.0])
                limits.append(-counts[category])
                add(len(limits), np.r_[here, bottom, shortfall[category]], np.r_[-np.ones(len(here)), 1.0, -1.0])
                limits.append(counts[category])
        rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
        matrix = coo_array((values, (rows, columns)), shape=(len(limits), at)).tocsr()
        cost = np.zeros(at)
        cost[:size] = 1.0
        found = linprog(cost, A_ub=matrix, b_ub=np.array(limits), bounds=bounds, method="highs")
        if found.status == 2:
            return None
        # Any other failure proves nothing.
        return int(np.ceil(found.fun * scale * (1 - _SLACK) - _SLACK)) if found.status == 0 else 0
