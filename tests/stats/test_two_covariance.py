"""The closed forms against the normal densities that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from curate.stats.two_covariance import (
    TwoCovariance,
    evidence,
    fit_two_covariance,
    same_person,
    sums_of,
    template_terms,
)


def log_density(vectors: np.ndarray, between: np.ndarray) -> float:
    """All vectors of one person jointly: covariance B + W for a vector with itself, B with another one."""
    n, d = vectors.shape
    whole = np.kron(np.ones((n, n)), np.diag(between)) + np.eye(n * d)
    return float(multivariate_normal(np.zeros(n * d), whole).logpdf(vectors.ravel()))


def log_noise(vectors: np.ndarray) -> float:
    return float(multivariate_normal(np.zeros(vectors.shape[1]), np.eye(vectors.shape[1])).logpdf(vectors).sum())


sets = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(deadline=None, max_examples=40)
@given(rng=sets, n=st.integers(1, 4), m=st.integers(1, 4), d=st.integers(1, 3))
def test_evidence_and_ratio_are_differences_of_normal_densities(rng, n, m, d):
    between = rng.gamma(1.0, 3.0, d) + 1e-3
    a, b = rng.normal(0, 2, (n, d)), rng.normal(0, 2, (m, d))
    one = evidence(np.array([n]), a.sum(0)[None], between)
    assert one[0] == pytest.approx(log_density(a, between) - log_noise(a), abs=1e-8)
    ratio = same_person(np.array([n]), a.sum(0)[None], np.array([m]), b.sum(0)[None], between)
    apart = log_density(a, between) + log_density(b, between)
    assert ratio[0] == pytest.approx(log_density(np.concatenate([a, b]), between) - apart, abs=1e-8)


@settings(deadline=None, max_examples=40)
@given(rng=sets, k=st.integers(1, 5), d=st.integers(1, 6))
def test_template_terms_give_the_ratio_of_one_vector(rng, k, d):
    between = rng.gamma(1.0, 2.0, d) + 1e-2
    count, z = rng.uniform(0, 6, k), rng.normal(0, 1.5, (3, d))
    sums = rng.normal(0, 2, (k, d)) * count[:, None]
    square, linear, constant = template_terms(count, sums, between)
    found = (z**2) @ square + z @ linear + constant
    for row in range(3):
        wanted = same_person(np.ones(k), np.repeat(z[row][None], k, 0), count, sums, between)
        assert found[row] == pytest.approx(wanted, rel=1e-4, abs=1e-3)


def drawn(rng, identities, images, within, between):
    person = rng.multivariate_normal(np.zeros(len(within)), between, identities)
    identity = np.repeat(np.arange(identities), images)
    return person[identity] + rng.multivariate_normal(np.full(len(within), 0.3), within, len(identity)), identity


def test_the_fit_recovers_both_covariances():
    rng = np.random.default_rng(1)
    within = np.array([[0.5, 0.2, 0], [0.2, 0.4, 0.1], [0, 0.1, 0.3]])
    between = np.diag([3.0, 1.0, 0.2])
    x, identity = drawn(rng, 3000, 5, within, between)
    model = fit_two_covariance(x, identity, np.ones(len(x)), shrinkage=0.0, dimensions=3)
    assert model.basis.T @ within @ model.basis == pytest.approx(np.eye(3), abs=0.06)
    assert model.basis.T @ between @ model.basis == pytest.approx(np.diag(model.between), abs=0.35)
    assert list(model.between) == sorted(model.between, reverse=True)
    assert model.mean == pytest.approx(np.full(3, 0.3), abs=0.1)


def test_weights_count_like_missing_rows():
    rng = np.random.default_rng(2)
    x, identity = drawn(rng, 40, 6, np.eye(4), np.eye(4) * 2)
    weight = (rng.random(len(x)) < 0.7).astype(float)
    kept = weight > 0
    whole = fit_two_covariance(x, identity, weight, shrinkage=0.2, dimensions=4)
    part = fit_two_covariance(x[kept], identity[kept], np.ones(kept.sum()), shrinkage=0.2, dimensions=4)
    assert whole.between == pytest.approx(part.between)
    assert np.abs(whole.project(x)) == pytest.approx(np.abs(part.project(x)), abs=1e-4)


def test_projection_and_sums_by_tiles(monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 5))
    model = TwoCovariance(rng.normal(size=5), rng.normal(size=(5, 3)), np.ones(3))
    whole, sums = model.project(x), sums_of(x, np.arange(50) % 7, np.linspace(0, 1, 50), 7)
    assert whole == pytest.approx((x - model.mean) @ model.basis, abs=1e-5)
    monkeypatch.setattr("curate.stats.two_covariance._TILE", 8)
    assert model.project(x.astype(np.float16)) == pytest.approx(whole, abs=2e-2)
    assert sums_of(x, np.arange(50) % 7, np.linspace(0, 1, 50), 7) == pytest.approx(sums)
    slow = np.zeros((7, 5))
    for row in range(50):
        slow[row % 7] += row / 49 * x[row]
    assert sums == pytest.approx(slow)


def test_nothing_to_fit_from():
    with pytest.raises(ValueError, match="two vectors"):
        fit_two_covariance(np.eye(3), np.arange(3), np.ones(3), shrinkage=0.1, dimensions=2)
