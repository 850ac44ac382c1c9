"""Precision, recall and fold accuracy against loops over thresholds and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from curate.core.errors import InputError
from curate.stats import verification as ver
from curate.stats.rates import det_curve

grid = st.lists(st.integers(0, 12), min_size=1, max_size=25)


@settings(deadline=None, max_examples=60)
@given(grid, grid, st.floats(0.01, 0.99), st.floats(0.05, 1))
def test_precision_and_recall_equal_a_loop(genuine, impostor, prevalence, wanted):
    genuine, impostor = np.array(genuine, float), np.array(impostor, float)
    points = []
    for threshold in [np.inf, *sorted({*genuine, *impostor}, reverse=True)]:
        recall, wrong = np.mean(genuine >= threshold), np.mean(impostor >= threshold)
        hits = prevalence * recall
        points.append((threshold, recall, hits / (hits + (1 - prevalence) * wrong) if recall or wrong else np.nan))
    curve = det_curve(genuine, impostor)
    threshold, _, precision = next(point for point in points if point[1] >= wanted)
    made = ver.precision_at_recall(curve, wanted, prevalence)
    assert (made.value, made.threshold) == (pytest.approx(precision, abs=1e-12), threshold)
    good = [point for point in points if point[2] >= wanted]
    made = ver.recall_at_precision(curve, wanted, prevalence)
    if good:
        assert made.value == pytest.approx(max(recall for _, recall, _ in good), abs=1e-12)
    else:
        assert np.isnan(made.value)


def test_precision_at_the_tables_own_prevalence_is_scikit_learns():
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(1, 1, 80), rng.normal(0, 1, 240)
    precision, recall, _ = precision_recall_curve(np.r_[np.ones(80), np.zeros(240)], np.r_[genuine, impostor])
    curve = det_curve(genuine, impostor)
    for wanted in (0.5, 0.8, 0.95):
        at = np.flatnonzero(recall >= wanted)[-1]  # thresholds ascend there
        assert ver.precision_at_recall(curve, wanted, 0.25).value == pytest.approx(precision[at], abs=1e-12)


def test_tar_at_far_never_takes_the_nearest():
    impostor = np.arange(10.0)
    made = ver.tar_at_far(np.array([8.5, 9.5]), impostor, 0.19)  # one of ten is allowed: 0.1, not 0.2
    assert made.threshold == np.nextafter(8.0, np.inf)
    assert made.value == 1.0
    assert ver.tar_at_far(np.array([8.5, 9.5]), impostor, 0.05).value == 0.5


def slow_folds(scores, genuine, fold):
    result = []
    for name in np.unique(fold):
        rest, here = fold != name, fold == name
        best = max(
            [*scores[rest], np.inf],
            key=lambda t: (int(((scores[rest] >= t) == genuine[rest]).sum()), t),
        )
        result.append(((scores[here] >= best) == genuine[here]).mean())
    return result


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_fold_accuracy_equals_a_loop(seed):
    rng = np.random.default_rng(seed)
    scores, genuine, fold = rng.integers(0, 9, 60).astype(float), rng.random(60) < 0.5, np.arange(60) % 3
    scores += 2 * genuine
    made = ver.fold_accuracy(scores, genuine, fold)
    np.testing.assert_allclose(made.folds, slow_folds(scores, genuine, fold))
    assert made.mean == pytest.approx(made.folds.mean())
    assert made.standard_error == pytest.approx(made.folds.std(ddof=1) / np.sqrt(3))


def test_bad_input():
    with pytest.raises(InputError, match="at least two"):
        ver.fold_accuracy(np.zeros(3), np.ones(3, bool), np.zeros(3))
    with pytest.raises(InputError, match="prevalence"):
        ver.precision_at_recall(det_curve(np.ones(1), np.zeros(1)), 0.9, 1.0)
