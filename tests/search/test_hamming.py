from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor
from curate.search import buckets, hamming, plan
from curate.search.hamming import equal_pairs, pairs_between, pairs_within, plan_search
from curate.search.linkage import star_linkage

WORDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 3, 2**63, 2**64 - 1])
#: Hashes that are copies of a few with some bits flipped, so that there are pairs at every distance.
ONE = st.lists(WORDS, max_size=30)
FOUR = st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS), max_size=20)


def arrays(words):
    """(array, list of whole numbers) of 64-bit or 256-bit hashes."""
    wide = bool(words) and isinstance(words[0], tuple)
    array = np.array(words, dtype=np.uint64).reshape((-1, 4) if wide else -1)
    return array, [sum(w << (64 * k) for k, w in enumerate(word)) for word in words] if wide else list(words)


def slow_pairs(hashes, max_distance, others=None, new=None):
    found = []
    for i in range(len(hashes)):
        for j in range(i + 1, len(hashes)):
            if new is not None and not (new[i] or new[j]):
                continue
            if others is None:
                distance = (hashes[i] ^ hashes[j]).bit_count()
            else:
                distance = min((hashes[i] ^ others[j]).bit_count(), (hashes[j] ^ others[i]).bit_count())
            if distance <= max_distance:
                found.append((i, j, distance))
    return found


def listed(found):
    return list(zip(*(part.tolist() for part in found), strict=True))


@pytest.fixture
def small(monkeypatch):
    """Tiles, blocks and samples so small that a few hashes make many."""
    monkeypatch.setattr(hamming, "TILE", 3)
    monkeypatch.setattr(buckets, "BLOCK", 2)
    monkeypatch.setattr(plan, "FEW", 0)
    monkeypatch.setattr(plan, "_SAMPLE", 7)
    monkeypatch.setattr(plan, "_QUERIES", 3)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=ONE | FOUR, max_distance=st.integers(0, 64) | st.integers(0, 12), mirror=st.booleans(), masked=st.booleans(),
    method=st.sampled_from(["auto", "buckets", "all"]), flips=st.lists(st.integers(0, 63), max_size=9),
)  # fmt: skip
def test_equals_every_pair_compared_one_by_one(small, words, max_distance, mirror, masked, method, flips):
    for bit in flips:  # copies with one more bit flipped each
        if words and isinstance(words[0], tuple):
            words = [*words, (words[-1][0], words[-1][1] ^ 1 << bit, *words[-1][2:])]
        elif words:
            words = [*words, words[-1] ^ 1 << bit]
    hashes, numbers = arrays(words)
    others = hashes[::-1] ^ np.uint64(5) if mirror else None
    other_numbers = None
    if mirror:
        fives = arrays([(5, 5, 5, 5)])[1][0] if hashes.ndim == 2 else 5
        other_numbers = [number ^ fives for number in reversed(numbers)]
    new = (np.arange(len(hashes)) * 7 % 3 == 0) if masked else None
    found = pairs_within(hashes, max_distance, SerialExecutor(), others=others, new=new, method=method)
    assert listed(found) == slow_pairs(numbers, max_distance, other_numbers, new)
    assert [part.dtype for part in found] == [np.int64, np.int64, np.uint8 if hashes.ndim == 1 else np.uint16]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.tuples(ONE, ONE) | st.tuples(FOUR, FOUR).filter(lambda pair: all(pair)), max_distance=st.integers(0, 64),
    method=st.sampled_from(["auto", "buckets", "all"]),
)  # fmt: skip
def test_two_sets_equal_every_pair_compared_one_by_one(small, words, max_distance, method):
    (left, ones), (right, twos) = map(arrays, words)
    right, twos = np.concatenate([right, left[:3]]), twos + ones[:3]
    found = pairs_between(left, right, max_distance, SerialExecutor(), method=method)
    every = [(i, j, (a ^ b).bit_count()) for i, a in enumerate(ones) for j, b in enumerate(twos)]
    assert listed(found) == [pair for pair in every if pair[2] <= max_distance]


def test_old_hashes_are_not_compared_with_each_other(small):
    class Counting(SerialExecutor):
        tasks = 0

        def map(self, function, items):
            for item in items:
                self.tasks += 1
                yield function(item)

    executor = Counting()
    pairs_within(np.arange(30, dtype=np.uint64), 3, executor, new=np.arange(30) >= 27, method="all")
    assert executor.tasks == 1 + 9  # tiles of 3 by 3: of the new ones, and of new with old


def planted(words: int, n: int, max_distance: int) -> np.ndarray:
    """Random hashes with copies at distances around max_distance, and one hash 30 times."""
    rng = np.random.default_rng(7)
    hashes = rng.integers(0, 2**64, (n, words), dtype=np.uint64)
    for distance in (0, 1, max_distance - 1, max_distance, max_distance + 1):
        to, of = rng.integers(0, n, (2, 40))
        hashes[to] = hashes[of]
        for row in to:
            for bit in rng.permutation(64 * words)[:distance].tolist():
                hashes[row, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    hashes[rng.permutation(n)[:30]] = hashes[0]
    return hashes[:, 0].copy() if words == 1 else hashes


@pytest.mark.parametrize(("words", "max_distance"), [(1, 0), (1, 6), (1, 12), (1, 33), (4, 0), (4, 24), (4, 60)])
def test_buckets_and_comparing_all_agree(words, max_distance, monkeypatch):
    monkeypatch.setattr(buckets, "BLOCK", 1 << 11)
    hashes = planted(words, 6000 if max_distance < 30 else 1500, max(max_distance, 2))
    one = pairs_within(hashes, max_distance, SerialExecutor(), method="all")
    two = pairs_within(hashes, max_distance, SerialExecutor(), method="buckets")
    assert len(one[0]) >= 435
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_worker_processes_change_nothing(two_workers):
    hashes = planted(1, 12_000, 6)
    want = listed(pairs_within(hashes, 6, SerialExecutor(), others=hashes[::-1], method="all"))
    for method in ("all", "buckets"):
        assert listed(pairs_within(hashes, 6, two_workers, others=hashes[::-1], method=method)) == want


def test_the_plan_follows_the_data():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 200_000, dtype=np.uint64)
    even = plan_search(hashes, None, 6)
    assert even.method == "buckets"
    assert even.comparisons < even.all_comparisons / 100
    assert sum(part.radius + 1 for part in even.parts) >= 7  # the pigeonhole
    assert "of 19,999,900,000 pairs" in even.sentence()
    # All hashes share 32 bits: half the substrings say nothing, and the plan avoids them.
    shared = hashes & np.uint64(2**32 - 1)
    halved = plan_search(shared, None, 2)
    assert halved.method == "buckets"
    assert all(part.start < 32 for part in halved.parts if part.radius >= 0)
    # One hash over and over: no bucket helps.
    assert plan_search(hashes * np.uint64(0), None, 6).method == "all"
    assert plan_search(hashes, None, 40).method == "all"
    # Few hashes: nothing to plan.
    few = plan_search(hashes[:5000], None, 6)
    assert few.sentence() == "All 12,497,500 pairs of hashes are compared."


def test_one_repeated_hash_is_refused_before_anything_is_compared():
    hashes = np.full(1_000_000, 12345, np.uint64)
    assert equal_pairs(hashes) == 499_999_500_000
    with pytest.raises(InputError, match="at least 499,999,500,000 pairs .* Drop exact copies"):
        pairs_within(hashes, 6, None)
    with pytest.raises(InputError, match="at least 1,000,000,000,000 pairs"):
        pairs_between(hashes, hashes, 6, None)
    wide = np.zeros((20_000, 4), np.uint64)
    assert equal_pairs(wide) == 199_990_000
    assert equal_pairs(wide, wide[:7]) == 140_000


@pytest.mark.parametrize("method", ["all", "buckets"])
@pytest.mark.parametrize("mirror", [False, True])
def test_more_pairs_than_allowed_are_refused(method, mirror):
    hashes = np.uint64(1) << np.arange(64, dtype=np.uint64)  # no two equal, all 2 apart
    others = hashes[::-1].copy() if mirror else None
    most = len(pairs_within(hashes, 2, SerialExecutor(), others=others, method=method)[0])
    assert most == 64 * 63 // 2
    pairs_within(hashes, 2, SerialExecutor(), others=others, method=method, max_pairs=most)
    with pytest.raises(InputError, match=f"max_pairs = {most - 1:,}"):
        pairs_within(hashes, 2, SerialExecutor(), others=others, method=method, max_pairs=most - 1)


@pytest.mark.parametrize("hashes", [np.zeros(3, np.int64), np.zeros((3, 2), np.uint64), np.zeros((3, 4), np.uint32)])
def test_other_arrays_are_refused(hashes):
    with pytest.raises(InputError, match="64-bit hashes"):
        pairs_within(hashes, 8, SerialExecutor())


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="64-bit hashes"):
        pairs_within(np.zeros(3, np.uint64), 8, SerialExecutor(), others=np.zeros(2, np.uint64))
    with pytest.raises(InputError, match="64-bit hashes"):
        pairs_between(np.zeros(3, np.uint64), np.zeros((3, 4), np.uint64), 8, SerialExecutor())
    with pytest.raises(InputError, match="mask"):
        pairs_within(np.zeros(3, np.uint64), 8, SerialExecutor(), new=np.zeros(2, bool))


@pytest.mark.parametrize(("words", "distance", "bits"), [(1, -1, 64), (1, 65, 64), (4, 257, 256)])
def test_impossible_distances_are_refused(words, distance, bits):
    hashes = np.zeros(2, np.uint64) if words == 1 else np.zeros((2, 4), np.uint64)
    with pytest.raises(InputError, match=f"0 to {bits}"):
        pairs_within(hashes, distance, SerialExecutor())


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
