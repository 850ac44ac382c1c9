from __future__ import annotations

import sys

import numpy as np
import pytest

from curate.core.errors import InputError, MissingExtra
from curate.core.shapes import SerialExecutor
from curate.search.approximate import approximate_pairs
from curate.search.cosine import similar_pairs

RNG = np.random.default_rng


def clustered(n=1500, size=32, of=100, spread=0.45):
    rng = RNG(5)
    return (rng.standard_normal((of, size))[rng.integers(0, of, n)] + spread * rng.standard_normal((n, size))).astype(
        np.float32
    )


def pairs_of(found):
    return set(zip(found[0].tolist(), found[1].tolist(), strict=True))


def test_every_cell_visited_is_the_exact_search():
    pytest.importorskip("faiss")
    vectors = clustered()
    got = approximate_pairs(vectors, 0.8, SerialExecutor(), RNG(0), probes=10_000, sample=200)
    want = similar_pairs(vectors, 0.8, SerialExecutor())
    assert len(want[0]) > 5000
    for a, b in zip(got.pairs, want, strict=True):
        np.testing.assert_array_equal(a, b)
    assert got.recall.rate == got.recall.high == 1
    assert 0.97 < got.recall.low < 1  # no more is known from 200 vectors
    assert got.recall.bound


def test_recall_is_measured_and_its_interval_holds_the_truth():
    pytest.importorskip("faiss")
    vectors = clustered(spread=0.9)
    exact = pairs_of(similar_pairs(vectors, 0.5, SerialExecutor()))
    inside, rates = 0, []
    for seed in range(6):
        got = approximate_pairs(vectors, 0.5, SerialExecutor(), RNG(seed), probes=1, sample=150)
        listed = pairs_of(got.pairs)
        assert listed <= exact  # nothing that is listed is wrong
        truth = len(listed) / len(exact)
        inside += got.recall.low <= truth <= got.recall.high
        rates.append((truth, got.recall.rate))
        assert got.sampled == 150
        assert f"Recall {got.recall.rate:.4f}" in got.sentence()
    assert 0.5 < np.mean(rates) < 0.95
    assert inside >= 4
    again = approximate_pairs(vectors, 0.5, SerialExecutor(), RNG(5), probes=1, sample=150)
    assert again.recall == got.recall
    assert pairs_of(again.pairs) == listed


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_few_vectors(n):
    pytest.importorskip("faiss")
    got = approximate_pairs(np.ones((n, 4)), 0.9, SerialExecutor(), RNG(0))
    assert len(got.pairs[0]) == n * (n - 1) // 2
    assert got.sampled_pairs == n * (n - 1)
    if n < 2:
        assert np.isnan(got.recall.rate)
        assert "Recall unknown" in got.sentence()


def test_bad_input_is_refused():
    pytest.importorskip("faiss")
    vectors = np.ones((9, 4))
    with pytest.raises(InputError, match="probes"):
        approximate_pairs(vectors, 0.9, SerialExecutor(), RNG(0), probes=0)
    with pytest.raises(InputError, match="-1 to 1"):
        approximate_pairs(vectors, 2, SerialExecutor(), RNG(0))
    with pytest.raises(InputError, match="more than 5 pairs"):
        approximate_pairs(vectors, 0.9, SerialExecutor(), RNG(0), max_pairs=5)
    vectors[3] = np.nan
    with pytest.raises(InputError, match="row 4"):
        approximate_pairs(vectors, 0.9, SerialExecutor(), RNG(0))


def test_without_faiss_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"pip install 'curate\[faiss\]'"):
        approximate_pairs(np.ones((9, 4)), 0.9, SerialExecutor(), RNG(0))
