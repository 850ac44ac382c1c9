"""Numbered pairs are all pairs, each once; draws from them are uniform; totals are shared out exactly."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from curate.protocol.sample import sample, share
from curate.protocol.spaces import (
    Genuine,
    GenuineBetween,
    IdentityPairs,
    Impostor,
    ImpostorBetween,
    triangle,
)

counts_lists = st.lists(st.integers(0, 6), min_size=1, max_size=9)


def listed(space) -> list[tuple[int, int]]:
    a, b = space.pairs(np.arange(space.size))
    return sorted(zip(a.tolist(), b.tolist(), strict=True))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_pairs_of_one_list_are_each_numbered_once(counts):
    identity = np.repeat(np.arange(len(counts)) * 3, counts)
    everything = list(combinations(range(len(identity)), 2))
    for space, same in ((Genuine(identity), True), (Impostor(identity), False)):
        assert listed(space) == [(i, j) for i, j in everything if (identity[i] == identity[j]) == same]


@settings(deadline=None, max_examples=60)
@given(counts_lists, counts_lists)
def test_pairs_between_two_lists_are_each_numbered_once(left, right):
    left, right = np.repeat(np.arange(len(left)) * 2, left), np.repeat(np.arange(len(right)) * 2, right)
    everything = list(product(range(len(left)), range(len(right))))
    for space, same in ((GenuineBetween(left, right), True), (ImpostorBetween(left, right), False)):
        assert listed(space) == [(i, j) for i, j in everything if (left[i] == right[j]) == same]


@settings(deadline=None, max_examples=60)
@given(counts_lists, st.one_of(st.none(), counts_lists))
def test_pairs_of_identities_hold_all_impostor_pairs(left, right):
    left = np.repeat(np.arange(len(left)), left)
    right = None if right is None else np.repeat(np.arange(len(right)), right)
    space = IdentityPairs(left, right)
    units = np.arange(space.units)
    sizes = space.size_of(units)
    which = np.repeat(units, sizes)
    number = np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    a, b = space.pairs_of(which, number)
    expected = Impostor(left) if right is None else ImpostorBetween(left, right)
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == listed(expected)


def test_numbers_are_exact_for_very_large_identities():
    n = 3_000_000
    total = n * (n - 1) // 2
    edges = np.array([k * (k - 1) // 2 + d for k in (2_000_001, 2_999_998, n - 1) for d in (-1, 0, 1)] + [0, total - 1])
    a, b = triangle(edges)
    assert (b * (b - 1) // 2 + a == edges).all()
    assert (a < b).all()
    assert b.max() == n - 1


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), min_size=1, max_size=8), st.integers(0, 5), st.data())
def test_a_sample_has_the_size_asked_and_no_number_twice(ranges, seed, data):
    sizes = np.array([size for size, _ in ranges])
    banned = np.array(sorted(data.draw(st.sets(st.integers(0, max(int(sizes.sum()) - 1, 0)), max_size=20))), dtype=int)
    of = np.repeat(np.arange(len(sizes)), sizes)
    free = sizes - np.bincount(of[banned[banned < len(of)]], minlength=len(sizes))
    counts = np.floor(free * np.array([part for _, part in ranges])).astype(int)
    drawn = sample(sizes, counts, np.random.default_rng(seed), lambda number: np.isin(number, banned), free)
    assert (np.diff(drawn) > 0).all()
    assert not np.isin(drawn, banned).any()
    assert np.bincount(of[drawn], minlength=len(sizes)).tolist() == counts.tolist()


def test_every_subset_is_equally_likely():
    for count, banned in (
        (2, []),
        (2, [1, 4]),
        (3, []),
        (4, [0]),
    ):  # listed and redrawn, with numbers that are not there
        rng = np.random.default_rng(count)
        free = np.array([7 - len(banned)])
        found: Counter = Counter()
        for _ in range(6000):
            found[tuple(sample(np.array([7]), np.array([count]), rng, lambda n: np.isin(n, banned), free))] += 1  # noqa: B023
        possible = list(combinations(sorted(set(range(7)) - set(banned)), count))
        assert stats.chisquare([found[subset] for subset in possible]).pvalue > 1e-3
        assert sum(found.values()) == sum(found[subset] for subset in possible)


def slow_share(total: int, room: list[int], weights: list[float]) -> np.ndarray:
    """Water poured in tiny drops: what each would hold, were the total a liquid."""
    held, left = np.zeros(len(room)), float(total)
    for _ in range(200):
        able = (held < np.array(room) - 1e-12) & (np.array(weights) > 0)
        if left < 1e-12 or not able.any():
            break
        part = np.where(able, weights, 0.0)
        more = np.minimum(left * part / part.sum(), np.array(room) - held)
        held += more
        left -= more.sum()
    return held


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=9), st.integers(0, 200))
def test_a_total_is_shared_out_as_water_would_be(people, total):
    room, weights = (list(part) for part in zip(*people, strict=True))
    given_out = share(total, np.array(room), np.array(weights, dtype=float))
    assert given_out.sum() == min(total, sum(room))
    assert (given_out <= room).all()
    if total < sum(room):
        assert np.abs(given_out - slow_share(total, room, weights)).max() < 1 + 1e-6
    even = share(total, np.array(room))
    assert (
        np.ptp(np.append(even[even < np.array(room)], even[even < np.array(room)][:1])) <= 1
        if (even < room).any()
        else True
    )
