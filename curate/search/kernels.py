"""Compiled loops over pairs. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def star(order, starts, neighbours):
    """Keeper of each image, -1 where it keeps itself: visited in `order`, one not yet dropped drops its neighbours.

    starts `(N + 1,)`, neighbours `(E,)`: the confirmed pairs of each image, both directions.
    """
    keeper = np.full(order.size, -1, np.int64)
    visited = np.zeros(order.size, np.bool_)
    for image in order:
        visited[image] = True
        if keeper[image] >= 0:
            continue
        for e in range(starts[image], starts[image + 1]):
            other = neighbours[e]
            if not visited[other] and keeper[other] < 0:
                keeper[other] = image
    return keeper
