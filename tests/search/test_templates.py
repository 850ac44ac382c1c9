from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, multivariate_normal

from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor
from curate.search.identity_model import IdentityModel, Templates, fit_identity_model
from curate.search.odds import competing, log_prior
from curate.search.templates import nearest, templates
from curate.stats.rates import threshold_at


def people(n: int, images: int, size: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of n persons who differ in the first half of the directions, codes, and the persons' own places."""
    rng = np.random.default_rng(seed)
    spread = np.where(np.arange(size) < size // 2, 3.0, 0.0)
    centres = rng.standard_normal((n, size)) * spread
    codes = np.repeat(np.arange(n), images)
    return (centres[codes] + rng.standard_normal((len(codes), size))).astype(np.float32), codes, centres


def slow_template(points: np.ndarray) -> np.ndarray:
    """One identity's template by the words of `templates`."""
    half = max((len(points) + 1) // 2, min(len(points), 2))
    centre = points.mean(axis=0)
    for _ in range(3):
        nearest_half = np.argsort(((points - centre) ** 2).sum(axis=1), kind="stable")[:half]
        centre = points[nearest_half].mean(axis=0)
    far = ((points - centre) ** 2).sum(axis=1)
    inside = far <= chi2.ppf(0.99, points.shape[1]) * (1 + 2 / half)
    inside[nearest_half] = True
    return points[inside].mean(axis=0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_templates_equal_the_slow_reference(seed: int):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, 5, 40)
    points = rng.standard_normal((40, 3)) * rng.choice([1, 8], (40, 1))
    found = templates(points, codes)
    assert found.identity.tolist() == sorted({*codes.tolist()} - {-1})
    for code, mean in zip(found.identity, found.means, strict=True):
        np.testing.assert_allclose(mean, slow_template(points[codes == code]), rtol=1e-9)


def test_a_template_stands_though_two_images_in_five_are_of_somebody_else():
    points, codes, centres = people(30, 10)
    mixed = points.copy()
    for person in range(30):
        mixed[np.flatnonzero(codes == person)[:4]] = points[codes == (person + 1) % 30][:4]
    robust = templates(mixed, codes).means
    mean = np.stack([mixed[codes == person].mean(axis=0) for person in range(30)])
    off = [np.median(np.linalg.norm(found - centres, axis=1)) for found in (robust, mean)]
    assert off[0] < 2.5 < off[1]


def test_the_log_ratio_is_that_of_the_densities():
    rng = np.random.default_rng(1)
    model = IdentityModel(np.zeros(3), np.eye(3), np.array([4.0, 2.0, 0.7]))
    x, y = rng.standard_normal((2, 20, 3)) * 2
    n, m = rng.integers(1, 9, (2, 20))
    places = np.arange(20)
    got = model.log_ratio(Templates(places, x, n), Templates(places, y, m), places, places)
    for row in range(20):
        wanted = 0.0
        for k, b in enumerate(model.between):
            u, v = b + 1 / n[row], b + 1 / m[row]
            together = multivariate_normal([0, 0], [[u, b], [b, v]])
            apart = multivariate_normal([0, 0], [[u, 0], [0, v]])
            pair = [x[row, k], y[row, k]]
            wanted += together.logpdf(pair) - apart.logpdf(pair)
        assert got[row] == pytest.approx(wanted)


def test_the_model_finds_the_directions_in_which_persons_differ():
    vectors, codes, _ = people(200, 6, seed=2)
    rng = np.random.default_rng(0)
    wrong = rng.permutation(len(codes))[: len(codes) // 25]
    codes[wrong] = rng.integers(0, 200, len(wrong))  # one label in 25
    model = fit_identity_model(vectors, codes)
    assert len(model.between) == 12
    assert model.between.mean() == pytest.approx(9.0, rel=0.15)
    spread = model.project(vectors)
    clean = np.setdiff1d(np.arange(len(codes)), wrong)
    means = np.stack([spread[clean][codes[clean] == person].mean(axis=0) for person in range(200)])
    assert (spread[clean] - means[codes[clean]]).std() == pytest.approx(np.sqrt(5 / 6), rel=0.1)


def test_too_few_identities_are_refused():
    vectors, codes, _ = people(19, 3)
    with pytest.raises(InputError, match=r"too few identities.*found 19; allowed: 20 or more.*name and image"):
        fit_identity_model(vectors, codes)


def two_sets(shared: int, n: int = 60, m: int = 40, seed: int = 3):
    """Templates of two sets whose first persons are the same, other images, and the model of both."""
    vectors, codes, _ = people(n + m - shared, 12, seed=seed)
    which = np.arange(len(codes)) % 12 < 6
    left = (codes < n) & which
    right = ((codes < shared) | (codes >= n)) & ~which
    model = fit_identity_model(vectors, np.where(left, codes, np.where(right, codes + 1000, -1)))
    points = model.project(vectors)
    return templates(points, np.where(left, codes, -1)), templates(points, np.where(right, codes, -1)), model


def test_shared_identities_are_mutual_nearest_above_the_threshold():
    left, right, model = two_sets(20)
    found = nearest(left, right, model, SerialExecutor(), np.random.default_rng(0))
    true = left.identity[found.i] == right.identity[found.j]
    chance = competing(found.i, found.j, found.score + log_prior(60, 40))
    hit = found.mutual & (found.score >= found.threshold) & (chance >= 0.5)
    assert hit[true].all()
    assert true.sum() == 20
    assert not hit[~true].any()
    # The threshold, and who is nearest, by comparing all.
    i, j = (grid.ravel() for grid in np.indices((60, 40)))
    score = model.log_ratio(left, right, i, j).reshape(60, 40)
    best = (score == score.max(axis=0)) & (score == score.max(axis=1)[:, None])
    assert found.threshold == threshold_at(score[~best], 0.01 / 60 * 60 * 40 / (~best).sum())
    assert found.impostors == (~best).sum()
    np.testing.assert_array_equal(found.mutual, best[found.i, found.j])
    for row, (x, y) in enumerate(zip(found.i, found.j, strict=True)):
        rivals = np.concatenate([np.delete(score[x], y), np.delete(score[:, y], x)])
        assert found.margin[row] == pytest.approx(score[x, y] - rivals.max())


def test_sets_that_share_nobody_have_no_sure_pairs():
    sure = 0
    for seed in range(5):
        left, right, model = two_sets(0, seed=10 + seed)
        found = nearest(left, right, model, SerialExecutor(), np.random.default_rng(0))
        chance = competing(found.i, found.j, found.score + log_prior(60, 40))
        sure += int((found.mutual & (found.score >= found.threshold) & (chance >= 0.5)).sum())
    assert sure <= 1  # of 200 identities of the second sets


def test_nothing_against_something():
    _, right, model = two_sets(5)
    nothing = templates(np.zeros((0, len(model.between))), np.zeros(0, np.int64))
    assert not len(nearest(nothing, right, model, SerialExecutor(), np.random.default_rng(0)).i)


def test_odds_compete_within_a_row_and_a_column():
    i, j = np.array([0, 0, 1]), np.array([0, 1, 1])
    odds = np.array([2.0, 3.0, 5.0])
    assert competing(i, j, np.log(odds)) == pytest.approx([2 / (1 + 5), 3 / (1 + 10), 5 / (1 + 8)])
    assert log_prior(100, 50) == pytest.approx(np.log(2.5 / 5000))
    assert log_prior(100, 50, known=10) == pytest.approx(np.log(10 / 5000))
