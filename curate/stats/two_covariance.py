"""The two-covariance model of vectors of persons: how likely some vectors show one person, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TILE, _FEW = 65_536, 4096
#: Between-person variances below this share of the largest are noise of the estimate.
_FLOOR = 1e-4


@dataclass(frozen=True)
class TwoCovariance:
    """A person is drawn from N(mean, B), each of the person's vectors from N(person, W).

    mean: `(D,)`. basis: `(D, d)`, takes a centred vector to axes on which W is the identity and B is diagonal
    (simultaneous diagonalisation). between: `(d,)`, the diagonal of B there, descending. All float64.
    Prince and Elder 2007 (PLDA); Ioffe 2006; Brümmer and de Villiers 2010 (the two-covariance model).
    """

    mean: np.ndarray
    basis: np.ndarray
    between: np.ndarray

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors `(N, D)` of any float type on the model's axes: `(N, d)` float32, tile by tile."""
        basis = self.basis.astype(np.float32)
        shift = (self.mean @ self.basis).astype(np.float32)
        result = np.empty((len(vectors), basis.shape[1]), np.float32)
        for start in range(0, len(vectors), _TILE):
            tile = np.asarray(vectors[start : start + _TILE], np.float32)
            np.subtract(tile @ basis, shift, out=result[start : start + len(tile)])
        return result


def fit_two_covariance(
    vectors: np.ndarray, identity: np.ndarray, weight: np.ndarray, *, shrinkage: float, dimensions: int
) -> TwoCovariance:
    """Estimate the model by weighted moments.

    vectors `(N, D)`, identity `(N,)` codes from 0, weight `(N,)` in [0, 1]: how much each vector counts. shrinkage in
    [0, 1]: the share of both covariances that is replaced by a ball of the same trace (Ledoit and Wolf 2004 for the
    form). dimensions: at most so many axes are kept, those that tell persons apart best.
    Identities whose weights add up to 1.5 or less say nothing about the spread within one and are left out.
    Raises ValueError where no identity is left.
    """
    from scipy.linalg import eigh

    weight = np.asarray(weight, np.float64)
    size = vectors.shape[1]
    count = np.bincount(identity, weight)
    usable = count > 1.5
    if not usable.any():
        raise ValueError("no identity has two vectors")
    sums = sums_of(vectors, identity, weight, len(count))
    safe = np.maximum(count, 1e-12)
    means = sums / safe[:, None]
    squared = np.bincount(identity, weight**2, len(count)) / safe
    within = _scatter(vectors, identity, np.sqrt(weight * usable[identity]), means) / (count - squared)[usable].sum()
    mean = sums.sum(0) / weight.sum()
    centred = means[usable] - mean
    # The spread of the means holds what is left of the spread within: its part is taken off.
    between = centred.T @ centred / usable.sum() - within * np.mean((squared / safe)[usable])
    within = _shrunk(within, shrinkage)
    values, axes = eigh((between + between.T) / 2)
    between = _shrunk((axes * np.maximum(values, _FLOOR * max(values.max(), 1e-12))) @ axes.T, shrinkage)
    spread, basis = eigh(between, within)
    kept = np.argsort(-spread, kind="stable")[: min(dimensions, size)]
    return TwoCovariance(mean, basis[:, kept], np.maximum(spread[kept], 1e-6))


def _scatter(vectors: np.ndarray, identity: np.ndarray, root: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Sum of root^2 (v - mean)(v - mean)' over all vectors: products in the vectors' own precision, sums in double."""
    means = means.astype(np.result_type(vectors.dtype, np.float32))
    total = np.zeros((means.shape[1], means.shape[1]))
    for start in range(0, len(vectors), _FEW):
        here = slice(start, start + _FEW)
        residual = vectors[here] - means[identity[here]]
        residual *= root[here, None].astype(residual.dtype)
        total += residual.T @ residual
    return total


def _shrunk(covariance: np.ndarray, share: float) -> np.ndarray:
    size = len(covariance)
    ball = max(np.trace(covariance) / size, 1e-12)
    return (1 - share) * covariance + (share * ball + 1e-9 * ball) * np.eye(size)


def sums_of(vectors: np.ndarray, identity: np.ndarray, weight: np.ndarray, identities: int) -> np.ndarray:
    """The weighted sum of the vectors of each identity: `(identities, d)` float64, tile by tile."""
    from scipy.sparse import csr_array

    result = np.zeros((identities, vectors.shape[1]))
    step = int(np.clip(4 * identities, _FEW, _TILE))  # small tiles stay in the cache, but each costs a pass over result
    for start in range(0, len(vectors), step):
        tile = np.asarray(vectors[start : start + step], np.float64)
        rows = identity[start : start + len(tile)]
        of = (np.asarray(weight[start : start + len(tile)], np.float64), (rows, np.arange(len(tile))))
        result += csr_array(of, shape=(identities, len(tile))) @ tile
    return result


def evidence(count: np.ndarray, sums: np.ndarray, between: np.ndarray) -> np.ndarray:
    """How much better one person explains some projected vectors than noise of covariance W around the mean: log.

    count `(M,)`, sums `(M, d)`: how many vectors (not necessarily a whole number) and their sum. With b = between,
    0.5 * sum over axes of (b s^2 / (1 + n b) - log(1 + n b)), which is the ratio of the two normal densities of n
    vectors, one of which integrates over the person. Returns `(M,)` float64. Everything else follows by differences:
    that sets A and B show one person rather than two is evidence(A and B) - evidence(A) - evidence(B).
    """
    count, sums = np.asarray(count, np.float64), np.asarray(sums, np.float64)
    grown = 1 + count[:, None] * between
    return 0.5 * (between * sums**2 / grown - np.log(grown)).sum(1)


def same_person(
    count_a: np.ndarray, sums_a: np.ndarray, count_b: np.ndarray, sums_b: np.ndarray, between: np.ndarray
) -> np.ndarray:
    """The log-likelihood ratio that sets A and B show one person rather than two: `(M,)`, set by set."""
    both = evidence(count_a + count_b, sums_a + sums_b, between)
    return both - evidence(count_a, sums_a, between) - evidence(count_b, sums_b, between)


def template_terms(count: np.ndarray, sums: np.ndarray, between: np.ndarray) -> tuple[np.ndarray, ...]:
    """What makes same_person of one vector z and each of K sets two matrix products.

    Returns (square, linear, constant), float32 `(d, K)`, `(d, K)`, `(K,)`: the ratio is z^2 @ square + z @ linear +
    constant.
    """
    count = np.asarray(count, np.float64)
    precision = count[:, None] + 1 / between
    person, variance = np.asarray(sums, np.float64) / precision, 1 + 1 / precision
    square = 0.5 * (1 / (1 + between) - 1 / variance)
    linear = person / variance
    constant = 0.5 * (np.log1p(between) - np.log(variance) - person**2 / variance).sum(1)
    return square.T.astype(np.float32), linear.T.astype(np.float32), constant.astype(np.float32)
