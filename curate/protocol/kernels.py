"""Compiled loops over pairs and texts. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def accept(a, b, who_a, who_b, people, photos, each, image, most):
    """Which pairs are taken, in order, at most `most`, each if neither its identities nor its images are used up.

    a, b, who_a, who_b: `(n,)` places and identities. people, photos: how often each was used; counted on in place.
    each, image: how often an identity, an image, may be used.
    """
    chosen = np.zeros(len(a), dtype=np.bool_)
    taken = 0
    for k in range(len(a)):
        if taken >= most:
            break
        i, j = who_a[k], who_b[k]
        if people[i] >= each or people[j] >= each or photos[a[k]] >= image or photos[b[k]] >= image:
            continue
        people[i] += 1
        if j != i:
            people[j] += 1
        photos[a[k]] += 1
        photos[b[k]] += 1
        chosen[k] = True
        taken += 1
    return chosen


@njit(cache=True, nogil=True)
def mix(value):
    """A 64-bit number scattered over all 64-bit numbers, one to one (the finaliser of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def text_hashes(offsets, data):
    """A 64-bit hash (FNV-1a, then mixed) of each text of an Arrow array: offsets `(n + 1,)`, data bytes."""
    out = np.empty(len(offsets) - 1, dtype=np.uint64)
    for k in range(len(out)):
        value = np.uint64(0xCBF29CE484222325)
        for at in range(offsets[k], offsets[k + 1]):
            value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
        out[k] = mix(value)
    return out


@njit(cache=True, nogil=True)
def add_hash(value, column):
    """Mix a column `(n,)` uint64 into the hashes `(n,)`, in place."""
    for k in range(len(value)):
        value[k] = mix(value[k] + column[k] + np.uint64(0x9E3779B97F4A7C15))
