"""Perceptual hashes: 64 bits that stay nearly the same when a photograph is resized, recompressed or brightened."""

from __future__ import annotations

import numpy as np

#: Side of the small grey square that hashes and thumbnails come from, pixels.
SIDE = 32
_LOW = 8
#: From where to where the windows of `window_hashes` reach, across and down, as shares of the side.
_REACHES = ((0.0, 1.0), (0.0, 0.9), (0.05, 0.95), (0.1, 1.0), (0.0, 0.8), (0.1, 0.9), (0.2, 1.0))
#: Top, bottom, left and right of each window, as shares of the sides: `(49, 4)`. The first is the whole image.
WINDOWS = np.array([(*down, *across) for down in _REACHES for across in _REACHES])


def small_grey(image: np.ndarray) -> np.ndarray:
    """The whole image squeezed to a grey square: `(H, W, 3)` uint8 RGB -> `(32, 32)` uint8.

    Equal to Pillow's `convert("L").resize((32, 32), LANCZOS)`, byte for byte, for images at least as wide as high.
    Always squeezed across first; Pillow 13 squeezes some tall images down first, which rounds otherwise.
    """
    from curate.images.kernels import grey_of, small_square

    return small_square(grey_of(np.ascontiguousarray(image)), SIDE)


def phash_of_small(small: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
    """pHash of small grey squares: `(N, 32, 32)` uint8 -> `(N,)` uint64; with `mirrored`, of their mirror images.

    The DCT-II of the square; bit 63 - (8 u + v) is set where the coefficient of vertical frequency u and horizontal
    frequency v, both below 8, is greater than the median of those 64. The same definition, resampling and bit order
    as `imagehash.phash` (ImageHash 4.3; Zauner 2010, "Implementation and benchmarking of perceptual image hash
    functions", section 3.2.1). It differs in three things: coefficients are rounded to 1e-6 before they are
    compared, so that exact zeros (one-colour or symmetric images) give the same bits on every machine; `small_grey`
    fixes the order of its passes; and images are upright here, whatever their EXIF orientation.
    """
    small = np.asarray(small)
    low = _dct_rows()
    # matmul on a stack multiplies square by square: the bits of one do not depend on its neighbours.
    waves = np.matmul(np.matmul(low, small.astype(np.float64)), low.T)
    if mirrored:
        waves[:, :, 1::2] *= -1  # mirroring turns the sign of the odd horizontal waves and changes nothing else
    return _above_median(np.round(waves, 6).reshape(len(small), _LOW * _LOW))


def _above_median(waves: np.ndarray) -> np.ndarray:
    """Which of 64 values are above their median: `(N, 64)` -> `(N,)` uint64, the first value in the highest bit."""
    # The median lies between the 32nd and the 33rd: what is above it is what is above the 32nd.
    middle = np.sort(waves, axis=1)[:, 31:32]
    return np.packbits(waves > middle, axis=1).reshape(-1).view(">u8").astype(np.uint64)


def phash(images: list[np.ndarray]) -> np.ndarray:
    """pHash of RGB images of any size, `(H, W, 3)` uint8 each: `(N,)` uint64. See phash_of_small."""
    if not images:
        return np.zeros(0, dtype=np.uint64)
    return phash_of_small(np.stack([small_grey(image) for image in images]))


def _dct_rows(size: int = SIDE, low: int = _LOW) -> np.ndarray:
    """The first rows of the unnormalised DCT-II matrix: `(low, size)` float64."""
    return 2 * np.cos(np.pi * np.arange(low)[:, None] * (2 * np.arange(size) + 1) / (2 * size))


def window_hashes(small: np.ndarray) -> np.ndarray:
    """pHash of each of WINDOWS: small grey squares `(N, 32, 32)` uint8 -> `(N, 49)` uint64.

    What a crop is compared with: a part of a photograph has nearly the hash that the crop of that part has. The
    integrals of the cosines over the window take the place of resampling; the rest is as in `phash_of_small`.
    """
    from curate.images.kernels import windowed_waves

    small = np.ascontiguousarray(small)
    result = np.empty((len(small), len(WINDOWS)), np.uint64)
    for start in range(0, len(small), 256):
        part = small[start : start + 256]
        waves = windowed_waves(part, _reach_rows())
        result[start : start + len(part)] = _above_median(waves.reshape(-1, _LOW * _LOW)).reshape(len(part), -1)
    return result


def _reach_rows() -> np.ndarray:
    """Integrals of the first 8 cosines of each of _REACHES over each of 32 pixels: `(7, 8, 32)` float32."""
    wave, pixel = np.arange(_LOW)[:, None], np.arange(SIDE)
    rows = []
    for start, end in _REACHES:
        low, high = np.clip(pixel, start * SIDE, end * SIDE), np.clip(pixel + 1, start * SIDE, end * SIDE)
        turn = np.pi * wave / ((end - start) * SIDE)
        flat = wave == 0
        integral = (np.sin(turn * (high - start * SIDE)) - np.sin(turn * (low - start * SIDE))) / np.where(
            flat, 1, turn
        )
        rows.append(np.where(flat, high - low, integral) / (end - start))
    return np.array(rows, np.float32)


def phash256_of_small(small: np.ndarray) -> np.ndarray:
    """pHash of 256 bits: small grey squares `(N, 64, 64)` uint8 -> `(N, 4)` uint64, the first bit the highest.

    As `phash_of_small` with the 16 lowest frequencies each way: `imagehash.phash(image, hash_size=16)`.
    """
    small = np.asarray(small)
    rows = _dct_rows(2 * SIDE, 2 * _LOW)
    waves = np.matmul(np.matmul(rows, small.astype(np.float64)), rows.T)
    waves = np.round(waves, 6).reshape(len(small), 4 * _LOW * _LOW)
    middle = np.sort(waves, axis=1)[:, 127:128]
    return np.packbits(waves > middle, axis=1).reshape(-1).view(">u8").reshape(-1, 4).astype(np.uint64)


def dhash_of_small(small: np.ndarray) -> np.ndarray:
    """dHash: grey images squeezed to 8 rows of 9 pixels `(N, 8, 9)` uint8 -> `(N,)` uint64.

    Bit 63 - (8 y + x) is set where the pixel right of (y, x) is brighter: `imagehash.dhash` (Krawetz 2013).
    """
    small = np.asarray(small)
    bits = np.packbits((small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), 64), axis=1)
    return bits.reshape(-1).view(">u8").astype(np.uint64)
