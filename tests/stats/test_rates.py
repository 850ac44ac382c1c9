"""Thresholds and error rates agree with their definitions and with scikit-learn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.stats import rates

few = st.integers(-6, 6).map(lambda n: n / 8)  # many ties
wide = st.floats(-1, 1, width=32)
score_lists = st.lists(few | wide, min_size=1, max_size=60)
targets = st.sampled_from([0.0, 1e-3, 0.01, 0.07, 0.1, 0.29, 0.5, 0.9, 1.0]) | st.floats(0, 1)


def slow_threshold(scores: np.ndarray, target: float) -> float:
    """The lowest float of the scores' dtype at which at most `target` of the scores match, by trying them all."""
    inf = np.array(np.inf, dtype=scores.dtype)
    allowed = Fraction(repr(target))
    candidates = [np.array(-np.inf, dtype=scores.dtype), *(np.nextafter(s, inf) for s in sorted(set(scores)))]
    for candidate in candidates:
        if Fraction(int(sum(s >= candidate for s in scores)), len(scores)) <= allowed:
            return float(candidate)
    raise AssertionError("the last candidate lets nothing match")


@settings(deadline=None, max_examples=200)
@given(score_lists, targets, st.sampled_from([np.float32, np.float64]))
def test_threshold_is_the_lowest_that_keeps_the_target(scores, target, dtype):
    scores = np.array(scores, dtype=dtype)
    threshold = rates.threshold_at(scores, target)
    assert threshold == slow_threshold(scores, target)

    def matches(cut: float) -> Fraction:  # exact, as the target is meant: 0.3333333333333333 is less than a third
        return Fraction(int((scores >= np.float64(cut)).sum()), len(scores))

    assert matches(threshold) <= Fraction(repr(target))
    if np.isfinite(threshold):
        assert matches(float(np.nextafter(dtype(threshold), dtype(-np.inf)))) > Fraction(repr(target))


def test_targets_are_the_decimals_that_were_written():
    assert rates.allowed_matches(100, 0.29) == 29  # the float 0.29 lies below 29/100
    assert rates.allowed_matches(1000, 1e-3) == 1
    assert rates.allowed_matches(999, 1e-3) == 0
    assert rates.allowed_matches(10**15, 0.1) == 10**14
    assert rates.threshold_at(np.array([0.1, 0.2]), 1.0) == -np.inf


def test_a_score_at_the_threshold_matches():
    assert rates.fmr(np.array([0.2, 0.5, 0.5]), 0.5) == 2 / 3
    assert rates.fnmr(np.array([0.2, 0.5, 0.5]), 0.5) == 1 / 3
    # A float32 score is compared as it is, not with the threshold rounded to float32.
    assert rates.fmr(np.array([np.float32(0.1)]), 0.1) == 1.0
    assert rates.fmr(np.array([np.float32(0.7)]), 0.7) == 0.0  # float32(0.7) lies below 0.7


@settings(deadline=None, max_examples=100)
@given(score_lists, score_lists)
def test_curve_agrees_with_scikit_learn_and_with_counting(genuine, impostor):
    from sklearn.metrics import roc_curve

    genuine, impostor = np.array(genuine), np.array(impostor)
    curve = rates.det_curve(genuine, impostor)
    truth = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    fpr, tpr, thresholds = roc_curve(truth, np.r_[genuine, impostor], drop_intermediate=False)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    np.testing.assert_allclose(curve.fmr, fpr, rtol=0, atol=1e-12)
    np.testing.assert_allclose(1 - curve.fnmr, tpr, rtol=0, atol=1e-12)
    for threshold, fmr, fnmr in zip(*curve, strict=True):
        assert fmr == rates.fmr(impostor, threshold)
        assert fnmr == rates.fnmr(genuine, threshold)


@settings(deadline=None, max_examples=100)
@given(score_lists, score_lists)
def test_eer_lies_where_the_curve_crosses(genuine, impostor):
    from scipy.optimize import brentq

    genuine, impostor = np.array(genuine), np.array(impostor)
    curve = rates.det_curve(genuine, impostor)
    position = np.arange(len(curve.fmr))
    crossing = brentq(lambda x: np.interp(x, position, curve.fnmr - curve.fmr), 0, len(position) - 1, xtol=1e-13)
    assert rates.eer(genuine, impostor).rate == pytest.approx(np.interp(crossing, position, curve.fmr), abs=1e-9)
    middle = rates.eer(genuine, impostor, "midpoint")
    assert middle.rate == pytest.approx(
        (rates.fmr(impostor, middle.threshold) + rates.fnmr(genuine, middle.threshold)) / 2
    )
    assert abs(middle.rate - rates.eer(genuine, impostor).rate) <= np.abs(curve.fnmr - curve.fmr).min() / 2 + 1e-12


def test_eer_of_known_scores():
    assert rates.eer(np.array([0.9, 0.8]), np.array([0.1, 0.2])).rate == 0
    assert rates.eer(np.array([0.1, 0.2]), np.array([0.9, 0.8])).rate == 1
    assert rates.eer(np.array([0.5, 0.5]), np.array([0.5])).rate == 0.5  # constant scores
    assert rates.eer(np.array([1, 2, 3, 5]) / 8, np.array([0, 1, 1, 4]) / 8).rate == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rates.threshold_at(np.array([]), 0.1), "no impostor scores"),
        (lambda: rates.threshold_at(np.array([0.1, np.nan]), 0.1), "row 2.*not a finite number"),
        (lambda: rates.threshold_at(np.array([0.1]), 1.5), "not a rate.*0 to 1"),
        (lambda: rates.threshold_at(np.array([0.1]), float("nan")), "not a rate"),
        (lambda: rates.fnmr(np.array([]), 0.1), "no genuine scores"),
        (lambda: rates.det_curve(np.array([0.1]), np.array([])), "no impostor scores"),
        (lambda: rates.eer(np.array([0.1]), np.array([0.1]), "spline"), "linear, midpoint"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_support_is_the_rule_of_three():
    assert rates.supported(1e-3, 3000)
    assert not rates.supported(1e-3, 2999)
    assert not rates.supported(0.5, 0)
