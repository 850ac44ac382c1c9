"""Features: found by content, computed once, aligned whatever happens to the files and the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from curate.core import columns as col
from curate.core.apply import apply_decisions, replica_id
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import SerialExecutor
from curate.recipe.features import FeatureStore
from curate.recipe.schema import make_recipe


class Counting(SerialExecutor):
    """Counts the images that reach it."""

    def __init__(self) -> None:
        self.images = 0

    def map(self, function, items):
        for item in items:
            self.images += len(item.paths)
            yield function(item)


@pytest.fixture
def faces(finished: Path, tmp_path: Path) -> Manifest:
    from curate.core.files import read_json
    from curate.core.manifest import read_manifest

    root = tmp_path / "faces"
    shutil.copytree(read_json(finished / "plan.json")["source"]["root"], root)
    whole = read_manifest(finished / "steps/00-source/manifest.parquet", root=root)
    return whole.take(np.arange(60))


@pytest.fixture
def params(small):
    return make_recipe(small).embedder


def test_the_second_time_nothing_is_computed(faces: Manifest, params, tmp_path: Path):
    first, second = Counting(), Counting()
    a = FeatureStore(faces, tmp_path / "cache", first, params)
    a.prepare(["phash", "quality"])
    b = FeatureStore(faces, tmp_path / "cache", second, params)
    assert b.pending(["phash", "quality"]).images == 0
    assert np.array_equal(a.get("phash", faces), b.get("phash", faces))
    assert (first.images, second.images) == (60, 0)


def test_values_are_those_of_the_images_themselves(faces: Manifest, params, tmp_path: Path):
    from curate.images.facts import ShardTask, facts_of_shard

    store = FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params)
    some = faces.take(np.arange(5, 25, 3))
    for name in ("phash", "quality", "thumbnail", "content", "pixels", "decoded"):
        alone = [
            facts_of_shard(ShardTask(str(faces.root), (path,), (name,), None))[name][0] for path in some.frame[col.PATH]
        ]
        assert np.array_equal(store.get(name, some), np.stack(alone)), name


def test_a_renamed_image_costs_only_a_look(faces: Manifest, params, tmp_path: Path):
    FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params).prepare(["phash"])
    old = faces.frame[col.PATH][0]
    (faces.root / old).rename(faces.root / "renamed.jpg")
    frame = faces.frame.copy()
    frame.loc[0, col.PATH] = "renamed.jpg"
    moved = Manifest.from_frame(frame, root=faces.root, levels=faces.levels)
    store = FeatureStore(moved, tmp_path / "cache", SerialExecutor(), params)
    assert store.pending(["phash"]).images == 1  # its content is not known before it is read
    before = FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params)
    assert np.array_equal(store.get("phash", moved)[1:], before.get("phash", faces)[1:])


@pytest.mark.parametrize("damage", [lambda raw: raw[:50], lambda raw: raw[: len(raw) // 2], lambda raw: b"",
                                    lambda raw: raw[:-400] + bytes(300) + raw[-100:]])  # fmt: skip
def test_a_damaged_cache_is_computed_again(faces: Manifest, params, tmp_path: Path, damage):
    store = FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params)
    expected = store.get("phash", faces)
    for path in (tmp_path / "cache").rglob("*.npz"):
        path.write_bytes(damage(path.read_bytes()))
    again = FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params)
    assert np.array_equal(again.get("phash", faces), expected)


def test_an_unreadable_image_is_a_row_of_zeros(faces: Manifest, params, tmp_path: Path):
    (faces.root / faces.frame[col.PATH][3]).unlink()
    store = FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params)
    assert store.get("phash", faces)[3] == 0
    assert not store.get("content", faces)[3].any()
    assert store.get("decoded", faces)["reason"][3] != 0
    assert not store.get("embedding", faces)[3].any()


def test_a_replica_has_its_parents_features(faces: Manifest, params, tmp_path: Path):
    store = FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params)
    parent = faces.frame[col.IMAGE_ID][7]
    more, _ = apply_decisions(
        faces, Decisions.of([replica_id(parent, 1)], "add", "oversample", related_id=[parent], new_value="5")
    )
    values = store.get("phash", more)
    rows = more.rows_of([parent, replica_id(parent, 1)])
    assert values[rows[0]] == values[rows[1]]
    assert len(values) == 61


def test_the_fit_sees_the_training_side_only(faces: Manifest, params, tmp_path: Path):
    half = np.where(np.arange(60) < 40, col.TRAIN, col.HOLDOUT)
    split = Manifest.from_frame(faces.frame.assign(split=half), root=faces.root, levels=faces.levels)
    store = FeatureStore(split, tmp_path / "cache", SerialExecutor(), params)
    seen = []

    class Spy:
        def __init__(self, inner):
            self.inner = inner
            self.fingerprint, self.size, self.name = inner.fingerprint, inner.size, inner.name
            self.dtype = inner.dtype

        def describe(self, images):
            return self.inner.describe(images)

        def fit(self, descriptors):
            seen.append(len(descriptors))
            return self.inner.fit(descriptors)

        def project(self, descriptors, state):
            return self.inner.project(descriptors, state)

    store._embedder = Spy(store.embedder)
    vectors = store.get("embedding", split)
    readable = store.get("decoded", split)["reason"] == 0
    assert seen == [int((readable & (half == col.TRAIN)).sum())]
    lengths = np.linalg.norm(vectors[readable], axis=1)
    assert np.allclose(lengths, 1, atol=1e-3)


def test_large_facts_come_from_a_file_and_are_the_same(faces: Manifest, params, tmp_path: Path, monkeypatch):
    store = FeatureStore(faces, tmp_path / "cache", SerialExecutor(), params)
    plain = store.get("local", faces)
    monkeypatch.setattr("curate.core.scratch.IN_MEMORY", 1000)
    mapped = store.get("local", faces)
    assert isinstance(mapped, np.memmap)
    assert not isinstance(plain, np.memmap)
    assert plain.any()
    assert np.array_equal(mapped, plain)
    order = np.random.default_rng(0).permutation(len(faces))
    assert np.array_equal(store.get("local", faces, order), plain[order])
    assert not list((tmp_path / "cache").rglob("scratch-*"))
