"""The slow, obvious oversampling that the kernel must agree with, row by row."""

from __future__ import annotations

import numpy as np


def ten_lines(codes: np.ndarray, target: float, budget: int, rng: np.random.Generator) -> list[int]:
    """The definition, as it reads: the rows replicated, in order."""
    counts, drawn = [np.bincount(column[column >= 0]) for column in codes.T], []
    while len(drawn) < budget:
        idr = [np.divide(*np.quantile(x, [0.9, 0.1])) if len(x) else 1.0 for x in counts]
        worst = int(np.argmax(idr))
        if idr[worst] <= target:
            break
        rows = np.flatnonzero(codes[:, worst] == np.argmin(counts[worst]))
        drawn.append(int(rows[int(np.floor(rng.random() * len(rows)))]))
        for label, code in enumerate(codes[drawn[-1]]):
            if code >= 0:
                counts[label][code] += 1
    return drawn


def slow_oversample(
    codes: np.ndarray,
    target: float,
    budget: int,
    rng: np.random.Generator,
    cap: int | None = None,
    *,
    groups: tuple[tuple[np.ndarray, int], ...] = (),
    quantile: str = "linear",
    stall: int | None = None,
):
    """The same with caps, other quantiles and a stall: rows drawn, the label that asked and its IDR, why it ended."""
    counts = [np.bincount(column[column >= 0]) for column in codes.T]
    left = np.full(len(codes), np.inf if cap is None else cap)
    group_left = [np.full(len(codes) + 1, limit) for _, limit in groups]
    drawn, lowest, since = [], np.inf, 0
    while True:
        idr = [
            np.quantile(x, 0.9, method=quantile) / np.quantile(x, 0.1, method=quantile) if len(x) else 1.0
            for x in counts
        ]
        worst = int(np.argmax(idr))
        if idr[worst] <= target:
            return drawn, "target"
        if len(drawn) == budget:
            return drawn, "budget"
        lowest, since = (idr[worst], 0) if idr[worst] < lowest else (lowest, since + 1)
        if stall is not None and since > stall:
            return drawn, "stall"
        free = left > 0
        for (group, _), rest in zip(groups, group_left, strict=True):
            free &= (group < 0) | (rest[group] > 0)
        there = np.unique(codes[free & (codes[:, worst] >= 0), worst])
        low, high = (np.quantile(np.arange(len(counts[worst])), share, method=quantile) for share in (0.1, 0.9))
        # The rank above D1 counts too, unless it is the one above D9.
        rank = int(np.ceil(low) if np.ceil(low) < np.ceil(high) else np.floor(low))
        if not len(there) or counts[worst][there].min() > np.sort(counts[worst])[rank]:
            return drawn, "cap"
        category = there[np.argmin(counts[worst][there])]
        rows = np.flatnonzero((codes[:, worst] == category) & free)
        row = int(rows[int(np.floor(rng.random() * len(rows)))])
        drawn.append((row, worst, float(idr[worst])))
        left[row] -= 1
        for (group, _), rest in zip(groups, group_left, strict=True):
            rest[group[row]] -= group[row] >= 0
        for label, code in enumerate(codes[row]):
            if code >= 0:
                counts[label][code] += 1
