"""Embedders: pure per image, deterministic, honest about what is missing."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from curate.core.errors import InputError, MissingExtra
from curate.embed import BaselineParams, DlibParams, Embedder, EmbedderParams, VectorsParams, make_embedder
from curate.embed.baseline import BaselineEmbedder

has_dlib = importlib.util.find_spec("dlib") and importlib.util.find_spec("face_recognition_models")


def pictures(n: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth random images of several sizes and shapes."""
    import cv2

    rng = np.random.default_rng(seed)
    shapes = [(112, 112), (64, 80), (131, 97), (9, 30), (1, 1)]
    return [
        cv2.resize(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8), shapes[i % 5][::-1], interpolation=cv2.INTER_CUBIC)
        for i in range(n)
    ]


def describe_slowly(grey: np.ndarray) -> np.ndarray:
    """The LBP half, pixel by pixel, of a 96x96 grey image."""
    uniform = [c for c in range(256) if sum((c >> i & 1) != (c >> (i + 1) % 8 & 1) for i in range(8)) <= 2]
    counts = np.zeros((5, 5, 59))
    ring = [(-2, -2), (-2, 0), (-2, 2), (0, 2), (2, 2), (2, 0), (2, -2), (0, -2)]
    for y in range(2, 94):
        for x in range(2, 94):
            code = sum(int(grey[y + dy, x + dx] >= grey[y, x]) << bit for bit, (dy, dx) in enumerate(ring))
            counts[(y - 2) * 5 // 92, (x - 2) * 5 // 92, uniform.index(code) if code in uniform else 58] += 1
    return np.sqrt(counts / counts.sum(axis=2, keepdims=True)).ravel() / 5


def test_describe_agrees_with_counting_pixel_by_pixel():
    grey = np.random.default_rng(1).integers(0, 6, (96, 96), dtype=np.uint8)  # few values: many ties
    made = BaselineEmbedder().describe([np.stack([grey] * 3, axis=-1)])[0]
    np.testing.assert_allclose(made[: 25 * 59], describe_slowly(grey), rtol=1e-6)


def test_a_descriptor_depends_on_its_image_alone():
    embedder = make_embedder(BaselineParams())
    images = pictures(23)
    together = embedder.describe(images)
    assert together.shape == (23, embedder.size)
    assert together.dtype == np.float32
    assert embedder.size <= 2500
    for start, stop in ((0, 1), (3, 11), (22, 23)):
        np.testing.assert_array_equal(embedder.describe(images[start:stop]), together[start:stop])
    assert together.any(axis=1).all()  # only an unreadable image has a zero row
    assert isinstance(embedder, Embedder)
    assert embedder.describe([]).shape == (0, embedder.size)
    again = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(again.describe(images[:3]), together[:3])


def test_a_projection_does_not_depend_on_the_rows_beside_it():
    embedder = BaselineEmbedder()
    rng = np.random.default_rng(2)
    descriptors = rng.random((4300, embedder.size), dtype=np.float32)
    state = embedder.fit(descriptors[:700])
    vectors = embedder.project(descriptors, state)
    assert vectors.shape == (4300, 700 // 6)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(embedder.project(descriptors[4090:4099], state), vectors[4090:4099])
    np.testing.assert_array_equal(embedder.project(descriptors[:1], state), vectors[:1])


@pytest.mark.parametrize(("rows", "size"), [(40, 300), (300, 40)])
@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_fit_agrees_with_scikit_learn(rows, size, whitening):
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(3)
    data = (rng.normal(size=(rows, 6)) @ rng.normal(size=(6, size)) + rng.normal(size=(rows, size)) * 0.1).astype("f4")
    state = BaselineEmbedder(BaselineParams(dimensions=5, whitening=whitening)).fit(data)
    peer = PCA(5, svd_solver="full").fit(data)
    deviation = np.sqrt(peer.explained_variance_ * (rows - 1) / rows)
    expected = peer.components_.T / deviation**whitening
    signs = np.sign((expected * state["projection"]).sum(axis=0))
    np.testing.assert_allclose(state["projection"], expected * signs, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(state["mean"], data.mean(axis=0), atol=1e-5)
    assert (state["projection"][np.abs(state["projection"]).argmax(axis=0), np.arange(5)] > 0).all()


def test_unreadable_rows_are_left_out_and_stay_zero():
    embedder = BaselineEmbedder()
    descriptors = embedder.describe(pictures(30))
    with_gaps = np.insert(descriptors, [0, 7, 30], 0, axis=0)
    state, expected = embedder.fit(with_gaps), embedder.fit(descriptors)
    np.testing.assert_array_equal(state["projection"], expected["projection"])
    vectors = embedder.project(with_gaps, state)
    assert not vectors[[0, 8, 32]].any()
    assert np.count_nonzero(vectors.any(axis=1)) == 30


def test_many_rows_are_thinned_evenly():
    embedder = BaselineEmbedder(BaselineParams(max_fit_images=100))
    data = np.random.default_rng(4).random((250, 50), dtype=np.float32)
    state = embedder.fit(data)
    expected = embedder.fit(data[np.arange(100) * 250 // 100])
    np.testing.assert_array_equal(state["projection"], expected["projection"])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_or_equal_images_still_have_vectors(n):
    embedder = BaselineEmbedder()
    image = np.full((20, 20, 3), 7, dtype=np.uint8)
    descriptors = embedder.describe([image] * n)
    vectors = embedder.project(descriptors, embedder.fit(descriptors))
    assert len(vectors) == n
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_copy_is_nearer_than_another_picture():
    import cv2

    images = pictures(40, seed=5)[::5]
    copies = [cv2.resize(image, (90, 90), interpolation=cv2.INTER_AREA) for image in images]
    embedder = BaselineEmbedder()
    descriptors = embedder.describe(images + copies)
    vectors = embedder.project(descriptors, embedder.fit(descriptors))
    similarity = vectors[:8] @ vectors[8:].T
    assert (similarity.argmax(axis=1) == np.arange(8)).all()


def test_fingerprints_follow_the_settings():
    fingerprints = {
        make_embedder(settings).fingerprint
        for settings in (BaselineParams(), BaselineParams(dimensions=9), BaselineParams(whitening=1))
    }
    assert len(fingerprints) == 3
    assert make_embedder(BaselineParams()).fingerprint == BaselineEmbedder().fingerprint


def test_settings_are_told_apart_by_kind():
    adapter = TypeAdapter(EmbedderParams)
    assert adapter.validate_python({"kind": "dlib"}) == DlibParams()
    assert adapter.validate_python({"kind": "vectors", "path": "x.npy"}) == VectorsParams(path="x.npy")
    with pytest.raises(ValidationError, match="baseline"):
        adapter.validate_python({"kind": "basline"})
    with pytest.raises(ValidationError, match="dimension"):
        adapter.validate_python({"kind": "baseline", "dimension": 3})
    with pytest.raises(InputError, match=r"vectors.*baseline, dlib"):
        make_embedder(VectorsParams(path="x.npy"))


@pytest.mark.parametrize("library", ["dlib", "face_recognition_models"])
def test_a_missing_library_names_the_extra(monkeypatch, library):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == library else find(name, *rest))
    with pytest.raises(MissingExtra, match=r"pip install 'curate\[dlib\]'"):
        make_embedder(DlibParams())


@pytest.mark.skipif(not has_dlib, reason="curate[dlib] is not installed")
def test_dlib_makes_unit_vectors_of_each_image_alone():
    embedder = make_embedder(DlibParams())
    images = pictures(4)
    descriptors = embedder.describe(images)
    assert descriptors.shape == (4, embedder.size) == (4, 128)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(embedder)).describe(images[2:3]), descriptors[2:3])
    assert embedder.fit(descriptors) == {}
    vectors = embedder.project(np.insert(descriptors, 1, 0, axis=0), {})
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(112, 92, (0, 10, 91, 101)), (92, 112, (10, 0, 101, 91)), (1, 1, (0, 0, 0, 0))]
)
def test_the_face_is_the_largest_centred_square(height, width, expected):
    from curate.embed.dlib_model import _square

    assert _square(height, width) == expected


def test_importing_the_room_loads_nothing_heavy():
    code = "import sys, curate.embed; print(sorted({'cv2','sklearn','scipy','dlib','numba'} & set(sys.modules)))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


def test_baseline_on_real_faces(real_data):
    """ORL: better than chance by far, and far from what a face recogniser reaches."""
    import cv2

    from curate.stats.rates import eer

    files = sorted((real_data / "orl-att-faces" / "orl_faces").glob("s*/*.pgm"))
    images = [cv2.cvtColor(cv2.imread(str(file), 0), cv2.COLOR_GRAY2RGB) for file in files]
    embedder = BaselineEmbedder()
    descriptors = embedder.describe(images)
    vectors = embedder.project(descriptors, embedder.fit(descriptors))
    who = np.array([file.parent.name for file in files])
    first, second = np.triu_indices(len(files), 1)
    same = who[first] == who[second]
    scores = (vectors @ vectors.T)[first, second]
    assert 0.05 < eer(scores[same], scores[~same]).rate < 0.15
