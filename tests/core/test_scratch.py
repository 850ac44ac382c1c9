"""Arrays that lie in a file without a name, and rows that are read when they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core import scratch as module
from curate.core.scratch import Rows, let_go, scratch


def test_large_rows_lie_in_a_file_that_nobody_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 100_000)
    large = scratch((20, 64, 128), np.dtype("u1"), tmp_path / "new")
    assert isinstance(large, np.memmap)
    assert not large.any()
    assert not list((tmp_path / "new").iterdir())
    expected = np.random.default_rng(0).integers(0, 256, large.shape, np.uint8)
    for start in range(0, 20, 7):
        large[start : start + 7] = expected[start : start + 7]
        let_go(large)
    assert np.array_equal(large, expected)
    assert not isinstance(scratch((10, 64, 128), np.dtype("u1"), tmp_path), np.memmap)  # small as a whole
    assert not isinstance(scratch((1_000_000,), np.dtype("u8"), tmp_path), np.memmap)  # small rows
    assert scratch((0, 64, 128), np.dtype("u1"), tmp_path).shape == (0, 64, 128)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.data())
def test_rows_are_those_of_the_parts_laid_end_to_end(sizes, data):
    parts = [np.random.default_rng(at).normal(size=(size, 3)) for at, size in enumerate(sizes)]
    whole = np.concatenate(parts)
    numbers = st.lists(st.integers(0, max(len(whole) - 1, 0)), max_size=8 if len(whole) else 0)
    rows = np.array(data.draw(numbers), np.int64)
    lazy = Rows(parts, rows)
    assert len(lazy) == len(rows)
    key = np.array(data.draw(st.lists(st.integers(0, max(len(rows) - 1, 0)), max_size=5 if len(rows) else 0)), np.int64)
    assert np.array_equal(lazy[key], whole[rows][key])
    assert np.array_equal(lazy[1:4], whole[rows][1:4])
    with pytest.raises(IndexError):
        lazy[np.array([len(rows)])]
