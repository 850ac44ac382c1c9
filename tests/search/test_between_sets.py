from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor
from curate.search.between_sets import learn, nearest, trusted
from curate.search.odds import competing, log_prior
from curate.search.templates import Templates
from curate.stats.rates import threshold_at
from curate.stats.two_covariance import same_person


def people(n: int, images: int, size: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of n persons who differ in the first half of the directions, codes, and the persons' own places."""
    rng = np.random.default_rng(seed)
    spread = np.where(np.arange(size) < size // 2, 3.0, 0.0)
    centres = rng.standard_normal((n, size)) * spread
    codes = np.repeat(np.arange(n), images)
    return (centres[codes] + rng.standard_normal((len(codes), size))).astype(np.float32), codes, centres


def slow_trusted(points: np.ndarray) -> np.ndarray:
    """One identity's trusted images by the words of `trusted`."""
    half = max((len(points) + 1) // 2, min(len(points), 2))
    centre = points.mean(axis=0)
    for _ in range(3):
        nearest_half = np.argsort(((points - centre) ** 2).sum(axis=1), kind="stable")[:half]
        centre = points[nearest_half].mean(axis=0)
    inside = ((points - centre) ** 2).sum(axis=1) <= chi2.ppf(0.99, points.shape[1]) * (1 + 2 / half)
    inside[nearest_half] = True
    return inside


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_trusted_equals_the_slow_reference(seed: int):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, 5, 40)
    points = rng.standard_normal((40, 3)) * rng.choice([1, 8], (40, 1))
    found = trusted(points, codes)
    assert not found[codes == -1].any()
    for code in {*codes.tolist()} - {-1}:
        np.testing.assert_array_equal(found[codes == code], slow_trusted(points[codes == code]))
    assert not len(trusted(points[:0], codes[:0]))


def test_a_template_stands_though_two_images_in_five_are_of_somebody_else():
    points, codes, _ = people(30, 10)
    wrong = np.zeros(len(codes), bool)
    mixed = points.copy()
    for person in range(30):
        wrong[np.flatnonzero(codes == person)[:4]] = True
        mixed[np.flatnonzero(codes == person)[:4]] = points[codes == (person + 1) % 30][:4]
    inside = trusted(mixed, codes)
    assert inside[~wrong].mean() > 0.98
    assert inside[wrong].mean() < 0.05


def test_the_model_finds_the_directions_in_which_persons_differ_though_labels_are_wrong():
    vectors, codes, _ = people(200, 6, seed=2)
    rng = np.random.default_rng(0)
    wrong = rng.permutation(len(codes))[: len(codes) // 25]
    codes[wrong] = (codes[wrong] + rng.integers(1, 200, len(wrong))) % 200  # one label in 25
    codes = np.append(codes, -1)
    model, inside = learn(np.concatenate([vectors, np.full((1, 24), 9, np.float32)]), codes)
    assert len(model.between) == 12
    spread = model.project(vectors)
    clean = np.setdiff1d(np.arange(len(vectors)), wrong)
    means = np.stack([spread[clean][codes[clean] == person].mean(axis=0) for person in range(200)])
    assert (spread[clean] - means[codes[clean]]).std() == pytest.approx(np.sqrt(5 / 6), rel=0.1)
    assert inside[clean].mean() > 0.97
    assert inside[wrong].mean() < 0.1
    assert not inside[-1]


def test_too_few_identities_are_refused():
    vectors, codes, _ = people(19, 3)
    with pytest.raises(InputError, match=r"too few identities.*found 19; allowed: 20 or more.*name and image"):
        learn(vectors, codes)


def two_sets(shared: int, n: int = 60, m: int = 40, seed: int = 3):
    """Templates of two sets whose first persons are the same, on other images, and the rows of either."""
    vectors, codes, _ = people(n + m - shared, 12, seed=seed)
    which = np.arange(len(codes)) % 12 < 6
    left = (codes < n) & which
    right = ((codes < shared) | (codes >= n)) & ~which
    identity = np.where(left, codes, np.where(right, n + codes - (codes >= n) * (n - shared), -1))
    model, inside = learn(vectors, identity)
    of = np.maximum(identity, 0)
    made = Templates.of(model.project(vectors), of, (inside & (identity >= 0)).astype(float), n + m, model.between)
    return made, np.arange(n), np.arange(n, n + m)


def test_shared_identities_are_mutual_nearest_above_the_threshold():
    made, left, right = two_sets(20)
    found = nearest(made, left, right, SerialExecutor(), np.random.default_rng(0))
    true = (found.i == found.j - 60) & (found.i < 20)
    chance = competing(found.i, found.j, found.score + log_prior(60, 40))
    hit = found.mutual & (found.score >= found.threshold) & (chance >= 0.5)
    assert hit[true].all()
    assert true.sum() == 20
    assert not hit[~true].any()
    # The threshold, and who is nearest, by comparing all.
    i, j = (grid.ravel() for grid in np.indices((60, 40)))
    a, b = left[i], right[j]
    score = same_person(made.count[a], made.sums[a], made.count[b], made.sums[b], made.between).reshape(60, 40)
    best = (score == score.max(axis=0)) & (score == score.max(axis=1)[:, None])
    wanted = threshold_at(score[~best], 0.01 / 60 * 60 * 40 / (~best).sum())
    assert found.threshold == pytest.approx(wanted)
    assert found.impostors == (~best).sum()
    np.testing.assert_array_equal(found.mutual, best[found.i, found.j - 60])
    for row, (x, y) in enumerate(zip(found.i, found.j - 60, strict=True)):
        rivals = np.concatenate([np.delete(score[x], y), np.delete(score[:, y], x)])
        assert found.margin[row] == pytest.approx(score[x, y] - rivals.max())


def test_sets_that_share_nobody_have_no_sure_pairs():
    sure = 0
    for seed in range(5):
        made, left, right = two_sets(0, seed=10 + seed)
        found = nearest(made, left, right, SerialExecutor(), np.random.default_rng(0))
        chance = competing(found.i, found.j, found.score + log_prior(60, 40))
        sure += int((found.mutual & (found.score >= found.threshold) & (chance >= 0.5)).sum())
    assert sure <= 1  # of 200 identities of the second sets


def test_nothing_against_something():
    made, left, right = two_sets(5)
    assert not len(nearest(made, left[:0], right, SerialExecutor(), np.random.default_rng(0)).i)


def test_odds_compete_within_a_row_and_a_column():
    i, j = np.array([0, 0, 1]), np.array([0, 1, 1])
    odds = np.array([2.0, 3.0, 5.0])
    assert competing(i, j, np.log(odds)) == pytest.approx([2 / (1 + 5), 3 / (1 + 10), 5 / (1 + 8)])
    assert log_prior(100, 50) == pytest.approx(np.log(2.5 / 5000))
    assert log_prior(100, 50, known=10) == pytest.approx(np.log(10 / 5000))
