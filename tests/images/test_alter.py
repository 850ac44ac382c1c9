from __future__ import annotations

import cv2
import numpy as np
import pytest

from curate.images.alter import ALTERATIONS, STRENGTHS, contrast, crop, encode_jpeg, flip, grey, resize, rotate, tone
from curate.images.decode import decode


def photo(height=120, width=100, seed=0):
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2) + 3 * cv2.GaussianBlur(noise, (0, 0), 12)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize("shape", [(120, 100), (1, 1), (3, 40)])
def test_pure_seeded_and_an_image_again(name, shape):
    alteration, image = ALTERATIONS[name], photo(*shape)
    before = image.copy()
    assert tuple(alteration.strengths) == STRENGTHS
    for strength in STRENGTHS:
        one, two = (alteration(image, strength, np.random.default_rng(5)) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one.dtype == np.uint8
        assert one.ndim == 3
        assert one.shape[2] == 3
        assert not np.shares_memory(one, image)
        data = alteration.file(image, strength, np.random.default_rng(5))
        assert decode(data).pixels.shape == one.shape
    np.testing.assert_array_equal(image, before)


def test_stronger_changes_more():
    image = photo(112, 112)
    for name in ("recompressed", "rotated", "brightness", "contrast", "gamma", "blurred"):
        made = [ALTERATIONS[name](image, strength, np.random.default_rng(1)) for strength in STRENGTHS]
        change = [np.abs(one.astype(int) - image).mean() for one in made]
        assert 0 < change[0] < change[1] < change[2], name


def test_each_does_what_it_says():
    image = photo(100, 80)
    assert resize(image, 0.5).shape == (50, 40, 3)
    part = crop(image, 0.9, (1, 0))
    np.testing.assert_array_equal(part, image[10:, :72])
    assert crop(image, 0.9, keep_size=True).shape == image.shape
    np.testing.assert_array_equal(flip(flip(image)), image)
    np.testing.assert_array_equal(flip(image)[:, 0], image[:, -1])
    np.testing.assert_array_equal(tone(image), image)
    np.testing.assert_array_equal(tone(image, gain=2), np.minimum(image.astype(int) * 2, 255))
    np.testing.assert_array_equal(contrast(np.full((2, 2, 3), 128, np.uint8), 3), np.full((2, 2, 3), 128))
    assert np.ptp(grey(image), axis=2).max() == 0
    square = image[:80]
    np.testing.assert_array_equal(rotate(square, 90), np.rot90(square))
    assert len(encode_jpeg(image, 20)) < len(encode_jpeg(image, 90))


def test_an_unknown_strength_is_refused():
    with pytest.raises(KeyError, match="weak"):
        ALTERATIONS["cropped"](photo(), "weak", np.random.default_rng(0))
