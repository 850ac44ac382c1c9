"""The two-way bootstrap: its weights, its sums, and how often its intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stats.bootstrap import identity_weights, percentile_interval, weighted_sum


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 8), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_weighted_sums_equal_a_loop(identities, rows, seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, identities, (2, rows))
    counts = rng.integers(1, 9, rows)
    (weights,) = identity_weights(identities, 7, rng)
    expected = np.zeros(7)
    for d in range(7):
        for a, b, n in zip(first, second, counts, strict=True):
            expected[d] += n * weights[a, d] * (1 if a == b else weights[b, d])
    np.testing.assert_array_equal(weighted_sum(first, second, counts, weights), expected)


def test_weights_draw_as_many_identities_as_there_are():
    parts = list(identity_weights(40, 250, np.random.default_rng(0)))
    weights = np.concatenate(parts, axis=1)
    assert [part.shape for part in parts] == [(40, 100), (40, 100), (40, 50)]
    assert (weights.sum(axis=0) == 40).all()
    assert weights.var() == pytest.approx(1 - 1 / 40, abs=0.05)
    again = np.concatenate(list(identity_weights(40, 250, np.random.default_rng(0))), axis=1)
    np.testing.assert_array_equal(weights, again)


def test_percentiles_leave_out_what_is_no_number_and_keep_infinities():
    draws = np.concatenate([np.arange(1, 101), [np.nan] * 5])
    assert [float(end) for end in percentile_interval(draws, 0.9)] == [5.0, 96.0]
    draws[97:100] = np.inf
    assert percentile_interval(draws, 0.98)[1] == np.inf
    assert np.isnan(percentile_interval(np.full(4, np.nan))).all()
    low, high = percentile_interval(np.stack([np.arange(100.0), np.full(100, np.nan)]))
    assert low[0] < 3
    assert np.isnan(low[1])
    assert np.isnan(high[1])


def test_it_covers_a_rate_and_too_often_one_of_single_errors():
    """100 identities compared each with each; independent errors: the product of weights makes intervals too wide."""
    rng = np.random.default_rng(2)
    first, second = np.triu_indices(100, 1)
    held, truth = 0, 0.01
    for _ in range(200):
        errors = np.flatnonzero(rng.random(len(first)) < truth)
        rates = []
        for weights in identity_weights(100, 200, rng):
            total = (weights.sum(axis=0) ** 2 - (weights**2).sum(axis=0)) / 2
            rates.append(weighted_sum(first[errors], second[errors], np.ones(len(errors)), weights) / total)
        low, high = percentile_interval(np.concatenate(rates))
        held += low <= truth <= high
    assert held / 200 >= 0.97
