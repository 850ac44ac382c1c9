"""Measures of imbalance over the counts of a label's categories; arrays in, numbers out.

Every measure looks at the categories present: a category without a sample is left out, for nobody can be drawn from it.
No category present gives NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def present(counts: Any) -> np.ndarray:
    """The counts above zero, int64. Raises ValueError unless `counts` is `(K,)` and of whole numbers of at least 0."""
    array = np.asarray(counts)
    if array.ndim != 1:
        raise ValueError(f"counts must be a one-dimensional array, found the shape {array.shape}")
    whole = array.astype(np.int64) if array.size else np.zeros(0, dtype=np.int64)
    if (whole != array).any() or (whole < 0).any():
        raise ValueError("counts must be whole numbers of at least 0")
    return whole[whole > 0]


def idr(counts: Any) -> float:
    """The inter-decile ratio D9 / D1 of the counts, at least 1; 1 means that the deciles are level.

    Deciles interpolate linearly (definition 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996), as
    `numpy.quantile` does, bit for bit. With few categories they hide a rare one: with two, the ratio never passes 9.
    """
    there = present(counts)
    if not len(there):
        return float("nan")
    low, high = np.quantile(there, [0.1, 0.9])
    return float(high / low)


def max_min(counts: Any) -> float:
    """The largest count over the smallest, at least 1."""
    there = present(counts)
    return float(there.max() / there.min()) if len(there) else float("nan")


def irlbl(counts: Any) -> np.ndarray:
    """The imbalance ratio of each category: the largest count over its own, `(K,)` float64; inf where it has none.

    Source: IRLbl of Charte, Rivera, del Jesus, Herrera, Addressing imbalance in multilabel classification,
    Neurocomputing 163 (2015), equation 3.
    """
    array = np.asarray(counts, dtype=np.float64)
    there = present(counts)
    if not len(there):
        return np.full(array.shape, np.nan)
    with np.errstate(divide="ignore"):
        return there.max() / array


def mean_ir(counts: Any) -> float:
    """The mean of `irlbl` over the categories present, at least 1 (MeanIR; Charte et al. 2015, equation 4)."""
    there = present(counts)
    return float(irlbl(there).mean()) if len(there) else float("nan")


def gini(counts: Any) -> float:
    """The Gini coefficient of the counts, in [0, 1): the mean absolute difference over twice the mean; 0 is level.

    Source: Gini, Variabilita e mutabilita, 1912; as a sum over sorted values in Sen, On Economic Inequality, 1973.
    """
    there = np.sort(present(counts)).astype(np.float64)
    n = len(there)
    if not n:
        return float("nan")
    rank = np.arange(1, n + 1)
    return float(max(0.0, ((2 * rank - n - 1) * there).sum() / (n * there.sum())))


def normalised_entropy(counts: Any) -> float:
    """Shannon's entropy of the shares over that of level ones, ln K: in [0, 1]; 1 is level, and so is one category.

    Source: Shannon, A Mathematical Theory of Communication, 1948, section 6; the ratio is Pielou's evenness (1966).
    """
    there = present(counts)
    if len(there) < 2:
        return 1.0 if len(there) else float("nan")
    share = there / there.sum()
    return float(min(1.0, -(share * np.log(share)).sum() / np.log(len(there))))


def effective_number(counts: Any) -> float:
    """How many level categories would be as diverse: 1 / sum of squared shares, in [1, K].

    Source: the inverse of Simpson's index (Measurement of Diversity, Nature 163, 1949); Hill's number of order 2.
    """
    there = present(counts).astype(np.float64)
    if not len(there):
        return float("nan")
    return float(there.sum() ** 2 / (there**2).sum())


def smallest(counts: Any) -> tuple[int, int]:
    """The place and the count of the rarest category present; the first of equals. (-1, 0) where none is present."""
    array = np.asarray(counts)
    if not len(present(counts)):
        return -1, 0
    at = int(np.where(array > 0, array, array.max() + 1).argmin())
    return at, int(array[at])


def measures(counts: Any) -> dict[str, float]:
    """Every measure of this module by name, for one row of a table."""
    return {
        "idr": idr(counts),
        "max_min": max_min(counts),
        "mean_ir": mean_ir(counts),
        "gini": gini(counts),
        "normalised_entropy": normalised_entropy(counts),
        "effective_number": effective_number(counts),
    }
