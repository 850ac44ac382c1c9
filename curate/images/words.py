"""MinHash over visual words: candidates among sets too large for all pairs, in time that grows with the images."""

from __future__ import annotations

import numpy as np

from curate.core.errors import MissingExtra

#: Permutations of a signature, and how candidates are cut from it: pairs that agree in all rows of one band.
PERMUTATIONS, BANDS, ROWS = 128, 64, 2
#: Images of one bucket at most: a larger one holds what all images share, and its pairs would grow with its square.
LARGEST_BUCKET = 200


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
    signature: np.ndarray, *, bands: int = BANDS, rows: int = ROWS, largest: int = LARGEST_BUCKET
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pairs that share a bucket: signatures `(n, P)` -> (i, j, images in buckets left out), i < j, in order, each once.

    A pair of Jaccard similarity s shares one with probability `1 - (1 - s**rows) ** bands` (Leskovec et al. 2014,
    section 3.4.2): 0.9 at s = 0.19 by default. The pairs are those of datasketch's MinHashLSH, found by sorting band
    by band, in memory of one band. Images without words take part in nothing.
    """
    usable = np.flatnonzero((signature != np.iinfo(signature.dtype).max).any(axis=1))
    keys, left_out = [np.zeros(0, np.int64)], 0
    n = len(signature)
    for band in range(bands):
        part = np.ascontiguousarray(signature[usable, band * rows : (band + 1) * rows])
        order = np.lexsort(part.T)
        ordered = part[order]
        new = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))[: len(ordered)]
        starts = np.flatnonzero(new)
        sizes = np.diff(np.append(starts, len(ordered)))
        left_out += int(sizes[sizes > largest].sum())
        for size in np.unique(sizes[(sizes > 1) & (sizes <= largest)]).tolist():
            members = usable[order[starts[sizes == size][:, None] + np.arange(size)]]
            one, two = (members[:, side].ravel() for side in np.triu_indices(size, 1))
            keys.append(np.unique(np.minimum(one, two) * n + np.maximum(one, two)))
    key = np.unique(np.concatenate(keys))
    return (*np.divmod(key, n), left_out) if n else (key, key, 0)
