"""The compiled kernel against the slow reference: the same rows, the same bits."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance import kernel
from curate.balance.draw import Quantile, draw_replicas
from curate.balance.pool import dense_codes
from curate.balance.state import Cap, make_state
from curate.core.errors import InputError

_spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_reference)
slow_oversample, ten_lines = _reference.slow_oversample, _reference.ten_lines


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    n = draw(st.integers(1, 60))
    labels = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = np.empty((n, labels), dtype=np.int32)
    for label in range(labels):
        size = draw(st.sampled_from([1, 2, 3, 5, 11, 30]))
        skew = draw(st.sampled_from([0.0, 1.0, 2.5]))
        weight = (np.arange(size) + 1.0) ** -skew
        column = rng.choice(size, n, p=weight / weight.sum())
        column[rng.random(n) < draw(st.sampled_from([0, 0, 0.2, 1]))] = -1
        codes[:, label] = dense_codes(rng.permutation(size)[column] * (column >= 0) - (column < 0))
    return codes


@settings(deadline=None, max_examples=1000)
@given(tables(), st.sampled_from([1.0, 1.2, 1.5, 2.0, 4.0]), st.integers(1, 20), st.integers(0, 9))
def test_same_rows_as_the_ten_line_reference(codes, target, budget, seed):
    assert draw_replicas(codes, target, budget, generator(seed)).rows.tolist() == ten_lines(
        codes, target, budget, generator(seed)
    )


@settings(deadline=None, max_examples=100)
@given(tables(), st.sampled_from([1.0, 1.5, 2.0]), st.integers(1, 120), st.integers(0, 9), st.data())
def test_same_rows_under_caps_quantiles_and_a_stall(codes, target, budget, seed, data):
    cap = data.draw(st.sampled_from([None, 1, 2, 7]))
    quantile = data.draw(st.sampled_from(["linear", *get_args(Quantile)]))
    stall = data.draw(st.sampled_from([None, None, 1, 5, 40]))
    groups = tuple(
        (codes[:, data.draw(st.integers(0, codes.shape[1] - 1))], data.draw(st.integers(1, 8)))
        for _ in range(data.draw(st.integers(0, 2)))
    )
    slow, ended = slow_oversample(
        codes, target, budget, generator(seed), cap, groups=groups, quantile=quantile, stall=stall
    )
    caps = [Cap(group, limit) for group, limit in groups]
    fast = draw_replicas(codes, target, budget, generator(seed), cap, caps=caps, quantile=quantile, stall=stall)
    assert list(zip(fast.rows.tolist(), fast.labels.tolist(), fast.ratios.tolist(), strict=True)) == slow
    assert fast.ended == ended


@settings(deadline=None, max_examples=60)
@given(tables(), st.integers(1, 300))
def test_counts_and_ratios_stay_those_of_the_rows(codes, budget):
    state = make_state(codes)
    rows, labels, ratios = np.empty(budget, np.int32), np.empty(budget, np.uint8), np.empty(budget)
    made, _ = kernel.draw(np.random.default_rng(3).random(budget), 1.0, rows, labels, ratios, *state.arrays())
    everything = np.concatenate([codes, codes[rows[:made]]])
    for label in range(codes.shape[1]):
        column = everything[:, label]
        counts = np.bincount(column[column >= 0])
        assert state.counts(label).tolist() == counts.tolist()
        if len(counts):
            assert state.ratio[label] == np.quantile(counts, 0.9) / np.quantile(counts, 0.1)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.integers(1, 30), st.integers(1, 10**6)), min_size=1, max_size=60),
       st.sampled_from(get_args(Quantile)))  # fmt: skip
def test_ratio_is_numpys_to_the_last_bit(counts, quantile):
    # Counts too large to lay out as rows: the slots are filled directly.
    state = make_state(np.arange(len(counts), dtype=np.int32)[:, None], quantile=quantile)
    state.slots[:, kernel.COUNT] = np.sort(counts)
    ratio = kernel.ratio_of.py_func(0, state.slots, state.spots, state.weights)
    assert ratio == np.quantile(counts, 0.9, method=quantile) / np.quantile(counts, 0.1, method=quantile)


def test_a_category_that_is_used_up_is_passed_over():
    # Ten categories of two rows and one of one row: with a cap the single one stops at 3, the others go on.
    counts = np.r_[1, np.full(10, 2), np.full(11, 9)]
    codes = np.repeat(np.arange(len(counts)), counts).astype(np.int32)[:, None]
    fast = draw_replicas(codes, 1.5, 1000, generator(0), 2)
    assert fast.ended == "target"
    assert np.bincount(codes[fast.rows, 0], minlength=3).tolist()[:3] == [2, 4, 4]


def test_counts_that_can_not_be_held_are_refused():
    with pytest.raises(InputError, match="more images and replicas than can be counted"):
        make_state(np.zeros((3, 1), dtype=np.int32), budget=2**31)
    with pytest.raises(InputError, match="too many labels"):
        make_state(np.zeros((1, 256), dtype=np.int32))
    with pytest.raises(ValueError, match="each in use"):
        make_state(np.array([[0], [2]], dtype=np.int32))


def test_ties_go_to_the_first_label_and_the_first_category():
    codes = np.array([[0, 0], [0, 0], [0, 1], [1, 2], [2, 1]], dtype=np.int32)
    fast = draw_replicas(codes, 1.0, 1, np.random.Generator(np.random.PCG64(0)))
    assert fast.labels[0] == 0
    assert fast.rows[0] == 3


def test_a_cap_leaves_out_the_rows_that_reached_it():
    codes = np.array([[0]] * 9 + [[1]] * 2, dtype=np.int32)
    fast = draw_replicas(codes, 1.0, 100, np.random.Generator(np.random.PCG64(1)), 2)
    assert fast.ended == "cap"
    assert np.bincount(fast.rows, minlength=11).tolist() == [0] * 9 + [2, 2]


@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_nothing_to_draw_from(shape):
    fast = draw_replicas(np.zeros(shape, dtype=np.int32), 1.0, 5, np.random.default_rng(0))
    assert len(fast.rows) == 0
    assert fast.ended == "target"


def test_an_uneven_label_of_many_levels_is_fast():
    # Two rare categories far below ten thousand others: each replica raises the smallest count by about a half.
    counts = np.r_[1, 1, np.full(3, 4000)]
    codes = np.repeat(np.arange(len(counts)), counts).astype(np.int32)[:, None]
    fast = draw_replicas(codes, 1.0, 10_000, np.random.default_rng(0))
    assert fast.ended == "target"
    assert len(fast.rows) == 2 * 3999
