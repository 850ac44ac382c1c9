"""Intervals cover the truth as often as they say, also where comparisons share identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from curate.core.errors import InputError
from curate.stats import intervals


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
        assert intervals.dyadic_variance(first, second, comparisons, errors) == 0
        return
    assert intervals.dyadic_variance(first, second, comparisons, errors) == pytest.approx(
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


def coverage(genuine: bool, runs: int) -> tuple[float, float]:
    """How often the clustered and the plain interval hold the true rate: 200 identities, each with its own ease."""
    rng = np.random.default_rng(11)
    spread, mean, identities = 1.0, -4.0, 200
    sides = 1 if genuine else 2
    truth = expit(mean + rng.normal(size=4_000_000) * spread * np.sqrt(sides)).mean()
    first, second = (np.arange(identities),) * 2 if genuine else np.triu_indices(identities, 1)
    hits = plain = 0
    for _ in range(runs):
        effect = rng.normal(size=identities) * spread
        comparisons = rng.integers(5, 60, identities) if genuine else np.ones(len(first), dtype=int)
        ease = mean + effect[first] + (0 if genuine else effect[second])
        errors = rng.binomial(comparisons, expit(ease))
        total, wrong = int(comparisons.sum()), int(errors.sum())
        variance = intervals.dyadic_variance(first, second, comparisons, errors)
        made = intervals.clustered_interval(wrong, total, variance, identities)
        hits += made.low <= truth <= made.high
        low, high = intervals.wilson(wrong, total)
        plain += low <= truth <= high
    return hits / runs, plain / runs


@pytest.mark.parametrize("genuine", [True, False])
def test_coverage_holds_where_the_plain_interval_falls_short(genuine):
    clustered, plain = coverage(genuine, 2000)  # the standard error of a coverage of 0.94 is then 0.005
    assert 0.925 <= clustered <= 0.975
    assert plain < 0.85


@pytest.mark.parametrize("errors", [0, 1, 9])
def test_few_errors_give_an_upper_bound(errors):
    made = intervals.clustered_interval(errors, 1_000_000, 0.0, 50)
    assert made.bound
    assert made.low == 0
    assert made.n_eff <= 50
    assert made.high > errors / 1_000_000
    assert not intervals.clustered_interval(10, 1_000_000, 1e-12, 50).bound


def test_nothing_compared_says_nothing():
    made = intervals.clustered_interval(0, 0, 0.0, 0)
    assert np.isnan(made.rate)
    assert (made.low, made.high, made.n_eff) == (0, 1, 0)
    nothing = np.array([], dtype=int)
    assert intervals.dyadic_variance(nothing, nothing, nothing, nothing) == 0


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
