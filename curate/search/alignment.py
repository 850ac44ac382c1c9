"""How well two small grey images correlate once one is laid over the other. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit

#: Share of both images that must overlap, else the correlation is 0.
MIN_OVERLAP = 0.6
#: Enlargement of one image against the other, at most.
MAX_SCALE = 1.5
#: Grey levels (standard deviation) below which local contrast counts as noise.
_NOISE = 4.0
#: Half the side of the window of the local mean and contrast, pixels of the small image.
_REACH = 4
#: Below this correlation after the coarse search the pair is given up.
_GIVE_UP = 0.6
#: Below this one after the shifts at equal scale it is given up without trying other scales.
_GIVE_UP_AT_ONCE = 0.5
_COARSE_SCALES = np.array([0.87, 1.15])
#: Steps of one unit of levelled pixels in the whole numbers of the first search.
_STEPS = 64.0


@njit(cache=True, nogil=True)
def levelled(small):
    """`(H, W)` uint8 -> float32 with the local mean taken away and the local contrast made equal.

    A correlation of such pixels sees what stands where, not that faces are light and backgrounds dark, and
    stays high under brightness, contrast and tone changes.
    """
    height, width = small.shape
    result = np.empty((height, width), np.float32)
    # Sums over the rectangles that start at the corner, so that each window costs eight look-ups.
    total, squares = np.zeros((height + 1, width + 1), np.int64), np.zeros((height + 1, width + 1), np.int64)
    for y in range(height):
        row, row_squares = np.int64(0), np.int64(0)
        for x in range(width):
            value = np.int64(small[y, x])
            row += value
            row_squares += value * value
            total[y + 1, x + 1] = total[y, x + 1] + row
            squares[y + 1, x + 1] = squares[y, x + 1] + row_squares
    for y in range(height):
        top, bottom = max(y - _REACH, 0), min(y + _REACH + 1, height)
        for x in range(width):
            left, right = max(x - _REACH, 0), min(x + _REACH + 1, width)
            n = (bottom - top) * (right - left)
            mean = (total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]) / n
            square = (squares[bottom, right] - squares[top, right] - squares[bottom, left] + squares[top, left]) / n
            result[y, x] = (small[y, x] - mean) / (np.sqrt(max(square - mean * mean, 0.0)) + _NOISE)
    return result


@njit(cache=True, nogil=True)
def _correlation(a, b, scale_x, scale_y, shift_x, shift_y):
    """Pearson correlation of b's pixels and a's at (scale * place + shift), places measured from the centre."""
    height, width = b.shape
    middle_y, middle_x = (height - 1) * 0.5, (width - 1) * 0.5
    start_x, start_y = shift_x + middle_x - middle_x * scale_x, shift_y + middle_y - middle_y * scale_y
    first_x, last_x = max(int(np.ceil(-start_x / scale_x)), 0), min(int((width - 1 - start_x) / scale_x), width - 1)
    first_y, last_y = max(int(np.ceil(-start_y / scale_y)), 0), min(int((height - 1 - start_y) / scale_y), height - 1)
    n = max(last_x - first_x + 1, 0) * max(last_y - first_y + 1, 0)
    if n < MIN_OVERLAP * height * width or n * scale_x * scale_y < MIN_OVERLAP * height * width:
        return 0.0
    columns = last_x - first_x + 1
    left, share = np.empty(columns, np.int64), np.empty(columns, np.float32)
    for c in range(columns):
        at_x = start_x + (first_x + c) * scale_x
        left[c] = max(min(int(at_x), width - 2), 0)
        share[c] = np.float32(at_x - left[c])
    row = np.empty(width, np.float32)
    sum_a, sum_b, sum_aa, sum_bb, sum_ab = 0.0, 0.0, 0.0, 0.0, 0.0
    for y in range(first_y, last_y + 1):
        at_y = start_y + y * scale_y
        y0 = max(min(int(at_y), height - 2), 0)
        fy = np.float32(at_y - y0)
        above, below = a[y0], a[y0 + 1]
        for x in range(width):
            row[x] = above[x] + fy * (below[x] - above[x])
        row_b = b[y, first_x : last_x + 1]
        for c in range(columns):
            x0 = left[c]
            value = np.float64(row[x0] + share[c] * (row[x0 + 1] - row[x0]))
            other = np.float64(row_b[c])
            sum_a += value
            sum_b += other
            sum_aa += value * value
            sum_bb += other * other
            sum_ab += value * other
    spread_a, spread_b = sum_aa / n - (sum_a / n) ** 2, sum_bb / n - (sum_b / n) ** 2
    if spread_a < 0.05 or spread_b < 0.05:
        return 0.0
    return (sum_ab / n - (sum_a / n) * (sum_b / n)) / np.sqrt(spread_a * spread_b)


@njit(cache=True, nogil=True)
def _halved(image):
    height, width = image.shape[0] // 2, image.shape[1] // 2
    half = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            half[y, x] = np.float32(0.25) * (
                image[2 * y, 2 * x] + image[2 * y, 2 * x + 1] + image[2 * y + 1, 2 * x] + image[2 * y + 1, 2 * x + 1]
            )
    return half


@njit(cache=True, nogil=True)
def _whole(image):
    whole = np.empty(image.shape, np.int32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            whole[y, x] = np.int32(np.rint(image[y, x] * _STEPS))
    return whole


@njit(cache=True, nogil=True)
def _best_shift(a, b):
    """(correlation, dx, dy) of the best shift by -2 to 2 whole pixels, from exact integer sums, which vectorise."""
    height, width = a.shape
    best, best_x, best_y = -1.0, 0, 0
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            left, right = max(0, -dx), width - max(0, dx)
            sum_a, sum_b, sum_aa, sum_bb, sum_ab = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
            for y in range(max(0, -dy), height - max(0, dy)):
                row_a, row_b = a[y + dy, left + dx : right + dx], b[y, left:right]
                u, v, uu, vv, uv = np.int32(0), np.int32(0), np.int32(0), np.int32(0), np.int32(0)
                for x in range(right - left):
                    p, q = np.int32(row_a[x]), np.int32(row_b[x])
                    u, v = np.int32(u + p), np.int32(v + q)
                    uu, vv, uv = np.int32(uu + p * p), np.int32(vv + q * q), np.int32(uv + p * q)
                sum_a, sum_b, sum_aa, sum_bb, sum_ab = sum_a + u, sum_b + v, sum_aa + uu, sum_bb + vv, sum_ab + uv
            n = (right - left) * (height - abs(dy))
            spread = (sum_aa - sum_a * sum_a / n) * (sum_bb - sum_b * sum_b / n)
            if spread > 0:
                found = (sum_ab - sum_a * sum_b / n) / np.sqrt(spread)
                if found > best:
                    best, best_x, best_y = found, dx, dy
    return best, best_x, best_y


@njit(cache=True, nogil=True)
def aligned_correlation(a, b, half_a, half_b, whole_a, whole_b):
    """Correlation under the best scale (per axis) and shift found: a coarse grid, then a compass search."""
    best, shift_x, shift_y = _best_shift(whole_a, whole_b)
    if best < _GIVE_UP_AT_ONCE:
        return best
    place = np.array([1.0, 1.0, 2.0 * shift_x, 2.0 * shift_y])
    for at in range(_COARSE_SCALES.size):
        scale = _COARSE_SCALES[at]
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                found = _correlation(half_a, half_b, scale, scale, float(dx), float(dy))
                if found > best:
                    best = found
                    place[0], place[1], place[2], place[3] = scale, scale, 2.0 * dx, 2.0 * dy
    if best < _GIVE_UP:
        return best
    best = _correlation(a, b, place[0], place[1], place[2], place[3])
    step = np.array([0.05, 0.05, 1.0, 1.0])
    for _ in range(40):
        improved = False
        for axis in range(4):
            for sign in (-1.0, 1.0):
                before = place[axis]
                place[axis] = before + sign * step[axis]
                found = -1.0
                if axis >= 2 or 1.0 / MAX_SCALE <= place[axis] <= MAX_SCALE:
                    found = _correlation(a, b, place[0], place[1], place[2], place[3])
                if found > best:
                    best, improved = found, True
                else:
                    place[axis] = before
        if not improved:
            step *= 0.5
            if step[2] < 0.1:
                break
    return best


@njit(cache=True, nogil=True)
def correlations(thumbnails, first, second, mirrored):
    """Aligned correlation of thumbnails[first[p]] and thumbnails[second[p]], the latter mirrored where asked."""
    n = thumbnails.shape[0]
    level = np.empty(thumbnails.shape, np.float32)
    half = np.empty((n, thumbnails.shape[1] // 2, thumbnails.shape[2] // 2), np.float32)
    whole = np.empty(half.shape, np.int32)
    for k in range(n):
        level[k] = levelled(thumbnails[k])
        half[k] = _halved(level[k])
        whole[k] = _whole(half[k])
    score = np.empty(first.size, np.float32)
    for p in range(first.size):
        i, j = first[p], second[p]
        b, half_b, whole_b = level[j], half[j], whole[j]
        if mirrored[p]:
            b, half_b = np.ascontiguousarray(b[:, ::-1]), np.ascontiguousarray(half_b[:, ::-1])
            whole_b = np.ascontiguousarray(whole_b[:, ::-1])
        score[p] = aligned_correlation(level[i], b, half[i], half_b, whole[i], whole_b)
    return score
