"""Confidence intervals for error rates whose comparisons share identities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curate.core.errors import InputError

#: Fewer errors than this give an upper bound instead of an interval.
MIN_ERRORS = 10


class Interval(NamedTuple):
    """A rate in [0, 1] and its confidence limits.

    n_eff: the number of independent comparisons that would be as informative. bound: True where `high` is a one-sided
    upper bound (few errors) and `low` is 0. degrees: of freedom of the limits, see `limits`.
    """

    rate: float
    low: float
    high: float
    n_eff: float
    bound: bool
    degrees: float = float("inf")


class Variance(NamedTuple):
    """The variance of an error rate, and how many clusters it was in effect estimated from.

    clusters: (sum S^2)^2 / sum S^4 over the clusters' sums S: their number where all are alike, fewer where some
    identities make most of the errors.
    """

    value: float
    clusters: float


def _check(errors: float, comparisons: float, confidence: float) -> None:
    if not 0 <= errors <= comparisons:
        raise InputError("more errors than comparisons, or fewer than none", value=(errors, comparisons))
    if not 0 < confidence < 1:
        raise InputError("the confidence is not a probability", value=confidence, allowed="above 0, below 1")


def wilson(
    errors: float, comparisons: float, confidence: float = 0.95, degrees: float = float("inf")
) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927) of a binomial rate: (low, high), both in [0, 1].

    errors, comparisons: counts, not necessarily whole. degrees: of freedom of Student's t, which replaces the normal
    quantile where the number of comparisons was itself estimated. No comparisons: (0, 1). Raises InputError for
    impossible counts.
    """
    from scipy.special import ndtri, stdtrit

    _check(errors, comparisons, confidence)
    if comparisons == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + confidence / 2) if np.isinf(degrees) else stdtrit(degrees, 0.5 + confidence / 2))
    rate = errors / comparisons
    denominator = 1 + z * z / comparisons
    centre = (rate + z * z / (2 * comparisons)) / denominator
    half = z / denominator * np.sqrt(rate * (1 - rate) / comparisons + z * z / (4 * comparisons**2))
    low = 0.0 if errors == 0 else max(0.0, float(centre - half))
    high = 1.0 if errors == comparisons else min(1.0, float(centre + half))
    return low, high


def upper_bound(errors: float, comparisons: float, confidence: float = 0.95) -> float:
    """The one-sided upper limit in [0, 1] of Clopper and Pearson (1934).

    For no errors it is `1 - (1 - confidence)**(1 / comparisons)`, which the rule of three, 3 / comparisons, approaches
    at 95%. Counts need not be whole. No comparisons: 1. Raises InputError for impossible counts.
    """
    from scipy.special import betaincinv

    _check(errors, comparisons, confidence)
    if comparisons == 0 or errors == comparisons:
        return 1.0
    return float(betaincinv(errors + 1, comparisons - errors, confidence))


def variance_from_sums(
    identity_comparisons: np.ndarray,
    identity_errors: np.ndarray,
    pair_errors: np.ndarray,
    pair_comparisons: np.ndarray,
    squared_comparisons: float,
    between: bool,
) -> Variance:
    """Dyadic cluster-robust variance of an error rate, without a list of the identity pairs that made no error.

    identity_comparisons, identity_errors: `(I,)`, for each identity all its comparisons and errors. Impostor
    comparisons (`between`) count for both of their identities; genuine ones, whose clusters are identities, once.
    pair_errors, pair_comparisons: `(P,)`, for each pair of identities with an error (only read if `between`).
    squared_comparisons: the sum over all pairs of identities of their number of comparisons squared.

    With r = errors - rate * comparisons of a pair of identities and S_i the sum of r over the pairs of identity i,
    V = (sum_i S_i^2 - sum_pairs r^2) / N^2: all products of comparisons that share an identity, each once (Fafchamps
    and Gubert 2007; Aronow, Samii and Assenova 2015). Times I / (I - 1), the usual correction for few clusters.
    The value is >= 0; 0 where there is nothing to estimate it from.
    """
    counted = np.asarray(identity_comparisons, dtype=np.float64)
    errors = np.asarray(identity_errors, dtype=np.float64)
    total = counted.sum() / (2 if between else 1)
    clusters = int(np.count_nonzero(counted))
    if total == 0 or clusters < 2:
        return Variance(0.0, 0.0)
    rate = errors.sum() / (2 if between else 1) / total
    residual = errors - rate * counted
    sum_squares = float(residual @ residual)
    if between:
        made = np.asarray(pair_errors, dtype=np.float64)
        of = np.asarray(pair_comparisons, dtype=np.float64)
        sum_squares -= float(made @ made - 2 * rate * (made @ of) + rate * rate * squared_comparisons)
    fourth = float((residual**2) @ (residual**2))
    effective = min(float(clusters), float(residual @ residual) ** 2 / fourth) if fourth > 0 else float(clusters)
    return Variance(max(0.0, sum_squares / total**2 * clusters / (clusters - 1)), effective)


def dyadic_variance(
    identity_a: np.ndarray, identity_b: np.ndarray, comparisons: np.ndarray, errors: np.ndarray
) -> Variance:
    """Variance of an error rate that allows for comparisons which share an identity.

    identity_a, identity_b: `(C,)` integer codes of a row's two identities, all equal (genuine) or all different
    (impostor). comparisons, errors: `(C,)` counts of each row; rows of one unordered pair are added up.
    Returns `variance_from_sums` of them. Raises InputError where the lengths differ or the two kinds are mixed.
    """
    first, second = np.minimum(identity_a, identity_b), np.maximum(identity_a, identity_b)
    if not len(first) == len(comparisons) == len(errors):
        raise InputError("the columns differ in length", value=(len(first), len(comparisons), len(errors)))
    if not len(first):
        return Variance(0.0, 0.0)
    same = first == second
    if same.any() and not same.all():
        raise InputError("genuine and impostor comparisons are mixed", remedy="Ask for one kind at a time")
    identities, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    n = len(identities)
    pairs, inverse = np.unique(codes[: len(first)] * n + codes[len(first) :], return_inverse=True)
    of = np.bincount(inverse, weights=comparisons, minlength=len(pairs))
    made = np.bincount(inverse, weights=errors, minlength=len(pairs))
    left, right = pairs // n, pairs % n
    between = not same.any()
    counted = np.bincount(left, weights=of, minlength=n)
    wrong = np.bincount(left, weights=made, minlength=n)
    if between:
        counted += np.bincount(right, weights=of, minlength=n)
        wrong += np.bincount(right, weights=made, minlength=n)
    return variance_from_sums(counted, wrong, made, of, float(of @ of), between)


def design_effect(errors: float, comparisons: float, variance: Variance) -> float:
    """How many times larger the variance is than that of independent comparisons (Kish 1965), at least 1.

    NaN where it can't be estimated: fewer than 10 errors or 10 correct comparisons.
    """
    if min(errors, comparisons - errors) < MIN_ERRORS:
        return float("nan")
    rate = errors / comparisons
    return max(1.0, variance.value * comparisons / (rate * (1 - rate)))


def clustered_interval(
    errors: int,
    comparisons: int,
    variance: Variance,
    identities: int,
    confidence: float = 0.95,
    effect: float = float("nan"),
) -> Interval:
    """Interval of an error rate whose comparisons share identities.

    errors, comparisons: counts. variance: of `dyadic_variance`. identities: how many identities take part. effect: the
    `design_effect` of the same comparisons at a threshold that makes at least 10 errors, NaN where none does.
    With 10 errors or more: Wilson's interval at n_eff = p (1 - p) / V, at most the number of comparisons (Fogliato et
    al. 2024; Conti and Clemencon 2022 meet the same dependence with a bootstrap), with the quantile of Student's t for
    the clusters that the part of V beyond the binomial one was in effect estimated from (Satterthwaite 1946), 10 at
    least: where one identity makes most errors n_eff is small already, and the interval wide. With fewer errors `high`
    is the one-sided bound of Clopper and Pearson at n_eff, and `low` 0. V says little then: n_eff is the smaller of its
    own and of comparisons / effect, since sharing an identity weighs less the rarer the errors are; without an effect,
    an identity counts as one comparison at most (n_eff <= identities). No comparisons: NaN, between 0 and 1.
    Raises InputError for impossible counts.
    """
    _check(errors, comparisons, confidence)
    if comparisons == 0:
        return Interval(float("nan"), 0.0, 1.0, 0.0, True)
    rate = errors / comparisons
    n_eff = float(comparisons)
    if variance.value > 0 and 0 < rate < 1:
        n_eff = float(min(n_eff, max(1.0, rate * (1 - rate) / variance.value)))
    if errors < MIN_ERRORS:
        n_eff = min(n_eff, comparisons / max(1.0, effect) if effect == effect else float(max(identities, 1)))
        return limits(errors, comparisons, n_eff, confidence=confidence)
    if rate == 1:
        n_eff = min(n_eff, float(max(identities, 1)))
    shared = 1 - n_eff / comparisons  # of V: what binomial sampling alone would not give
    degrees = max(10.0, variance.clusters - 1) / shared**2 if shared > 0 else float("inf")
    return limits(errors, comparisons, n_eff, degrees, confidence)


def limits(
    errors: int, comparisons: int, n_eff: float, degrees: float = float("inf"), confidence: float = 0.95
) -> Interval:
    """The interval of an error rate in [0, 1], given how many independent comparisons would be as informative.

    errors of comparisons: counts; n_eff: of at least 0; degrees: of freedom of Student's t, inf for the normal;
    confidence in (0, 1). Wilson's interval (1927), or with fewer than 10 errors 0 and the one-sided bound of Clopper
    and Pearson (1934). No comparisons: NaN, between 0 and 1. Raises InputError for impossible counts.
    """
    _check(errors, comparisons, confidence)
    if comparisons == 0:
        return Interval(float("nan"), 0.0, 1.0, 0.0, True)
    rate = errors / comparisons
    if errors < MIN_ERRORS:
        return Interval(rate, 0.0, upper_bound(rate * n_eff, n_eff, confidence), n_eff, True)
    return Interval(rate, *wilson(rate * n_eff, n_eff, confidence, degrees), n_eff, False, degrees)
