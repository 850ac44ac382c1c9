"""Compiled loops of the statistics. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def weighted_pairs(first, second, counts, weights):
    """See `curate.stats.bootstrap.weighted_sum`."""
    total = np.zeros(weights.shape[1])
    for p in range(first.size):
        a, b, n = weights[first[p]], weights[second[p]], counts[p]
        if first[p] == second[p]:
            for d in range(total.size):
                total[d] += n * a[d]
        else:
            for d in range(total.size):
                total[d] += n * a[d] * b[d]
    return total
