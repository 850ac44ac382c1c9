from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor
from curate.search import cosine
from curate.search import screen as screens
from curate.search.cosine import similar_between, similar_pairs
from curate.search.directions import Directions
from curate.search.screen import Screened, screen_error

HALVES = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
SCREENS = ["auto", "float32", pytest.param("bfloat16", marks=HALVES)]


def slow_cosines(left, right):
    left, right = left.astype(np.float64), right.astype(np.float64)
    return (left @ right.T) / np.linalg.norm(left, axis=1)[:, None] / np.linalg.norm(right, axis=1)


def agrees(found, cosines, least, wanted=None):
    """The pairs are those of float64, but for ties within 1e-6, and so are the cosines."""
    i, j, similarity = found
    assert (i.dtype, j.dtype, similarity.dtype) == (np.int64, np.int64, np.float64)
    assert (np.diff(i * max(cosines.shape) + j) > 0).all()  # in order, none twice
    listed = np.zeros(cosines.shape, bool)
    listed[i, j] = True
    if wanted is None:
        wanted = np.ones(cosines.shape, bool)
    assert not (listed & ~wanted).any()
    np.testing.assert_allclose(similarity, cosines[i, j], atol=1e-12)
    assert not ((cosines >= least) & wanted & ~listed).any()
    assert (similarity >= least - 1e-12).all()


@pytest.fixture
def small(monkeypatch):
    """Blocks and tiles so small that a few vectors make many."""
    monkeypatch.setattr(screens, "BLOCK", 6)
    monkeypatch.setattr(screens, "TILE", 4)


def clustered(rng, n, size, spread, dtype):
    """Vectors of any length around a few directions; the last is a copy of the first."""
    centres = rng.standard_normal((3, size))
    vectors = centres[rng.integers(0, 3, n)] + spread * rng.standard_normal((n, size))
    vectors *= np.exp(rng.standard_normal((n, 1)))
    if n:
        vectors[-1] = vectors[0]
    return vectors.astype(dtype)


@pytest.mark.parametrize("screen", ["float32", pytest.param("bfloat16", marks=HALVES)])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6), n=st.integers(0, 25), m=st.integers(0, 15), size=st.sampled_from([1, 2, 7, 64]),
    spread=st.sampled_from([0.01, 0.3, 2.0]), dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    least=st.sampled_from([-1.0, -0.4, 0.0, 0.3, 0.9, 0.9995, 1.0]), masked=st.booleans(),
)  # fmt: skip
def test_equals_float64_for_every_pair(small, screen, seed, n, m, size, spread, dtype, least, masked):
    rng = np.random.default_rng(seed)
    left, right = clustered(rng, n, size, spread, dtype), clustered(rng, m, size, spread, dtype)
    new = rng.random(n) < 0.4 if masked else None
    wanted = np.triu(np.ones((n, n), bool), 1)
    if masked:
        wanted &= new[:, None] | new
    found = similar_pairs(left, least, SerialExecutor(), new=new, screen=screen)
    agrees(found, slow_cosines(left, left), least, wanted)
    agrees(similar_between(left, right, least, SerialExecutor(), screen=screen), slow_cosines(left, right), least)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("least", [0.25, 0.5, 0.9, 0.997])
def test_scores_within_one_step_of_the_threshold(screen, least):
    """Pairs planted closer to the threshold than bfloat16 can tell apart, on both sides of it, and at it."""
    rng = np.random.default_rng(3)
    size, n = 192, 400
    first = np.linalg.qr(rng.standard_normal((size, size)))[0][np.arange(n) % size]
    aside = rng.standard_normal((n, size))
    aside -= (aside * first).sum(1, keepdims=True) * first
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    step = least * 2.0**-8
    planted = np.clip(least + step * rng.uniform(-1, 1, n), -1, 1)
    planted[:50] = least
    planted[50:60] = least + 1e-6
    planted[60:70] = least - 1e-6
    second = planted[:, None] * first + np.sqrt(1 - planted**2)[:, None] * aside
    found = similar_between(first, second, least, SerialExecutor(), screen=screen)
    cosines = slow_cosines(first, second)
    agrees(found, cosines, least)
    listed = np.zeros((n, n), bool)
    listed[found[0], found[1]] = True
    assert listed.diagonal()[:60].all()  # ties count
    assert not listed.diagonal()[60:70].any()
    assert 0.3 < listed.diagonal()[70:].mean() < 0.7


@HALVES
@pytest.mark.parametrize("size", [3, 128, 512, 2048])
def test_the_screen_is_never_further_off_than_its_bound(size):
    import torch

    rng = np.random.default_rng(size)
    n = 100
    spiky = rng.standard_normal((n, size)) * (rng.random((n, size)) < 0.05) + 1e-3
    halfway = rng.choice([1.00390625, 1.01171875, -1.00390625], (n, size))  # midway between bfloat16 numbers
    for vectors in (rng.standard_normal((n, size)), spiky, np.abs(spiky), halfway):
        side = Screened.of(Directions.of(vectors), halves=True)
        halves = torch.from_numpy(side.rows).view(torch.bfloat16)
        exact = slow_cosines(vectors, vectors)
        bound = screen_error(side.off, size)
        assert side.off <= 2.0**-8
        assert bound < 0.01
        assert (np.abs((halves.float() @ halves.float().T).numpy() - exact) <= bound).all()
        scores = torch.mm(halves, halves.t()).view(torch.int16).numpy()
        codes = np.array([screens.code_below(score - bound) for score in exact.ravel()]).reshape(exact.shape)
        assert (np.where(scores < 0, scores ^ 0x7FFF, scores) >= codes).all()


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.9, -0.9, 1e-3, -1e-3, 1.00390625, -1.00390625, 0.3, -0.3])
def test_codes_keep_the_order_and_never_lie_above(value):
    code = int(screens.code_below(value))
    back = code if code >= 0 else code ^ 0x7FFF
    number = np.uint32((back & 0xFFFF) << 16).view(np.float32)
    assert number <= value
    assert value - number <= abs(value) * 2.0**-7
    codes = [int(screens.code_below(v)) for v in np.linspace(-1.5, 1.5, 999)]
    assert codes == sorted(codes)


@pytest.mark.parametrize("screen", SCREENS)
def test_copies_are_pairs_at_one_whatever_their_length(screen):
    vector = np.random.default_rng(0).standard_normal(512)
    vectors = (vector * np.array([[1], [3], [0.1], [1e-3], [-1]])).astype(np.float32)
    i, j, similarity = similar_pairs(vectors, 1 - 1e-9, SerialExecutor(), screen=screen)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert similarity.max() <= 1


@pytest.mark.parametrize("screen", ["float32", pytest.param("bfloat16", marks=HALVES)])
def test_worker_processes_and_blocks_change_nothing(screen, two_workers, monkeypatch):
    vectors = clustered(np.random.default_rng(1), 9000, 24, 0.8, np.float32)
    want = similar_pairs(vectors, 0.9, SerialExecutor(), screen=screen)
    assert len(want[0]) > 100
    got = similar_pairs(vectors, 0.9, two_workers, screen=screen)
    monkeypatch.setattr(screens, "BLOCK", 2048)
    for other in (got, similar_pairs(vectors, 0.9, SerialExecutor(), screen=screen)):
        for a, b in zip(want, other, strict=True):
            np.testing.assert_array_equal(a, b)


@HALVES
def test_without_torch_the_rounded_vectors_are_multiplied_in_float32(monkeypatch):
    vectors = clustered(np.random.default_rng(1), 300, 24, 0.8, np.float32)
    want = similar_pairs(vectors, 0.9, SerialExecutor(), screen="bfloat16")
    monkeypatch.setattr(screens, "_torch", lambda size: (None, ""))
    for a, b in zip(want, similar_pairs(vectors, 0.9, SerialExecutor(), screen="bfloat16"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_auto_takes_bfloat16_only_for_work_enough_and_where_it_pays(monkeypatch):
    used = []
    monkeypatch.setattr(cosine, "FEW", 1000)
    monkeypatch.setattr(
        Screened, "of", lambda directions, halves: used.append(halves) or Screened(directions.vectors, 0)
    )
    for pays in (True, False):
        monkeypatch.setattr(cosine, "halves_pay", lambda pays=pays: pays)
        for n in (40, 50):
            similar_pairs(np.eye(n, dtype=np.float32), 0.9, SerialExecutor())
    assert used == [False, True, False, False]


@HALVES
def test_torch_keeps_its_threads():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        similar_pairs(np.eye(4, dtype=np.float32), 0.9, SerialExecutor(), screen="bfloat16")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("bad", "problem"), [(np.nan, "not finite"), (np.inf, "not finite"), (0, "length zero")])
@pytest.mark.parametrize("masked", [False, True])
def test_vectors_without_direction_are_named(bad, problem, masked):
    vectors = np.ones((20, 3), np.float32)
    vectors[[16, 18]] = bad
    new = np.arange(20) < 5 if masked else None
    with pytest.raises(InputError, match=f"row 17: the vector is (of )?{problem}"):
        similar_pairs(vectors, 0.5, SerialExecutor(), new=new)


@pytest.mark.parametrize("screen", SCREENS)
def test_more_pairs_than_allowed_are_refused(screen):
    vectors = np.ones((30, 4))
    assert len(similar_pairs(vectors, 0.9, SerialExecutor(), max_pairs=435, screen=screen)[0]) == 435
    with pytest.raises(InputError, match="more than 434 pairs .* Raise min_similarity"):
        similar_pairs(vectors, 0.9, SerialExecutor(), max_pairs=434, screen=screen)


def test_other_input_is_refused():
    good = np.eye(3)
    for vectors in (good.astype(int), good[0], np.zeros((3, 0)), good.astype(complex)):
        with pytest.raises(InputError, match="not a matrix of vectors"):
            similar_pairs(vectors, 0.5, SerialExecutor())
    with pytest.raises(InputError, match="-1 to 1"):
        similar_pairs(good, 1.5, SerialExecutor())
    with pytest.raises(InputError, match="-1 to 1"):
        similar_pairs(good, float("nan"), SerialExecutor())
    with pytest.raises(InputError, match="two sizes"):
        similar_between(good, good[:, 1:] + 1, 0.5, SerialExecutor())
    with pytest.raises(InputError, match="unknown screen"):
        similar_pairs(good, 0.5, SerialExecutor(), screen="int8")
    with pytest.raises(InputError, match="mask"):
        similar_pairs(good, 0.5, SerialExecutor(), new=np.zeros(3))
