"""The compiled kernel against the slow reference: the same rows, the same bits."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance import kernel
from curate.balance.oversample import draw_replicas
from curate.balance.pool import dense_codes

_spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
_reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_reference)
slow_oversample = _reference.slow_oversample


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


@settings(deadline=None, max_examples=150)
@given(tables(), st.sampled_from([1.0, 1.2, 1.5, 2.0, 4.0]), st.integers(1, 400), st.integers(0, 9),
       st.sampled_from([None, None, 1, 2, 7]))  # fmt: skip
def test_same_rows_as_the_reference(codes, target, budget, seed, cap):
    slow, ended = slow_oversample(codes, target, budget, np.random.Generator(np.random.PCG64(seed)), cap)
    fast = draw_replicas(codes, target, budget, np.random.Generator(np.random.PCG64(seed)), cap)
    assert list(zip(fast.rows.tolist(), fast.labels.tolist(), fast.ratios.tolist(), strict=True)) == slow
    assert fast.ended == ended


@settings(deadline=None, max_examples=60)
@given(tables(), st.integers(1, 300))
def test_counts_and_ratios_stay_those_of_the_rows(codes, budget):
    state = kernel.make_state(codes)
    rows, labels, ratios = np.empty(budget, np.int32), np.empty(budget, np.uint8), np.empty(budget)
    made, _ = kernel.draw(np.random.default_rng(3).random(budget), 1.0, rows, labels, ratios, *state.arrays())
    everything = np.concatenate([codes, codes[rows[:made]]])
    for label in range(codes.shape[1]):
        column = everything[:, label]
        counts = np.bincount(column[column >= 0])
        assert state.counts(label).tolist() == counts.tolist()
        if len(counts):
            assert state.ratio[label] == np.quantile(counts, 0.9) / np.quantile(counts, 0.1)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.integers(1, 30), st.integers(1, 10**6)), min_size=1, max_size=60))
def test_ratio_is_numpys_to_the_last_bit(counts):
    # Counts too large to lay out as rows: the slots are filled directly.
    state = kernel.make_state(np.arange(len(counts), dtype=np.int32)[:, None])
    state.count_at[:] = np.sort(counts)
    weights = state.low, state.high, state.low_weight, state.high_weight
    ratio = kernel._ratio.py_func(0, state.base, state.count_at, *weights)
    assert ratio == np.quantile(counts, 0.9) / np.quantile(counts, 0.1)


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
