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
def _count(tokens):
    count = 0
    while count < tokens.size and tokens[count] >= 0:
        count += 1
    return count


@njit(cache=True, nogil=True)
def _equal_tokens(one, two, mate, taken, vocabulary, off, total, model):
    """Mate equal tokens, in order; returns their weight and how many are words."""
    value, words = 0.0, 0
    for x in range(mate.size):
        for y in range(taken.size):
            if taken[y] < 0 and one[x] == two[y]:
                mate[x], taken[y] = y, x
                if vocabulary[one[x], 3] > 0:
                    value += model[11]
                else:
                    words += vocabulary[one[x], 1] > 1
                    value += np.log(model[0]) + _rarity(vocabulary[one[x], 0], off, total)
                break
    return value, words


@njit(cache=True, nogil=True)
def _other_spellings(one, two, mate, taken, vocabulary, alike_keys, alike_kind, alike_edits, total, model):
    """Mate each word that is left with its surest other spelling; returns their weight, how many, and bits."""
    value, words, bits = 0.0, 0, 0
    for x in range(mate.size):
        if mate[x] >= 0 or vocabulary[one[x], 1] < 2:
            continue
        best, best_kind, best_edits = -1, 0, 99
        for y in range(taken.size):
            if taken[y] >= 0:
                continue
            at = _find(alike_keys, np.int64(one[x]) * np.int64(vocabulary.shape[0]) + two[y])
            if at >= 0 and (
                alike_kind[at] > best_kind or (alike_kind[at] == best_kind and alike_edits[at] < best_edits)
            ):
                best, best_kind, best_edits = y, alike_kind[at], alike_edits[at]
        if best < 0:
            continue
        mate[x], taken[best] = best, x
        words += 1
        value += max(_rarity(vocabulary[one[x], 0], 1.0, total), _rarity(vocabulary[two[best], 0], 1.0, total))
        if best_kind > 1:
            value += np.log(model[1] if best_kind == 3 else model[2])
            bits |= VARIANT
        else:
            value += np.log(model[3]) * best_edits
            bits |= SPELLING
    return value, words, bits


@njit(cache=True, nogil=True)
def _initials(one, two, mate, taken, vocabulary, model):
    """Mate what is left with an initial that fits; returns the weight and bits."""
    value, bits = 0.0, 0
    for x in range(mate.size):
        if mate[x] >= 0:
            continue
        for y in range(taken.size):
            if taken[y] >= 0 or (vocabulary[one[x], 1] > 1) == (vocabulary[two[y], 1] > 1):
                continue
            if vocabulary[one[x], 2] == vocabulary[two[y], 2]:
                mate[x], taken[y] = y, x
                value += model[4]
                bits |= INITIAL
                break
    return value, bits


@njit(cache=True, nogil=True)
def _left_out(tokens, mate, vocabulary):
    """Of the tokens without a mate: words and initials, how many of them stand at an end, initials, particles."""
    words = ends = initials = particles = 0
    for x in range(mate.size):
        if mate[x] >= 0:
            continue
        if vocabulary[tokens[x], 3] > 0:
            particles += 1
            continue
        words += 1
        ends += x == 0 or x == mate.size - 1
        initials += vocabulary[tokens[x], 1] < 2
    return words, ends, initials, particles


@njit(cache=True, nogil=True)
def _leftovers(one, two, mate, taken, vocabulary, words, model):
    """The weight of tokens without a mate, and bits: on both sides they contradict, on one side they are missing."""
    a, b = _left_out(one, mate, vocabulary), _left_out(two, taken, vocabulary)
    both, ends, initials = min(a[0], b[0]), a[1] + b[1], a[2] + b[2]
    missing, particles = max(a[0], b[0]) - both, a[3] + b[3]
    value, bits = model[10] * particles, PARTICLE if particles else 0
    if both:
        value += model[6] * both + (model[6] if ends > 1 else 0.0)
        bits |= CONFLICT
    if missing:
        value += model[5] * (missing - 0.5 * min(initials, missing))
        if ends > 0 and both == 0:
            value += model[7] if words > 1 else model[6]
            bits |= END
        else:
            bits |= MIDDLE
    return value, bits, both + missing > 0


@njit(cache=True, nogil=True)
def _order(one, mate, vocabulary, model):
    """The weight of another order, and bits. A family name moved to the other end is one fall, counted round."""
    first = last = -1
    falls = 0
    for x in range(mate.size):
        if mate[x] >= 0 and vocabulary[one[x], 3] == 0:
            falls += mate[x] < last
            first = mate[x] if first < 0 else first
            last = mate[x]
    if falls == 0:
        return 0.0, 0
    return model[8] * (1.0 if falls == 1 and last < first else 2.0), SWAPPED


@njit(cache=True, nogil=True)
def weights(left, right, left_suffix, right_suffix, left_key, right_key, left_joined, right_joined, i, j, vocabulary,
            alike_keys, alike_kind, alike_edits, total, model, weight, why):  # fmt: skip
    """Fill `weight` (C,) with the log of how much likelier each pair of forms is of one person than by chance.

    vocabulary `(V, 4)` float64: names that bear the token, its letters, the number of its first letter, whether it is
    a particle. alike_*: pairs of tokens that are spellings of one another, sorted. model `(M,)`: the values of
    `curate.search.names.score.MODEL`, in order. total: names counted. why: bits, see above.
    """
    for c in range(i.size):
        one, two = left[i[c]], right[j[c]]
        off = 1.0 if left_key[i[c]] == right_key[j[c]] else 2.0
        mate, taken = np.full(_count(one), -1, np.int64), np.full(_count(two), -1, np.int64)
        value, words = _equal_tokens(one, two, mate, taken, vocabulary, off, total, model)
        more, others, bits = _other_spellings(one, two, mate, taken, vocabulary, alike_keys, alike_kind, alike_edits,
                                              total, model)  # fmt: skip
        value, words = value + more, words + others
        more, found = _initials(one, two, mate, taken, vocabulary, model)
        value, bits = value + more, bits | found
        more, found = _order(one, mate, vocabulary, model)
        value, bits = value + more, bits | found
        more, found, unlike = _leftovers(one, two, mate, taken, vocabulary, words, model)
        value, bits = value + more, bits | found
        if unlike and left_joined[i[c]] == right_joined[j[c]]:
            fewer, count = (one, mate.size) if mate.size < taken.size else (two, taken.size)
            value, bits = np.log(model[1]), JOINED
            for x in range(count):
                value += _rarity(vocabulary[fewer[x], 0], 1.0, total)
        s, t = left_suffix[i[c]], right_suffix[j[c]]
        if s != t:
            value += model[9] * (1.0 if s == 0 or t == 0 else 2.0)
            bits |= SUFFIX
        weight[c] = value
        why[c] = bits
