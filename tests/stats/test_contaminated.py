from __future__ import annotations

import numpy as np
import pytest

from curate.stats.contaminated import Curve, fit_curve


def scores(rng, n, share, gap=3.0, scale=1.0):
    """Log-likelihood ratios of two normals a distance `gap` apart, times `scale`, and which are positive."""
    positive = rng.random(n) < share
    x = rng.normal(np.where(positive, gap / 2, -gap / 2))
    return gap * x * scale, positive


def test_a_score_that_tells_the_truth_is_left_as_it_is():
    rng = np.random.default_rng(0)
    planted, _ = scores(rng, 2000, 1.0)
    pool, _ = scores(rng, 8000, 0.05)
    curve = fit_curve(planted, pool)
    assert curve.slope == pytest.approx(1, abs=0.12)
    assert curve.intercept == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize(("scale", "share"), [(0.4, 0.2), (2.5, 0.05)])
def test_probabilities_are_calibrated_and_the_share_is_found(scale, share):
    rng = np.random.default_rng(1)
    planted, _ = scores(rng, 1500, 1.0, scale=scale)
    pool, truth = scores(rng, 6000, share, scale=scale)
    curve = fit_curve(planted, pool)
    chance, found = curve.probability(pool)
    assert found == pytest.approx(share, rel=0.3)
    order = np.argsort(chance)
    for part in np.array_split(order, 6):
        assert chance[part].mean() == pytest.approx(truth[part].mean(), abs=0.06)
    # The pool's own positives don't count as negatives: without that the share would be taken for none.
    assert curve.slope * scale == pytest.approx(1, abs=0.25)


def test_a_group_has_its_own_shift():
    rng = np.random.default_rng(2)
    planted, _ = scores(rng, 1000, 1.0)
    pool, _ = scores(rng, 5000, 0.05)
    group, pool_group = np.arange(1000) % 2, np.arange(5000) % 2
    curve = fit_curve(planted + 1.0 * group, pool + 1.0 * pool_group, group, pool_group, 2)
    # A score of the second group says less: it needs a higher one for the same probability.
    assert curve.score_at(0.5, 0.05, 1) - curve.score_at(0.5, 0.05, 0) == pytest.approx(1.0, abs=0.4)
    chance, _ = curve.probability(np.array([curve.score_at(0.5, 0.05, 1)]), np.array([1]), 0.05)
    assert chance[0] == pytest.approx(0.5)


def test_nothing_planted_changes_nothing():
    curve = fit_curve(np.zeros(0), np.array([1.0]))
    assert curve.ratio(np.array([-3.0, 2.0])) == pytest.approx([-3.0, 2.0])
    assert Curve(0.0, 1.0, np.zeros(0), 0).probability(np.zeros(0))[0].size == 0


def test_no_more_is_claimed_than_so_many_positives_can_show():
    curve = fit_curve(np.full(18, 15.0), np.linspace(-15, 5, 400))
    assert curve.highest == pytest.approx(1 - 1 / 20)
    assert curve.probability(np.array([1e6]), share=0.5)[0] == pytest.approx(curve.highest)
    assert curve.score_at(0.96, 0.5) == np.inf
    assert curve.probability(np.array([curve.score_at(0.9, 0.5)]), share=0.5)[0] == pytest.approx(0.9)


def test_a_pure_pool_holds_no_positive_and_far_scores_may_count():
    rng = np.random.default_rng(3)
    planted, pool = rng.normal(40, 8, 400), rng.normal(25, 8, 400)
    curve = fit_curve(planted, pool, reach=60.0, pure=True)
    # The slope of two normals 15 apart is 15 / 64; prior knowledge holds it near 1 but little.
    assert curve.slope == pytest.approx(15 / 64, abs=0.06)
    assert curve.probability(np.array([32.5]), share=0.5)[0] == pytest.approx(0.5, abs=0.1)
    # Taken for a pool that may hold positives, or cut at 20, these scores say next to nothing.
    assert fit_curve(planted, pool, reach=60.0).probability(np.array([25.0]), share=0.5)[0] > 0.8
    near = fit_curve(planted, pool, pure=True).ratio(np.array([25.0, 40.0]))
    assert near[0] == near[1]
