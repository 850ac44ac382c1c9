"""Compiled loops over the pixels of one image: grey, the small square, the Laplacian. Import it inside functions."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from numba import njit

#: Fraction bits of Pillow's resampling weights for 8-bit channels.
_BITS = 22


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if -3.0 <= x < 3.0 else 0.0


def _sinc(x: float) -> float:
    x *= math.pi
    return math.sin(x) / x if x else 1.0


@functools.lru_cache(maxsize=4096)
def lanczos_weights(size: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Pillow's fixed-point Lanczos weights from `size` samples to `out`.

    Returns first sample `(out,)` int64 and weights `(out, taps)` int32, zero beyond the filter. Source: Pillow,
    src/libImaging/Resample.c, precompute_coeffs and normalize_coeffs_8bpc.
    """
    scale = size / out
    stretch = max(scale, 1.0)
    support = 3.0 * stretch
    taps = int(np.ceil(support)) * 2 + 1
    first = np.zeros(out, dtype=np.int64)
    weights = np.zeros((out, taps), dtype=np.int32)
    for i in range(out):
        center = (i + 0.5) * scale
        low = max(int(center - support + 0.5), 0)
        high = min(int(center + support + 0.5), size)
        window = [_lanczos((j - center + 0.5) * (1.0 / stretch)) for j in range(low, high)]
        total = 0.0
        for weight in window:  # one after the other, as Pillow adds, so that it rounds alike
            total += weight
        fixed = np.array(window) * (1.0 / total) * (1 << _BITS)
        weights[i, : high - low] = np.where(fixed < 0, fixed - 0.5, fixed + 0.5).astype(np.int32)
        first[i] = low
    return first, weights


@njit(cache=True, nogil=True)
def grey_of(image: np.ndarray) -> np.ndarray:
    """Luma of a contiguous RGB image `(H, W, 3)` uint8 -> `(H, W)` uint8, ITU-R 601 in 16 bits as in Pillow."""
    flat = image.reshape(-1)
    grey = np.empty(image.shape[0] * image.shape[1], np.uint8)
    at = np.uint64(0)  # an unsigned index needs no test for negative ones, so that the loop is vectorised
    for i in range(grey.size):
        red, green, blue = flat[at], flat[at + np.uint64(1)], flat[at + np.uint64(2)]
        luma = (
            np.uint32(red) * np.uint32(19595) + np.uint32(green) * np.uint32(38470) + np.uint32(blue) * np.uint32(7471)
        )
        grey[i] = np.uint8((luma + np.uint32(0x8000)) >> np.uint32(16))
        at += np.uint64(3)
    return grey.reshape(image.shape[0], image.shape[1])


@njit(cache=True, nogil=True)
def _squeeze(turned: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Resample the first axis of `(n, m)` uint8; the inner loop runs along memory, so that it is vectorised."""
    rows, columns = turned.shape
    result = np.empty((first.size, columns), np.uint8)
    total = np.empty(columns, np.int32)
    for i in range(first.size):
        for c in range(columns):
            total[c] = np.int32(1 << (_BITS - 1))
        for k in range(min(weights.shape[1], rows - first[i])):
            weight, at = weights[i, k], first[i] + k
            if weight != 0:
                for c in range(columns):
                    total[c] += weight * np.int32(turned[at, c])
        for c in range(columns):
            result[i, c] = np.uint8(min(max(total[c] >> np.int32(_BITS), np.int32(0)), np.int32(255)))
    return result


def small_square(grey: np.ndarray, side: int, across: int = 0) -> np.ndarray:
    """The image squeezed to `(side, across or side)` uint8, equal to Pillow's `resize((across, side), LANCZOS)`."""
    height, width = grey.shape
    # Turning the image is much cheaper than a horizontal filter, whose inner loop would be short.
    narrow = _squeeze(cv2.transpose(grey), *lanczos_weights(width, across or side))
    return _squeeze(cv2.transpose(narrow), *lanczos_weights(height, side))


@njit(cache=True, nogil=True)
def spread(grey: np.ndarray) -> tuple[float, float]:
    """(variance of the 4-neighbour Laplacian, variance of the grey values), both over the inner pixels.

    The sums are exact integers. (0, 0) where there is no inner pixel.
    """
    height, width = grey.shape
    total, squares, edge, edges = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    if height < 3 or width < 3:
        return 0.0, 0.0
    for y in range(1, height - 1):
        for left in range(1, width - 1, 2048):  # so that 32 bits hold the sums of a stretch
            right = min(left + 2048, width - 1)
            above, below, row = grey[y - 1, left:right], grey[y + 1, left:right], grey[y, left:right]
            before, after = grey[y, left - 1 : right - 1], grey[y, left + 1 : right + 1]
            a, b, c, d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
            for x in range(right - left):
                value = np.int32(row[x])
                bend = np.int32(
                    np.int32(above[x]) + np.int32(below[x]) + np.int32(before[x]) + np.int32(after[x])
                    - np.int32(4) * value
                )  # fmt: skip
                a, b = np.int32(a + value), np.int32(b + value * value)
                c, d = np.int32(c + bend), np.int32(d + bend * bend)
            total, squares, edge, edges = total + a, squares + b, edge + c, edges + d
    n = (height - 2) * (width - 2)
    return edges / n - (edge / n) ** 2, squares / n - (total / n) ** 2


@njit(cache=True, nogil=True)
def windowed_waves(small: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Waves of windows of small squares, whole numbers: (`(N, S, S)` uint8, `(R, W, S)`) -> `(N, R, R, W, W)` float32.

    Rounded, so that the sums' rounding can't turn the bits of an image without waves.
    """
    n, side = small.shape[0], small.shape[1]
    reaches, low = rows.shape[0], rows.shape[1]
    result = np.empty((n, reaches, reaches, low, low), np.float32)
    down = np.empty(side, np.float32)
    turned = np.ascontiguousarray(rows.transpose(2, 0, 1)).reshape(side, reaches * low)
    total = np.empty(reaches * low, np.float32)
    for image in range(n):
        for vertical in range(reaches):
            for u in range(low):
                down[:] = 0.0
                for y in range(side):
                    weight = rows[vertical, u, y]
                    if weight != 0.0:
                        for x in range(side):
                            down[x] += weight * np.float32(small[image, y, x])
                total[:] = 0.0
                for x in range(side):
                    value = down[x]
                    for c in range(reaches * low):
                        total[c] += value * turned[x, c]
                for horizontal in range(reaches):
                    for v in range(low):
                        result[image, vertical, horizontal, u, v] = np.rint(total[horizontal * low + v])
    return result


@njit(cache=True, nogil=True)
def _product(weights: np.ndarray, rows: np.ndarray, result: np.ndarray) -> None:
    """`weights @ rows` of float32 `(L, n)` and `(n, m)`, n a multiple of 8, in one fixed order; vectorised along m."""
    for u in range(weights.shape[0]):
        total, w = result[u], weights[u]
        total[:] = 0.0
        for y in range(0, rows.shape[0], 8):
            a, b, c, d = rows[y], rows[y + 1], rows[y + 2], rows[y + 3]
            e, f, g, h = rows[y + 4], rows[y + 5], rows[y + 6], rows[y + 7]
            p, q, r, s = w[y], w[y + 1], w[y + 2], w[y + 3]  # so that nothing need be read again
            i, j, k, m = w[y + 4], w[y + 5], w[y + 6], w[y + 7]
            for x in range(rows.shape[1]):
                total[x] = (
                    total[x] + p * a[x] + q * b[x] + r * c[x] + s * d[x]
                    + i * e[x] + j * f[x] + k * g[x] + m * h[x]
                )  # fmt: skip


@njit(cache=True, nogil=True)
def low_waves(grey: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """`down @ image @ across.T` of each image, whole numbers: `(N, H, W)` uint8 -> `(N, L, L)` float32.

    down `(L, H + h)`, across `(L, W + w)`: float32, filled up with zeros to a multiple of 8, of which only the first
    row has a sum other than 0; one pixel's level is taken from the image first and added to the first wave, so that
    float32 is exact enough and an image of one colour has no other wave.
    """
    n, height, width = grey.shape
    low = down.shape[0]
    result = np.empty((n, low, low), np.float32)
    image = np.zeros((down.shape[1], width), np.float32)
    half, turned = np.empty((low, width), np.float32), np.zeros((across.shape[1], low), np.float32)
    waves = np.empty((low, low), np.float32)
    whole, wide = down[0].sum(), across[0].sum()
    for at in range(n):
        level = np.float32(grey[at, height // 2, width // 2])
        for y in range(height):
            for x in range(width):
                image[y, x] = np.float32(grey[at, y, x]) - level
        _product(down, image, half)
        for u in range(low):
            for x in range(width):
                turned[x, u] = half[u, x]
        _product(across, turned, waves)
        waves[0, 0] += level * whole * wide
        for u in range(low):
            for v in range(low):
                result[at, u, v] = np.rint(waves[v, u])
    return result
