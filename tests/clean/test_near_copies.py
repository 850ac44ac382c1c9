from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from curate.clean.confirmed import PIXELS, ConfirmParams, confirmed_pairs, textured
from curate.clean.known_copies import known_copies
from curate.clean.near_duplicates import NearDuplicatesParams, near_duplicates
from curate.clean.proposals import METHODS
from curate.collect.synthetic import SyntheticParams, write_synthetic
from curate.core.files import read_table
from curate.core.manifest import Manifest
from curate.core.shapes import Features, SerialExecutor
from curate.images.alter import ALTERATIONS
from curate.images.decode import decode
from curate.images.facts import FEATURES, ShardTask, facts_of_shard

NAMES = ("phash", "phash_mirror", "thumbnail", "quality", "decoded")


def pairs_of(facts, **params):
    usable = (facts["decoded"]["reason"] == 0) & textured(facts["thumbnail"])
    rows = np.flatnonzero(usable)
    facts = {name: facts[name][rows] for name in facts}
    i, j, distance, score = confirmed_pairs(facts, ConfirmParams(**params), SerialExecutor())
    return list(zip(rows[i].tolist(), rows[j].tolist(), distance.tolist(), score.tolist(), strict=True))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A drawn dataset's folder, its photographs without faults, and the facts of those and of 160 planted copies."""
    root = tmp_path_factory.mktemp("faces")
    folder = write_synthetic(
        SyntheticParams(identities=80, images=3, seed=11, benchmark=0), root / "set", SerialExecutor()
    )
    faulty = set(read_table(folder / "truth.parquet")["image_id"])
    names = sorted(p.relative_to(folder / "images").as_posix() for p in (folder / "images").rglob("*.jpg"))
    names = [name for name in names if name not in faulty][:160]
    (root / "copies").mkdir()
    (root / "originals").mkdir()
    kinds = ("recompressed", "resized", "cropped", "flipped", "brightness")
    for at, name in enumerate(names):
        data = (folder / "images" / name).read_bytes()
        (root / "originals" / f"{at:03d}.jpg").write_bytes(data)
        alteration = ALTERATIONS[kinds[at % 5]]
        copy = alteration.file(decode(data).pixels, "medium", np.random.default_rng(at))
        (root / "copies" / f"{at:03d}.jpg").write_bytes(copy)
    paths = tuple(f"{part}/{at:03d}.jpg" for part in ("originals", "copies") for at in range(len(names)))
    return facts_of_shard(ShardTask(str(root), paths, NAMES)), len(names), kinds, root


def test_planted_copies_are_found_and_nothing_else(faces):
    """The goals for planted copies, on a set that no threshold was chosen on."""
    facts, n, kinds, root = faces
    names = [f"originals/{at:03d}.jpg" for at in range(0, n, 2)]
    made = known_copies(root, names, kinds, "medium", PIXELS, 11, SerialExecutor())
    images = len(names)
    both = {name: np.concatenate([facts[name][:n:2], made[name]]) for name in PIXELS}
    new = np.arange(len(both["phash"])) >= images
    i, j, _, _ = confirmed_pairs(both, ConfirmParams(), SerialExecutor(), new=new, between=True)
    own = made["image"][j - images] == i
    found = np.bincount(made["alteration"][j - images][own], minlength=len(kinds)) / images
    for kind, recall in zip(kinds, found, strict=True):
        assert recall >= (0.99 if kind in ("recompressed", "resized") else 0.95), (kind, recall)
    assert own.mean() >= 0.99


def test_crops_need_the_windows_and_mirror_images_the_mirror_hash(faces):
    facts, n, kinds, _ = faces
    rows = set(range(kinds.index("cropped"), n, len(kinds)))
    without = {i for i, j, _, _ in pairs_of(facts, crops=False) if j == n + i}
    assert len(rows & without) < 0.7 * len(rows)
    i, j, _, _ = confirmed_pairs(facts, ConfirmParams(max_distance=8, mirrored=False), SerialExecutor())
    flipped = set(range(kinds.index("flipped"), n, len(kinds)))
    assert not flipped & {int(a) for a, b in zip(i, j, strict=True) if b == n + a}


def test_pairs_are_in_order_once_and_do_not_depend_on_what_is_held(faces, monkeypatch):
    facts, _, _, _ = faces
    whole = pairs_of(facts)
    keys = [(i, j) for i, j, _, _ in whole]
    assert keys == sorted(set(keys))
    assert all(i < j and score >= 0.945 and distance <= 12 for i, j, distance, score in whole)
    monkeypatch.setattr("curate.clean.proposals._HELD", 50)
    assert [pair[:2] for pair in pairs_of(facts)] == keys


def test_one_colour_tiny_and_unreadable_images_take_part_in_nothing(tmp_path):
    for at, level in enumerate((0, 90, 90, 91, 255)):
        Image.fromarray(np.full((40, 40, 3), level, np.uint8)).save(tmp_path / f"{at}.jpg")
    for at in (5, 6):
        Image.fromarray(np.full((1, 1, 3), 10 * at, np.uint8)).save(tmp_path / f"{at}.jpg")
    (tmp_path / "7.jpg").write_bytes(b"")
    (tmp_path / "8.jpg").write_bytes(b"")
    facts = facts_of_shard(ShardTask(str(tmp_path), tuple(f"{at}.jpg" for at in range(9)), tuple(FEATURES)))
    ids = pd.array([str(at) for at in range(9)], "str")
    manifest = Manifest.from_frame(pd.DataFrame({"image_id": ids, "identity": pd.array(["a"] * 9, "str")}))
    found = near_duplicates(manifest, Features(facts), NearDuplicatesParams(), np.random.default_rng(0))
    assert not len(found.frame)


def test_larger_sets_are_searched_less_widely():
    sizes = (0, 5_000, 5_001, 10**5, 10**6, 10**8)
    assert [METHODS["phash"].default(n) for n in sizes] == [12, 12, 10, 8, 6, 4]
    assert [ConfirmParams(method="vlad").within(n) for n in sizes[1:3]] == [0.35, 0.45]
    assert ConfirmParams(max_distance=3).within(10**9) == 3


def test_nothing_and_one():
    for n in (0, 1):
        facts = {name: np.zeros((n, *FEATURES[name].shape), FEATURES[name].dtype) for name in FEATURES}
        facts["embedding"] = np.zeros((n, 4), np.float32)
        for method in METHODS:
            found = confirmed_pairs(facts, ConfirmParams(method=method), SerialExecutor())
            assert [len(part) for part in found] == [0] * 4, method
