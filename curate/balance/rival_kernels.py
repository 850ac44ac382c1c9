"""The compiled loops of the rival methods; arrays in, `times` filled in place."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def ml_ros(draws, flat, counts, members, start, bags, mean_ir, times):
    """One replica for each draw, from bag after bag; returns how many were drawn and the bags that are left."""
    bags = bags.copy()
    largest = counts.max()
    used = 0
    open_bags = len(bags)
    while open_bags and used < len(draws):
        kept = 0
        for at in range(open_bags):
            bag = bags[at]
            if used < len(draws):
                size = start[bag + 1] - start[bag]
                row = members[start[bag] + int(draws[used] * size)]
                used += 1
                times[row] += 1
                for label in range(flat.shape[1]):
                    code = flat[row, label]
                    if code >= 0:
                        counts[code] += 1
                        largest = max(largest, counts[code])
                if largest / counts[bag] <= mean_ir:
                    continue
            bags[kept] = bag
            kept += 1
        open_bags = kept
    return used, bags[:open_bags]


@numba.njit(cache=True)
def ml_rus(budget, flat, counts, members, start, bags, mean_ir, times):
    """Remove up to `budget` rows, from bag after bag, each the next of the shuffled bag that is still there."""
    bags = bags.copy()
    largest = counts.max()
    of_size = np.zeros(largest + 1, dtype=np.int64)  # categories of each count, to follow the largest downwards
    for count in counts:
        of_size[count] += 1
    head = start[:-1].copy()
    open_bags = len(bags)
    while open_bags and budget > 0:
        kept = 0
        for at in range(open_bags):
            bag = bags[at]
            if budget > 0:
                while head[bag] < start[bag + 1] and times[members[head[bag]]] == 0:
                    head[bag] += 1
                if head[bag] == start[bag + 1]:
                    continue
                row = members[head[bag]]
                times[row] = 0
                budget -= 1
                for label in range(flat.shape[1]):
                    code = flat[row, label]
                    if code >= 0:
                        of_size[counts[code]] -= 1
                        counts[code] -= 1
                        of_size[counts[code]] += 1
                while largest > 0 and of_size[largest] == 0:
                    largest -= 1
                if counts[bag] == 0 or largest / counts[bag] >= mean_ir:
                    continue
            bags[kept] = bag
            kept += 1
        open_bags = kept


@numba.njit(cache=True)
def _mean(vectors, rows):
    mean = np.zeros(vectors.shape[1])
    for row in rows:
        for d in range(vectors.shape[1]):
            mean[d] += vectors[row, d]
    return mean / max(len(rows), 1)


@numba.njit(cache=True)
def _with_vector(vectors, rows, images, times):
    """Rows that have a vector; where they are too few, the first of the others are taken at once."""
    there = np.zeros(len(rows), dtype=np.bool_)
    for i in range(len(rows)):
        there[i] = (vectors[rows[i]] != 0).any()
    missing = images - there.sum()
    for i in range(len(rows)):
        if not there[i] and missing > 0:
            times[rows[i]] = 1
            missing -= 1
    return rows[there]


@numba.njit(cache=True)
def herding(vectors, rows, start, images, times):
    """Of the rows of each group, those that herding takes first."""
    for group in range(len(start) - 1):
        here = _with_vector(vectors, rows[start[group] : start[group + 1]], images, times)
        mean = _mean(vectors, here)
        total = np.zeros(vectors.shape[1])
        for number in range(1, min(images, len(here)) + 1):
            best, nearest = -1, np.inf
            for row in here:
                if times[row] == 0:
                    distance = 0.0
                    for d in range(vectors.shape[1]):
                        distance += (mean[d] - (total[d] + vectors[row, d]) / number) ** 2
                    if distance < nearest:
                        best, nearest = row, distance
            times[best] = 1
            for d in range(vectors.shape[1]):
                total[d] += vectors[best, d]


@numba.njit(cache=True)
def k_center(vectors, rows, start, images, times):
    """Of the rows of each group, the one nearest to its mean, then always the one farthest from those taken."""
    for group in range(len(start) - 1):
        here = _with_vector(vectors, rows[start[group] : start[group + 1]], images, times)
        mean = _mean(vectors, here)
        far = np.full(len(here), np.inf)
        for number in range(min(images, len(here))):
            best = -1
            if number == 0:
                nearest = np.inf
                for i in range(len(here)):
                    distance = 0.0
                    for d in range(vectors.shape[1]):
                        distance += (mean[d] - vectors[here[i], d]) ** 2
                    if distance < nearest:
                        best, nearest = i, distance
            else:
                farthest = -1.0
                for i in range(len(here)):
                    if times[here[i]] == 0 and far[i] > farthest:
                        best, farthest = i, far[i]
            times[here[best]] = 1
            for i in range(len(here)):
                distance = 0.0
                for d in range(vectors.shape[1]):
                    distance += (np.float64(vectors[here[i], d]) - vectors[here[best], d]) ** 2
                far[i] = min(far[i], distance)
