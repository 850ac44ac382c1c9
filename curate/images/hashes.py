"""Perceptual hashes: 64 bits that stay nearly the same when a photograph is resized, recompressed or brightened."""

from __future__ import annotations

import functools

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


def phash_of_grey(grey: np.ndarray, *, mirrored: bool = False, bits: int = 64) -> np.ndarray:
    """pHash of grey images of one size: `(N, H, W)` uint8 -> `(N,)` uint64, or `(N, 4)` for 256 bits.

    The DCT-II of the image squeezed to 32x32 (64x64 for 256 bits); bit `bits - 1 - (8 u + v)` is set where the
    coefficient of vertical frequency u and horizontal frequency v, both below 8 (16), is greater than the median of
    those 64 (256). The definition, resampling (Lanczos) and bit order of `imagehash.phash` (ImageHash 4.3; Zauner 2010,
    "Implementation and benchmarking of perceptual image hash functions", section 3.2.1), in one linear map: what is
    squeezed is not rounded to grey levels in between, coefficients are rounded to whole numbers, so that a wave that
    is not there (one-colour images) gives the same bits on every machine, and images are upright, whatever their EXIF
    orientation. A bit or two may so differ from ImageHash. mirrored: of the mirror images.
    """
    return phash_of_waves(lowest_waves(grey, bits), mirrored=mirrored)


def lowest_waves(grey: np.ndarray, bits: int = 64) -> np.ndarray:
    """The waves that pHash looks at: `(N, H, W)` uint8 -> `(N, 8, 8)` float32, or `(N, 16, 16)` for 256 bits."""
    from curate.images.kernels import low_waves

    low, side = (_LOW, SIDE) if bits == 64 else (2 * _LOW, 2 * SIDE)
    return low_waves(np.ascontiguousarray(grey), *(_squeezed_waves(size, side, low) for size in grey.shape[1:]))


def phash_of_waves(waves: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
    """The bits of `lowest_waves`, `(N,)` or `(N, 4)` uint64; with `mirrored`, of the mirror images."""
    if mirrored:  # mirroring turns the sign of the odd horizontal waves and changes nothing else
        waves = waves * np.where(np.arange(waves.shape[2]) % 2, -1, 1).astype(np.float32)
    words = _above_median(waves.reshape(len(waves), waves.shape[1] * waves.shape[2]))
    return words[:, 0] if words.shape[1] == 1 else words


def _above_median(waves: np.ndarray) -> np.ndarray:
    """Which values are above their median: `(N, 64 k)` -> `(N, k)` uint64, the first value in the highest bit."""
    # The median lies between the two in the middle: what is above it is what is above the lower of them.
    middle = waves.shape[1] // 2 - 1
    least = np.partition(waves, middle, axis=1)[:, middle : middle + 1]
    return np.packbits(waves > least, axis=1).view(">u8").astype(np.uint64)


@functools.lru_cache(maxsize=4096)
def _squeezed_waves(size: int, side: int, low: int) -> np.ndarray:
    """From `size` pixels, and up to 7 that do not count, to waves of the `side` they are squeezed to: `(low, 8 k)`."""
    from curate.images.kernels import lanczos_weights

    first, weights = lanczos_weights(size, side)
    squeeze = np.zeros((side, size + weights.shape[1]))
    np.put_along_axis(squeeze, first[:, None] + np.arange(weights.shape[1]), weights / weights.sum(axis=1)[:, None], 1)
    waves = np.zeros((low, -(-size // 8) * 8), np.float32)
    waves[:, :size] = _dct_rows(side, low) @ squeeze[:, :size]
    return waves


def phash(images: list[np.ndarray]) -> np.ndarray:
    """pHash of RGB images of any size, `(H, W, 3)` uint8 each: `(N,)` uint64. See phash_of_grey."""
    from curate.images.kernels import grey_of

    found = [phash_of_grey(grey_of(np.ascontiguousarray(image))[None]) for image in images]
    return np.concatenate([np.zeros(0, np.uint64), *found])


def _dct_rows(size: int = SIDE, low: int = _LOW) -> np.ndarray:
    """The first rows of the unnormalised DCT-II matrix: `(low, size)` float64."""
    return 2 * np.cos(np.pi * np.arange(low)[:, None] * (2 * np.arange(size) + 1) / (2 * size))


def window_hashes(small: np.ndarray) -> np.ndarray:
    """pHash of each of WINDOWS: small grey squares `(N, 32, 32)` uint8 -> `(N, 49)` uint64.

    What a crop is compared with: a part of a photograph has nearly the hash that the crop of that part has. The
    integrals of the cosines over the window take the place of resampling; the rest is as in `phash_of_grey`.
    """
    from curate.images.kernels import windowed_waves

    small = np.ascontiguousarray(small)
    result = np.empty((len(small), len(WINDOWS)), np.uint64)
    for start in range(0, len(small), 256):
        part = small[start : start + 256]
        waves = windowed_waves(part, _reach_rows())
        result[start : start + len(part)] = _above_median(waves.reshape(-1, _LOW * _LOW))[:, 0].reshape(len(part), -1)
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


def dhash_of_small(small: np.ndarray) -> np.ndarray:
    """dHash: grey images squeezed to 8 rows of 9 pixels `(N, 8, 9)` uint8 -> `(N,)` uint64.

    Bit 63 - (8 y + x) is set where the pixel right of (y, x) is brighter: `imagehash.dhash` (Krawetz 2013).
    """
    small = np.asarray(small)
    bits = np.packbits((small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), 64), axis=1)
    return bits.reshape(-1).view(">u8").astype(np.uint64)
