"""Two-way bootstrap over identities: what an error rate would have been with other people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: Draws taken at a time: the weights of all identities in them are one array.
BATCH = 100


def identity_weights(identities: int, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each identity is drawn, with replacement, as many as there are: float32 `(identities, <= 100)` arrays.

    A comparison of identities i and j then counts w_i w_j times, one within an identity w_i times (Owen 2007, the
    pigeonhole bootstrap; Conti and Clemencon 2022 for ROC curves). The product of two weights varies more than one
    weight does: at low rates, where most of the variance is of single comparisons, intervals are too wide (up to
    sqrt(3) times); without an error every draw is 0.
    """
    for start in range(0, draws, BATCH):
        size = min(BATCH, draws - start)
        weights = np.empty((size, identities), np.float32)
        for row in weights:
            row[:] = np.bincount(rng.integers(0, identities, identities), minlength=identities)
        yield np.ascontiguousarray(weights.T)


def weighted_sum(first: np.ndarray, second: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum over rows of counts x weight of the first identity x that of the second: `(draws,)` float64.

    first, second, counts: `(P,)`; where both identities are the same one, its weight counts once. weights: one array
    of `identity_weights`.
    """
    from curate.stats.kernels import weighted_pairs

    first, second = np.ascontiguousarray(first, np.int64), np.ascontiguousarray(second, np.int64)
    return weighted_pairs(first, second, np.ascontiguousarray(counts, np.float64), weights)


def percentile_interval(draws: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The middle `confidence` of the draws (last axis), those that are NaN left out (Efron 1979): (low, high).

    Infinite draws count as larger than all others. NaN where no draw is left.
    """
    ordered = np.sort(np.asarray(draws, np.float64), axis=-1)  # NaN last
    count = (~np.isnan(ordered)).sum(axis=-1)
    ends = []
    for share in (0.5 - confidence / 2, 0.5 + confidence / 2):
        # The whole draw next outside: no arithmetic on infinities.
        at = share * (count - 1)
        at = np.clip(np.floor(at) if share < 0.5 else np.ceil(at), 0, None).astype(np.int64)
        value = np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] if ordered.shape[-1] else np.nan
        ends.append(np.where(count > 0, value, np.nan))
    return ends[0], ends[1]
