from __future__ import annotations

import json

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dct

from curate.images.facts import ShardTask, facts_of_shard
from curate.images.hashes import WINDOWS, dhash_of_small, phash_of_grey, window_hashes
from curate.images.kernels import small_square


def words(found):
    """An imagehash value as 64-bit words."""
    return np.packbits(found.hash.ravel()).view(">u8").astype(np.uint64)


@settings(deadline=None, max_examples=25)
@given(height=st.integers(64, 200), extra=st.integers(0, 60), seed=st.integers(0, 1000))
def test_phash256_and_dhash_are_those_of_imagehash(height, extra, seed):
    grey = np.random.default_rng(seed).integers(0, 256, (height, height + extra), dtype=np.uint8)
    picture = Image.fromarray(grey)
    assert np.bitwise_count(phash_of_grey(grey[None], bits=256)[0] ^ words(imagehash.phash(picture, 16))).sum() <= 16
    np.testing.assert_array_equal(dhash_of_small(small_square(grey, 8, 9)[None]), words(imagehash.dhash(picture)))


def slow_window(small, top, bottom, left, right):
    """The lowest 64 waves of a part of a square, from 3200 samples a side."""
    place = (np.arange(3200) + 0.5) / 3200
    rows = (32 * (top + (bottom - top) * place)).astype(int)
    columns = (32 * (left + (right - left) * place)).astype(int)
    part = small.astype(float)[rows][:, columns]
    cosines = np.cos(np.pi * np.arange(8)[:, None] * place)
    return cosines @ part @ cosines.T


def test_window_hashes_equal_the_slow_definition():
    small = np.random.default_rng(3).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    found = window_hashes(small)
    assert found.shape == (2, len(WINDOWS)) == (2, 49)
    for at in (0, 5, 24, 48):
        waves = slow_window(small[0], *WINDOWS[at]).ravel()
        expected = int("".join("01"[int(wave > np.median(waves))] for wave in waves), 2)
        assert (int(found[0, at]) ^ expected).bit_count() <= 2  # waves at the median, which samples don't settle
    np.testing.assert_array_equal(window_hashes(small[1:]), found[1:])
    assert window_hashes(small[:0]).shape == (0, 49)
    # The first window is the whole image, whose hash it nearly has.
    assert (int(found[0, 0]) ^ int(phash_of_grey(small)[0])).bit_count() <= 6


def test_hashes_of_the_peers_test_data(real_data):
    """Each difference from what imagededup expects is explained."""
    folder = real_data / "imagededup-testdata"
    expected = json.loads((folder / "EXPECTED.json").read_text())
    names = ("ukbench00120.jpg", "ukbench00120_resize.jpg", "ukbench00120_hflip.jpg", "ukbench09268.jpg")
    found = facts_of_shard(ShardTask(str(folder / "mixed_images"), names, ("phash", "phash_mirror", "dhash")))
    values = {name: int(value) for name, value in zip(names, found["phash"], strict=True)}
    for name in names:
        peer = int(expected["phash_mixed_images_used_in_tests"][name], 16)
        with Image.open(folder / "mixed_images" / name) as picture:
            turned = picture.getexif().get(0x0112, 1) != 1  # the peer leaves a turned photograph turned
            square = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
        # The peer's median leaves out the constant wave: that is exactly its hash, and 1 bit from ImageHash's.
        waves = dct(dct(square.astype(float), axis=0), axis=1)[:8, :8].ravel()
        assert int("".join("01"[int(wave >= np.median(waves[1:]))] for wave in waves), 2) == peer
        # Here the median is over all 64, as in ImageHash, and large JPEGs are decoded at half their size.
        if not turned:
            assert (values[name] ^ peer).bit_count() <= 3, name
    assert (int(found["dhash"][0]) ^ int(expected["encode_ukbench00120"]["dhash"], 16)).bit_count() <= 2
    # The one duplicate expected within 10 bits, and no other; the mirrored one is found by the mirror hash.
    assert (values[names[0]] ^ values[names[1]]).bit_count() <= 10
    assert (values[names[0]] ^ values[names[2]]).bit_count() > 10
    assert (values[names[0]] ^ values[names[3]]).bit_count() > 10
    assert (values[names[0]] ^ int(found["phash_mirror"][2])).bit_count() <= 2


@pytest.mark.parametrize("count", [0, 1, 3])
def test_hashes_of_stacks(count):
    small = np.random.default_rng(1).integers(0, 256, (count, 64, 64), dtype=np.uint8)
    assert phash_of_grey(small, bits=256).shape == (count, 4)
    assert dhash_of_small(small[:, :8, :9]).shape == (count,)
