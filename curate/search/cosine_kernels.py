"""Compiled loops over vectors and tiles of scores. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def product(a, b):
    """Sum of a[k] * b[k] in float64, in 8 strands: an order that no machine changes, and that vectorises."""
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    whole = a.size - a.size % 8
    for k in range(0, whole, 8):
        s0 += np.float64(a[k]) * np.float64(b[k])
        s1 += np.float64(a[k + 1]) * np.float64(b[k + 1])
        s2 += np.float64(a[k + 2]) * np.float64(b[k + 2])
        s3 += np.float64(a[k + 3]) * np.float64(b[k + 3])
        s4 += np.float64(a[k + 4]) * np.float64(b[k + 4])
        s5 += np.float64(a[k + 5]) * np.float64(b[k + 5])
        s6 += np.float64(a[k + 6]) * np.float64(b[k + 6])
        s7 += np.float64(a[k + 7]) * np.float64(b[k + 7])
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    for k in range(whole, a.size):
        total += np.float64(a[k]) * np.float64(b[k])
    return total


@njit(cache=True, nogil=True)
def rounded_units(rows, scale, single, halves):
    """Fill `single` (n, D) float32 with rows * scale, or, where `halves` (n, D) uint16 has rows, that with bfloat16.

    Returns the largest distance of a rounded row from rows * scale, which are unit vectors.
    """
    worst = 0.0
    unit = np.empty(rows.shape[1], np.float32)
    code = unit.view(np.uint32)
    back = np.empty(rows.shape[1], np.float32)
    back_code = back.view(np.uint32)
    off = np.empty(rows.shape[1])
    into_halves = halves.shape[0] > 0
    for i in range(rows.shape[0]):
        row, by = rows[i], scale[i]
        for k in range(row.size):
            unit[k] = np.float32(np.float64(row[k]) * by)
        if into_halves:
            half = halves[i]
            for k in range(row.size):
                # To the nearest of the numbers with 8 significant bits, ties to the even one.
                c = np.uint32(code[k] + np.uint32(0x7FFF) + ((code[k] >> np.uint32(16)) & np.uint32(1)))
                half[k] = np.uint16(c >> np.uint32(16))
                back_code[k] = np.uint32(c & np.uint32(0xFFFF0000))
        else:
            single[i, :] = unit
            back[:] = unit
        for k in range(row.size):
            off[k] = np.float64(row[k]) * by - np.float64(back[k])
        worst = max(worst, product(off, off))
    return np.sqrt(worst)


@njit(cache=True, nogil=True)
def _ordered(code):
    """A bfloat16 number's code (int16) to a whole number in the same order as the numbers."""
    return code ^ ((code >> np.int16(15)) & np.int16(0x7FFF))


@njit(cache=True, nogil=True)
def passed_codes(tile, least, top, across, diagonal, found, at):
    """Write (row, column) of the scores `(h, w)`, bfloat16 codes as int16, of at least `least` to found[at:].

    Above the diagonal only where `diagonal`. Returns where the next goes; what has no room is counted, not written.
    """
    for i in range(tile.shape[0]):
        row = tile[i]
        best = np.int16(-32768)
        for j in range(row.size):
            best = max(best, np.int16(_ordered(row[j])))
        if best < least:
            continue
        for j in range(i + 1 if diagonal else 0, row.size):
            if _ordered(row[j]) >= least:
                if at < found.shape[0]:
                    found[at, 0], found[at, 1] = top + i, across + j
                at += 1
    return at


@njit(cache=True, nogil=True)
def passed_scores(tile, least, top, across, diagonal, found, at):
    """As passed_codes, of scores as float32."""
    for i in range(tile.shape[0]):
        row = tile[i]
        passing = np.int64(0)
        for j in range(row.size):
            passing += np.int64(row[j] >= least)
        if passing == 0:
            continue
        for j in range(i + 1 if diagonal else 0, row.size):
            if row[j] >= least:
                if at < found.shape[0]:
                    found[at, 0], found[at, 1] = top + i, across + j
                at += 1
    return at


@njit(cache=True, nogil=True)
def squares(rows):
    """The square of the length of each row `(n, D)`: float64."""
    result = np.empty(rows.shape[0])
    for i in range(rows.shape[0]):
        result[i] = product(rows[i], rows[i])
    return result


@njit(cache=True, nogil=True)
def scaled_product(a, by_a, b, by_b):
    """`product` of the unit vectors a * by_a and b * by_b, float64."""
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    whole = a.size - a.size % 8
    for k in range(0, whole, 8):
        s0 += (np.float64(a[k]) * by_a) * (np.float64(b[k]) * by_b)
        s1 += (np.float64(a[k + 1]) * by_a) * (np.float64(b[k + 1]) * by_b)
        s2 += (np.float64(a[k + 2]) * by_a) * (np.float64(b[k + 2]) * by_b)
        s3 += (np.float64(a[k + 3]) * by_a) * (np.float64(b[k + 3]) * by_b)
        s4 += (np.float64(a[k + 4]) * by_a) * (np.float64(b[k + 4]) * by_b)
        s5 += (np.float64(a[k + 5]) * by_a) * (np.float64(b[k + 5]) * by_b)
        s6 += (np.float64(a[k + 6]) * by_a) * (np.float64(b[k + 6]) * by_b)
        s7 += (np.float64(a[k + 7]) * by_a) * (np.float64(b[k + 7]) * by_b)
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    for k in range(whole, a.size):
        total += (np.float64(a[k]) * by_a) * (np.float64(b[k]) * by_b)
    return total


@njit(cache=True, nogil=True)
def scaled_products(left, by_left, right, by_right, i, j):
    """Cosine of left[i[p]] and right[j[p]], rows `(., D)` float32 or float64 with one over their lengths: `(P,)`."""
    result = np.empty(i.size)
    for p in range(i.size):
        one, two = i[p], j[p]
        result[p] = min(1.0, max(-1.0, scaled_product(left[one], by_left[one], right[two], by_right[two])))
    return result
