"""Compiled loops over tiles of scores; imported only where a tile is computed."""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.search.cosine_kernels import scaled_product


@njit(cache=True, nogil=True)
def count_codes(  # pragma: no cover
    tile, down, across, diagonal, row_group, column_starts, bin_of, counts, scratch
):
    """Add the scores of a tile `(h, w)`, bfloat16 codes as int16, to counts `(row groups, column groups, bins)`.

    row_group: `(rows,)` of the block, in runs; column_starts: where each column group begins, and the end. bin_of:
    `(65536,)`, the bin of a code. scratch: `(2, 65536)` int32 zeros, zeros again after.
    """
    height, width = tile.shape
    groups = column_starts.size - 1
    top = 0
    while top < height:
        group = row_group[down + top]
        bottom = top
        while bottom < height and row_group[down + bottom] == group:
            bottom += 1
        for g in range(groups):
            begin = max(column_starts[g] - across, 0)
            end = min(column_starts[g + 1] - across, width)
            if begin >= end:
                continue
            for i in range(top, bottom):
                row = tile[i]
                first = max(begin, i + 1) if diagonal else begin
                j = first
                while j + 1 < end:
                    scratch[0, np.uint16(row[j])] += 1
                    scratch[1, np.uint16(row[j + 1])] += 1
                    j += 2
                if j < end:
                    scratch[0, np.uint16(row[j])] += 1
            into = counts[group, g]
            for code in range(65536):
                n = scratch[0, code] + scratch[1, code]
                if n:
                    into[bin_of[code]] += n
                    scratch[0, code] = 0
                    scratch[1, code] = 0
        top = bottom


@njit(cache=True, nogil=True)
def drop_genuine(  # pragma: no cover
    tile, down, across, diagonal, row_group, row_identity, column_starts, column_identity, bin_of, counts
):
    """Take the genuine comparisons of a tile out of the counts of `count_codes`.

    column_identity: ascending within each column group.
    """
    height, width = tile.shape
    for g in range(column_starts.size - 1):
        begin = max(column_starts[g] - across, 0)
        end = min(column_starts[g + 1] - across, width)
        if begin >= end:
            continue
        part = column_identity[across + begin : across + end]
        for i in range(height):
            who = row_identity[down + i]
            j = begin + np.searchsorted(part, who)
            if diagonal:
                j = max(j, i + 1)
            while j < end and column_identity[across + j] == who:
                counts[row_group[down + i], g, bin_of[np.uint16(tile[i, j])]] -= 1
                j += 1


@njit(cache=True, nogil=True)
def genuine_scores(rows, scale, starts, a, b):  # pragma: no cover
    """Cosines of every two rows of each run starts[r]:starts[r + 1], in order: float64, their rows into a and b."""
    score = np.empty(a.size)
    at = 0
    for r in range(starts.size - 1):
        for i in range(starts[r], starts[r + 1]):
            for j in range(i + 1, starts[r + 1]):
                score[at] = min(1.0, max(-1.0, scaled_product(rows[i], scale[i], rows[j], scale[j])))
                a[at], b[at] = i, j
                at += 1
    return score
