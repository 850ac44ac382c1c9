"""What a number of comparisons can show: effective numbers, the rules of 3 and 30, and what a wanted rate needs.

Before there are scores nothing can be estimated from them, so that the dependence of comparisons which share an
identity is assumed. Errors of two comparisons that share an identity are correlated: fully (1) at worst where they
share both identities (or are genuine and of one identity); at most 1/2 where they share one of two, since for any
symmetric function of two independent persons Hoeffding's first component is at most half of the variance (Hoeffding
1948, section 5). `correlation` scales between none (0) and that worst case (1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curate.core.errors import InputError
from curate.stats.intervals import wilson

#: Errors that must be expected: to bound a rate by its observation of none (95%, the rule of three; Hanley and
#: Lippman-Hand 1983), and to know it within 30% (90%, the rule of thirty; Doddington et al. 2000).
THREE, THIRTY = 3.0, 30.0


class Effective(NamedTuple):
    """Comparisons that are as informative as independent ones would be.

    comparisons: as counted. n_eff: under the assumed correlation. worst: where errors depend on the identities alone.
    """

    comparisons: int
    n_eff: float
    worst: float


def effective(per_identity: np.ndarray, comparisons: int, between: bool, correlation: float) -> Effective:
    """The effective number of comparisons whose errors are correlated through shared identities.

    per_identity: `(I,)` comparisons c_i that each identity takes part in; impostor ones (`between`) count for both of
    their identities. comparisons: N. correlation: in [0, 1], see above.
    The variance of an error rate is p (1 - p) / N^2 times the sum of the correlations over all ordered pairs of
    comparisons (Kish 1965, section 5.4, for clusters; here they cross). In the worst case the sum is sum c_i^2 for
    genuine comparisons, so that N_eff = (sum c_i)^2 / sum c_i^2, and sum c_i^2 / 2 for impostor ones, so that
    N_eff = 2 N^2 / sum c_i^2: half as many as identities where all have equally many, as in disjoint pairs of persons.
    Between: N_eff = N / (1 + correlation (N / worst - 1)).
    Raises InputError for a correlation outside [0, 1].
    """
    _check(correlation)
    counts = np.asarray(per_identity, dtype=np.float64)
    squares = float(counts @ counts)
    if comparisons == 0 or squares == 0:
        return Effective(comparisons, 0.0, 0.0)
    worst = min(float(comparisons), (2 if between else 1) * float(comparisons) ** 2 / squares)
    return Effective(comparisons, comparisons / (1 + correlation * (comparisons / worst - 1)), worst)


def smallest_rate(n_eff: float, errors: float = THREE) -> float:
    """The smallest rate that so many effective comparisons can show, at most 1: `errors` of them are expected then."""
    return min(1.0, errors / n_eff) if n_eff > 0 else 1.0


def interval_width(rate: float, n_eff: float, confidence: float = 0.95) -> float:
    """The width of Wilson's interval around an observed rate, at so many effective comparisons."""
    low, high = wilson(rate * n_eff, n_eff, confidence)
    return high - low


class Needed(NamedTuple):
    """What a rate needs. identities: at least, with each pair of them compared once. pairs: those of so many
    identities, or infinity where no number does. n_eff: effective comparisons."""

    n_eff: float
    identities: int
    pairs: float


def needed(rate: float, errors: float = THREE, correlation: float = 0.01, identities: int | None = None) -> Needed:
    """The impostor comparisons that a rate needs, spread evenly over their identities.

    rate: in (0, 1]. errors: 3 to bound it, 30 to measure it. identities: how many there are; default: the fewest that
    can do, each pair of which is then compared once. With I identities and N comparisons N_eff is
    N / (1 + correlation (2 N / I - 1)), which more comparisons bring no higher than I / (2 correlation).
    Raises InputError where the rate is not one.
    """
    _check(correlation)
    if not 0 < rate <= 1:
        raise InputError("the wanted rate is not a rate", value=rate, allowed="above 0, at most 1")
    wanted = errors / rate
    # Each pair once: N = I (I - 1) / 2, which the effective number grows with; a quadratic equation in I.
    b = 1 + 2 * correlation * wanted
    least = int(np.ceil((b + np.sqrt(max(b * b + 8 * wanted * (1 - 2 * correlation), 0.0))) / 2 - 1e-9))
    people = least if identities is None else identities
    rest = 1 - 2 * correlation * wanted / max(people, 1)
    pairs = float(np.ceil(wanted * (1 - correlation) / rest - 1e-6)) if rest > 0 else float("inf")
    # Fewer pairs than half the identities need share none: those count in full.
    return Needed(wanted, max(least, 2), max(pairs, float(np.ceil(wanted - 1e-6))))


def stated(rate: float, n_eff: float) -> str:
    """A rate as it may be printed: below what the data support only as the upper bound that they give."""
    least = smallest_rate(n_eff)
    return f"{rate:.2g}" if rate >= least else f"below {least:.2g} (upper bound)"


def _check(correlation: float) -> None:
    if not 0 <= correlation <= 1:
        raise InputError("the correlation is out of range", value=correlation, allowed="0 to 1")
