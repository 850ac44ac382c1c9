"""Measures of imbalance over the counts of a label's categories; arrays in, numbers out.

Every measure looks at the categories present: a category without a sample is left out, for nobody can be drawn from it.
No category present gives NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def idr(counts: Any, quantile: str = "linear") -> float:
    """The inter-decile ratio D9 / D1 of the counts, at least 1; 1 means that the deciles are level.

    Deciles interpolate linearly (definition 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996), as
    `numpy.quantile` does, bit for bit. With few categories they hide a rare one: with two, the ratio never passes 9.
    quantile: another definition by the name of NumPy's `method`.
    """
    there = present(counts)
    if not len(there):
        return float("nan")
    low, high = np.quantile(there, [0.1, 0.9], method=quantile)
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


def cvir(counts: Any) -> float:
    """How much `irlbl` varies: its standard deviation (K - 1 in the divisor) over its mean; 0 is level.

    Source: CVIR of Charte et al. 2015, equation 5. One category: 0.
    """
    there = present(counts)
    if not len(there):
        return float("nan")
    ratios = irlbl(there)
    return float(ratios.std(ddof=1) / ratios.mean()) if len(there) > 1 else 0.0


def scumble(counts: Any, memberships: Sequence[Any]) -> np.ndarray:
    """How far each row mixes rare and common categories, `(N,)` float64 in [0, 1); 0: all its categories are alike.

    counts: `(K,)` of all categories of all labels. memberships: arrays `(N,)`, the places in `counts` that
    a row has, -1 none; one array for each label. One minus the geometric over the arithmetic mean of `irlbl` over
    the categories of the row; 0 for a row without any. The mean over rows is the table's SCUMBLE, the mean over the
    rows of a category is that category's.

    Source: Charte, Rivera, del Jesus, Herrera, Dealing with difficult minority labels in imbalanced multilabel data
    sets, Neurocomputing 326-327 (2019), section 3; the reference package takes the mean over the row's own categories.
    """
    ratios = np.append(irlbl(counts), 0.0)
    logs = np.append(np.log(np.where(ratios[:-1] > 0, ratios[:-1], 1.0)), 0.0)
    n = len(memberships[0]) if len(memberships) else 0
    total, log_total, number = np.zeros(n), np.zeros(n), np.zeros(n)
    for column in memberships:
        column = np.asarray(column)
        total += ratios[column]
        log_total += logs[column]
        number += column >= 0
    number = np.maximum(number, 1)
    mean = np.where(total > 0, total / number, 1.0)
    return np.where(total > 0, np.maximum(0.0, 1 - np.exp(log_total / number) / mean), 0.0)


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


def effective_sample_size(uses: Any) -> float:
    """How many rows used once would weigh the same: (sum n)^2 / sum n^2 over how often each original row is used.

    uses: `(N,)` the row itself and its replicas; a row that is not used counts 0. In [1, N].
    Source: Kish, Survey Sampling, 1965, section 11.7.
    """
    return effective_number(uses)


def smallest(counts: Any) -> tuple[int, int]:
    """The place and the count of the rarest category present; the first of equals. (-1, 0) where none is present."""
    array = np.asarray(counts)
    if not len(present(counts)):
        return -1, 0
    at = int(np.where(array > 0, array, array.max() + 1).argmin())
    return at, int(array[at])


def measures(counts: Any, quantile: str = "linear") -> dict[str, float]:
    """Every measure of this module by name, for one row of a table."""
    return {
        "idr": idr(counts, quantile),
        "max_min": max_min(counts),
        "mean_ir": mean_ir(counts),
        "cvir": cvir(counts),
        "gini": gini(counts),
        "normalised_entropy": normalised_entropy(counts),
        "effective_number": effective_number(counts),
    }
