"""Fairness measures against their definitions, written out, and on the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stats import fairness as fair

rates = st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=8)


def slow_gini(x) -> float:
    n, mean = len(x), sum(x) / len(x)
    return n / (n - 1) * sum(abs(a - b) for a in x for b in x) / (2 * n * n * mean)


@settings(max_examples=100)
@given(rates, rates, st.floats(0, 1))
def test_measures_equal_their_definitions(fmr, fnmr, alpha):
    size = min(len(fmr), len(fnmr))
    fmr, fnmr = fmr[:size], fnmr[:size]
    a, b = np.array(fmr), np.array(fnmr)
    assert fair.gini(a) == pytest.approx(slow_gini(fmr), abs=1e-12)
    assert fair.garbe(a, b, alpha) == pytest.approx(alpha * slow_gini(fmr) + (1 - alpha) * slow_gini(fnmr), abs=1e-12)
    spread = [max(abs(x - y) for x in values for y in values) for values in (fmr, fnmr)]
    expected = 1 - alpha * spread[0] - (1 - alpha) * spread[1]
    assert fair.fairness_discrepancy_rate(a, b, alpha) == pytest.approx(expected, abs=1e-12)
    ratio = [max(values) / min(values) for values in (fmr, fnmr)]
    assert fair.inequity_rate(a, b, alpha) == pytest.approx(ratio[0] ** alpha * ratio[1] ** (1 - alpha), rel=1e-12)
    assert fair.max_over_geometric_mean(a) == pytest.approx(max(fmr) / np.prod(fmr) ** (1 / size), rel=1e-9)
    assert 0 <= fair.gini(a) <= 1


def test_equal_groups_are_fair():
    same = np.full(4, 0.02)
    assert fair.gini(same) == pytest.approx(0, abs=1e-15)
    assert fair.fairness_discrepancy_rate(same, same) == 1
    assert fair.inequity_rate(same, same) == 1
    assert fair.max_over_geometric_mean(same) == pytest.approx(1)
    assert fair.accuracy_deviation(1 - same) == 0


def test_published_figures_of_rfw():
    """RL-RBN (arc) in Wang and Deng 2020, table 5: accuracies, their deviation and skewed error ratio."""
    accuracy = np.array([97.08, 95.63, 95.57, 94.87]) / 100
    assert 100 * fair.accuracy_deviation(accuracy) == pytest.approx(0.93, abs=0.005)
    assert fair.skewed_error_ratio(accuracy) == pytest.approx(1.76, abs=0.005)


def test_one_group_has_everything():
    assert fair.gini(np.array([0.0, 0.0, 0.3])) == pytest.approx(1)


def test_groups_without_errors_or_comparisons():
    assert fair.max_over_min(np.array([0.1, 0.0])) == np.inf
    assert np.isnan(fair.max_over_min(np.array([0.0, 0.0])))
    assert fair.gini(np.array([0.0, 0.0])) == 0
    gap = np.array([0.1, np.nan, 0.2])
    assert fair.max_over_min(gap) == pytest.approx(2)
    assert fair.gini(gap) == pytest.approx(slow_gini([0.1, 0.2]))
    for measure in (fair.max_over_min, fair.gini, fair.max_over_geometric_mean, fair.accuracy_deviation):
        assert np.isnan(measure(np.array([0.1, np.nan])))
        assert np.isnan(measure(np.array([])))


def test_draws_are_taken_row_by_row():
    draws = np.random.default_rng(0).random((50, 5))
    for measure in (fair.max_over_min, fair.gini, fair.max_over_geometric_mean, fair.skewed_error_ratio):
        np.testing.assert_allclose(measure(draws), [measure(row) for row in draws])
