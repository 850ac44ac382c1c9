"""Confirmed pairs to groups around a keeper."""

from __future__ import annotations

import numpy as np


def star_linkage(order: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Which image keeps each image's place: `(N,)` int64, -1 for one that stays.

    order: all N rows, best first. i, j: `(P,)` rows of confirmed pairs. Visited in order, an image not yet dropped
    becomes a keeper and drops every later image paired with it. So each dropped image is paired with its
    keeper itself, never through a third image (as in chain_linkage).
    """
    from curate.search.kernels import star

    n = len(order)
    near, far = np.concatenate([i, j]).astype(np.int64), np.concatenate([j, i]).astype(np.int64)
    by_image = np.lexsort((far, near))
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(near, minlength=n), out=starts[1:])
    return star(np.asarray(order, dtype=np.int64), starts, far[by_image])


def chain_linkage(order: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """As star_linkage, but images are one group if pairs lead from one to the other: the best of a group stays.

    Single linkage (Sneath 1957): a dropped image need not be paired with its keeper.
    """
    group = components(len(order), i, j)
    visited = np.empty(len(order), np.int64)
    visited[order] = np.arange(len(order))
    first = np.full(len(order), len(order), np.int64)
    np.minimum.at(first, group, visited)
    best = np.asarray(order, np.int64)[first[group]] if len(order) else group
    return np.where(best == np.arange(len(order)), -1, best)


def components(n: int, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The connected component of each of n rows under the pairs (i, j): `(n,)` int64, numbered from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)
