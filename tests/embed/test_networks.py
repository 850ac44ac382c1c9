"""Models of the user's own: ONNX and torch, against the same product in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.vectors import load_vectors
from curate.embed import OnnxParams, TorchParams, make_embedder
from curate.embed.card import ModelCard
from curate.embed.faces import crops
from tests.embed.models import DIMENSIONS, SIZE, onnx_constants, onnx_linear, torch_linear, weights

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
CARD = {"size": SIZE, "mean": [10.0, 20.0, 30.0], "std": 50.0}


def faces(n: int, seed: int = 1, side: int = SIZE) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8))


def reference(images: list[np.ndarray], mean=(10.0, 20.0, 30.0), std: float = 50.0) -> np.ndarray:
    made = [((image.astype(np.float64) - np.array(mean)) / std).reshape(-1) @ weights() for image in images]
    return np.array([vector / np.linalg.norm(vector) for vector in made])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_onnx_is_the_product_in_numpy(tmp_path: Path, layout: str, channels: str):
    # Means are given in the order of the model's channels.
    mean = [10.0, 20.0, 30.0] if channels == "RGB" else [30.0, 20.0, 10.0]
    card = {**CARD, "mean": mean, "layout": layout, "channels": channels, "output": "vector"}
    model = onnx_linear(tmp_path / "m.onnx", card, layout, channels)
    embedder = make_embedder(OnnxParams(model=model, batch=4))
    assert (embedder.size, embedder.dtype, embedder.name) == (DIMENSIONS, np.float16, "m")
    images = faces(7)
    np.testing.assert_allclose(embedder.describe(images), reference(images), atol=1e-3)


def test_a_vector_does_not_depend_on_its_neighbours(tmp_path: Path):
    model = onnx_linear(tmp_path / "m.onnx", {**CARD, "output": "vector"}, batch=4)
    embedder = make_embedder(OnnxParams(model=model, batch=4))
    images = faces(9)
    whole = embedder.describe(images)
    for row, image in enumerate(images):
        np.testing.assert_array_equal(embedder.describe([image])[0], whole[row])
    np.testing.assert_array_equal(embedder.describe(images[::-1])[::-1], whole)


def test_torchscript_and_an_import_path_agree_with_onnx(tmp_path: Path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pt"
    torch.jit.trace(torch_linear(), torch.zeros(1, 3, SIZE, SIZE)).save(str(path))
    images = faces(5)
    card = ModelCard(**CARD)
    for model in (str(path), "tests.embed.models:torch_linear"):
        embedder = make_embedder(TorchParams(model=model, batch=2, card=card))
        np.testing.assert_allclose(embedder.describe(images), reference(images), atol=1e-3)
    rough = make_embedder(TorchParams(model=str(path), batch=2, card=card, precision="bfloat16"))
    assert (np.sum(rough.describe(images) * reference(images), axis=1) > 0.999).all()
    assert rough.fingerprint != make_embedder(TorchParams(model=str(path), batch=2, card=card)).fingerprint


def test_fingerprints_follow_everything_that_a_vector_depends_on(tmp_path: Path):
    model = onnx_linear(tmp_path / "m.onnx", {**CARD, "output": "vector"})
    declared = ModelCard(**{**CARD, "output": "vector", "std": 3})
    prints = [
        make_embedder(OnnxParams(model=model, **more)).fingerprint
        for more in ({}, {"batch": 3}, {"align": "landmarks"}, {"card": declared})
    ]  # fmt: skip
    assert len(set(prints)) == 4
    assert make_embedder(OnnxParams(model=model)).fingerprint == prints[0]
    other = onnx_linear(tmp_path / "o.onnx", {**CARD, "output": "vector"}, channels="BGR")
    assert make_embedder(OnnxParams(model=other)).fingerprint != prints[0]


@pytest.mark.parametrize(("card", "message"), [
    (None, "nothing says how the model takes its images"),
    ({"size": SIZE, "colour": "RGB"}, "the key 'colour'"),
    ({"size": SIZE, "layout": "CHW"}, "the key 'layout'"),
    ({"size": SIZE, "output": "embedding"}, "no such output"),
    ({"size": SIZE, "output": "sum"}, "no vector for each face"),
    ({"size": SIZE * 2, "output": "vector"}, "refuses its input"),
    ({"size": SIZE, "layout": "NHWC", "output": "vector"}, "refuses its input"),
])  # fmt: skip
def test_a_wrong_card_is_told(tmp_path: Path, card: dict | None, message: str):
    model = onnx_linear(tmp_path / "m.onnx", card)
    with pytest.raises(InputError, match=message) as caught:
        make_embedder(OnnxParams(model=model))
    assert "m.onnx" in str(caught.value) or "m.yaml" in str(caught.value)


def test_a_wrong_model_is_told(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="not a model that onnxruntime can run"):
        make_embedder(OnnxParams(model=tmp_path / "m.onnx", card=ModelCard(size=16)))
    with pytest.raises(InputError, match="no such model"):
        make_embedder(OnnxParams(model=tmp_path / "n.onnx"))
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="no TorchScript file"):
        make_embedder(TorchParams(model=str(tmp_path / "m.onnx"), card=ModelCard(size=16)))
    with pytest.raises(InputError, match="can't be imported"):
        make_embedder(TorchParams(model="tests.embed.models:nothing", card=ModelCard(size=16)))
    with pytest.raises(InputError, match="belong together"):
        make_embedder(
            OnnxParams(model=onnx_linear(tmp_path / "k.onnx", {**CARD, "output": "vector"}), align="detector")
        )


def _face_at(points: np.ndarray, score: float, side: float) -> np.ndarray:
    x, y = points.mean(axis=0)
    return np.concatenate([[x - side, y - side, x + side, y + side, score], points.reshape(-1)])


def test_the_largest_face_of_a_detector_is_cut(tmp_path: Path):
    from curate.images.align import TEMPLATE

    # The input of 224 pixels is half of the image: landmarks are told in the input's pixels.
    small, large, weak = TEMPLATE * 0.2 + 5, TEMPLATE * 0.5 + 20, TEMPLATE + 40
    table = np.array([_face_at(small, 0.9, 10), _face_at(large, 0.8, 30), _face_at(weak, 0.2, 60)])
    detector = onnx_constants(tmp_path / "d.onnx", {"faces": table}, {"size": 224, "output": "faces"}, 224)
    image = faces(1, side=448)[0]
    found, there = crops([image], 2, 112, "detector", None, detector)
    assert there.tolist() == [True]
    np.testing.assert_array_equal(found[0], image[40:152, 40:152])  # scale 0.5 of half: the pixels themselves
    assert not found[1].any()
    nothing = onnx_constants(tmp_path / "n.onnx", {"faces": table[2:]}, {"size": 224, "output": "faces"}, 224)
    assert crops([image], 1, 112, "detector", None, nothing)[1].tolist() == [False]


def test_scrfd_boxes_are_distances_from_anchors(tmp_path: Path):
    from curate.images.align import TEMPLATE

    size, points, stride, cell = 64, TEMPLATE * 0.5 + 2, 8, (3, 4)
    outputs = {}
    for kind, width in (("score", 1), ("box", 4), ("points", 10)):
        for step in (8, 16, 32):
            outputs[f"{kind}{step}"] = np.zeros(((size // step) ** 2 * 2, width))
    row = (cell[0] * (size // stride) + cell[1]) * 2 + 1  # the second anchor of that cell
    x, y = cell[1] * stride, cell[0] * stride
    outputs["score8"][row] = 0.9
    outputs["box8"][row] = np.array([10, 12, 14, 16]) / stride
    outputs["points8"][row] = ((points - [x, y]) / stride).reshape(-1)
    detector = onnx_constants(tmp_path / "s.onnx", outputs, {"size": size}, size)
    image = faces(1, side=64)[0]
    found, there = crops([image], 1, 56, "detector", None, detector)
    assert there.all()
    np.testing.assert_array_equal(found[0], image[2:58, 2:58])


def test_dlib_finds_no_face_in_noise():
    pytest.importorskip("dlib")
    assert crops(faces(1, side=120), 1, 112, "dlib", None, None)[1].tolist() == [False]


def _source(root: Path, n: int = 6) -> list[np.ndarray]:
    import cv2

    images = faces(n)
    for at, image in enumerate(images):
        (root / f"p{at % 2}").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / f"p{at % 2}" / f"{at}.png"), image[..., ::-1])
    (root / "p0" / "bad.png").write_bytes(b"no image")
    return images


def test_the_verb_writes_a_store_and_resumes(tmp_path: Path):
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.verbs import run_embed

    images = _source(tmp_path / "faces")
    model = onnx_linear(tmp_path / "m.onnx", {**CARD, "output": "vector"})
    settings = {"batch": 4}
    with LocalExecutor(1) as executor:
        first = run_embed(str(tmp_path / "faces"), tmp_path / "out", executor=executor, model=str(model),
                          settings=settings, cache=tmp_path / "cache")  # fmt: skip
        again = run_embed(str(tmp_path / "faces"), tmp_path / "out", executor=executor, model=str(model),
                          settings=settings, cache=tmp_path / "cache")  # fmt: skip
    assert (tmp_path / "out" / "plan.json").is_file()
    assert [step.cached for step in first.steps] == [False, False]
    assert [step.cached for step in again.steps] == [True, True]
    assert first.steps[-1].summary["summary"] == {
        "images with a vector": 6, "dimensions": DIMENSIONS, "without: not_an_image": 1,
    }  # fmt: skip
    store = load_vectors(tmp_path / "out")
    assert (store.model, store.matrix.dtype) == ("m", np.float16)
    order = [f"p{at % 2}/{at}.png" for at in range(6)]
    np.testing.assert_allclose(store.matrix[store.rows_of(order)], reference(images), atol=2e-3)


def test_landmarks_of_the_manifest_place_the_face(tmp_path: Path):
    from curate.images.align import TEMPLATE
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.features import FeatureStore

    images = _source(tmp_path / "faces", 3)
    model = onnx_linear(tmp_path / "m.onnx", {**CARD, "output": "vector"})
    whole = TEMPLATE * SIZE / 112
    turned = (SIZE - 1) - whole  # upside down
    rows = [("p0/0.png", whole), ("p1/1.png", turned), ("p0/2.png", None)]
    import pandas as pd

    frame = pd.DataFrame({
        "image_id": [name for name, _ in rows], "path": [name for name, _ in rows], "identity": ["a", "b", "a"],
        "landmarks": [None if points is None else points.reshape(-1).tolist() for _, points in rows],
    })  # fmt: skip
    manifest = Manifest.from_frame(frame, root=tmp_path / "faces")
    with LocalExecutor(1) as executor:

        def vectors(of: Manifest) -> np.ndarray:
            params = OnnxParams(model=model, align="landmarks")
            return FeatureStore(of, tmp_path / "cache", executor, params).get("embedding", of)

        found = vectors(manifest)
        np.testing.assert_allclose(found[0], reference([images[0]])[0], atol=2e-3)
        np.testing.assert_allclose(found[2], reference([images[1][::-1, ::-1]])[0], atol=2e-3)
        assert not found[1].any()
        # Other landmarks of the same pixels: another vector, not the cached one.
        moved = manifest.frame.copy()
        moved["landmarks"] = [turned.reshape(-1).tolist(), None, whole.reshape(-1).tolist()]
        after = vectors(Manifest.from_frame(moved, root=tmp_path / "faces"))
        np.testing.assert_allclose(after[0], reference([images[0][::-1, ::-1]])[0], atol=2e-3)
        np.testing.assert_allclose(after[2], reference([images[1]])[0], atol=2e-3)
