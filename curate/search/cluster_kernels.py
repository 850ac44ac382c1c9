"""Compiled loops that part each identity's vectors in two. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _evidence(count, sums, between):
    total, product = 0.0, 1.0
    for k in range(between.size):
        grown = 1 + count * between[k]
        total += between[k] * sums[k] * sums[k] / grown
        product *= grown
        if product > 1e200:
            total -= np.log(product)
            product = 1.0
    return 0.5 * (total - np.log(product))


@njit(cache=True, nogil=True)
def _gain(count, sums, z, between):
    """evidence(set with z) - evidence(set)."""
    total, product = 0.0, 1.0
    for k in range(between.size):
        b = between[k]
        many, more = 1 + count * b, 1 + (count + 1) * b
        s = sums[k]
        total += b * ((s + z[k]) * (s + z[k]) / more - s * s / many)
        product *= more / many
    return 0.5 * (total - np.log(product))


@njit(cache=True, nogil=True)
def _direction(vectors, mean, weight, rounds):
    """The leading axis of the weighted spread, by power iteration from the vector farthest from the mean."""
    n, d = vectors.shape
    far, most = 0, -1.0
    for i in range(n):
        length = 0.0
        for k in range(d):
            length += weight[k] * (vectors[i, k] - mean[k]) ** 2
        if length > most:
            far, most = i, length
    axis = np.empty(d)
    for k in range(d):
        axis[k] = weight[k] * (vectors[far, k] - mean[k])
    for _ in range(rounds):
        new = np.zeros(d)
        for i in range(n):
            along = 0.0
            for k in range(d):
                along += axis[k] * (vectors[i, k] - mean[k])
            for k in range(d):
                new[k] += along * weight[k] * (vectors[i, k] - mean[k])
        length = np.sqrt((new * new).sum())
        if length <= 0:
            break
        axis = new / length
    return axis


@njit(cache=True, nogil=True)
def _refine(vectors, part, between, sweeps):
    """Move single vectors while that raises the evidence of two persons; returns that evidence."""
    n, d = vectors.shape
    count, sums = np.zeros(2), np.zeros((2, d))
    for i in range(n):
        count[part[i]] += 1
        for k in range(d):
            sums[part[i], k] += vectors[i, k]
    for _ in range(sweeps):
        moved = 0
        for i in range(n):
            here = part[i]
            if count[here] <= 1:
                continue
            there = 1 - here
            count[here] -= 1
            for k in range(d):
                sums[here, k] -= vectors[i, k]
            better = (
                _gain(count[there], sums[there], vectors[i], between)
                > _gain(count[here], sums[here], vectors[i], between) + 1e-9
            )
            new = there if better else here
            count[new] += 1
            for k in range(d):
                sums[new, k] += vectors[i, k]
            if better:
                part[i] = there
                moved += 1
        if moved == 0:
            break
    return _evidence(count[0], sums[0], between) + _evidence(count[1], sums[1], between)


@njit(cache=True, nogil=True)
def part_in_two(vectors, starts, between, sweeps):
    """See curate.search.clusters.two_persons; vectors `(N, d)` stand together by identity, starts `(K + 1,)`."""
    n, d = vectors.shape
    identities = starts.size - 1
    part, ratio = np.zeros(n, np.int8), np.full(identities, -np.inf)
    weight = between / (1 + between)
    for who in range(identities):
        first, last = starts[who], starts[who + 1]
        size = last - first
        if size < 2:
            continue
        mine = np.empty((size, d))
        whole = np.zeros(d)
        for i in range(size):
            for k in range(d):
                mine[i, k] = vectors[first + i, k]
                whole[k] += mine[i, k]
        mean = whole / size
        axis = _direction(mine, mean, weight, 6)
        along = np.empty(size)
        for i in range(size):
            along[i] = 0.0
            for k in range(d):
                along[i] += axis[k] * (mine[i, k] - mean[k])
        best = -np.inf
        # From the middle of the axis, and from either end of it: two persons need not have equally many images.
        for start in range(3):
            middle = 0.0 if start == 0 else (0.5 * along.max() if start == 1 else 0.5 * along.min())
            trial = np.zeros(size, np.int8)
            for i in range(size):
                trial[i] = 1 if along[i] > middle else 0
            if trial.sum() == 0 or trial.sum() == size:
                continue
            found = _refine(mine, trial, between, sweeps)
            if found > best + 1e-9:
                best = found
                part[first:last] = trial
        if best == -np.inf:
            continue
        ratio[who] = best - _evidence(float(size), whole, between)
        ones = part[first:last].sum()
        # Part 0 is the larger; of equal ones, the one that holds the first image.
        if 2 * ones > size or (2 * ones == size and part[first] == 1):
            for i in range(first, last):
                part[i] = 1 - part[i]
    return part, ratio
