"""Effective numbers of comparisons against simulated dependence; what a rate needs, against a search."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.stats.power import effective, interval_width, needed, smallest_rate, stated


def slow_sum(pairs: list[tuple[int, int]], correlation: float) -> float:
    """The sum of the assumed correlations over all ordered pairs of comparisons."""
    total = 0.0
    for k, first in enumerate(pairs):
        for m, second in enumerate(pairs):
            if k == m:
                total += 1
                continue
            genuine = first[0] == first[1]
            shared = len(set(first) & set(second))
            total += correlation * (shared if genuine else shared / 2)
    return total


pair_lists = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=80)
@given(pair_lists, st.floats(0, 1), st.booleans())
def test_the_effective_number_is_that_of_the_assumed_correlations(pairs, correlation, between):
    pairs = [(a, b if a != b else 7) if between else (a, a) for a, b in pairs]
    counts = np.zeros(8)
    for a, b in pairs:
        counts[a] += 1
        counts[b] += between
    found = effective(counts, len(pairs), between, correlation)
    assert found.n_eff == pytest.approx(len(pairs) ** 2 / slow_sum(pairs, correlation))
    assert found.worst == pytest.approx(len(pairs) ** 2 / slow_sum(pairs, 1.0))


def test_extremes():
    assert effective(np.full(100, 50), 5000, False, 1.0).n_eff == pytest.approx(100)
    assert effective(np.full(100, 100), 5000, True, 1.0).n_eff == pytest.approx(50)
    assert effective(np.full(100, 100), 5000, True, 0.0).n_eff == 5000
    assert effective(np.full(100, 1), 50, True, 1.0).n_eff == pytest.approx(50)  # disjoint pairs of persons
    assert effective(np.zeros(3), 0, True, 0.5) == (0, 0.0, 0.0)
    with pytest.raises(InputError, match="0 to 1"):
        effective(np.ones(3), 3, False, 1.5)


def rate_variance(errors: np.ndarray) -> float:
    return float(errors.mean(axis=1).var())


def test_genuine_errors_that_depend_on_the_person_alone_have_the_worst_variance():
    rng = np.random.default_rng(0)
    counts = np.array([40, 10, 10, 5, 5, 1, 1, 1, 30, 2])
    p, runs = 0.2, 20_000
    bad = rng.random((runs, len(counts))) < p
    rate = (bad * counts).sum(axis=1) / counts.sum()
    n_eff = effective(counts, int(counts.sum()), False, 1.0).n_eff
    assert rate.var() == pytest.approx(p * (1 - p) / n_eff, rel=0.05)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.49])
def test_impostor_errors_of_a_model_with_persons_have_the_variance_of_their_correlation(share):
    """Scores u_i + u_j + noise: the correlation of errors that share a person is measured, and then assumed."""
    rng = np.random.default_rng(1)
    people, runs = 12, 12_000
    pairs = [pair for pair in combinations(range(people), 2) if sum(pair) % 3]  # not all, so that counts differ
    a, b = np.array(pairs).T
    u = rng.normal(size=(runs, people)) * np.sqrt(share)
    scores = u[:, a] + u[:, b] + rng.normal(size=(runs, len(pairs))) * np.sqrt(1 - 2 * share)
    errors = scores > 1.0
    p = errors.mean()
    sharing = [(k, m) for k, m in combinations(range(len(pairs)), 2) if set(pairs[k]) & set(pairs[m])]
    k, m = np.array(sharing).T
    correlation = ((errors[:, k] & errors[:, m]).mean() - p * p) / (p * (1 - p))
    assert 0 < correlation <= 0.5
    counts = np.bincount(np.concatenate([a, b]))
    assumed = effective(counts, len(pairs), True, min(1.0, 2 * correlation))
    assert rate_variance(errors) == pytest.approx(p * (1 - p) / assumed.n_eff, rel=0.07)
    assert rate_variance(errors) <= 1.07 * p * (1 - p) / assumed.worst


def test_no_model_of_two_persons_passes_the_worst_case():
    rng = np.random.default_rng(2)
    people, runs = 14, 6000
    a, b = np.array(list(combinations(range(people), 2))).T
    worst = effective(np.bincount(np.concatenate([a, b])), len(a), True, 1.0).worst
    draws = rng.random((runs, people))
    models = {
        "either": (draws < 0.1)[:, a] | (draws < 0.1)[:, b],
        "both": (draws < 0.5)[:, a] & (draws < 0.5)[:, b],
        "alike": np.abs(draws[:, a] - draws[:, b]) < 0.1,
        "sum": draws[:, a] + draws[:, b] > 1.5,
        "parity": (draws < 0.5)[:, a] ^ (draws < 0.5)[:, b],
    }
    for name, errors in models.items():
        p = errors.mean()
        assert rate_variance(errors) <= 1.1 * p * (1 - p) / worst, name


@settings(deadline=None, max_examples=60)
@given(st.floats(1e-4, 0.5), st.sampled_from([3.0, 30.0]), st.sampled_from([0.0, 0.01, 0.3, 1.0]))
def test_what_a_rate_needs_is_the_fewest_that_do(rate, errors, correlation):
    found = needed(rate, errors, correlation)

    def shown(people: int, pairs: float) -> float:
        return effective(np.full(people, 2 * pairs / people), pairs, True, correlation).n_eff if people > 1 else 0.0

    best = shown(found.identities, found.identities * (found.identities - 1) / 2)
    assert best >= found.n_eff * (1 - 1e-6)
    fewer = found.identities - 1
    if fewer >= 2:
        assert shown(fewer, fewer * (fewer - 1) / 2) < found.n_eff
    more = needed(rate, errors, correlation, identities=4 * found.identities)
    assert shown(4 * found.identities, more.pairs) >= found.n_eff * (1 - 1e-6)
    if more.pairs > 2:
        assert shown(4 * found.identities, more.pairs - 1) < found.n_eff


def test_too_few_identities_can_not_show_a_rate_with_any_number_of_pairs():
    assert needed(1e-5, identities=4000, correlation=0.01).pairs == float("inf")
    assert needed(1e-5, identities=1_000_000, correlation=0.01).pairs < 310_000
    with pytest.raises(InputError, match="above 0"):
        needed(0.0)


def test_a_rate_below_what_is_supported_is_printed_as_a_bound_only():
    assert smallest_rate(3000) == pytest.approx(1e-3)
    assert smallest_rate(0) == 1.0
    assert smallest_rate(3000, 30) == pytest.approx(1e-2)
    assert stated(0.002, 3000) == "0.002"
    assert stated(1e-5, 3000) == "below 0.001 (upper bound)"
    assert stated(0.0, 3000) == "below 0.001 (upper bound)"
    assert interval_width(0.01, 1000) == pytest.approx(0.0127, abs=5e-4)  # Wilson (1927): 0.0054 to 0.0183
