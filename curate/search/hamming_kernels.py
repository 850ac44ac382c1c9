"""Compiled loops over 64-bit hashes `(N,)` and 256-bit hashes `(N, 4)`, uint64. Import it inside functions.

Loops take rows of one hash as one word or as four: numba drops the branch that an array's number of axes rules out.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def ones(typingctx, value):
    """The number of set bits of a uint64: LLVM's ctpop."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def _count_near(hashes, i, others, begin, end, limit):
    """How many of the rows begin to end of `others` are within `limit` of hashes[i]; the loop vectorises.

    Unsigned places let it, since they cannot count from the end.
    """
    inside = np.int64(0)
    if hashes.ndim == 1:
        value = hashes[i]
        for j in range(np.uint64(begin), np.uint64(end)):
            inside += np.int64(ones(value ^ others[j]) <= limit)
    else:
        v0, v1, v2, v3 = hashes[i, 0], hashes[i, 1], hashes[i, 2], hashes[i, 3]
        for j in range(np.uint64(begin), np.uint64(end)):
            near = ones(v0 ^ others[j, 0]) + ones(v1 ^ others[j, 1])
            near += ones(v2 ^ others[j, 2]) + ones(v3 ^ others[j, 3])
            inside += np.int64(near <= limit)
    return inside


@njit(cache=True, nogil=True)
def _distance(hashes, i, others, j):
    if hashes.ndim == 1:
        return ones(hashes[i] ^ others[j])
    near = ones(hashes[i, 0] ^ others[j, 0]) + ones(hashes[i, 1] ^ others[j, 1])
    return near + ones(hashes[i, 2] ^ others[j, 2]) + ones(hashes[i, 3] ^ others[j, 3])


@njit(cache=True, nogil=True)
def substring(hashes, i, start, width):
    """`width` (1 to 32) bits of hash i from bit `start` on, bit 0 being the lowest of the first word."""
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    if hashes.ndim == 1:
        return (hashes[i] >> np.uint64(start)) & mask
    word, shift = start >> 6, start & 63
    value = hashes[i, word] >> np.uint64(shift)
    if shift + width > 64:
        value |= hashes[i, word + 1] << np.uint64(64 - shift)
    return value & mask


@njit(cache=True, nogil=True)
def substrings(hashes, start, width):
    """That substring of every hash: `(N,)` uint64."""
    result = np.empty(hashes.shape[0], np.uint64)
    for i in range(hashes.shape[0]):
        result[i] = substring(hashes, i, start, width)
    return result


@njit(cache=True, nogil=True)
def close_pairs(rows, columns, max_distance, diagonal, most):
    """Pairs (i, j, distance) of `rows[i]` and `columns[j]`; above the diagonal only where it is one block.

    All are counted; at most `most` are returned, with the count.
    """
    limit = np.uint64(max_distance)
    near = np.empty(rows.shape[0], np.int64)
    for i in range(rows.shape[0]):
        near[i] = _count_near(rows, i, columns, i + 1 if diagonal else 0, columns.shape[0], limit)
    count = near.sum()
    room = min(count, most)
    first, second = np.empty(room, np.uint32), np.empty(room, np.uint32)
    distances = np.empty(room, np.uint16)
    at = 0
    for i in range(rows.shape[0]):
        if near[i] == 0:
            continue
        for j in range(i + 1 if diagonal else 0, columns.shape[0]):
            distance = _distance(rows, i, columns, j)
            if distance <= limit and at < room:
                first[at], second[at], distances[at] = i, j, distance
                at += 1
    return first, second, distances, count


@njit(cache=True, nogil=True)
def bucketed(hashes, rows, start, width):
    """Hashes and rows in order of a substring, ties in their order, and where each of its 2**width values starts."""
    starts = np.zeros((1 << width) + 1, np.int64)
    keys = np.empty(hashes.shape[0], np.uint32)
    for i in range(hashes.shape[0]):
        keys[i] = substring(hashes, i, start, width)
        starts[np.int64(keys[i]) + 1] += 1
    for b in range(1, starts.size):
        starts[b] += starts[b - 1]
    at = starts[:-1].copy()
    sorted_hashes, sorted_rows = np.empty_like(hashes), np.empty_like(rows)
    for i in range(hashes.shape[0]):
        place = at[keys[i]]
        at[keys[i]] = place + 1
        sorted_hashes[place] = hashes[i]
        sorted_rows[place] = rows[i]
    return starts, sorted_hashes, sorted_rows


@njit(cache=True, nogil=True)
def _found_earlier(left, p, right, q, earlier):
    """Whether a substring of `earlier` rows (start, width, radius) finds this pair too."""
    for k in range(earlier.shape[0]):
        start, width = earlier[k, 0], earlier[k, 1]
        differing = substring(left, p, start, width) ^ substring(right, q, start, width)
        if np.int64(ones(differing)) <= earlier[k, 2]:
            return True
    return False


@njit(cache=True, nogil=True)
def _longer(array, most):
    longer = np.empty(min(2 * array.size, most), array.dtype)
    longer[: array.size] = array
    return longer


@njit(cache=True, nogil=True)
def bucket_pairs(left, left_rows, left_starts, right, right_rows, right_starts, masks, same, limit, earlier, most):
    """Pairs within `limit` bits of hashes in bucket b of `left` and bucket b ^ mask of `right`, for all b and masks.

    `same`: left and right are one set, of which each pair is taken once. A pair that a substring of `earlier` finds is
    left out. Returns rows, rows, distances, and their count, which stops at `most`.
    """
    first, second = np.empty(min(1024, most), np.uint32), np.empty(min(1024, most), np.uint32)
    distances = np.empty(first.size, np.uint16)
    at = 0
    for b in range(left_starts.size - 1):
        begin, end = left_starts[b], left_starts[b + 1]
        if begin == end:
            continue
        for m in range(masks.size):
            c = b ^ masks[m]
            low, high = right_starts[c], right_starts[c + 1]
            if low == high or (same and c < b):
                continue
            inside = same and c == b
            for p in range(begin, end):
                from_q = p + 1 if inside else low
                if _count_near(left, p, right, from_q, high, limit) == 0:
                    continue
                for q in range(from_q, high):
                    distance = _distance(left, p, right, q)
                    if distance <= limit and not _found_earlier(left, p, right, q, earlier):
                        if at == most:
                            return first, second, distances, at
                        if at == first.size:
                            first, second = _longer(first, most), _longer(second, most)
                            distances = _longer(distances, most)
                        first[at], second[at], distances[at] = left_rows[p], right_rows[q], distance
                        at += 1
    return first[:at], second[:at], distances[:at], at


@njit(cache=True, nogil=True)
def candidates(histogram, queries, masks):
    """Rows in the buckets that differ from the queries' by the masks."""
    total = np.int64(0)
    for q in range(queries.size):
        for m in range(masks.size):
            total += histogram[queries[q] ^ masks[m]]
    return total
