"""What in vectors tells persons apart, learned from labelled images: the two-covariance model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curate.core.errors import InputError


class Templates(NamedTuple):
    """identity `(T,)`: the code of each; means `(T, K)` float64; images `(T,)`: how many were averaged."""

    identity: np.ndarray
    means: np.ndarray
    images: np.ndarray


#: Identities with two images or more that a model is learned from, at the least.
MIN_IDENTITIES = 20
#: Directions are kept in which persons differ at least by this share of what images of one person differ (variances).
MIN_RATIO = 0.5
_RIDGE = 0.005  # of the mean variance within, added to every direction
_TILE = 16_384
_ROUNDS = 3


@dataclass(frozen=True)
class IdentityModel:
    """A linear map after which images of one person scatter with variance 1 in every direction.

    mean `(D,)`, projection `(D, K)`; between `(K,)`: the variance of persons in each direction, descending.
    """

    mean: np.ndarray
    projection: np.ndarray
    between: np.ndarray

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors `(N, D)` in those directions: float32 `(N, K)`."""
        result = np.empty((len(vectors), len(self.between)), np.float32)
        for part in _parts(len(vectors)):
            result[part] = (np.asarray(vectors[part], np.float64) - self.mean) @ self.projection
        return result

    def log_ratio(self, left: Templates, right: Templates, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Log likelihood ratio, one person against two, of templates i of left and j of right: float64 `(P,)`.

        In each direction the mean of n images of a person is normal with variance b + 1/n, and two means of one person
        have the covariance b.
        """
        from curate.search.identity_kernels import log_ratios

        order = np.lexsort((right.images[j], left.images[i]))  # equal numbers of images stand together
        result = np.empty(len(i))
        result[order] = log_ratios(left.means, right.means, i[order], j[order], left.images, right.images, self.between)
        return result

    def directions(self, means: np.ndarray, images: float) -> np.ndarray:
        """Means `(T, K)`, weighted so that their cosine orders pairs much as `log_ratio` does for so many images."""
        total = self.between + 1 / max(images, 1.0)
        weight = np.sqrt(self.between / (total**2 - self.between**2))
        return (means * weight).astype(np.float32)


def fit_identity_model(vectors: np.ndarray, identity: np.ndarray) -> IdentityModel:
    """Learn the model from vectors `(N, D)` and codes `(N,)`; rows of zeros and of code -1 take part in nothing.

    The two-covariance model, probabilistic linear discriminant analysis with full covariances (Ioffe 2006; Brummer and
    de Villiers 2010): covariances within and between identities, diagonalised together. Labels may be wrong in part:
    in each of three rounds, images too far from their identity's mean for the spread of most are left out of
    the next. Raises InputError where fewer than 20 identities have two images.
    """
    from scipy.linalg import eigh
    from scipy.stats import chi2

    rows = np.flatnonzero((identity >= 0) & np.any(vectors, axis=1))
    codes = np.unique(identity[rows], return_inverse=True)[1].reshape(-1)
    several = int((np.bincount(codes) > 1).sum()) if len(codes) else 0
    if several < MIN_IDENTITIES:
        raise InputError("too few identities have two images with vectors", value=several,
                         allowed=f"{MIN_IDENTITIES} or more",
                         remedy="Compare by name and image, or bring more images")  # fmt: skip
    mean = sum((vectors[rows[part]].sum(axis=0, dtype=np.float64) for part in _parts(len(rows))), 0.0) / len(rows)
    core = np.ones(len(rows), dtype=bool)
    for number in range(_ROUNDS):
        within, between = _covariances(vectors, rows[core], codes[core], mean)
        size = len(within)
        within[np.diag_indices(size)] += _RIDGE * np.trace(within) / size
        values, axes = eigh(between, within)
        values, axes = values[::-1], axes[:, ::-1]
        # Fewer directions than identities can tell apart: a covariance of few means is mostly chance.
        keep = max(1, min(int((values >= MIN_RATIO).sum()), several // 4))
        model = IdentityModel(mean, _signed(axes[:, :keep]), np.maximum(values[:keep], 1e-6))
        if number < _ROUNDS - 1:
            far = _distances(model.project(vectors[rows]), codes, core)
            core = far <= np.median(far) * chi2.ppf(0.99, keep) / chi2.ppf(0.5, keep)
    return model


def _covariances(
    vectors: np.ndarray, rows: np.ndarray, codes: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of images within their identities, and of the identities' means without the part of the former in it."""
    size, many = vectors.shape[1], int(codes.max()) + 1
    sums, scatter = np.zeros((many, size)), np.zeros((size, size))
    for part in _parts(len(rows)):
        tile = vectors[rows[part]].astype(np.float64) - mean
        np.add.at(sums, codes[part], tile)
        scatter += tile.T @ tile
    count = np.bincount(codes, minlength=many).astype(np.float64)
    held = count > 0
    means = sums[held] / count[held, None]
    within = (scatter - means.T @ (means * count[held, None])) / max(count.sum() - held.sum(), 1)
    use = count[held] > 1
    between = means[use].T @ means[use] / max(use.sum(), 1) - within * (1 / count[held][use]).mean()
    return within, between


def _distances(points: np.ndarray, codes: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Squared distance of each point from the mean of its identity's core; of an identity without a core, infinite."""
    sums = np.zeros((int(codes.max()) + 1, points.shape[1]))
    np.add.at(sums, codes[core], points[core])
    count = np.bincount(codes[core], minlength=len(sums))
    gap = points - (sums / np.maximum(count, 1)[:, None])[codes]
    return np.where(count[codes] > 0, np.einsum("nk,nk->n", gap, gap), np.inf)


def _signed(axes: np.ndarray) -> np.ndarray:
    """Each axis with its largest entry positive: eigenvectors are only told up to their sign."""
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return axes * np.where(signs == 0, 1, signs)


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _TILE, n)) for start in range(0, n, _TILE))
