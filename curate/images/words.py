"""MinHash over visual words: candidates among sets too large for all pairs, in time that grows with the images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curate.core.errors import InputError, MissingExtra

#: Permutations of a signature, and how candidates are cut from it: pairs that agree in all rows of one band.
PERMUTATIONS, BANDS, ROWS = 128, 64, 2
#: Images of one bucket at most: a larger one holds what all images share, and its pairs would grow with its square.
LARGEST_BUCKET = 200
#: Pairs that are returned at most, unless told: about 30 bytes each while they are sorted.
MAX_PAIRS = 50_000_000
#: Places by which a bucket that is too large is cut further, at most; pairs looked at in one go.
_DEEPER, _AT_ONCE = 6, 1 << 22


def signatures(words: np.ndarray) -> np.ndarray:
    """MinHash of each image's set of visual words: `(n, M)` int32, -1 for none, -> `(n, 128)` uint32.

    By datasketch (Broder 1997); the share of equal places estimates the sets' Jaccard similarity. An image without
    words has the largest value everywhere. Raises MissingExtra without datasketch.
    """
    try:
        from datasketch import MinHash
    except ImportError:
        raise MissingExtra("datasketch", "minhash", "MinHash over visual words") from None

    empty = MinHash(num_perm=PERMUTATIONS, hashfunc=int)
    result = np.empty((len(words), PERMUTATIONS), np.uint32)
    for row, mine in enumerate(words):
        one = empty.copy()
        one.update_batch(np.unique(mine[mine >= 0]).tolist())
        result[row] = one.hashvalues
    return result


def candidate_pairs(
    signature: np.ndarray, least: float = 0.0, *, bands: int = BANDS, rows: int = ROWS,
    largest: int = LARGEST_BUCKET, max_pairs: int = MAX_PAIRS,
) -> tuple[np.ndarray, np.ndarray, int]:  # fmt: skip
    """Pairs that share a bucket and agree in so large a share of their places (`least`), i < j, in order, each once.

    signature: `(n, P)` -> (i, j, images in buckets left out). A pair of Jaccard similarity s shares a bucket with
    probability `1 - (1 - s**rows) ** bands` (Leskovec et al. 2014, section 3.4.2): 0.9 at s = 0.19 by default. Where no
    bucket is too large the pairs are those of datasketch's MinHashLSH. One of more than `largest` images is cut by the
    places that follow, one after the other, until its parts are small enough (prefixes of variable length: Bawa et al.
    2005); what then still is too large is left out. So the pairs looked at grow with the images, and the memory with
    the pairs that agree. Images without words take part in nothing.
    Raises InputError where more than `max_pairs` pairs agree.
    """
    from curate.images.kernels import agreeing_pairs

    usable = np.flatnonzero((signature != np.iinfo(signature.dtype).max).any(axis=1))
    key, left_out, n = np.zeros(0, np.int64), 0, len(signature)
    for band in range(bands):
        columns = (np.arange(rows + _DEEPER) + band * rows) % signature.shape[1]
        for members, bounds, too_large in _buckets(signature, usable, columns, rows, largest):
            left_out += too_large
            for start, end in _goes(np.diff(bounds)):
                i, j = agreeing_pairs(signature, members, bounds[start : end + 1], least)
                key = np.union1d(key, np.minimum(i, j) * n + np.maximum(i, j))
                if len(key) > max_pairs:
                    raise InputError(f"more than {max_pairs:,} pairs are that similar", value=least,
                                     remedy="Raise min_similarity")  # fmt: skip
    return (*np.divmod(key, n), left_out) if n else (key, key, 0)


def _buckets(
    signature: np.ndarray, usable: np.ndarray, columns: np.ndarray, rows: int, largest: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Buckets of 2 to `largest` images at each depth: members in order, `(B + 1,)` bounds; and those left at the end.

    The first depth takes `rows` columns together; each further one the buckets that were too large, by one more.
    """
    members, bucket = usable, np.zeros(len(usable), np.int64)
    for depth in range(rows, len(columns) + 1):
        taken = columns[:rows] if depth == rows else columns[depth - 1 : depth]
        keys = [bucket, *(signature[members, column] for column in taken)]
        order = np.lexsort(keys[::-1])
        members = members[order]
        new = np.zeros(len(members), bool)
        for key in keys:
            new[1:] |= key[order][1:] != key[order][:-1]
        bucket = np.cumsum(new)
        size = np.bincount(bucket)[bucket] if len(bucket) else bucket
        fits, more = (size > 1) & (size <= largest), size > largest
        held = bucket[fits]
        bounds = np.flatnonzero(np.append(True, held[1:] != held[:-1])[: len(held)])
        yield members[fits], np.append(bounds, len(held)), int(more.sum()) if depth == len(columns) else 0
        members, bucket = members[more], bucket[more]


def _goes(sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Buckets, first and end, whose pairs are looked at in one go."""
    pairs = np.cumsum(sizes * (sizes - 1) // 2)
    start = 0
    while start < len(sizes):
        before = pairs[start - 1] if start else 0
        end = max(int(np.searchsorted(pairs, before + _AT_ONCE, side="right")), start + 1)
        yield start, end
        start = end
