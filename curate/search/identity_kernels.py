"""Compiled loops over pairs of templates. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def log_ratios(left, right, i, j, left_images, right_images, between):
    """See `curate.search.identity_model.IdentityModel.log_ratio`, of rows i of left and j of right: float64 `(P,)`."""
    result = np.empty(i.size)
    size = between.size
    xx, yy, xy = np.empty(size), np.empty(size), np.empty(size)
    n = m = -1
    constant = 0.0
    for p in range(i.size):
        x, y = left[i[p]], right[j[p]]
        if left_images[i[p]] != n or right_images[j[p]] != m:  # what depends on the numbers of images alone
            n, m = left_images[i[p]], right_images[j[p]]
            constant = 0.0
            for k in range(size):
                u, v, b = between[k] + 1 / n, between[k] + 1 / m, between[k]
                determinant = u * v - b * b
                xx[k], yy[k], xy[k] = 1 / u - v / determinant, 1 / v - u / determinant, b / determinant
                constant += np.log(u * v / determinant)
        total = 0.0
        for k in range(size):
            total += x[k] * x[k] * xx[k] + y[k] * y[k] * yy[k] + 2 * x[k] * y[k] * xy[k]
        result[p] = 0.5 * (total + constant)
    return result
