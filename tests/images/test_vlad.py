from __future__ import annotations

import cv2
import numpy as np
import pytest

from curate.images.alter import ALTERATIONS, crop, flip
from curate.images.vlad import (
    LENGTH,
    VladModel,
    codebook,
    local_descriptors,
    mirrored,
    vlad,
    words_of,
)
from curate.images.words import candidate_pairs, signatures


def photo(seed, side=112):
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2) + 3 * cv2.GaussianBlur(noise, (0, 0), 6)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def local():
    """Local descriptors of 24 photographs, then of a crop of each."""
    photos = [photo(seed) for seed in range(24)]
    return np.stack([local_descriptors(image) for image in photos + [crop(image, 0.9, (0, 1)) for image in photos]])


def test_local_descriptors_are_root_sift():
    image = photo(1)
    found = local_descriptors(image)
    assert found.shape == (64, LENGTH)
    assert found.dtype == np.uint8
    present = found.any(axis=1)
    assert present.sum() > 20
    # Squares of the roots are shares, which sum to 1.
    np.testing.assert_allclose(((found[present] / 510.0) ** 2).sum(axis=1), 1, atol=0.05)
    np.testing.assert_array_equal(found, local_descriptors(image))


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (2, 2), (50, 3)])
def test_tiny_and_plain_images_have_none(shape):
    assert not local_descriptors(np.full((*shape, 3), 77, np.uint8)).any()


def test_mirrored_descriptors_are_those_of_the_mirror_image():
    image = photo(2)
    given, turned = (local_descriptors(one).astype(float) for one in (image, flip(image)))
    given, turned = mirrored(given)[given.any(axis=1)], turned[turned.any(axis=1)]
    distance = np.linalg.norm(given[:, None] - turned[None], axis=2).min(axis=1)
    plain = np.linalg.norm(mirrored(given)[:, None] - turned[None], axis=2).min(axis=1)
    assert np.median(distance) < 0.3 * np.median(plain)


def test_words_and_vlad_equal_their_definitions(local):
    centres = codebook(local.reshape(-1, LENGTH), 8)
    np.testing.assert_array_equal(centres, codebook(local.reshape(-1, LENGTH), 8))
    words, vectors = words_of(local, centres), vlad(local, centres)
    for image in (0, 7):
        total = np.zeros((8, LENGTH))
        for word, descriptor in zip(words[image], local[image].astype(float), strict=True):
            if not descriptor.any():
                assert word == -1
                continue
            assert word == np.linalg.norm(centres - descriptor, axis=1).argmin()
            total[word] += descriptor - centres[word]
        total = np.array([part / max(np.linalg.norm(part), 1e-12) for part in total])
        np.testing.assert_allclose(vectors[image], (total / np.linalg.norm(total)).ravel(), atol=1e-5)


def test_the_model_brings_crops_together(local):
    model = VladModel.fit(local, words=8, dimensions=16)
    vectors = model.project(local)
    assert vectors.shape == (48, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    nearest = (vectors[:24] @ vectors[24:].T).argmax(axis=1)
    assert (nearest == np.arange(24)).mean() > 0.9
    np.testing.assert_array_equal(model.project(local[5:6]), vectors[5:6])
    again = VladModel.fit(local, words=8, dimensions=16)
    np.testing.assert_array_equal(again.axes, model.axes)


def test_images_without_descriptors_stay_zero(local):
    some = np.concatenate([local[:12], np.zeros_like(local[:2])])
    vectors = VladModel.fit(some, words=4, dimensions=4).project(some)
    assert vectors[:12].any(axis=1).all()
    assert not vectors[12:].any()
    assert not VladModel.fit(some[12:]).project(some).any()


def test_signatures_estimate_jaccard_and_empty_sets_pair_with_nothing():
    pytest.importorskip("datasketch")
    rng = np.random.default_rng(0)
    words = np.full((5, 64), -1, np.int32)
    words[0, :60] = rng.permutation(1000)[:60]
    words[1, :60] = np.append(words[0, :40], np.arange(2000, 2020))  # Jaccard 40 / 80
    words[2, :60] = np.arange(3000, 3060)
    signature = signatures(words)
    assert abs((signature[0] == signature[1]).mean() - 0.5) < 0.15
    assert (signature[0] == signature[2]).mean() < 0.05
    i, j, left_out = candidate_pairs(signature)
    assert (list(zip(i.tolist(), j.tolist(), strict=True)), left_out) == ([(0, 1)], 0)
    assert candidate_pairs(signature[:0])[0].shape == (0,)


def test_candidates_are_those_of_datasketch():
    datasketch = pytest.importorskip("datasketch")
    rng = np.random.default_rng(1)
    words = rng.integers(0, 40, (60, 12)).astype(np.int32)
    signature = signatures(words)
    index = datasketch.MinHashLSH(num_perm=128, params=(32, 4))
    scheme = datasketch.MinHash(num_perm=128).scheme
    hashes = [datasketch.MinHash(num_perm=128, hashvalues=row, scheme=scheme) for row in signature]
    expected = set()
    for row, one in enumerate(hashes):
        expected |= {(other, row) for other in index.query(one)}
        index.insert(row, one)
    i, j, _ = candidate_pairs(signature, bands=32, rows=4)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == expected
    assert len(expected) > 3
    assert candidate_pairs(np.repeat(signature[:1], 9, axis=0), largest=8)[2] == 64 * 9


def test_words_find_altered_copies():
    pytest.importorskip("datasketch")
    photos = [photo(seed) for seed in range(30)]
    rng = np.random.default_rng(0)
    copies = [
        ALTERATIONS[name](photos[at], "light", rng) for at, name in enumerate(["cropped", "brightness", "resized"] * 5)
    ]
    local = np.stack([local_descriptors(image) for image in photos + copies])
    found = candidate_pairs(signatures(words_of(local, codebook(local.reshape(-1, LENGTH), 256))))
    pairs = set(zip(found[0].tolist(), found[1].tolist(), strict=True))
    assert sum((at, 30 + at) in pairs for at in range(15)) >= 12
