"""Samplers: fair shares, disjoint ranks, the same epoch for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance.samplers import BalancedSampler, IdentityBatchSampler, pairs_of_batch
from curate.core.errors import InputError


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 200), st.integers(1, 400), st.integers(1, 4), st.integers(0, 999))
def test_every_row_and_group_gets_its_share_within_one(n: int, per_rank: int, ranks: int, seed: int):
    rng = np.random.default_rng(seed)
    weights, groups = rng.random(n) ** 3 + 1e-3, rng.integers(-1, 4, n)
    if n < ranks:
        return
    # The shares hold for the epoch as a whole: one rank takes it all here.
    whole = BalancedSampler(weights, groups, num_samples=per_rank * ranks, seed=seed, rank=0, ranks=1)
    counts = np.bincount(whole.rows(), minlength=n)
    expected = weights / weights.sum() * per_rank * ranks
    assert (np.abs(counts - expected) < 1 + 1e-6).all()
    for group in range(-1, 4):
        assert abs(counts[groups == group].sum() - expected[groups == group].sum()) < 1 + 1e-6


@settings(deadline=None, max_examples=80)
@given(st.integers(8, 300), st.integers(1, 100), st.integers(2, 4), st.integers(0, 999))
def test_ranks_are_disjoint_and_equally_long(n: int, per_rank: int, ranks: int, seed: int):
    rng = np.random.default_rng(seed)
    weights = rng.random(n) + 0.5
    parts = [BalancedSampler(weights, num_samples=per_rank, seed=seed, rank=r, ranks=ranks) for r in range(ranks)]
    rows = [part.rows() for part in parts]
    assert [len(part) for part in rows] == [per_rank] * ranks
    if per_rank * 3 <= n:  # else a row may have more copies than one rank has samples
        for r in range(ranks):
            for other in range(r):
                assert not set(rows[r].tolist()) & set(rows[other].tolist())


def test_ranks_stay_disjoint_where_rows_have_many_copies():
    rows = [BalancedSampler(np.ones(7), num_samples=50, rank=r, ranks=3, seed=4).rows() for r in range(3)]
    assert [len(part) for part in rows] == [50, 50, 50]
    seen = [set(part.tolist()) for part in rows]
    assert len(seen[0] | seen[1] | seen[2]) == sum(map(len, seen))


def test_groups_are_even_and_epochs_differ():
    groups = np.repeat([0, 1, 2, -1], [9000, 900, 90, 10])
    sampler = BalancedSampler(groups=groups, num_samples=3000, seed=1)
    first = sampler.rows()
    counts = np.bincount(groups[first] + 1)
    assert np.abs(counts[1:] - counts[1:].mean()).max() <= 1
    assert list(sampler) == first.tolist() == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first.tolist()
    sampler.set_epoch(0)
    assert list(sampler) == first.tolist()


def test_more_rows_than_torch_can_draw_from():
    sampler = BalancedSampler(np.ones(2**24 + 2, dtype=np.float32), num_samples=1000, seed=0)
    rows = sampler.rows()
    assert len(rows) == 1000
    assert len(np.unique(rows)) == 1000
    # A fair draw reaches the rows on both sides of the limit's half.
    assert 400 < (rows > 2**23).sum() < 600


def test_rows_without_weight_are_never_drawn():
    weights = np.array([0.0, 1, 0, 2, 0])
    rows = BalancedSampler(weights, num_samples=30, seed=0).rows()
    assert np.bincount(rows, minlength=5).tolist() == [0, 10, 0, 20, 0]


def test_what_a_balanced_sampler_refuses():
    for arguments, text in [
        ({}, "give weights"),
        ({"weights": [0.0, 0.0]}, "too few rows"),
        ({"weights": [1.0, -1.0]}, "at least 0"),
        ({"weights": [1.0, np.nan]}, "finite"),
        ({"weights": [1.0], "groups": [0, 1]}, "one number for each row"),
        ({"weights": [1.0], "num_samples": 0}, "num_samples"),
        ({"weights": [1.0], "rank": 2, "ranks": 2}, "rank"),
        ({"weights": [1.0], "rank": 0, "ranks": 2}, "too few rows"),
    ]:
        with pytest.raises(InputError, match=text):
            BalancedSampler(**arguments)


def people(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 60 identities in three cells, most of them in the first."""
    rng = np.random.default_rng(seed)
    home = np.repeat([0, 1, 2], [36, 14, 10])
    identity = np.repeat(np.arange(60), rng.integers(2, 12, 60))
    return identity, home[identity]


def test_a_batch_has_distinct_identities_from_all_cells_in_equal_numbers():
    identity, cell = people()
    sampler = IdentityBatchSampler(identity, cell, identities=9, images=4, batches=30, seed=3)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 30
    for batch in batches:
        assert len(batch) == 36
        who, images = np.unique(identity[batch], return_counts=True)
        assert images.tolist() == [4] * 9
        for name in who:
            rows = [row for row in batch if identity[row] == name]
            assert len(set(rows)) == min(4, int((identity == name).sum()))
        cells = [cell[identity == name][0] for name in who]
        assert np.bincount(cells, minlength=3).tolist() == [3, 3, 3]
    i, _, genuine = pairs_of_batch(identity[batches[0]])
    assert len(i) == 36 * 35 // 2
    assert genuine.sum() == 9 * 4 * 3 // 2
    assert batches == list(sampler)
    sampler.set_epoch(1)
    assert batches != list(sampler)


def test_identities_of_a_cell_come_round_before_one_returns():
    identity, cell = people()
    sampler = IdentityBatchSampler(identity, cell, identities=6, images=1, batches=5, min_images=1)
    first = [name for batch in sampler for name in identity[batch].tolist() if cell[identity == name][0] == 2]
    assert len(set(first)) == 10 == len(first)


def test_ranks_share_no_identity():
    identity, cell = people()
    seen = []
    for rank in range(2):
        sampler = IdentityBatchSampler(identity, cell, identities=6, images=3, batches=20, rank=rank, ranks=2)
        seen.append({name for batch in sampler for name in identity[batch].tolist()})
    assert not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) > 40


def test_an_uneven_number_of_identities_is_shared_out_over_the_batches():
    identity, cell = people()
    sampler = IdentityBatchSampler(identity, cell, identities=7, images=2, batches=30)
    totals = np.zeros(3, int)
    for batch in sampler:
        counts = np.bincount(cell[batch[::2]], minlength=3)
        assert counts.max() - counts.min() <= 1
        totals += counts
    assert totals.tolist() == [70, 70, 70]


def test_rows_without_identity_or_cell_are_left_out():
    identity = np.array([0, 0, -1, 1, 1, 2, 2, 3])
    cell = np.array([0, 0, 0, 0, 0, -1, -1, 0])
    sampler = IdentityBatchSampler(identity, cell, identities=2, images=2, batches=10)
    assert {row for batch in sampler for row in batch} == {0, 1, 3, 4}
    i, j, genuine = pairs_of_batch(np.array([5, -1, 5]))
    assert (i.tolist(), j.tolist(), genuine.tolist()) == ([0], [2], [True])


def test_what_a_batch_sampler_refuses():
    identity, cell = people()
    with pytest.raises(InputError, match="at most 30 identities a batch"):
        IdentityBatchSampler(identity, cell, identities=31, images=2)
    with pytest.raises(InputError, match="a cell has 0 identities"):
        IdentityBatchSampler(np.full(5, -1))
    with pytest.raises(InputError, match="at least 1"):
        IdentityBatchSampler(identity, images=0)
    with pytest.raises(InputError, match="one code for each row"):
        IdentityBatchSampler(identity, cell[:3])
