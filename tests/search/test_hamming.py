from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor
from curate.search import hamming
from curate.search.hamming import pairs_within
from curate.search.linkage import star_linkage

WORDS = st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 3, 2**63, 2**64 - 1]), max_size=30)


def slow_pairs(hashes, max_distance, others=None):
    found = []
    for i in range(len(hashes)):
        for j in range(i + 1, len(hashes)):
            if others is None:
                distance = (hashes[i] ^ hashes[j]).bit_count()
            else:
                distance = min((hashes[i] ^ others[j]).bit_count(), (hashes[j] ^ others[i]).bit_count())
            if distance <= max_distance:
                found.append((i, j, distance))
    return found


@settings(deadline=None, max_examples=40)
@given(words=WORDS, max_distance=st.integers(0, 64), tile=st.sampled_from([1, 3, 8, 8192]), mirror=st.booleans())
def test_equals_every_pair_compared_one_by_one(words, max_distance, tile, mirror):
    hashes = np.array(words, dtype=np.uint64)
    others = [(word * 3 + 1) % 2**64 for word in words] if mirror else None
    whole, hamming.TILE = hamming.TILE, tile
    try:
        i, j, distance = pairs_within(
            hashes, max_distance, SerialExecutor(), others=None if others is None else np.array(others, np.uint64)
        )
    finally:
        hamming.TILE = whole
    assert list(zip(i.tolist(), j.tolist(), distance.tolist(), strict=True)) == slow_pairs(words, max_distance, others)
    assert (i.dtype, j.dtype, distance.dtype) == (np.int64, np.int64, np.uint8)


@pytest.mark.parametrize("hashes", [np.zeros(3, np.int64), np.zeros((3, 2), np.uint64)])
def test_other_arrays_are_refused(hashes):
    with pytest.raises(InputError, match="64-bit hashes"):
        pairs_within(hashes, 8, SerialExecutor())


@pytest.mark.parametrize("distance", [-1, 65])
def test_impossible_distances_are_refused(distance):
    with pytest.raises(InputError, match="0 to 64"):
        pairs_within(np.zeros(2, np.uint64), distance, SerialExecutor())


def slow_star(order, pairs, n):
    keeper, visited = [-1] * n, set()
    for image in order:
        visited.add(image)
        if keeper[image] != -1:
            continue
        for a, b in pairs:
            other = b if a == image else a if b == image else None
            if other is not None and other not in visited and keeper[other] == -1:
                keeper[other] = image
    return keeper


@settings(deadline=None, max_examples=60)
@given(data=st.data(), n=st.integers(1, 12))
def test_star_linkage_equals_the_definition(data, n):
    order = data.draw(st.permutations(range(n)))
    possible = [(i, j) for i in range(n) for j in range(i + 1, n)]
    pairs = data.draw(st.lists(st.sampled_from(possible), unique=True)) if possible else []
    i, j = (np.array([pair[k] for pair in pairs], dtype=np.int64) for k in (0, 1))
    keeper = star_linkage(np.array(order), i, j)
    assert keeper.tolist() == slow_star(order, pairs, n)
    gone = keeper >= 0
    assert not gone[keeper[gone]].any()  # no keeper is dropped


def test_star_linkage_does_not_chain():
    # 0 - 1 - 2: the best image keeps its own copy only; 2 is no copy of 0.
    assert star_linkage(np.array([0, 1, 2]), np.array([0, 1]), np.array([1, 2])).tolist() == [-1, 0, -1]
