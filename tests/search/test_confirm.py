from __future__ import annotations

import cv2
import numpy as np
import pytest

from curate.core.shapes import SerialExecutor
from curate.search import confirm
from curate.search.alignment import _correlation, _turned, levelled, starts_of
from curate.search.structure import structure


def texture(seed, size=32):
    noise = np.random.default_rng(seed).normal(size=(size, size))
    image = cv2.GaussianBlur(noise, (0, 0), 1.2) * 3 + cv2.GaussianBlur(noise, (0, 0), 4) * 12
    return np.clip(128 + 40 * image / image.std(), 0, 255).astype(np.uint8)


def correlate(one, two, mirrored=False):
    both = np.stack([one, two])
    first, second = np.array([0]), np.array([1])
    return float(confirm.correlate_pairs(both, first, second, np.array([mirrored]), SerialExecutor())[0])


def test_levelled_equals_its_definition():
    small = texture(1)
    expected = np.empty((32, 32))
    for y in range(32):
        for x in range(32):
            window = small[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5].astype(float)
            expected[y, x] = (small[y, x] - window.mean()) / (window.std() + 4)
    np.testing.assert_allclose(levelled(small), expected, atol=1e-5)


def test_correlation_at_rest_and_shifted_equals_numpy():
    a, b = texture(1).astype(np.float32), texture(2).astype(np.float32)
    assert _correlation(a, b, 1.0, 1.0, 0.0, 0.0) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-5)
    expected = np.corrcoef(a[3:, :-2].ravel(), b[:-3, 2:].ravel())[0, 1]
    assert _correlation(a, b, 1.0, 1.0, -2.0, 3.0) == pytest.approx(expected, abs=1e-5)
    assert _correlation(a, b, 1.0, 1.0, 20.0, 0.0) == 0  # hardly any overlap


def slow_structure(a, b, dark=15, bright=230):
    """The score of two images that lie over one another pixel by pixel, by its definition."""
    a, b = a.astype(float), b.astype(float)
    fit = (a > dark) & (a < bright) & (b > dark) & (b < bright)
    blocks = []
    for y in range(0, 25, 4):
        for x in range(0, 25, 4):
            here = fit[y : y + 8, x : x + 8]
            p, q = a[y : y + 8, x : x + 8][here], b[y : y + 8, x : x + 8][here]
            if len(p) >= 20:
                blocks.append((np.cov(p, q, bias=True)[0, 1] + 16) / (p.std() * q.std() + 16))
    curve = np.polyval(np.polyfit(a[fit], b[fit], 2), a[fit])
    return np.mean(blocks) * np.corrcoef(curve, b[fit])[0, 1] if len(blocks) >= 8 else -1


@pytest.mark.parametrize("seed", range(4))
def test_structure_equals_its_definition(seed):
    a = texture(seed)
    noise = np.random.default_rng(seed).normal(0, 10, a.shape)
    b = np.clip(255 * 1.2 * (a / 255.0) ** 1.3 + noise, 0, 255).astype(np.uint8)
    at_rest = np.array([1.0, 1.0, 0.0, 0.0])
    assert structure(a, b, at_rest) == pytest.approx(slow_structure(a, b), abs=1e-6)
    assert structure(a, np.full_like(a, 90), at_rest) <= 0
    assert structure(a, 255 - a, at_rest) <= 0


def test_structure_of_too_few_exposed_blocks_is_unknown():
    white = np.full((32, 32), 255, np.uint8)
    white[:8, :8] = texture(1)[:8, :8]
    assert structure(white, white, np.array([1.0, 1.0, 0.0, 0.0])) == -1


@pytest.mark.parametrize("turned", [False, True])
def test_starts_are_the_windows_of_the_nearest_hashes(turned):
    places = np.array([(0, 1, 0, 1), (0.2, 1, 0, 0.8), (0.1, 0.9, 0.1, 0.9)], float)
    hashes = np.array([0xFF00, 0x0FF0, 0xF00F], np.uint64)
    starts = np.zeros((3, 4))
    # The second image's hash is 1 bit from part 1 of the first; the first's is 2 bits from part 2 of the second.
    starts_of(np.uint64(0xF00C), np.uint64(0x0FF1), hashes, hashes[[0, 0, 2]], places, turned, starts)
    np.testing.assert_allclose(starts[0], (1, 1, 0, 0))
    np.testing.assert_allclose(starts[1], (0.8, 0.8, -3.2, 3.2))
    np.testing.assert_allclose(starts[2], (1.25, 1.25, 0, 0), atol=1e-12)
    # The first image is part 1 of the second, which lies at the left; in the mirror image of that, at the right.
    starts_of(np.uint64(0xFF00), np.uint64(0), hashes[[2, 2, 2]], hashes[[2, 0, 2]], places, turned, starts)
    np.testing.assert_allclose(starts[1], (1.25, 1.25, -4 if turned else 4, -4))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_photograph_correlates_and_another_does_not(seed):
    image = texture(seed, 128)

    def small(picture):
        return cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)

    cut = image[8:122, 4:124]  # another share of height and width
    assert correlate(small(image), small(cut)) > 0.945
    assert correlate(small(cut), small(image)) > 0.945
    tone = (255 * (image / 255.0) ** 0.7).astype(np.uint8)
    assert correlate(small(image), small(tone)) > 0.97
    assert correlate(small(image), small(image[:, ::-1]), mirrored=True) > 0.999
    assert correlate(small(image), small(image[:, ::-1])) < 0.9
    assert correlate(small(image), small(texture(seed + 100, 128))) < 0.8


def test_one_colour_correlates_with_nothing():
    flat = np.full((32, 32), 90, np.uint8)
    assert correlate(flat, flat) < 0.5
    assert correlate(flat, texture(1)) < 0.5


def test_scores_do_not_depend_on_blocks(monkeypatch):
    images = np.stack([texture(seed % 6) for seed in range(12)])
    i, j = (part.astype(np.int64) for part in np.triu_indices(12, 1))
    mirrored = (i + j) % 2 == 0
    whole = confirm.correlate_pairs(images, i, j, mirrored, SerialExecutor())
    monkeypatch.setattr(confirm, "BLOCK", 7)
    np.testing.assert_array_equal(whole, confirm.correlate_pairs(images, i, j, mirrored, SerialExecutor()))
    assert confirm.correlate_pairs(images, i[:0], j[:0], mirrored[:0], SerialExecutor()).shape == (0,)


@pytest.mark.parametrize("degrees", [-4.0, -2.5, 2.5, 4.0])
def test_a_small_turn_is_found(degrees):
    image = cv2.GaussianBlur(texture(4, 128), (0, 0), 4)  # as smooth, once small, as a face is
    turn = cv2.getRotationMatrix2D((63.5, 63.5), degrees, 1)
    copy = cv2.warpAffine(image, turn, (128, 128), borderMode=cv2.BORDER_REPLICATE)
    small, other = (cv2.resize(one, (32, 32), interpolation=cv2.INTER_AREA) for one in (image, copy))
    assert correlate(small, other) >= 0.945


def test_turning_equals_opencv():
    image = texture(2)
    turn = cv2.getRotationMatrix2D((15.5, 15.5), 3.0, 1)
    expected = cv2.warpAffine(image.astype(np.float32), turn, (32, 32), borderMode=cv2.BORDER_REPLICATE)
    inner = np.abs(_turned(image, 3.0) - expected)[2:-2, 2:-2]
    assert inner.max() <= 4  # opencv rounds places to a 32nd of a pixel
