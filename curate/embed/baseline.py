"""The embedder that needs no download: LBP and HOG blocks, then PCA with partial whitening."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from curate.core.files import json_digest
from curate.core.vectors import unit
from curate.embed.params import BaselineParams
from curate.embed.protocol import TILE, tiles

_VERSION = 1
_SIDE = 96  # pixels
_RADIUS = 2  # of the LBP, pixels
_GRID = 5  # LBP blocks a side
_BINS = 59  # 58 uniform patterns and the rest
_CELL, _BLOCK = 16, 32  # HOG, pixels
_ROWS_PER_DIMENSION = 6  # images for each fitted dimension; with fewer the small axes are noise


class BaselineEmbedder:
    """Uniform LBP histograms and HOG blocks of the whole image, projected on the principal axes of the data.

    LBP: radius 2, 8 neighbours, 5x5 blocks, square roots of the shares (Ahonen, Hadid and Pietikainen 2006). HOG:
    16-pixel cells in 32-pixel blocks (Dalal and Triggs 2005). Both hardly change with the level and contrast of the
    light, so pixels are not normalised first. K = 1475 + 900 = 2375.
    """

    name = "baseline"
    size = _GRID * _GRID * _BINS + ((_SIDE - _BLOCK) // _CELL + 1) ** 2 * 4 * 9
    dtype = np.dtype(np.float32)

    def __init__(self, settings: BaselineParams | None = None) -> None:
        self.settings = settings or BaselineParams()
        self.fingerprint = json_digest([self.name, _VERSION, self.settings.model_dump()])

    def describe(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """See Embedder.describe."""
        result = np.empty((len(images), self.size), dtype=np.float32)
        for row, image in zip(result, images, strict=True):
            _describe(image, row)
        return result

    def fit(self, descriptors: np.ndarray) -> dict[str, np.ndarray]:
        """Mean `(K,)` and projection `(K, D)`; D is at most a sixth of the number of images.

        Of more than `max_fit_images` images, evenly spaced ones are taken. Eigenvectors of the covariance (or, for
        fewer images than K, of the Gram matrix), each signed so that its largest entry is positive; one BLAS thread.
        Axis i is divided by its standard deviation to the power of `whitening`. An empty state where there is no
        image, or all are alike.
        """
        from threadpoolctl import threadpool_limits

        rows = np.flatnonzero(np.any(descriptors, axis=1))
        limit = self.settings.max_fit_images
        if len(rows) > limit:
            rows = rows[np.arange(limit) * len(rows) // limit]
        if not len(rows):
            return {}
        with threadpool_limits(1, user_api="blas"):
            mean = _mean(descriptors, rows)
            wanted = min(self.settings.dimensions, max(1, len(rows) // _ROWS_PER_DIMENSION))
            values, vectors = _principal_axes(descriptors, rows, mean, wanted)
        if values[0] <= 0:
            return {}
        scale = np.where(values > 0, values, 1) ** (-self.settings.whitening / 2)
        return {"mean": mean.astype(np.float32), "projection": (vectors * scale).astype(np.float32)}

    def project(self, descriptors: np.ndarray, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """See Embedder.project. Without a state (nothing was fitted) the descriptors themselves, at unit length."""
        from threadpoolctl import threadpool_limits

        if not state:
            return unit(descriptors)
        mean, projection = state["mean"], state["projection"]
        result = np.empty((len(descriptors), projection.shape[1]), dtype=np.float32)
        with threadpool_limits(1, user_api="blas"):
            for place, tile in tiles(descriptors):
                length = place.stop - place.start
                present = np.any(tile, axis=1)
                result[place] = np.where(present[:, None], unit((tile - mean) @ projection), 0)[:length]
        return result


def _describe(image: np.ndarray, out: np.ndarray) -> None:
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    grey = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    split = _GRID * _GRID * _BINS
    codes = np.zeros((_SIDE - 2 * _RADIUS,) * 2, dtype=np.uint8)
    centre = grey[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    r, inner = _RADIUS, _SIDE - 2 * _RADIUS
    for bit, (y, x) in enumerate(
        ((0, 0), (0, r), (0, 2 * r), (r, 2 * r), (2 * r, 2 * r), (2 * r, r), (2 * r, 0), (r, 0))
    ):
        codes |= (grey[y : y + inner, x : x + inner] >= centre).view(np.uint8) << bit
    patterns, blocks, pixels = _lbp_tables()
    counts = np.bincount((blocks + patterns[codes]).ravel(), minlength=split)
    out[:split] = np.sqrt(counts / pixels) / _GRID
    out[split:] = _hog().compute(grey).ravel() / np.float32(_GRID)


@cache
def _lbp_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pattern of each code, the first bin of each pixel's block, and the pixels behind each bin."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    uniform = np.count_nonzero(bits != np.roll(bits, 1, axis=1), axis=1) <= 2
    patterns = np.where(uniform, np.cumsum(uniform) - 1, _BINS - 1)
    inner = _SIDE - 2 * _RADIUS
    part = np.arange(inner) * _GRID // inner
    blocks = part[:, None] * _GRID + part
    return patterns, blocks * _BINS, np.repeat(np.bincount(blocks.ravel()), _BINS)


@cache
def _hog() -> object:
    import cv2

    return cv2.HOGDescriptor((_SIDE, _SIDE), (_BLOCK, _BLOCK), (_CELL, _CELL), (_CELL, _CELL), 9)


def _mean(descriptors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    total = np.zeros(descriptors.shape[1])
    for start in range(0, len(rows), TILE):
        total += descriptors[rows[start : start + TILE]].sum(axis=0, dtype=np.float64)
    return total / len(rows)


def _principal_axes(
    descriptors: np.ndarray, rows: np.ndarray, mean: np.ndarray, wanted: int
) -> tuple[np.ndarray, np.ndarray]:
    """Variances `(D,)`, descending, and axes `(K, D)`."""
    from scipy.linalg import eigh

    size = descriptors.shape[1]
    if len(rows) >= size:
        matrix = np.zeros((size, size))
        for start in range(0, len(rows), TILE):
            part = (descriptors[rows[start : start + TILE]] - mean).astype(np.float32)
            matrix += part.T @ part
        values, vectors = eigh(matrix / len(rows), subset_by_index=(size - wanted, size - 1))
    else:
        centred = descriptors[rows] - mean
        values, inner = eigh(centred @ centred.T / len(rows), subset_by_index=(len(rows) - wanted, len(rows) - 1))
        vectors = centred.T @ inner
        length = np.sqrt(np.einsum("ij,ij->j", vectors, vectors))
        vectors = vectors / np.where(length > 0, length, 1)
    values, vectors = values[::-1], vectors[:, ::-1]
    # Images that are all alike leave axes of rounding noise, which whitening would blow up.
    sound = values > max(values[0], 0) * 1e-7
    values, vectors = np.where(sound, values, 0), np.where(sound, vectors, 0)
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(wanted)])
    return values, vectors * np.where(signs == 0, 1, signs)
