"""Loops over the scores of one tile, compiled; imported only where a tile is computed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
def _bin(score, bins):  # pragma: no cover
    # The bin's half is a power of two, so the product is exact; adding 1 to the score first would not be.
    return min(max(math.floor(np.float64(score) * (bins // 2)) + bins // 2, 0), bins - 1)


@njit(cache=True, nogil=True)
def fill_histograms(  # pragma: no cover
    scores, left_identity, right_identity, left_group, right_group, diagonal, impostor, genuine, fine
):
    """Count every score of a tile `(L, R)` in its group pair's coarse bins, impostors also in the fine bins."""
    bins = len(fine)
    width = bins // impostor.shape[2]
    for a in range(scores.shape[0]):
        for b in range(a + 1 if diagonal else 0, scores.shape[1]):
            at = _bin(scores[a, b], bins)
            if left_identity[a] == right_identity[b]:
                genuine[left_group[a], right_group[b], at // width] += 1
            else:
                impostor[left_group[a], right_group[b], at // width] += 1
                fine[at] += 1


@njit(cache=True, nogil=True)
def collect_impostors(scores, left_identity, right_identity, diagonal, wanted):  # pragma: no cover
    """The impostor scores of a tile whose fine bin is wanted (`(FINE_BINS,)` uint8)."""
    bins = len(wanted)
    found = np.empty(1024, dtype=np.float32)
    n = 0
    for a in range(scores.shape[0]):
        for b in range(a + 1 if diagonal else 0, scores.shape[1]):
            at = _bin(scores[a, b], bins)
            if wanted[at] and left_identity[a] != right_identity[b]:
                if n == len(found):
                    larger = np.empty(2 * n, dtype=np.float32)
                    larger[:n] = found
                    found = larger
                found[n] = scores[a, b]
                n += 1
    return found[:n]


@njit(cache=True, nogil=True)
def collect_errors(scores, left_identity, right_identity, diagonal, lowest, highest):  # pragma: no cover
    """Places and scores of the impostors at or above `lowest` and the genuine pairs below `highest`."""
    n = 0
    for a in range(scores.shape[0]):
        for b in range(a + 1 if diagonal else 0, scores.shape[1]):
            score = np.float64(scores[a, b])
            n += score < highest if left_identity[a] == right_identity[b] else score >= lowest
    first, second = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    found = np.empty(n, dtype=np.float64)
    n = 0
    for a in range(scores.shape[0]):
        for b in range(a + 1 if diagonal else 0, scores.shape[1]):
            score = np.float64(scores[a, b])
            if score < highest if left_identity[a] == right_identity[b] else score >= lowest:
                first[n], second[n], found[n] = a, b, score
                n += 1
    return first, second, found
