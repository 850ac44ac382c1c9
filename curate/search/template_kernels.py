"""Compiled loops over vectors and templates. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def own_ratio(vectors, identity, weight, count, sums, between):
    """same_person of each vector and the rest of its identity, itself taken out by its weight: `(N,)` float64."""
    n, d = vectors.shape
    result = np.empty(n, np.float64)
    for row in range(n):
        who = identity[row]
        left = max(count[who] - weight[row], 0.0)
        total, product = 0.0, 1.0
        for k in range(d):
            z = np.float64(vectors[row, k])
            b = between[k]
            rest = sums[who, k] - weight[row] * z
            one, many, more = 1 + b, 1 + left * b, 1 + (left + 1) * b
            total += b * ((rest + z) * (rest + z) / more - rest * rest / many - z * z / one)
            product *= more / (many * one)
            if product < 1e-200 or product > 1e200:
                total -= np.log(product)
                product = 1.0
        result[row] = 0.5 * (total - np.log(product))
    return result


@njit(cache=True, nogil=True)
def best_others(ratio, own, temperature, best, value):
    """The highest columns of each row but its own, and the tempered log of the sum of all but its own.

    ratio `(n, K)`, own `(n,)` (-1: none), temperature `(n,)`. best `(n, top)`, value `(n, top)` are filled, highest
    first, ties to the lower column. Returns `(n,)` log sum exp(temperature * ratio).
    """
    n, columns = ratio.shape
    top = best.shape[1]
    summed = np.empty(n, np.float64)
    for row in range(n):
        for place in range(top):
            best[row, place], value[row, place] = -1, -np.inf
        for k in range(columns):
            x = ratio[row, k]
            if k == own[row] or x <= value[row, top - 1]:
                continue
            place = top - 1
            while place > 0 and value[row, place - 1] < x:
                best[row, place], value[row, place] = best[row, place - 1], value[row, place - 1]
                place -= 1
            best[row, place], value[row, place] = k, x
        high = np.float64(value[row, 0])
        total = 0.0
        if high > -np.inf:
            least = high - 30 / temperature[row]  # what lies lower is below the last digits of a float32
            for k in range(columns):
                if k != own[row] and ratio[row, k] > least:
                    total += np.exp(temperature[row] * (ratio[row, k] - high))
            summed[row] = temperature[row] * high + np.log(total)
        else:
            summed[row] = -np.inf
    return summed


@njit(cache=True, nogil=True)
def pair_ratios(count, sums, a, b, between):
    """same_person of the sets in rows a and b: `(P,)` float64; fastest where equal counts stand together."""
    result = np.empty(a.size, np.float64)
    size = between.size
    both, one, two = np.empty(size), np.empty(size), np.empty(size)
    n = m = -1.0
    constant = 0.0
    for p in range(a.size):
        s, t = sums[a[p]], sums[b[p]]
        if count[a[p]] != n or count[b[p]] != m:  # what depends on the counts alone
            n, m = count[a[p]], count[b[p]]
            constant = 0.0
            for k in range(size):
                x, y, z = 1 + n * between[k], 1 + m * between[k], 1 + (n + m) * between[k]
                both[k], one[k], two[k] = between[k] / z, between[k] / x, between[k] / y
                constant += np.log(z) - np.log(x) - np.log(y)
        total = 0.0
        for k in range(size):
            total += (s[k] + t[k]) * (s[k] + t[k]) * both[k] - s[k] * s[k] * one[k] - t[k] * t[k] * two[k]
        result[p] = 0.5 * (total - constant)
    return result
