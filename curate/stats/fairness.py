"""How unevenly errors fall on groups: one number for each published measure.

Every function takes rates in [0, 1] with one column per group, `(..., G)`, and returns `(...)`: a single set of rates,
or one for each draw of a bootstrap. A NaN (a group without comparisons) is left out; fewer than two groups give NaN. A
ratio to a group without errors is infinite, and NaN where no group has any: callers say so, see `curate.audit.fair`.
"""

from __future__ import annotations

import warnings

import numpy as np

#: Of FDR, IR and GARBE: the weight of false matches.
ALPHA = 0.5


def _plain(rates: np.ndarray) -> np.ndarray:
    rates = np.asarray(rates, np.float64)
    few = (~np.isnan(rates)).sum(axis=-1, keepdims=True) < 2
    return np.where(few, np.nan, rates)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(over / under)


def _largest(rates: np.ndarray) -> np.ndarray:
    if not rates.shape[-1]:
        return np.full(rates.shape[:-1], np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmax(rates, axis=-1)


def max_over_min(rates: np.ndarray) -> np.ndarray:
    """The largest rate over the smallest (Grother, Ngan and Hanaoka, NISTIR 8280, 2019)."""
    rates = _plain(rates)
    return _ratio(_largest(rates), -_largest(-rates))


def max_over_geometric_mean(rates: np.ndarray) -> np.ndarray:
    """The largest rate over the geometric mean of all (Grother, NISTIR 8429, 2022)."""
    rates = _plain(rates)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return _ratio(_largest(rates), np.exp(np.nanmean(np.log(rates), axis=-1)))


def gini(rates: np.ndarray) -> np.ndarray:
    """The Gini coefficient of the rates times n / (n - 1), in [0, 1] (Howard, Laird and Sirotin 2022).

    0 where all groups have the same rate, also where all are zero.
    """
    rates = _plain(rates)
    count = (~np.isnan(rates)).sum(axis=-1)
    ordered = np.sort(rates, axis=-1)  # NaN last
    place = np.arange(1, rates.shape[-1] + 1)
    apart = np.nansum((2 * place - count[..., None] - 1) * ordered, axis=-1)  # half the sum of |x_i - x_j|
    total = np.nansum(ordered, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = apart / (np.maximum(count - 1, 1) * total)
    return np.where(count < 2, np.nan, np.where(total == 0, 0.0, value))


def garbe(fmr: np.ndarray, fnmr: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Gini Aggregation Rate for Biometric Equitability, 0 for no difference (Howard, Laird and Sirotin 2022)."""
    return alpha * gini(fmr) + (1 - alpha) * gini(fnmr)


def fairness_discrepancy_rate(fmr: np.ndarray, fnmr: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """FDR = 1 - (alpha max|FMR_i - FMR_j| + (1 - alpha) max|FNMR_i - FNMR_j|), 1 for no difference.

    de Freitas Pereira and Marcel 2021, section 3.
    """
    spread = [_largest(rates) + _largest(-rates) for rates in (_plain(fmr), _plain(fnmr))]
    return 1 - (alpha * spread[0] + (1 - alpha) * spread[1])


def inequity_rate(fmr: np.ndarray, fnmr: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """IR = (max FMR / min FMR)**alpha x (max FNMR / min FNMR)**(1 - alpha), 1 for no difference (Grother 2021)."""
    with np.errstate(invalid="ignore"):
        return max_over_min(fmr) ** alpha * max_over_min(fnmr) ** (1 - alpha)


def accuracy_deviation(accuracy: np.ndarray) -> np.ndarray:
    """The standard deviation (n - 1) of the groups' accuracies (Wang and Deng 2020, "STD")."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanstd(_plain(accuracy), axis=-1, ddof=1)


def skewed_error_ratio(accuracy: np.ndarray) -> np.ndarray:
    """The largest of the groups' error rates (1 - accuracy) over the smallest (Wang and Deng 2020, "SER")."""
    return max_over_min(1 - np.asarray(accuracy, np.float64))
