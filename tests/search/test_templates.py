from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate.search.templates as templates_module
from curate.core.shapes import SerialExecutor
from curate.search.clusters import two_persons
from curate.search.templates import Templates, best_other, nearest_templates, similar_templates
from curate.stats.two_covariance import evidence, same_person

EXECUTOR = SerialExecutor()


def case(seed, n=30, k=6, d=4):
    rng = np.random.default_rng(seed)
    between = rng.gamma(1.0, 3.0, d) + 0.05
    identity = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    person = rng.normal(size=(k, d)) * np.sqrt(between)
    vectors = (person[identity] + rng.normal(size=(n, d))).astype(np.float32)
    return vectors, identity, rng.uniform(0.05, 1, n), between


def ratio_to(z, rows, vectors, weight, between):
    """The ratio of one vector and a weighted set of rows."""
    count, sums = weight[rows].sum(), (weight[rows, None] * vectors[rows].astype(float)).sum(0)
    return same_person(np.ones(1), z[None].astype(float), np.array([count]), sums[None], between)[0]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_own_and_other_fits_equal_the_definition(seed):
    vectors, identity, weight, between = case(seed)
    made = Templates.of(vectors, identity, weight, 6, between)
    own = made.fit_of_own(vectors, identity, weight)
    temperature = np.linspace(0.2, 1, len(vectors))
    others = best_other(vectors, identity, temperature, made, EXECUTOR)
    for row in range(len(vectors)):
        rest = np.flatnonzero((identity == identity[row]) & (np.arange(len(identity)) != row))
        assert own[row] == pytest.approx(ratio_to(vectors[row], rest, vectors, weight, between), abs=1e-5)
        slow = np.array([ratio_to(vectors[row], np.flatnonzero(identity == k), vectors, weight, between)
                         for k in range(6)])  # fmt: skip
        slow[identity[row]] = -np.inf
        assert others.ratio[row] == pytest.approx(np.sort(slow)[::-1][:2], abs=2e-2, rel=1e-3)
        assert slow[others.who[row]] == pytest.approx(np.sort(slow)[::-1][:2], abs=2e-2, rel=1e-3)
        assert others.total[row] == pytest.approx(np.log(np.exp(temperature[row] * slow).sum()), abs=2e-2, rel=1e-3)


def test_an_identity_of_one_image_says_nothing_of_it():
    vectors, _, weight, between = case(1, 6, 6)
    made = Templates.of(vectors, np.arange(6), weight, 6, between)
    assert made.fit_of_own(vectors, np.arange(6), weight) == pytest.approx(np.zeros(6), abs=1e-6)


def test_tiles_change_nothing(monkeypatch):
    vectors, identity, weight, between = case(5, 60, 9)
    made = Templates.of(vectors, identity, weight, 9, between)
    whole = best_other(vectors, identity, np.ones(60), made, EXECUTOR)
    pairs = similar_templates(made, np.arange(9), EXECUTOR, neighbours=2)
    monkeypatch.setattr(templates_module, "_BLOCK", 9 * 7)
    monkeypatch.setattr(templates_module, "_TASK", 11)
    again = best_other(vectors, identity, np.ones(60), made, EXECUTOR)
    assert np.array_equal(whole.who, again.who)
    assert whole.total == pytest.approx(again.total, abs=1e-5)
    again = similar_templates(made, np.arange(9), EXECUTOR, neighbours=2)
    assert all(np.array_equal(a, b) for a, b in zip(pairs, again, strict=True))


def test_similar_templates_lists_all_pairs_where_all_are_neighbours():
    vectors, identity, weight, between = case(7)
    made = Templates.of(vectors, identity, weight, 6, between)
    a, b, ratio = similar_templates(made, np.arange(6), EXECUTOR)
    assert list(zip(a, b, strict=True)) == [(i, j) for i in range(6) for j in range(i + 1, 6)]
    wanted = same_person(made.count[a], made.sums[a], made.count[b], made.sums[b], between)
    assert ratio == pytest.approx(wanted)
    assert not len(similar_templates(made, np.array([3]), EXECUTOR)[0])


@pytest.mark.parametrize("neighbours", [1, 3, 20])
def test_nearest_templates_have_the_highest_cosines(monkeypatch, neighbours):
    vectors, identity, weight, between = case(3, 60, 9)
    made = Templates.of(vectors, identity, weight, 9, between)
    rows = np.array([0, 2, 3, 5, 7, 8])
    person = made.sums[rows] / (made.count[rows][:, None] + 1 / between)
    person /= np.linalg.norm(person, axis=1, keepdims=True)
    wanted = []
    for at in range(len(rows)):
        others = [other for other in range(len(rows)) if other != at]
        wanted.append(sorted(others, key=lambda other: -(person[at] @ person[other]))[:neighbours])
    for block in (templates_module._BLOCK, 7):
        monkeypatch.setattr(templates_module, "_BLOCK", block)
        assert nearest_templates(made, rows, EXECUTOR, neighbours).tolist() == wanted
    assert nearest_templates(made, rows[:1], EXECUTOR, neighbours).shape == (1, 0)


def best_parting(vectors, between):
    """All partings in two, by evidence."""
    n = len(vectors)
    whole = evidence(np.array([n]), vectors.sum(0)[None], between)[0]
    best = -np.inf
    for mask in range(1, 2 ** (n - 1)):
        side = np.array([(mask >> at) & 1 for at in range(n)], bool)
        best = max(best, sum(evidence(np.array([part.sum()]), vectors[part].sum(0)[None], between)[0]
                             for part in (side, ~side)))  # fmt: skip
    return best - whole


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_parting_is_almost_always_the_best_one(seed):
    """The ratio never exceeds that of the best parting; where that speaks for two persons clearly, it is found."""
    rng = np.random.default_rng(seed)
    between = np.array([6.0, 3.0, 1.0])
    persons = rng.normal(size=(2, 3)) * np.sqrt(between)
    who = np.sort(rng.integers(0, 2, 9))
    vectors = (persons[who] + rng.normal(size=(9, 3))).astype(np.float32)
    part, ratio = two_persons(vectors, np.zeros(9, np.int64), between)
    best = best_parting(vectors.astype(float), between)
    assert ratio[0] <= best + 1e-6
    if best > 3:
        assert ratio[0] == pytest.approx(best, abs=1.5)
    assert part.sum() <= 4


def test_two_persons_are_told_apart_whatever_the_order_of_identities():
    rng = np.random.default_rng(3)
    between = np.full(8, 10.0)
    persons = rng.normal(size=(3, 8)) * np.sqrt(between)
    shown = np.repeat([0, 1, 2], [7, 3, 6])
    identity = np.where(shown == 2, 1, 0)
    vectors = (persons[shown] + rng.normal(size=(16, 8))).astype(np.float32)
    order = rng.permutation(16)
    part, ratio = two_persons(vectors[order], identity[order], between)
    assert np.array_equal(part, (shown[order] == 1).astype(np.int8) | np.where(identity[order] == 1, part, 0))
    assert ratio[0] > 20 > 0 > ratio[1]
    lone, none = two_persons(vectors[:1], np.zeros(1, np.int64), between)
    assert (lone.tolist(), none.tolist()) == ([0], [-np.inf])
