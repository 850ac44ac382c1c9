"""Hard impostors: the pairs of two identities that look most alike, as a stratum of their own."""

from __future__ import annotations

import numpy as np

from curate.protocol.blocks import Block
from curate.protocol.capped import Caps

#: Images compared at a time with all later ones.
TILE = 512


def hardest(
    block: Block, quota: int, vectors: np.ndarray, taken: tuple[np.ndarray, np.ndarray], caps: Caps | None
) -> tuple[np.ndarray, np.ndarray]:
    """The impostor pairs of a block with the highest cosine similarity: places a < b, each `(quota,)` or fewer.

    vectors: `(M, D)` float32 of unit length, a row for each place of the population; images whose row is zero have no
    vector and are left out. taken: places of pairs that were drawn already. caps: pairs are taken, the nearest first,
    as far as they allow, from 20 times as many. Ties go to the first places. Every pair is compared: time grows with
    the square of the block's images, memory does not.
    """
    places = block.left[vectors[block.left].any(axis=1)]
    best = np.zeros((0, 2), dtype=np.int64)
    scores = np.zeros(0, dtype=np.float32)
    if not quota or len(places) < 2:
        return best[:, 0], best[:, 1]
    matrix, identity = vectors[places], block.images.identity[places]
    size = len(block.images.row)
    drawn = np.sort(np.minimum(*taken) * size + np.maximum(*taken))
    # Under caps the nearest pairs are few people's: more are kept than will be taken.
    kept = quota if caps is None else 20 * quota
    spare = kept + len(drawn) + block.space.size - block.free
    least = np.float32(-2)
    for start in range(0, len(places), TILE):
        stop = min(start + TILE, len(places))
        found = matrix[start:stop] @ matrix[start:].T
        found[identity[start:stop, None] == identity[None, start:]] = -3
        found[:, : stop - start][np.tri(stop - start, dtype=bool)] = -3
        if least < -1 and spare < found.size:
            # The first tile: as many as could be wanted, were all those that are refused among the best.
            least = np.partition(found, found.size - spare, axis=None)[found.size - spare]
        i, j = np.nonzero(found >= max(least, np.float32(-2)))
        value, a, b = found[i, j], places[start + i], places[start + j]
        keep = ~block.are_copies(a, b) & ~_among(a * size + b, drawn)
        scores = np.concatenate([scores, value[keep]])
        best = np.concatenate([best, np.stack([a[keep], b[keep]], axis=1)])
        if len(scores) > 4 * kept + 65_536 or stop == len(places):
            order = np.lexsort((best[:, 1], best[:, 0], -scores))[:kept]
            scores, best = scores[order], best[order]
            if len(scores) == kept:
                least = scores[-1]
    a, b = best[:, 0], best[:, 1]
    if caps is not None:
        chosen = caps.try_on(block, a, b, quota)
        caps.take(block, a[chosen], b[chosen])
        a, b = a[chosen], b[chosen]
    return a, b


def _among(keys: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    if not len(ascending):
        return np.zeros(len(keys), dtype=bool)
    at = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return ascending[at] == keys
