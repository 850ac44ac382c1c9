"""Compiled loops over hashes and pairs. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def _ones(typingctx, value):
    """The number of set bits of a uint64: LLVM's ctpop."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def close_pairs(rows, columns, max_distance, diagonal):
    """Pairs (i, j, distance) of `rows[i]` and `columns[j]`; above the diagonal only where it is one block."""
    limit, count = np.uint64(max_distance), 0
    for i in range(rows.size):
        value, inside = rows[i], np.int64(0)
        for j in range(i + 1 if diagonal else 0, columns.size):
            inside += np.int64(_ones(value ^ columns[j]) <= limit)
        count += inside
    first, second = np.empty(count, np.int64), np.empty(count, np.int64)
    distances = np.empty(count, np.uint8)
    at = 0
    if count:
        for i in range(rows.size):
            value = rows[i]
            for j in range(i + 1 if diagonal else 0, columns.size):
                distance = _ones(value ^ columns[j])
                if distance <= limit:
                    first[at], second[at], distances[at] = i, j, distance
                    at += 1
    return first, second, distances


@njit(cache=True, nogil=True)
def close_pairs_either(rows, rows_other, columns, columns_other, max_distance, diagonal):
    """As close_pairs, the distance being the smaller of rows to columns_other and rows_other to columns."""
    limit, count = np.uint64(max_distance), 0
    for i in range(rows.size):
        value, other, inside = rows[i], rows_other[i], np.int64(0)
        for j in range(i + 1 if diagonal else 0, columns.size):
            inside += np.int64(min(_ones(value ^ columns_other[j]), _ones(other ^ columns[j])) <= limit)
        count += inside
    first, second = np.empty(count, np.int64), np.empty(count, np.int64)
    distances = np.empty(count, np.uint8)
    at = 0
    if count:
        for i in range(rows.size):
            value, other = rows[i], rows_other[i]
            for j in range(i + 1 if diagonal else 0, columns.size):
                distance = min(_ones(value ^ columns_other[j]), _ones(other ^ columns[j]))
                if distance <= limit:
                    first[at], second[at], distances[at] = i, j, distance
                    at += 1
    return first, second, distances


@njit(cache=True, nogil=True)
def star(order, starts, neighbours):
    """Keeper of each image, -1 where it keeps itself: visited in `order`, one not yet dropped drops its neighbours.

    starts `(N + 1,)`, neighbours `(E,)`: the confirmed pairs of each image, both directions.
    """
    keeper = np.full(order.size, -1, np.int64)
    visited = np.zeros(order.size, np.bool_)
    for image in order:
        visited[image] = True
        if keeper[image] >= 0:
            continue
        for e in range(starts[image], starts[image + 1]):
            other = neighbours[e]
            if not visited[other] and keeper[other] < 0:
                keeper[other] = image
    return keeper
