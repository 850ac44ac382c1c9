"""The tail is exact whatever the screen does within its bound."""

from __future__ import annotations

import numpy as np
import pytest

from curate.audit import face_pairs, screened
from curate.audit.face_pairs import FacePairs
from curate.audit.faces import Faces
from curate.audit.rates import threshold_of
from curate.audit.screened import BINS, Screen, scan
from curate.audit.source import Target
from curate.core.shapes import SerialExecutor
from curate.core.vectors import unit
from curate.search.directions import Directions
from curate.search.screen import Screened
from curate.stats.rates import threshold_at


def groups_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    identity = np.arange(n) // 3
    return identity, np.where(identity % 5 == 4, -1, identity % 2)


def brute_force(room, faces: Faces) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(places, places, scores) of all impostors, and a mask of all pairs that are."""
    i, j, score = room.all_scores(faces.vectors.read())
    impostor = faces.identity[i] != faces.identity[j]
    return i[impostor], j[impostor], score[impostor], impostor


def check_tail(room, faces: Faces, found) -> int:
    """Every impostor from the floor on, with its own score, and nothing else; counts per pair of groups are whole."""
    i, j, score, _ = brute_force(room, faces)
    order = np.lexsort((j, i, -score))
    order = order[score[order] >= found.floor]
    np.testing.assert_array_equal(found.left, i[order])
    np.testing.assert_array_equal(found.right, j[order])
    np.testing.assert_array_equal(found.score, score[order])
    for a in range(3):
        for b in range(a, 3):
            assert found.counts[a, b].sum() == ((faces.group[i] == a) & (faces.group[j] == b)).sum()
    return len(order)


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("n", [2, 300, 1100])
def test_the_tail_equals_brute_force(room, halves, n):
    rng = np.random.default_rng(n)
    identity, group = groups_of(n)
    vectors = unit(rng.normal(size=(n, 24)) + 0.5).astype(np.float16)
    faces = Faces.of(room.stored(vectors), identity, group, ("f", "m"))
    screen = Screen.of(faces, halves)
    for score in (0.999, 0.6, 0.0, -0.001, -1.0) if n < 1000 else (0.9, -0.3):
        found = scan(faces, screen, screen.least(score), SerialExecutor())
        assert found.floor <= max(score, -1.0) or found.floor == -1.0
        check_tail(room, faces, found)


def test_without_torch_the_rounded_vectors_are_multiplied_in_float32(room, monkeypatch):
    rng = np.random.default_rng(3)
    identity, group = groups_of(300)
    faces = Faces.of(room.stored(unit(rng.normal(size=(300, 24)) + 0.5)), identity, group, ("f", "m"))
    screen = Screen.of(faces, True)
    whole = scan(faces, screen, screen.least(0.5), SerialExecutor())
    monkeypatch.setattr("curate.search.screen._torch", lambda size: (None, ""))
    found = scan(faces, screen, screen.least(0.5), SerialExecutor())
    assert check_tail(room, faces, found) > 0
    np.testing.assert_array_equal(found.score, whole.score)


def at_angles(cosines: np.ndarray) -> np.ndarray:
    """Pairs of unit vectors, row 2 k and 2 k + 1 with the k-th cosine, each pair in a plane of its own."""
    n = len(cosines)
    vectors = np.zeros((2 * n, 2 * n))
    at = np.arange(n)
    vectors[2 * at, 2 * at] = 1
    vectors[2 * at + 1, 2 * at] = cosines
    vectors[2 * at + 1, 2 * at + 1] = np.sqrt(1 - cosines**2)
    return vectors.astype(np.float32)


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("centre", [0.5, 0.25, 0.7071])
def test_scores_within_one_bfloat16_step_of_the_threshold(room, halves, centre, monkeypatch):
    """bfloat16 has a step of 2**-8 at 0.5: the screen cannot tell these scores apart, the counts must."""
    step = 2.0**-8
    cosines = centre + np.concatenate([np.linspace(-step, step, 61), np.linspace(-1e-6, 1e-6, 21), [0, 0, 0]])
    vectors = at_angles(cosines)
    n = len(vectors)
    faces = Faces.of(room.stored(vectors), np.arange(n), np.full(n, -1), ())
    monkeypatch.setattr(face_pairs, "EVERY", 0)
    monkeypatch.setattr(face_pairs, "FEW", 0, raising=False)
    monkeypatch.setattr(screened, "FEW", 0 if halves else 10**12)
    monkeypatch.setattr(screened, "halves_pay", lambda: True)
    source = FacePairs(faces, [], SerialExecutor())
    assert source.screen.halves == halves
    _, _, score, _ = brute_force(room, faces)
    total = len(score)
    for count in (0, 1, 10, 30, 31, 32, 40, 52, 60, 84):
        target = Target(None, count / total)
        source.scan([target], [centre])
        threshold = threshold_of(source, target)
        assert threshold == threshold_at(score, count / total)
        assert source.tail.count(threshold) == np.count_nonzero(score >= threshold) <= count
        assert source.tail.count(centre) == np.count_nonzero(score >= centre)


@pytest.mark.parametrize("seed", range(3))
def test_a_screen_that_errs_by_its_whole_bound(room, seed, monkeypatch):
    """Scores are moved by the bound, up or down, and rounded the wrong way: the tail must not notice."""
    rng = np.random.default_rng(seed)
    n, error = 400, 0.004
    vectors = unit(rng.normal(size=(n, 8))).astype(np.float32)
    identity, group = groups_of(n)
    faces = Faces.of(room.stored(vectors), identity, group, ("f", "m"))
    rows = faces.vectors.read().astype(np.float64)
    exact = rows @ rows.T
    signs = rng.choice([-1.0, 1.0], (n, n))
    moved = (exact + signs * error).astype(np.float32)
    # To the next bfloat16 number on the side that the score was moved to.
    cut = (moved.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    away = (cut.view(np.uint32) + np.uint32(0x10000)).view(np.float32)
    further = np.where(signs * np.sign(moved) > 0, away, cut)
    codes = (further.view(np.uint32) >> np.uint32(16)).astype(np.uint16).view(np.int16)

    class Worst:
        def scores(self, down, right):
            return codes[down : down + screened.TILE, right : right + screened.TILE].copy()

    monkeypatch.setattr(screened.Matcher, "of", lambda one, two: Worst())
    monkeypatch.setattr(face_pairs, "EVERY", 0)
    screen = Screen.of(faces, True)._replace(error=error + 2.0**-23)
    _, _, score, _ = brute_force(room, faces)
    for wanted in (0.9, 0.5, 0.1, -0.2):
        found = scan(faces, screen, screen.least(wanted), SerialExecutor())
        assert found.floor <= wanted
        check_tail(room, faces, found)
    source = FacePairs(faces, [], SerialExecutor())
    source.screen = screen
    for rate in (1e-4, 1e-3, 0.01, 0.1):
        source.scan([Target(None, rate), Target((0, 0), rate)], [])
        assert threshold_of(source, Target(None, rate)) == threshold_at(score, rate)
    # A bound that is not kept is noticed by this very test: with a smaller one the tail has holes.
    small = screen._replace(error=0.0005)

    def check_all():
        for wanted in np.linspace(0.2, 0.95, 40):
            check_tail(room, faces, scan(faces, small, small.least(wanted), SerialExecutor()))

    with pytest.raises(AssertionError):
        check_all()


def test_a_guess_that_is_too_high_is_mended(room, monkeypatch):
    rng = np.random.default_rng(1)
    vectors = unit(rng.normal(size=(300, 6))).astype(np.float32)
    identity, group = groups_of(300)
    faces = Faces.of(room.stored(vectors), identity, group, ("f", "m"))
    monkeypatch.setattr(face_pairs, "EVERY", 0)
    source = FacePairs(faces, [], SerialExecutor())
    monkeypatch.setattr(source, "_guess", lambda *_: BINS - 1)
    source.scan([Target(None, 0.05)], [])
    _, _, score, _ = brute_force(room, faces)
    assert threshold_of(source, Target(None, 0.05)) == threshold_at(score, 0.05)


def test_bins_hold_the_sums_that_round_to_them():
    """Of random sums: whichever neighbour a library rounds to, the sum is not above the bin's reach."""
    rng = np.random.default_rng(0)
    sums = np.concatenate([rng.uniform(-1.01, 1.01, 4000), rng.uniform(-0.003, 0.003, 4000), [0.0]]).astype(np.float32)
    cut = sums.view(np.uint32) & np.uint32(0xFFFF0000)
    low, high = screened._reach()
    for code in (cut, cut + np.uint32(0x10000)):
        place = screened._bin_of()[(code >> np.uint32(16)).astype(np.uint16)]
        assert (sums <= high[place]).all()
        assert (sums >= low[place]).all()
    ordered = np.argsort(cut.view(np.float32), kind="stable")
    assert (np.diff(screened._bin_of()[(cut >> np.uint32(16)).astype(np.uint16)][ordered].astype(int)) >= 0).all()


def test_screens_see_blocks_as_they_see_all():
    """The bound is measured on the vectors; a block's rows are the same whichever block they are in."""
    vectors = unit(np.random.default_rng(0).normal(size=(50, 16))).astype(np.float32)
    whole = Screened.of(Directions.of(vectors), True).rows
    np.testing.assert_array_equal(whole[20:], Screened.of(Directions.of(vectors[20:]), True).rows)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 100])
def test_the_number_of_blocks_is_known(room, monkeypatch, n):
    monkeypatch.setattr(screened, "BLOCK", 32)
    identity, group = groups_of(n)
    vectors = unit(np.random.default_rng(n).normal(size=(n, 8))).astype(np.float16)
    faces = Faces.of(room.stored(vectors), identity, group, ("f", "m"))
    blocks = screened._Blocks(faces, Screen.of(faces, False))
    assert len(blocks) == len(list(blocks))
