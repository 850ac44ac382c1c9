"""How well two small grey images agree once one is laid over the other. Import it inside functions."""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.search.hamming_kernels import ones
from curate.search.structure import between, structure

#: Share of both images that must overlap, else the correlation is 0.
MIN_OVERLAP = 0.5
#: Enlargement of one image against the other, at most.
MAX_SCALE = 1.6
#: Grey levels (standard deviation) below which local contrast counts as noise.
_NOISE = 4.0
#: Half the side of the window of the local mean and contrast, pixels of the small image.
_REACH = 4
#: Starts of the search that the hashes suggest, besides the whole image on the whole image.
_STARTS = 3
#: The pair is given up below these correlations: at all starts, after shifts of one pixel around them, refined.
#: Of planted copies one in a hundred lies below 0.64, 0.71 and 0.86; of chance proposals four in five are given up at
#: the first and nineteen in twenty at the second.
_GIVE_UP_AT_ONCE = 0.5
_GIVE_UP_EARLY = 0.6
_GIVE_UP = 0.7
#: A pair whose score is below the first is also tried with one image turned by the second, degrees, either way.
_SURE, _TURN = 0.97, 3.0
#: Taken from the score of such a try: one more freedom brings different photographs nearer too.
_HANDICAP = 0.012


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
def starts_of(first, second, first_windows, second_windows, places, turned, starts):
    """Fill `starts` `(T, 4)` with the whole image, then the likeliest places of the second image over the first.

    A place: scale across and down, shift across and down, pixels of the small image, from centre to centre.

    first, second: whole hashes, of the mirror image where the second one is to be mirrored. places `(K, 4)`: top,
    bottom, left and right of each window, as shares of the sides. Either image may be a window of the other.
    """
    side = 32.0
    best = np.full(starts.shape[0] - 1, 65, np.int64)
    found = np.zeros(starts.shape[0] - 1, np.int64)
    for k in range(2 * places.shape[0]):
        if k < places.shape[0]:
            distance = np.int64(ones(second ^ first_windows[k]))
        else:
            distance = np.int64(ones(first ^ second_windows[k - places.shape[0]]))
        at = best.size
        while at > 0 and distance < best[at - 1]:
            at -= 1
        if at < best.size:
            for later in range(best.size - 1, at, -1):
                best[later], found[later] = best[later - 1], found[later - 1]
            best[at], found[at] = distance, k
    starts[0] = 1.0, 1.0, 0.0, 0.0
    for t in range(best.size):
        k = found[t]
        inner = k < places.shape[0]
        top, bottom, left, right = places[k if inner else k - places.shape[0]]
        if not inner and turned:
            left, right = 1.0 - right, 1.0 - left
        shift_x, shift_y = side * ((left + right) * 0.5 - 0.5), side * ((top + bottom) * 0.5 - 0.5)
        wide, tall = right - left, bottom - top
        if inner:
            starts[t + 1] = wide, tall, shift_x, shift_y
        else:
            starts[t + 1] = 1.0 / wide, 1.0 / tall, -shift_x / wide, -shift_y / tall


@njit(cache=True, nogil=True)
def _refined(a, b, place):
    """The best correlation near `place`, which is moved there: a compass search (Hooke and Jeeves 1961)."""
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
def agreement(a, b, level_a, level_b, half_a, half_b, starts):
    """Score of b over a at the best place found: see `curate.search.confirm.correlate_pairs`.

    starts `(T, 4)`: places where the search begins, the first being the whole image on the whole image.
    """
    # Shifts and places at half size are half those at full size.
    best = -1.0
    for t in range(starts.shape[0]):
        best = max(
            best, _correlation(half_a, half_b, starts[t, 0], starts[t, 1], 0.5 * starts[t, 2], 0.5 * starts[t, 3])
        )
    if best < _GIVE_UP_AT_ONCE:
        return best
    best = -1.0
    place = np.empty(4)
    for t in range(starts.shape[0]):
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                x, y = 0.5 * starts[t, 2] + dx, 0.5 * starts[t, 3] + dy
                found = _correlation(half_a, half_b, starts[t, 0], starts[t, 1], x, y)
                if found > best:
                    best = found
                    place[0], place[1], place[2], place[3] = starts[t, 0], starts[t, 1], 2.0 * x, 2.0 * y
    if best < _GIVE_UP_EARLY:
        return best
    trial = place.copy()
    trial[2:] *= 0.5
    best = _refined(half_a, half_b, trial)
    if best < _GIVE_UP:
        return best
    start = place.copy()
    best = _refined(level_a, level_b, place)
    if best < _GIVE_UP:
        return best
    score = _scored(a, b, place, best)
    if score < _SURE:
        for degrees in (-_TURN, _TURN):
            turned = _turned(b, degrees)
            place[:] = start
            found = _refined(level_a, levelled(turned), place)
            if found > best:
                score = max(score, _scored(a, turned, place, found) - _HANDICAP)
    return score


@njit(cache=True, nogil=True)
def _scored(a, b, place, correlation):
    """The structure of b over a at a place; the correlation, where there is too little to compare."""
    if place[0] * place[1] < 1.0:  # the enlarged one is laid over the other: enlarging the other would blur it
        back = np.array([1.0 / place[0], 1.0 / place[1], -place[2] / place[0], -place[3] / place[1]])
        alike = structure(b, a, back)
    else:
        alike = structure(a, b, place)
    return alike if alike > -1.0 else correlation


@njit(cache=True, nogil=True)
def _turned(image, degrees):
    """`(H, W)` uint8 turned counter-clockwise about its centre, bilinear; what comes from outside repeats the edge."""
    height, width = image.shape
    middle_y, middle_x = (height - 1) * 0.5, (width - 1) * 0.5
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    result = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            at_x = middle_x + cosine * (x - middle_x) - sine * (y - middle_y)
            at_y = middle_y + sine * (x - middle_x) + cosine * (y - middle_y)
            at_x, at_y = min(max(at_x, 0.0), width - 1.0), min(max(at_y, 0.0), height - 1.0)
            result[y, x] = np.uint8(np.rint(between(image, at_x, at_y)))
    return result


@njit(cache=True, nogil=True)
def agreements(thumbnails, hashes, mirror_hashes, windows, places, first, second, mirrored):
    """Agreement of thumbnails[first[p]] and thumbnails[second[p]], the latter mirrored where asked.

    hashes, mirror_hashes `(N,)` and windows `(N, K)` uint64, places `(K, 4)`: see starts_of; K may be 0.
    """
    n = thumbnails.shape[0]
    level = np.empty(thumbnails.shape, np.float32)
    half = np.empty((n, thumbnails.shape[1] // 2, thumbnails.shape[2] // 2), np.float32)
    for k in range(n):
        level[k] = levelled(thumbnails[k])
        half[k] = _halved(level[k])
    score = np.empty(first.size, np.float32)
    starts = np.empty((1 + min(_STARTS, 2 * places.shape[0]), 4))
    for p in range(first.size):
        i, j = first[p], second[p]
        b, level_b, half_b = thumbnails[j], level[j], half[j]
        one, two = hashes[i], hashes[j]
        if mirrored[p]:
            b, level_b = np.ascontiguousarray(b[:, ::-1]), np.ascontiguousarray(level_b[:, ::-1])
            half_b = np.ascontiguousarray(half_b[:, ::-1])
            one, two = mirror_hashes[i], mirror_hashes[j]
        starts_of(one, two, windows[i], windows[j], places, mirrored[p], starts)
        score[p] = agreement(thumbnails[i], b, level[i], level_b, half[i], half_b, starts)
    return score
