from __future__ import annotations

import cv2
import numpy as np
import pytest

from curate.core.shapes import SerialExecutor
from curate.search import confirm
from curate.search.alignment import _best_shift, _correlation, levelled


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


def test_best_shift_equals_trying_all():
    a, b = (np.random.default_rng(seed).integers(-300, 300, (16, 16)).astype(np.int32) for seed in (1, 2))
    tries = {}
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            part_a = a[max(0, dy) : 16 + min(0, dy), max(0, dx) : 16 + min(0, dx)]
            part_b = b[max(0, -dy) : 16 - max(0, dy), max(0, -dx) : 16 - max(0, dx)]
            tries[dx, dy] = np.corrcoef(part_a.ravel(), part_b.ravel())[0, 1]
    best = max(tries, key=tries.get)
    found = _best_shift(a, b)
    assert found[0] == pytest.approx(tries[best])
    assert found[1:] == best


@pytest.mark.parametrize("seed", range(5))
def test_the_same_photograph_correlates_and_another_does_not(seed):
    image = texture(seed, 128)

    def small(picture):
        return cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)

    cut = image[8:122, 4:124]  # another share of height and width
    assert correlate(small(image), small(cut)) > 0.95
    assert correlate(small(cut), small(image)) > 0.95
    tone = (255 * (image / 255.0) ** 0.7).astype(np.uint8)
    assert correlate(small(image), small(tone)) > 0.95
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
