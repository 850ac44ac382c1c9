"""Confirmed pairs to groups around a keeper."""

from __future__ import annotations

import numpy as np


def star_linkage(order: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Which image keeps each image's place: `(N,)` int64, -1 for one that stays.

    order: all N rows, best first. i, j: `(P,)` rows of confirmed pairs. Visited in order, an image not yet dropped
    becomes a keeper and drops every later image paired with it. So each dropped image is paired with its
    keeper itself, never through a third image (as in single linkage).
    """
    from curate.search.kernels import star

    n = len(order)
    near, far = np.concatenate([i, j]).astype(np.int64), np.concatenate([j, i]).astype(np.int64)
    by_image = np.lexsort((far, near))
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(near, minlength=n), out=starts[1:])
    return star(np.asarray(order, dtype=np.int64), starts, far[by_image])
