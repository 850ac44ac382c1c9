"""Augmentation, replicas as files, and the dataset: the same pixels for the same seed, everywhere."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from curate.balance.augment import Augmenter, presets, resized
from curate.balance.dataset import ManifestDataset
from curate.balance.materialise import materialise
from curate.balance.oversample import OversampleParams, oversample
from curate.balance.training_batch import TrainingBatchParams, training_batch
from curate.collect.synthetic import SyntheticParams, write_synthetic
from curate.core.apply import apply_decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, SerialExecutor, step_rng
from curate.images.decode import decode
from curate.images.files import read_bytes
from curate.recipe.check import check_step
from curate.recipe.execute import LocalExecutor

_spec = importlib.util.spec_from_file_location("containers", Path(__file__).parents[1] / "images" / "containers.py")
containers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(containers)


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Manifest:
    """Drawn faces with replicas, one broken file, and a weight."""
    folder = tmp_path_factory.mktemp("faces")
    params = SyntheticParams(identities=8, images=5, size=64, benchmark=0, seed=2)
    write_synthetic(params, folder / "set", SerialExecutor())
    from curate.collect.folder import FolderParams, read_folder

    settings = FolderParams(root=folder / "set" / "images", labels=folder / "set" / "labels.csv")
    manifest = read_folder(settings, {"gender": "identity", "age_group": "image"}, SerialExecutor(), folder).manifest
    (folder / "set" / "images" / manifest.frame["path"][0]).write_bytes(b"no picture")
    decided = oversample(manifest, Features(), OversampleParams(labels=("identity",), budget=30), step_rng(0, "o"))
    with_replicas, _ = apply_decisions(manifest, decided)
    weights = np.linspace(0.5, 2, len(with_replicas))
    return Manifest.from_frame(with_replicas.frame.assign(weight=weights), root=manifest.root, levels=manifest.levels)


def digest(pictures) -> str:
    import hashlib

    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in pictures)).hexdigest()


def test_a_replica_is_the_same_in_any_process_and_order():
    picture = np.random.default_rng(0).integers(0, 256, (48, 56, 3), dtype=np.uint8)
    code = (
        "import hashlib, numpy as np; from curate.balance.augment import Augmenter;"
        "x = np.random.default_rng(0).integers(0, 256, (48, 56, 3), dtype=np.uint8);"
        "print(*(hashlib.sha256(Augmenter(n)(x, s).tobytes()).hexdigest() for n in ({names}) for s in (9, 2**63 - 1)))"
    )
    names = ", ".join(map(repr, presets()))
    there = subprocess.run([sys.executable, "-c", code.replace("{names}", names)], capture_output=True, text=True,
                           check=True).stdout.split()  # fmt: skip
    here = []
    for name in presets():
        augment = Augmenter(name)
        copy = pickle.loads(pickle.dumps(augment))
        before = picture.copy()
        for seed in (9, 2**63 - 1):
            made = augment(picture, seed)
            for other in range(3):  # what came before must not matter
                augment(picture, other)
            assert np.array_equal(made, augment(picture, seed))
            assert np.array_equal(made, copy(picture, seed))
            assert made.shape == picture.shape
            here.append(digest([made]))
        assert np.array_equal(picture, before)
        assert len({digest([augment(picture, seed)]) for seed in range(20)}) > 10
    assert there == here


def test_what_a_pipeline_refuses(tmp_path: Path):
    for spec, text in [
        ("surveilance", "Did you mean 'surveillance'"),
        ({"transforms": [{"GausNoise": {}}]}, "Did you mean 'GaussNoise'"),
        ({"transforms": [{"GaussNoise": {"strength": 1}}]}, "strength"),
        ({"transforms": [{"Downscale": {"scale_range": [2, 3]}}]}, "Downscale"),
        ({"transforms": [{"OneOf": {"p": 1}}]}, "needs a list"),
        ({"transforms": [{"Lambda": {}}]}, "no transform 'Lambda'"),
        ({"transforms": [{"BasicTransform": {}}]}, "no transform"),
        ({"transforms": [{"Blur": {}, "ToGray": {}}]}, "one name"),
        ({"steps": []}, "one key"),
    ]:
        with pytest.raises(InputError, match=text):
            Augmenter(spec)
    bad = tmp_path / "bad.yaml"
    bad.write_text("transforms: [")
    with pytest.raises(InputError, match="not valid YAML"):
        Augmenter(bad)
    with pytest.raises(InputError, match="changes the shape"):
        Augmenter({"transforms": [{"CenterCrop": {"height": 8, "width": 8, "p": 1}}]})(np.zeros((9, 9, 3), np.uint8), 1)


def test_rows_come_with_codes_mask_and_weight(faces: Manifest):
    data = ManifestDataset(faces, labels=("gender", "age_group"), augment="light", size=48, split=None)
    assert len(data) == len(faces)
    frame = faces.frame
    sound = np.flatnonzero((frame["path"] != frame["path"][0]).to_numpy())
    for row in sound[[0, 5, -1]].tolist():
        sample = data[row]
        assert sample.image.shape == (3, 48, 48)
        assert sample.image.dtype == torch.uint8
        assert data.categories["identity"][sample.identity] == frame["identity"][row]
        for place, label in enumerate(("gender", "age_group")):
            known = isinstance(frame[label][row], str)
            assert bool(sample.mask[place]) == known
            if known:
                assert data.categories[label][int(sample.labels[place])] == frame[label][row]
        assert sample.weight == pytest.approx(frame["weight"][row])
    broken = data[0]
    assert (broken.identity, float(broken.weight), int(broken.image.sum())) == (-1, 0.0, 0)
    assert not broken.mask.any()
    assert data.problems() == {"not_an_image": 1}


def test_workers_change_nothing(faces: Manifest):
    data = ManifestDataset(faces, augment="surveillance", size=48, split=None)
    alone = list(torch.utils.data.DataLoader(data, batch_size=16))
    several = list(torch.utils.data.DataLoader(data, batch_size=16, num_workers=2))
    for one, other in zip(alone, several, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
    assert alone[0].weight.dtype == torch.float32
    assert alone[0].identity.dtype == torch.int64
    replica = int(np.flatnonzero(~faces.originals())[-1])
    parent = int(faces.rows_of([faces.frame["parent_id"][replica]])[0])
    plain = decode(read_bytes(faces.root, faces.frame["path"][parent])[1]).pixels
    seed = int(faces.frame["augment_seed"][replica])
    assert np.array_equal(data.pixels(replica), Augmenter("surveillance")(resized(plain, 48), seed))
    assert np.array_equal(data.pixels(parent), resized(plain, 48))


def test_codes_of_a_second_set_agree_with_the_first(faces: Manifest):
    first = ManifestDataset(faces, split=None)
    part = faces.take(np.arange(len(faces) - 6, len(faces)))
    second = ManifestDataset(part, split=None, categories=first.categories)
    row = first.manifest.rows_of(part.ids)
    assert second.identity.tolist() == first.identity[row].tolist()


def test_what_the_dataset_refuses(faces: Manifest):
    bare = Manifest.from_frame(faces.frame.drop(columns=["path"]), levels=faces.levels)
    with pytest.raises(InputError, match="nothing of pixels"):
        ManifestDataset(bare)
    unseeded = Manifest.from_frame(faces.frame.drop(columns=["augment_seed"]), root=faces.root, levels=faces.levels)
    with pytest.raises(InputError, match="without augment_seed"):
        ManifestDataset(unseeded, split=None)
    with pytest.raises(InputError, match="no label 'height'"):
        ManifestDataset(faces, labels=("height",))


def test_files_hold_the_pixels_that_the_dataset_gives(faces: Manifest, tmp_path: Path):
    done = materialise(faces, tmp_path / "out", "surveillance", size=48, format="png")
    assert done.made == len(faces) - len(done.unreadable)
    assert {reason for _, reason in done.unreadable} == {"not_an_image"}
    live = ManifestDataset(faces, augment="surveillance", size=48, split=None)
    files = ManifestDataset(done.manifest, augment="surveillance", size=48, split=None)
    rows = faces.rows_of(done.manifest.ids)
    assert len(rows) == done.made
    for row in range(0, len(files), 7):
        assert np.array_equal(files.pixels(row), live.pixels(int(rows[row])))


def test_materialise_goes_on_where_it_ended(faces: Manifest, tmp_path: Path):
    out = tmp_path / "out"
    materialise(faces, out, "light", size=32)
    written = sorted((out / "images").rglob("*.jpg"))
    old = {path: path.read_bytes() for path in written}
    for path in written[::3]:
        path.unlink()
    with LocalExecutor(2) as executor:
        again = materialise(faces, out, "light", size=32, executor=executor)
    assert again.made == len(written[::3])
    assert {path: path.read_bytes() for path in sorted((out / "images").rglob("*.jpg"))} == old
    with pytest.raises(InputError, match="other images or settings"):
        materialise(faces, out, "light", size=33)
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        materialise(faces, strange, "light")


def test_names_of_files_are_safe_and_distinct(faces: Manifest, tmp_path: Path):
    path = faces.frame["path"][3]
    rows = [("A/x.jpg", path, "A"), ("a/X.jpg", path, "a"), ("b/../../x", path, "b/.."), ("c\u00e9 \n?", path, None)]
    odd = Manifest.from_frame(pd.DataFrame(rows, columns=["image_id", "path", "identity"]), root=faces.root)
    done = materialise(odd, tmp_path / "out", "light", size=16)
    assert done.made == 4
    inside = (tmp_path / "out" / "images").resolve()
    assert all(inside in path.resolve().parents for path in inside.rglob("*.jpg"))
    assert len(list(inside.rglob("*.jpg"))) == 4


def test_the_batch_before_and_after(faces: Manifest):
    check_step(training_batch, faces, {})
    for draw in ("uniform", "weights", "cells", "identities"):
        params = TrainingBatchParams(images=12, draw=draw, images_per_identity=2, split=None, cells=("gender",))
        made = training_batch(faces, Features(), params, step_rng(0, "training_batch"))
        table = made.tables["training/batch"]
        assert table["stage"].value_counts().to_dict() == {"before": 12, "after": 12}
        assert table.loc[table["stage"] == "before", "parent_id"].isna().all()
        assert made.tables["training/cells"]["images"].sum() <= 24
    with pytest.raises(InputError, match="no preset"):
        training_batch(faces, Features(), TrainingBatchParams(augment="lihgt"), step_rng(0, "t"))
    bare = Manifest.from_frame(faces.frame.drop(columns=["weight"]), root=faces.root, levels=faces.levels)
    with pytest.raises(InputError, match="no image has a weight"):
        training_batch(bare, Features(), TrainingBatchParams(draw="weights"), step_rng(0, "t"))


@pytest.mark.parametrize("kind", ["rec", "tar"])
def test_samples_from_a_container_are_those_from_files(faces: Manifest, tmp_path: Path, kind: str):
    own = faces.frame[faces.originals()]
    data = {path: (Path(faces.root) / path).read_bytes() for path in own["path"]}
    if kind == "rec":
        offsets = containers.write_rec(tmp_path / "faces.rec", list(data.values()))
        places = {path: f"faces.rec#{offset}" for path, offset in zip(data, offsets, strict=True)}
    else:
        containers.write_tar(tmp_path / "faces.tar", data)
        places = {path: f"faces.tar#{path}" for path in data}
    packed = Manifest.from_frame(faces.frame.assign(path=faces.frame["path"].map(places)), root=tmp_path,
                                 levels=faces.levels)  # fmt: skip
    here, there = (ManifestDataset(table, augment="light", size=48, split=None) for table in (faces, packed))
    one = [here[row] for row in range(len(here))]
    loader = torch.utils.data.DataLoader(there, batch_size=8, num_workers=2)
    for batch, start in zip(loader, range(0, len(here), 8), strict=True):
        for row in range(len(batch.identity)):
            sample = one[start + row]
            assert torch.equal(batch.image[row], sample.image)
            assert (batch.identity[row], batch.weight[row]) == (sample.identity, sample.weight)
            assert torch.equal(batch.labels[row], sample.labels)
    assert {there[row].identity for row in range(len(there))} >= {-1}  # the broken file is one here too
    files = [materialise(table, tmp_path / name, "light", size=32, format="png").manifest
             for name, table in (("a", faces), ("b", packed))]  # fmt: skip
    for path in files[0].frame["path"]:
        assert (tmp_path / "a/images" / path).read_bytes() == (tmp_path / "b/images" / path).read_bytes()
