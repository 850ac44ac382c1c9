"""Which pairs of names are worth a comparison: MinHash and locality-sensitive hashing over two sets for each name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple
from zlib import crc32

import numpy as np

from curate.core.errors import MissingExtra
from curate.search.names.fold import skeleton
from curate.search.names.parse import PARTICLES

#: Bands and rows of the two signatures: tokens (a token, and how another begins) and groups of three letters.
TOKEN_BANDS, TOKEN_ROWS = 20, 1
GRAM_BANDS, GRAM_ROWS = 40, 3
#: A pair met by its letters alone is scored where so many of the places of its signature agree.
MIN_AGREEMENT = 0.35
#: Pairs of one bucket at most: a larger one holds a name that half a set bears.
LARGEST_BUCKET = 1_000_000


class Candidates(NamedTuple):
    """Pairs (i, j) of a left and a right name in order, each once; and how many pairs of buckets were left out."""

    i: np.ndarray
    j: np.ndarray
    left_out: int


def token_set(tokens: Sequence[str]) -> list[int]:
    """Hashes of each token's skeleton with how each other token begins; of a single token, itself alone.

    Beginnings are two letters of the skeleton, beside the last token also one, which is all that an initial has.
    Particles count only where nothing else is left.
    """
    bones = [skeleton(token) for token in tokens if token not in PARTICLES] or [skeleton(token) for token in tokens]
    if len(bones) == 1:
        return [crc32(bones[0].encode())]
    texts = {f"{one}|{other[:2]}" for x, one in enumerate(bones) for y, other in enumerate(bones) if x != y}
    texts |= {f"{bones[-1]}|{other[:1]}" for other in bones[:-1]}
    return sorted(crc32(text.encode()) for text in texts)


def gram_set(tokens: Sequence[str]) -> list[int]:
    """Hashes of the groups of three letters of each token, one mark before and behind it."""
    return [crc32(padded[at : at + 3].encode())
            for padded in (f"^{token}$" for token in tokens) for at in range(max(len(padded) - 2, 1))]  # fmt: skip


@cache
def permutations(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The permutations of datasketch's MinHash: (a, b) uint32 `(size,)`. Raises MissingExtra without datasketch."""
    try:
        from datasketch import MinHash
    except ImportError:
        raise MissingExtra("datasketch", "overlap", "Comparing names") from None
    a, b = MinHash(num_perm=size, scheme="affine32").permutations
    return a.copy(), b.copy()


def signatures(sets: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """MinHash signatures (Broder 1997) `(n, size)` uint32, equal to those of datasketch's MinHash."""
    from curate.search.names.kernels import minhash

    starts = np.concatenate([[0], np.cumsum([len(one) for one in sets], dtype=np.int64)]).astype(np.int64)
    elements = np.fromiter((value for one in sets for value in one), np.uint32, starts[-1])
    return minhash(starts, elements, *permutations(size))


def candidates(left: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> Candidates:
    """Pairs of token lists that share a bucket of a MinHashLSH over tokens, or of one over letters and many of those.

    A pair whose sets have the Jaccard similarity s shares a bucket with probability `1 - (1 - s**rows) ** bands`
    (Leskovec et al. 2014, section 3.4.2): over tokens 0.99 at s = 0.2, over letters 0.91 at s = 0.4. Buckets are
    found by sorting band by band; memory: two signatures for each name and 8 bytes for each pair of a band.
    """
    from curate.search.names.kernels import agreeing

    one, two = ([token_set(tokens) for tokens in side] for side in (left, right))
    by_tokens, out = _buckets(signatures(one, TOKEN_BANDS * TOKEN_ROWS), signatures(two, TOKEN_BANDS * TOKEN_ROWS),
                              TOKEN_BANDS, TOKEN_ROWS)  # fmt: skip
    one, two = ([gram_set(tokens) for tokens in side] for side in (left, right))
    grams = [signatures(side, GRAM_BANDS * GRAM_ROWS) for side in (one, two)]
    by_grams, more = _buckets(*grams, GRAM_BANDS, GRAM_ROWS)
    width = max(len(right), 1)
    alike = agreeing(*grams, *np.divmod(by_grams, width)) >= MIN_AGREEMENT * GRAM_BANDS * GRAM_ROWS
    key = distinct(np.concatenate([by_tokens, by_grams[alike]]))
    return Candidates(*np.divmod(key, width), out + more)


def _buckets(left: np.ndarray, right: np.ndarray, bands: int, rows: int) -> tuple[np.ndarray, int]:
    """Keys i * len(right) + j of the pairs that agree in all rows of a band, each once, in order; pairs left out."""
    from curate.search.names.kernels import joined

    width, out = np.int64(max(len(right), 1)), 0
    usable = [np.flatnonzero((side != 0xFFFFFFFF).any(axis=1)) for side in (left, right)]
    keys, waiting = np.zeros(0, np.int64), []
    found = np.empty(1 << 20, np.int64)
    for band in range(bands):
        sides = []
        for side, here in zip((left, right), usable, strict=True):
            key = _mixed(side[here, band * rows : (band + 1) * rows])
            order = np.argsort(key, kind="stable")
            sides += [key[order], here[order]]
        count, skipped = joined(*sides, LARGEST_BUCKET, width, found)
        if count > len(found):
            found = np.empty(count, np.int64)
            joined(*sides, LARGEST_BUCKET, width, found)
        out += skipped
        waiting.append(distinct(found[:count]))
        if sum(map(len, waiting)) > len(keys) + (1 << 22) or band == bands - 1:
            keys = distinct(np.concatenate([keys, *waiting]))
            waiting = []
    return keys, out


def distinct(keys: np.ndarray) -> np.ndarray:
    """The different ones, in order: by sorting, which for many numbers is several times faster than numpy's hashing."""
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]


def _mixed(part: np.ndarray) -> np.ndarray:
    """One 64-bit number for the rows of a band; two bands that differ have the same one once in 2**64."""
    key = np.zeros(len(part), np.uint64)
    for column in part.T:
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
