from __future__ import annotations

import numpy as np
import pytest

from curate.core.errors import InputError
from curate.stats.stratified import share_found


def test_by_hand():
    # 100 found, 10 judged, 8 faults; 900 not found, 30 judged, 3 faults: 80 found of 80 + 90.
    precision, recall = share_found([100, 900], [10, 30], [8, 3], [True, False])
    assert precision.rate == pytest.approx(0.8)
    assert recall.rate == pytest.approx(80 / 170)
    assert precision.low < 0.8 < precision.high
    assert recall.low < 80 / 170 < recall.high


def test_all_judged_leaves_no_doubt():
    precision, recall = share_found([4, 6], [4, 6], [3, 1], [True, False])
    assert tuple(precision) == pytest.approx((0.75, 0.75, 0.75))
    assert tuple(recall) == pytest.approx((0.75, 0.75, 0.75))


@pytest.mark.parametrize(
    ("rates", "sizes"), [((0.9, 0.5, 0.01), (300, 60, 3000)), ((0.99, 0.2, 0.002), (500, 50, 5000))]
)
def test_intervals_cover(rates, sizes):
    rng = np.random.default_rng(0)
    found, judged = np.array([True, True, False]), np.array([60, 30, 120])
    hits = np.zeros(2)
    runs = 150
    for _ in range(runs):
        faults = [rng.binomial(size, rate) for size, rate in zip(sizes, rates, strict=True)]
        seen = [rng.hypergeometric(bad, size - bad, n) for bad, size, n in zip(faults, sizes, judged, strict=True)]
        truth = (sum(faults[:2]) / sum(sizes[:2]), sum(faults[:2]) / sum(faults))
        got = share_found(sizes, judged, seen, found)
        hits += [low <= value <= high for value, (_, low, high) in zip(truth, got, strict=True)]
    assert (hits / runs > 0.9).all()


def test_impossible_counts():
    with pytest.raises(InputError, match="more faults than judgements"):
        share_found([5], [2], [3], [True])
    with pytest.raises(InputError, match="no judgement"):
        share_found([5, 9], [2, 0], [1, 0], [True, False])
