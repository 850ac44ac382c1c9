"""Intervals cover the truth as often as they say, also where comparisons share identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit

from curate.core.errors import InputError
from curate.stats import intervals

NONE = intervals.Variance(0.0, 0.0)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_and_the_upper_bound_agree_with_scipy(n, share, confidence):
    errors = int(share * n)
    low, high = intervals.wilson(errors, n, confidence)
    expected = stats.binomtest(errors, n).proportion_ci(confidence, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    bound = intervals.upper_bound(errors, n, confidence)
    one_sided = stats.binomtest(errors, n, alternative="less").proportion_ci(confidence, method="exact")
    assert bound == pytest.approx(one_sided.high, abs=1e-9)


def test_the_rule_of_three():
    assert intervals.upper_bound(0, 3000) == pytest.approx(3 / 3000, rel=2e-3)
    assert intervals.upper_bound(0, 3000) == pytest.approx(1 - 0.05 ** (1 / 3000), rel=1e-12)
    assert intervals.upper_bound(0, 0) == 1


def slow_variance(first, second, comparisons, errors) -> float:
    """All products of two comparisons that share an identity, one by one."""
    rate = errors.sum() / comparisons.sum()
    residual = errors - rate * comparisons
    total = 0.0
    for i in range(len(first)):
        for j in range(len(first)):
            if {first[i], second[i]} & {first[j], second[j]}:
                total += residual[i] * residual[j]
    clusters = len(set(first.tolist()) | set(second.tolist()))
    return max(0.0, total / comparisons.sum() ** 2 * clusters / (clusters - 1))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 7), st.integers(1, 25), st.booleans(), st.integers(0, 2**32 - 1))
def test_variance_equals_the_sum_over_pairs_of_comparisons(identities, rows, genuine, seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, identities, rows)
    second = first if genuine else (first + rng.integers(1, identities, rows)) % identities
    comparisons = rng.integers(1, 5, rows)
    errors = rng.binomial(comparisons, 0.3)
    if len(set(first.tolist()) | set(second.tolist())) < 2:
        assert intervals.dyadic_variance(first, second, comparisons, errors).value == 0
        return
    assert intervals.dyadic_variance(first, second, comparisons, errors).value == pytest.approx(
        slow_variance(first, second, comparisons, errors), rel=1e-9, abs=1e-15
    )


def test_independent_comparisons_keep_their_number():
    rng = np.random.default_rng(3)
    n = 4000
    errors = rng.random(n) < 0.1
    first, second = np.arange(n), np.arange(n) + n  # no identity twice
    variance = intervals.dyadic_variance(first, second, np.ones(n), errors)
    made = intervals.clustered_interval(int(errors.sum()), n, variance, 2 * n)
    assert made.n_eff == pytest.approx(n, rel=0.01)
    assert (made.low, made.high) == pytest.approx(intervals.wilson(errors.sum(), n), rel=0.01)


def coverage(genuine: bool, expected: float, spread: float, runs: int) -> tuple[float, float, float]:
    """How often intervals hold the true rate: clustered, plain, and the upper limit of the clustered one.

    200 identities, each with its own ease (normal on the logit scale); each two are compared once, or each identity
    with itself 5 to 60 times. The effect that few errors borrow is that of a looser threshold.
    """
    rng, identities = np.random.default_rng(11), 200
    wide = rng.normal(size=1_000_000) * spread * (1 if genuine else np.sqrt(2))
    first, second = (np.arange(identities),) * 2 if genuine else np.triu_indices(identities, 1)
    total = 32.5 * identities if genuine else len(first)
    mean = brentq(lambda m: expit(m + wide).mean() * total - expected, -30, 5)
    truth = expit(mean + wide).mean()
    per, squared = np.full(identities, identities - 1.0), float(len(first))
    held = plain = above = 0
    for _ in range(runs):
        effect = rng.normal(size=identities) * spread
        ease = mean + effect[first] + (0 if genuine else effect[second])
        count = rng.integers(5, 61, identities) if genuine else np.ones(len(first), dtype=int)
        if genuine:
            per, squared = count.astype(float), float(count @ count)

        def judged(errors, count=count, per=per, squared=squared):
            wrong = np.bincount(first, errors, identities)
            wrong = wrong if genuine else wrong + np.bincount(second, errors, identities)
            at = np.flatnonzero(errors)
            return intervals.variance_from_sums(per, wrong, errors[at], count[at], squared, not genuine)

        errors = rng.binomial(count, expit(ease))
        looser = np.maximum(errors, rng.binomial(count, expit(ease + 2.5)))
        n, k = int(count.sum()), int(errors.sum())
        borrowed = intervals.design_effect(int(looser.sum()), n, judged(looser))
        made = intervals.clustered_interval(k, n, judged(errors), identities, effect=borrowed)
        held += made.low <= truth <= made.high
        above += truth <= made.high
        low, high = intervals.wilson(k, n)
        plain += low <= truth <= high
    return held / runs, plain / runs, above / runs


@pytest.mark.parametrize(
    ("genuine", "expected", "spread", "plain_below"),
    [
        (True, 20, 0.7, 1),
        (True, 300, 0.7, 0.90),
        (False, 20, 1.0, 0.90),
        (False, 60, 0.7, 0.90),
        (False, 300, 0.5, 0.85),
    ],
)
def test_coverage_holds_where_the_plain_interval_falls_short(genuine, expected, spread, plain_below):
    clustered, plain, _ = coverage(genuine, expected, spread, 1500)  # standard error 0.006
    assert 0.93 <= clustered <= 0.97
    assert plain < plain_below


@pytest.mark.parametrize("genuine", [True, False])
@pytest.mark.parametrize("expected", [0.5, 3])
def test_the_upper_bound_of_few_errors_holds(genuine, expected):
    *_, above = coverage(genuine, expected, 0.7, 600)
    assert above >= 0.94


def test_the_design_effect_of_copies_is_their_number():
    """Every comparison made four times over: as much information as one of each."""
    rng = np.random.default_rng(0)
    first, second = np.arange(3000), np.arange(3000) + 3000
    errors = rng.random(3000) < 0.1
    variance = intervals.dyadic_variance(first, second, np.full(3000, 4), 4 * errors)
    assert intervals.design_effect(4 * errors.sum(), 12_000, variance) == pytest.approx(4, rel=0.01)
    assert np.isnan(intervals.design_effect(9, 12_000, variance))
    few = intervals.clustered_interval(0, 12_000, NONE, 6000, effect=4.0)
    assert few.high == pytest.approx(intervals.upper_bound(0, 3000))


def test_an_identity_that_makes_all_errors_leaves_few_clusters():
    comparisons, errors = np.full(50, 100), np.zeros(50)
    errors[7] = 40
    made = intervals.dyadic_variance(np.arange(50), np.arange(50), comparisons, errors)
    assert made.clusters < 1.2
    even = intervals.dyadic_variance(np.arange(50), np.arange(50), comparisons, np.arange(50) % 2 * 10.0)
    assert even.clusters == pytest.approx(50)


@pytest.mark.parametrize("errors", [0, 1, 9])
def test_few_errors_give_an_upper_bound(errors):
    made = intervals.clustered_interval(errors, 1_000_000, NONE, 50)
    assert made.bound
    assert made.low == 0
    assert made.n_eff <= 50
    assert made.high > errors / 1_000_000
    assert not intervals.clustered_interval(10, 1_000_000, intervals.Variance(1e-12, 50), 50).bound


def test_nothing_compared_says_nothing():
    made = intervals.clustered_interval(0, 0, NONE, 0)
    assert np.isnan(made.rate)
    assert (made.low, made.high, made.n_eff) == (0, 1, 0)
    nothing = np.array([], dtype=int)
    assert intervals.dyadic_variance(nothing, nothing, nothing, nothing) == (0, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: intervals.wilson(3, 2),
        lambda: intervals.wilson(-1, 2),
        lambda: intervals.upper_bound(1, 2, 1.0),
        lambda: intervals.dyadic_variance(np.array([0, 1]), np.array([0, 2]), np.ones(2), np.zeros(2)),
        lambda: intervals.dyadic_variance(np.array([0, 1]), np.array([1, 2]), np.ones(1), np.zeros(2)),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InputError):
        call()
