"""One picture under very many ids, such as a placeholder: tied to its best image instead of pair by pair."""

from __future__ import annotations

import numpy as np

from curate.clean.compared import Population


def crowds_of(phash: np.ndarray, thumbnails: np.ndarray, more_than: int) -> np.ndarray:
    """The number of each image's crowd `(N,)`, -1 for none: more than so many images whose small pixels are equal.

    phash: `(N,)` uint64. thumbnails: `(N, S, S)` uint8.
    """
    crowd = np.full(len(phash), -1, dtype=np.int64)
    _, place, size = np.unique(phash, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(size[place] > more_than)
    if not len(rows):
        return crowd
    small = np.ascontiguousarray(thumbnails[rows]).reshape(len(rows), -1)
    _, place, size = np.unique(small.view(np.dtype((np.void, small.shape[1])))[:, 0], return_inverse=True,
                               return_counts=True)  # fmt: skip
    many = size[place] > more_than
    crowd[rows[many]] = place[many]
    return crowd


def tied(people: Population, crowd: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, j, mask of those that stand for their crowd or are in none) for rows `(N,)` of a population.

    order: all rows, best first. Within an identity each image is paired with the identity's best of the crowd, and the
    best of each identity (each image without one) with the best of the crowd, old images first.
    """
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    inside = np.flatnonzero(crowd >= 0)
    inside = inside[np.lexsort((rank[inside], ~people.old[inside], crowd[inside]))]
    first = inside[np.searchsorted(crowd[inside], crowd[inside])]
    cell = np.where(people.cell[inside] < 0, -1 - inside, people.cell[inside])  # each image without one is its own
    by_cell = np.lexsort((np.arange(len(inside)), cell, crowd[inside]))
    new = np.append(True, (cell[by_cell][1:] != cell[by_cell][:-1])
                    | (crowd[inside][by_cell][1:] != crowd[inside][by_cell][:-1]))[: len(inside)]  # fmt: skip
    lead = np.empty(len(inside), dtype=np.int64)
    lead[by_cell] = inside[by_cell][np.maximum.accumulate(np.where(new, np.arange(len(inside)), 0))]
    partner = np.where(lead == inside, first, lead)
    apart = (partner != inside) & ~(people.old[partner] & people.old[inside])
    one, two = inside[apart], partner[apart]
    stands = crowd < 0
    stands[first] = True
    return np.minimum(one, two), np.maximum(one, two), stands
