"""What is said before a run: bounds that every run keeps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance.bound import _one_label, bounds
from curate.balance.draw import draw_replicas
from curate.balance.pool import dense_codes
from curate.balance.state import Cap
from curate.stats.imbalance import idr


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def table(seed: int, n: int, sizes: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    first = rng.choice(sizes[0], n, p=np.arange(1, sizes[0] + 1) ** -1.5 / (np.arange(1, sizes[0] + 1) ** -1.5).sum())
    columns = [first]
    for size in sizes[1:]:
        own = rng.integers(0, size, sizes[0])
        columns.append(np.where(rng.random(n) < 0.7, own[first], rng.integers(0, size, n)))
    columns = [np.where(rng.random(n) < 0.05, -1, column) for column in columns]
    return np.stack([dense_codes(column) for column in columns], axis=1)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([(2, 2), (3, 2), (25,), (40, 2), (12, 4, 3), (5, 7)]),
       st.sampled_from([1.0, 1.3, 2.0]), st.sampled_from(["uniform", "lookahead"]),
       st.sampled_from(["linear", "hazen", "lower", "inverted_cdf"]), st.sampled_from([None, 2, 5]))  # fmt: skip
def test_a_run_keeps_the_bounds(seed, n, sizes, target, choice, quantile, cap):
    codes = table(seed, n, sizes)
    caps = [Cap(codes[:, 0], 6)] if cap == 5 else []
    names = [f"label{place}" for place in range(len(sizes))]
    bound = bounds(codes, names, target, max_per_image=cap, caps=caps, quantile=quantile)
    run = draw_replicas(codes, target, 600, generator(seed), cap, caps=caps, choice=choice, quantile=quantile)
    if run.ended == "target":
        assert bound.unreachable is None
        assert bound.replicas <= len(run.rows)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([1.0, 1.2, 1.6]))
def test_no_replicas_at_all_beat_the_bounds(seed, n, target):
    codes = table(seed, n, (3, 2))
    bound = bounds(codes, ["a", "b"], target)
    kinds = np.unique(codes, axis=0)
    for uses in itertools.product(range(5), repeat=len(kinds)):
        everything = np.concatenate([codes, np.repeat(kinds, uses, axis=0)])
        ratios = [idr(np.bincount(column[column >= 0])) for column in everything.T if (column >= 0).any()]
        if all(ratio <= target for ratio in ratios):
            assert bound.unreachable is None
            assert bound.replicas <= sum(uses)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.sampled_from([1.0, 1.2, 1.5, 2.0, 3.0]),
       st.sampled_from(["linear", "hazen", "lower", "higher", "weibull"]))  # fmt: skip
def test_the_bound_of_one_label_is_what_raising_the_rarest_costs(counts, target, quantile):
    # Every way to raise categories, D9 held where it is: none that brings D1 up is cheaper than the bound.
    counts = np.sort(counts)
    wanted = np.quantile(counts, 0.9, method=quantile) / target
    fewest = min(sum(raised) - counts.sum() for raised in itertools.product(*(range(c, 6) for c in counts))
                 if np.quantile(raised, 0.1, method=quantile) >= wanted * (1 - 1e-9))  # fmt: skip
    assert _one_label(counts, float(wanted), quantile) == fewest


def test_the_bound_of_one_label_is_reached_where_all_are_alike():
    codes = np.repeat(np.arange(21), np.r_[np.full(3, 2), np.full(18, 10)]).astype(np.int32)[:, None]
    # D1 is the third smallest: that one alone has to come from 2 to 5.
    assert bounds(codes, ["identity"], 2.0).replicas == 3
    assert bounds(codes, ["identity"], 2.0).label == "identity"
    assert bounds(codes, ["identity"], 5.0).replicas == 0


def test_labels_that_exclude_each_other_are_proven_so():
    # Two of the three values of b belong to one value of a: both can't be level.
    codes = np.repeat([[0, 0], [0, 1], [1, 2]], [5, 5, 1], axis=0).astype(np.int32)
    bound = bounds(codes, ["a", "b"], 1.0)
    assert "'b' prevents it, together with 'a'" in bound.unreachable
    assert bound.preventing == ("b", "a")
    assert bounds(codes, ["a", "b"], 2.0).unreachable is None
    third = np.column_stack([codes, np.arange(11) % 2])
    assert bounds(third, ["a", "b", "c"], 1.0).preventing == ("b", "a")


def test_caps_and_budget_that_do_not_suffice():
    codes = np.repeat([0, 1], [1, 20]).astype(np.int32)[:, None]
    assert bounds(codes, ["x"], 1.2, max_per_image=3).preventing == ("x",)
    assert "with these caps D1 of 'x'" in bounds(codes, ["x"], 1.2, caps=[Cap(codes[:, 0], 4)]).unreachable
    assert bounds(codes, ["x"], 1.2, caps=[Cap(np.full(21, -1), 4)]).unreachable is None
    few = bounds(codes, ["x"], 1.2, budget=5)
    assert few.replicas > 5
    assert "and the budget is 5" in few.unreachable
    assert bounds(codes, ["x"], 1.2, budget=500).unreachable is None


@pytest.mark.parametrize("codes", [np.zeros((0, 2)), np.full((3, 2), -1), np.zeros((4, 2))])
def test_nothing_to_balance_needs_nothing(codes):
    bound = bounds(codes.astype(np.int32), ["a", "b"], 1.0, budget=1)
    assert (bound.replicas, bound.unreachable) == (0, None)
