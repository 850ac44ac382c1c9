"""The slow, obvious oversampling that the kernel must agree with, row by row."""

from __future__ import annotations

import numpy as np


def slow_oversample(codes: np.ndarray, target: float, budget: int, rng: np.random.Generator, cap: int | None = None):
    """Rows drawn, the label that asked and its IDR, and why it ended."""
    counts = [np.bincount(column[column >= 0]) for column in codes.T]
    left = np.full(len(codes), np.inf if cap is None else cap)
    drawn = []
    while True:
        idr = [np.quantile(x, 0.9) / np.quantile(x, 0.1) if len(x) else 1.0 for x in counts]
        worst = int(np.argmax(idr))
        if idr[worst] <= target:
            return drawn, "target"
        if len(drawn) == budget:
            return drawn, "budget"
        rows = np.flatnonzero((codes[:, worst] == np.argmin(counts[worst])) & (left > 0))
        if not len(rows):
            return drawn, "cap"
        row = int(rows[int(np.floor(rng.random() * len(rows)))])
        drawn.append((row, worst, float(idr[worst])))
        left[row] -= 1
        for label, code in enumerate(codes[row]):
            if code >= 0:
                counts[label][code] += 1
