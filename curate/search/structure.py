"""How alike two small grey images are that lie over one another. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit

#: Grey levels between which a pixel counts as well exposed: a copy made brighter or darker loses what lies beyond.
_DARK, _BRIGHT = 15.0, 230.0
#: Side and distance of the blocks in which structure is compared, pixels; well exposed pixels of a block, at least.
_BLOCK, _STRIDE, _EXPOSED = 8, 4, 20
#: Blocks that must be comparable, else the correlation itself is the score.
_MIN_BLOCKS = 8
#: Variance of coding noise within a block, grey levels squared.
_VARIANCE = 16.0


@njit(cache=True, nogil=True)
def between(image, x, y):
    """The value at a place between pixels, bilinear."""
    left, top = min(int(x), image.shape[1] - 2), min(int(y), image.shape[0] - 2)
    right, down = x - left, y - top
    above = image[top, left] + right * (np.float64(image[top, left + 1]) - image[top, left])
    below = image[top + 1, left] + right * (np.float64(image[top + 1, left + 1]) - image[top + 1, left])
    return above + down * (below - above)


@njit(cache=True, nogil=True)
def structure(a, b, place):
    """How well b's grey values follow a's, laid over it at `place`, in [-1, 1]; -1 with too few blocks to tell.

    The mean over blocks of the covariance over the product of the standard deviations, both plus the variance of coding
    noise (the structure term of SSIM, Wang et al. 2004, section III.B), times the correlation over all pixels under a
    tone curve. The first does not mind another level and contrast of a part; the second does, but not those of all.
    Pixels too dark or too bright in either image count in neither.
    """
    height, width = b.shape
    middle_y, middle_x = (height - 1) * 0.5, (width - 1) * 0.5
    laid = np.zeros((height, width), np.float64)
    for y in range(height):
        at_y = middle_y + place[3] + place[1] * (y - middle_y)
        for x in range(width):
            at_x = middle_x + place[2] + place[0] * (x - middle_x)
            if at_x >= 0.0 and at_y >= 0.0 and at_x <= width - 1 and at_y <= height - 1:
                laid[y, x] = between(a, at_x, at_y)
    total, blocks = 0.0, 0
    for top in range(0, height - _BLOCK + 1, _STRIDE):
        for left in range(0, width - _BLOCK + 1, _STRIDE):
            n, spread_a, spread_b, both = _spreads(laid, b, top, left, _BLOCK, _BLOCK)
            if n >= _EXPOSED:
                total += (both + _VARIANCE) / (np.sqrt(spread_a * spread_b) + _VARIANCE)
                blocks += 1
    return total / blocks * _tone(laid, b) if blocks >= _MIN_BLOCKS else -1.0


@njit(cache=True, nogil=True)
def _tone(a, b):
    """How well one rising curve of second degree makes b's grey values of a's: the multiple correlation, in [0, 1]."""
    n, u, uu, uuu, uuuu, v, vv, uv, uuv = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for y in range(b.shape[0]):
        for x in range(b.shape[1]):
            value, other = a[y, x], np.float64(b[y, x])
            if _DARK < value < _BRIGHT and _DARK < other < _BRIGHT:
                p, q = (value - 128.0) / 64.0, (other - 128.0) / 64.0
                square = p * p
                n += 1
                u, uu, uuu, uuuu = u + p, uu + square, uuu + square * p, uuuu + square * square
                v, vv, uv, uuv = v + q, vv + q * q, uv + p * q, uuv + square * q
    if n == 0:
        return 0.0
    u, uu, uuu, uuuu, v, vv, uv, uuv = u / n, uu / n, uuu / n, uuuu / n, v / n, vv / n, uv / n, uuv / n
    line, bend, mixed = uu - u * u, uuuu - uu * uu, uuu - u * uu
    spread, along, across = vv - v * v, uv - u * v, uuv - uu * v
    if line <= 1e-9 or spread <= 1e-9 or along <= 0.0:
        return 0.0
    explained = along * along / line
    determinant = line * bend - mixed * mixed
    if determinant > 1e-9:
        explained = (along * along * bend - 2 * along * across * mixed + across * across * line) / determinant
    return np.sqrt(min(max(explained / spread, 0.0), 1.0))


@njit(cache=True, nogil=True)
def _spreads(a, b, top, left, tall, wide):
    """(pixels, variance of a, variance of b, covariance) over the well exposed pixels of a block."""
    n, sum_a, sum_b, sum_aa, sum_bb, sum_ab = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for y in range(top, top + tall):
        for x in range(left, left + wide):
            value, other = a[y, x], np.float64(b[y, x])
            if _DARK < value < _BRIGHT and _DARK < other < _BRIGHT:
                n += 1
                sum_a += value
                sum_b += other
                sum_aa += value * value
                sum_bb += other * other
                sum_ab += value * other
    if n == 0:
        return 0, 0.0, 0.0, 0.0
    spread_a, spread_b = max(sum_aa / n - (sum_a / n) ** 2, 0.0), max(sum_bb / n - (sum_b / n) ** 2, 0.0)
    return n, spread_a, spread_b, sum_ab / n - (sum_a / n) * (sum_b / n)
