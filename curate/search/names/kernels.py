"""Compiled loops over sets, buckets and pairs of names. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def minhash(starts, elements, a, b):
    """Signatures `(n, P)` uint32 of sets of 32-bit hashes, as datasketch 2 makes them (scheme affine32).

    Set i is elements[starts[i]:starts[i+1]], uint32. An empty set has the largest value everywhere.
    """
    n, size = starts.size - 1, a.size
    result = np.full((n, size), np.uint32(0xFFFFFFFF), np.uint32)
    for i in range(n):
        row = result[i]
        for e in range(starts[i], starts[i + 1]):
            h = elements[e]
            h = np.uint32(h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
            h = np.uint32(np.uint32(h) ^ (np.uint32(h) >> np.uint32(13))) * np.uint32(0xC2B2AE35)
            h = np.uint32(np.uint32(h) ^ (np.uint32(h) >> np.uint32(16)))
            for p in range(size):
                value = np.uint32(h * a[p] + b[p])
                if value < row[p]:
                    row[p] = value
    return result


@njit(cache=True, nogil=True)
def joined(left_keys, left_rows, right_keys, right_rows, largest, width, found):
    """Write i * width + j of the pairs with equal keys to `found`; both sides are sorted by key.

    Returns (pairs, comparisons left out): what has no room is counted, not written, and a key with more than
    `largest` pairs is left out.
    """
    at, out = 0, 0
    i, j = 0, 0
    while i < left_keys.size and j < right_keys.size:
        if left_keys[i] < right_keys[j]:
            i += 1
        elif left_keys[i] > right_keys[j]:
            j += 1
        else:
            key = left_keys[i]
            p, q = i, j
            while p < left_keys.size and left_keys[p] == key:
                p += 1
            while q < right_keys.size and right_keys[q] == key:
                q += 1
            if (p - i) * (q - j) > largest:
                out += (p - i) * (q - j)
            else:
                for x in range(i, p):
                    for y in range(j, q):
                        if at < found.size:
                            found[at] = left_rows[x] * width + right_rows[y]
                        at += 1
            i, j = p, q
    return at, out


@njit(cache=True, nogil=True)
def agreeing(left, right, i, j):
    """In how many places the signatures of each pair agree: int32 `(C,)`."""
    result = np.empty(i.size, np.int32)
    for c in range(i.size):
        one, two = left[i[c]], right[j[c]]
        count = 0
        for p in range(one.size):
            count += one[p] == two[p]
        result[c] = count
    return result


@njit(cache=True, nogil=True)
def _ones(x):
    count = 0
    while x:
        x &= x - np.uint64(1)
        count += 1
    return count


@njit(cache=True, nogil=True)
def _may_be_spellings(a, b, length, letters, bones):
    """Whether two tokens can be spellings of one another: a wrong letter changes at most two letters of the set."""
    shorter, longer = min(length[a], length[b]), max(length[a], length[b])
    if shorter < 4 or longer - shorter > 3:
        return False
    return bones[a] == bones[b] or _ones(letters[a] ^ letters[b]) <= (4 if shorter >= 8 else 2)


@njit(cache=True, nogil=True)
def unlike_tokens(left, right, i, j, length, letters, bones, found):
    """Write a * V + b of the tokens of each pair that have no equal on the other side and may be spellings.

    left, right: `(n, T)` token ids, -1 for none. length, letters (a set, as bits), bones (an id of the
    skeleton): `(V,)`.
    Returns how many; what has no room is counted, not written.
    """
    at, width = 0, np.int64(length.size)
    for c in range(i.size):
        one, two = left[i[c]], right[j[c]]
        for x in range(one.size):
            a = one[x]
            if a < 0:
                break
            for y in range(two.size):
                b = two[y]
                if b < 0:
                    break
                if a != b and _may_be_spellings(a, b, length, letters, bones):
                    if at < found.size:
                        found[at] = a * width + b
                    at += 1
    return at


#: What `weights` found out about a pair, as bits.
INITIAL, MIDDLE, SPELLING, VARIANT, SWAPPED, JOINED, SUFFIX, PARTICLE, END, CONFLICT = (1 << bit for bit in range(10))


@njit(cache=True, nogil=True)
def _find(keys, key):
    low, high = 0, keys.size
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < keys.size and keys[low] == key else -1


@njit(cache=True, nogil=True)
def _rarity(count, off, total):
    """-log of a token's share of persons: its count without the pair's own names, and a tenth of a name more."""
    return -np.log(max((max(count - off, 0.0) + 0.1) / (total + 2000.0), 1e-5))


@njit(cache=True, nogil=True)
def weights(left, right, left_suffix, right_suffix, left_key, right_key, left_joined, right_joined, i, j, vocabulary,
            alike_keys, alike_kind, alike_edits, total, model, weight, why):  # fmt: skip
    """Fill `weight` (C,) with the log of how much likelier each pair of forms is of one person than by chance.

    vocabulary `(V, 4)` float64: names that bear the token, its letters, its first letter (or the token itself where
    that is all of it), whether it is a particle. alike_*: pairs of tokens that are spellings of one another, sorted.
    model `(M,)`: see `curate.search.names.score.MODEL`. total: names counted. why: bits, see above.
    """
    width = np.int64(vocabulary.shape[0])
    for c in range(i.size):
        one, two = left[i[c]], right[j[c]]
        off = 1.0 if left_key[i[c]] == right_key[j[c]] else 2.0
        m, n = 0, 0
        while m < one.size and one[m] >= 0:
            m += 1
        while n < two.size and two[n] >= 0:
            n += 1
        mate, taken = np.full(m, -1, np.int64), np.full(n, -1, np.int64)
        value, bits, matched = 0.0, 0, 0
        for x in range(m):  # the same token
            for y in range(n):
                if taken[y] < 0 and one[x] == two[y]:
                    mate[x], taken[y] = y, x
                    if vocabulary[one[x], 3] > 0:
                        value += model[11]
                    else:
                        matched += vocabulary[one[x], 1] > 1
                        value += np.log(model[0]) + _rarity(vocabulary[one[x], 0], off, total)
                    break
        for x in range(m):  # another spelling of it
            if mate[x] >= 0 or vocabulary[one[x], 1] < 2:
                continue
            best, best_kind, best_edits = -1, 0, 99
            for y in range(n):
                if taken[y] >= 0:
                    continue
                at = _find(alike_keys, np.int64(one[x]) * width + two[y])
                if at >= 0 and (alike_kind[at] > best_kind
                                or (alike_kind[at] == best_kind and alike_edits[at] < best_edits)):  # fmt: skip
                    best, best_kind, best_edits = y, alike_kind[at], alike_edits[at]
            if best >= 0:
                mate[x], taken[best] = best, x
                matched += 1
                rare = max(_rarity(vocabulary[one[x], 0], 1.0, total), _rarity(vocabulary[two[best], 0], 1.0, total))
                if best_kind > 1:
                    value += np.log(model[1] if best_kind == 3 else model[2]) + rare
                    bits |= VARIANT
                else:
                    value += np.log(model[3]) * best_edits + rare
                    bits |= SPELLING
        for x in range(m):  # an initial for it
            if mate[x] >= 0:
                continue
            for y in range(n):
                if taken[y] >= 0 or (vocabulary[one[x], 1] > 1) == (vocabulary[two[y], 1] > 1):
                    continue
                if vocabulary[one[x], 2] == vocabulary[two[y], 2]:
                    mate[x], taken[y] = y, x
                    value += model[4]
                    bits |= INITIAL
                    break
        # What is left on both sides contradicts, on one side it is missing.
        left_out = right_out = ends = initials = particles = 0
        for x in range(m):
            if mate[x] < 0:
                if vocabulary[one[x], 3] > 0:
                    particles += 1
                    continue
                left_out += 1
                ends += x == 0 or x == m - 1
                initials += vocabulary[one[x], 1] < 2
        for y in range(n):
            if taken[y] < 0:
                if vocabulary[two[y], 3] > 0:
                    particles += 1
                    continue
                right_out += 1
                ends += y == 0 or y == n - 1
                initials += vocabulary[two[y], 1] < 2
        both = min(left_out, right_out)
        missing = max(left_out, right_out) - both
        if particles:
            value += model[10] * particles
            bits |= PARTICLE
        if both:
            # One word written as two, or the other way round, is no contradiction.
            value += model[6] * both + (model[6] if ends > 1 else 0.0)
            bits |= CONFLICT
        if missing:
            if ends > 0 and both == 0:
                value += model[7] if matched > 1 else model[6]
                bits |= END
            else:
                bits |= MIDDLE
            value += model[5] * (missing - 0.5 * min(initials, missing))
        first = order = -1
        falls = 0
        for x in range(m):
            if mate[x] >= 0 and vocabulary[one[x], 3] == 0:
                falls += mate[x] < order
                first = mate[x] if first < 0 else first
                order = mate[x]
        if falls:
            bits |= SWAPPED  # a family name moved to the other end is one fall, counted round
            value += model[8] * (1.0 if falls == 1 and order < first else 2.0)
        if (both or missing) and left_joined[i[c]] == right_joined[j[c]]:
            fewer, count = (one, m) if m < n else (two, n)
            value = np.log(model[1])
            for x in range(count):
                value += _rarity(vocabulary[fewer[x], 0], 1.0, total)
            bits = JOINED
        s, t = left_suffix[i[c]], right_suffix[j[c]]
        if s != t:
            value += model[9] * (1.0 if s == 0 or t == 0 else 2.0)
            bits |= SUFFIX
        weight[c] = value
        why[c] = bits
