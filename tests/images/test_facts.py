from __future__ import annotations

import hashlib
import pickle

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.core.errors import InputError
from curate.images.decode import decode
from curate.images.facts import FEATURES, ShardTask, facts_of_shard
from curate.images.hashes import dhash_of_small, lowest_waves, phash, phash_of_grey, small_grey
from curate.images.kernels import lanczos_weights, small_square
from curate.images.quality import QUALITY, detail, sharpness
from curate.images.reasons import REASONS


def photo(height=112, width=112, seed=0, blur=2.0):
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), blur) + 3 * cv2.GaussianBlur(noise, (0, 0), 6 * blur)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def reference(image):
    return int(str(imagehash.phash(Image.fromarray(image))), 16)


def slow_waves(image, side=32, low=8):
    """The lowest waves of an image squeezed without rounding, in float64 and one sum after the other."""
    grey = np.asarray(Image.fromarray(image).convert("L")).astype(float)
    for _ in range(2):  # down, then across
        first, weights = lanczos_weights(len(grey), side)
        squeezed = np.zeros((side, grey.shape[1]))
        for row in range(side):
            for tap, weight in enumerate(weights[row] / weights[row].sum()):
                if weight:
                    squeezed[row] += weight * grey[first[row] + tap]
        grey = squeezed.T
    cosines = 2 * np.cos(np.pi * np.arange(low)[:, None] * (2 * np.arange(side) + 1) / (2 * side))
    return cosines @ grey @ cosines.T


@settings(deadline=None, max_examples=60)
@given(sides=st.tuples(*[st.integers(1, 300)] * 2), seed=st.integers(0, 99), bits=st.sampled_from((64, 256)))
def test_the_waves_equal_their_definition(sides, seed, bits):
    image = np.random.default_rng(seed).integers(0, 256, (*sides, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    low = 8 if bits == 64 else 16
    expected, found = slow_waves(image, 4 * low, low), lowest_waves(grey[None], bits)[0]
    # Float32: rounding is of the largest wave, the mean, which no bit depends on.
    np.testing.assert_allclose(found[0, 0], expected[0, 0], rtol=1e-5)
    found[0, 0] = expected[0, 0]
    np.testing.assert_allclose(found, expected, atol=0.5 + 2e-6 * abs(expected).max())


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 300), extra=st.integers(0, 200), seed=st.integers(0, 1000))
def test_small_grey_equals_pillow_and_phash_nearly_imagehash(height, extra, seed):
    width = height + extra
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(small_grey(image), pillow)
    # Where rows or columns repeat, coefficients are zero but for rounding, and imagehash's bits are those of noise.
    if height >= 32:  # else pixels are enlarged, overshoot black and white, and imagehash cuts that off
        assert (int(phash([image])[0]) ^ reference(image)).bit_count() <= 4
    if height >= 64:
        assert (int(phash([photo(height, width, seed)])[0]) ^ reference(photo(height, width, seed))).bit_count() <= 2


def test_phash_of_a_photograph_survives_what_does_not_change_it_much():
    image = photo(seed=3)
    brighter = np.clip(image * 1.15 + 8, 0, 255).astype(np.uint8)
    smaller = cv2.resize(image, (70, 70), interpolation=cv2.INTER_AREA)
    jpeg = decode(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1].tobytes()).pixels
    hashes = [int(value) for value in phash([image, brighter, smaller, jpeg, photo(seed=4)])]
    distances = [(hashes[0] ^ value).bit_count() for value in hashes]
    assert max(distances[1:4]) <= 8 < distances[4]


def test_mirrored_hash_is_the_hash_of_the_mirrored_square():
    grey = np.stack([small_grey(photo(seed=seed)) for seed in range(20)])
    for bits in (64, 256):
        turned, expected = phash_of_grey(grey, mirrored=True, bits=bits), phash_of_grey(grey[:, :, ::-1], bits=bits)
        assert np.bitwise_count(turned ^ expected).max() <= 2  # sums in another order, rounded to whole numbers


def test_one_colour_gives_the_same_defined_hash():
    assert {int(value) for value in phash([np.full((40, 50, 3), level, np.uint8) for level in (1, 77, 255)])} == {
        1 << 63
    }
    assert phash([]).shape == (0,)


def test_a_hash_does_not_depend_on_its_batch():
    small = np.stack([small_grey(photo(seed=seed)) for seed in range(9)])
    alone = [phash_of_grey(small[i : i + 1])[0] for i in range(9)]
    np.testing.assert_array_equal(phash_of_grey(small), alone)


def test_sharpness_equals_its_definition_and_ignores_contrast():
    grey = photo(seed=1)[..., 0]
    inner = grey[1:-1, 1:-1].astype(float)
    expected = cv2.Laplacian(grey, cv2.CV_64F)[1:-1, 1:-1].var() / (inner.var() + 4)
    assert sharpness(grey) == pytest.approx(expected)
    assert sharpness((grey // 2 + 60).astype(np.uint8)) == pytest.approx(sharpness(grey), rel=0.1)
    assert sharpness(np.full((20, 20), 9, np.uint8)) == 0
    assert sharpness(grey[:2]) == 0
    assert sharpness(grey[:, :1]) == 0
    long = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (2, 4000))
    assert sharpness(long) == pytest.approx(1020**2 / (127.5**2 + 4))


@pytest.mark.parametrize("seed", range(4))
def test_the_original_has_more_detail_than_its_copies(seed):
    image = photo(224, 224, seed=seed)
    half = cv2.resize(image, (112, 112), interpolation=cv2.INTER_AREA)
    copies = [
        image, half, cv2.resize(half, (224, 224), interpolation=cv2.INTER_CUBIC),
        cv2.resize(image, (300, 300), interpolation=cv2.INTER_LINEAR), cv2.GaussianBlur(image, (0, 0), 1.5),
    ]  # fmt: skip
    grey = [cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY) for copy in copies]
    quality = np.array([(sharpness(plane), plane.size) for plane in grey], QUALITY)
    score = detail(quality)
    assert score[0] > max(score[1], score[2], score[4])
    assert score[3] == pytest.approx(score[0], rel=0.2)


class Means:
    """An embedder whose descriptor is the mean colour."""

    size = 3

    def describe(self, images):
        return np.array([image.reshape(-1, 3).mean(axis=0) for image in images], np.float32)


@pytest.fixture
def shard(tmp_path):
    paths = []
    for seed, (height, width) in enumerate([(112, 112), (64, 80), (200, 150), (112, 112)]):
        Image.fromarray(photo(height, width, seed)).save(tmp_path / f"{seed}.jpg")
        paths.append(f"{seed}.jpg")
    (tmp_path / "same.jpg").write_bytes((tmp_path / "0.jpg").read_bytes())
    Image.fromarray(decode((tmp_path / "0.jpg").read_bytes()).pixels).save(tmp_path / "same.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    return tmp_path, (*paths, "same.jpg", "same.png", "empty.jpg", "text.jpg", "gone.jpg", "")


def facts(shard, names=(*FEATURES, "descriptor"), paths=None):
    return facts_of_shard(ShardTask(str(shard[0]), paths or shard[1], tuple(names), Means()))


def test_the_facts_are_what_they_say(shard):
    found = facts(shard)
    root, paths = shard
    for name, feature in FEATURES.items():
        assert found[name].dtype == feature.dtype
        assert found[name].shape == (len(paths), *feature.shape)
    assert [REASONS[reason] for reason in found["decoded"]["reason"]] == [
        "fine"] * 6 + ["empty_file", "not_an_image", "missing", "no_path"]  # fmt: skip
    assert found["decoded"][["width", "height"]][:3].tolist() == [(112, 112), (80, 64), (150, 200)]
    data = (root / "1.jpg").read_bytes()
    image = decode(data).pixels
    assert found["content"][1].tobytes() == hashlib.blake2b(data, digest_size=16).digest()
    half = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    square = np.asarray(Image.fromarray(half).resize((32, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(found["thumbnail"][1], square)
    for name, bits in (("phash", 64), ("phash256", 256)):
        np.testing.assert_array_equal(found[name][1], phash_of_grey(half[None], bits=bits)[0])
        np.testing.assert_array_equal(
            found[f"{name}_mirror"][1], phash_of_grey(half[None], mirrored=True, bits=bits)[0]
        )
    assert found["dhash_mirror"][1] == dhash_of_small(small_square(half, 8, 9)[None, :, ::-1])[0]
    # Half of the size is enough for the hash: 2 bits at most differ from that of the whole image.
    assert (int(found["phash"][1]) ^ int(phash([image])[0])).bit_count() <= 2
    np.testing.assert_array_equal(found["thumbnail"][5], small_grey(decode((root / paths[5]).read_bytes()).pixels))
    np.testing.assert_allclose(found["descriptor"][1], image.reshape(-1, 3).mean(axis=0), rtol=1e-5)
    assert found["quality"]["pixels"][:3].tolist() == [112 * 112, 64 * 80, 200 * 150]


def test_equal_bytes_and_equal_pixels_are_told_apart(shard):
    found = facts(shard)
    same = {name: (found[name] == found[name][0]).all(axis=1).tolist() for name in ("content", "pixels")}
    assert same["content"] == [True, False, False, False, True, False, False, False, False, False]
    assert same["pixels"] == [True, False, False, False, True, True, False, False, False, False]


def test_images_without_pixels_are_zero_everywhere(shard):
    found = facts(shard)
    for name in set(found) - {"decoded", "content"}:
        assert not found[name][6:].view(np.uint8).any(), name
    assert found["content"].any(axis=1).tolist() == [True] * 6 + [False, True, False, False]


def test_a_fact_depends_on_its_image_alone(shard):
    whole = facts(shard)
    for row, path in enumerate(shard[1]):
        for name in whole:
            alone = facts(shard, names=(name,), paths=(path,))
            assert list(alone) == [name]
            assert alone[name].tobytes() == whole[name][row : row + 1].tobytes(), (name, path)


def test_pixels_of_another_shape_differ(tmp_path):
    for name, shape in (("a", (6, 4, 3)), ("b", (4, 6, 3))):
        Image.fromarray(np.full(shape, 7, np.uint8)).save(tmp_path / f"{name}.png")
    found = facts_of_shard(ShardTask(str(tmp_path), ("a.png", "b.png"), ("pixels",)))
    assert (found["pixels"][0] != found["pixels"][1]).any()


def test_tasks_travel_and_bad_ones_are_refused(shard):
    task = ShardTask(str(shard[0]), shard[1], ("phash",))
    assert pickle.loads(pickle.dumps(task)) == task
    assert facts_of_shard(ShardTask(str(shard[0]), (), tuple(FEATURES)))["thumbnail"].shape == (0, 32, 32)
    with pytest.raises(InputError, match="phash"):
        facts_of_shard(ShardTask(str(shard[0]), (), ("phas",)))
    with pytest.raises(InputError, match="embedder"):
        facts_of_shard(ShardTask(str(shard[0]), (), ("descriptor",)))
    with pytest.raises(InputError, match="4096"):
        facts_of_shard(ShardTask(str(shard[0]), ("a.jpg",) * 4097, ("phash",)))
