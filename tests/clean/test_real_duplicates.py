"""The verb `duplicates` on real photographs."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest

from curate.core.files import file_digest, read_json
from curate.recipe.execute import LocalExecutor
from curate.recipe.verbs import run_duplicates


def find(source: Path, out: Path, **more):
    with LocalExecutor(1) as executor:
        return run_duplicates(str(source), out, executor=executor, cache=out / "cache", **more)


def test_equal_files_whose_labels_disagree(real_data, tmp_path: Path):
    root = real_data / "utkface-subset" / "images"
    files = sorted(path.name for path in root.iterdir())
    told = {name: name.split("_")[:3] for name in files}
    labels = pd.DataFrame([(name, *values) for name, values in told.items()], columns=["file", "age", "gender", "race"])
    labels.to_csv(tmp_path / "labels.csv", index=False)
    named = "labels={age: image, gender: image, race: image}"
    result = find(root, tmp_path / "run", overrides=[f"source.labels={tmp_path / 'labels.csv'}", named])
    groups = defaultdict(list)
    for name in files:
        groups[file_digest(root / name)].append(name)
    equal = {(a, b) for group in groups.values() for a in group for b in group if a < b}
    pairs = pd.read_parquet(tmp_path / "run/pairs.parquet")
    exact = pairs[(pairs["kind"] == "exact_bytes").to_numpy()]
    assert len(equal) > 0
    assert set(zip(exact["image_id_a"], exact["image_id_b"], strict=True)) == equal
    conflicts = pd.read_parquet(tmp_path / "run/duplicates/conflicts.parquet")
    conflicts = conflicts[(conflicts["kind"] == "exact_bytes").to_numpy()]
    disagree = {(a, b) for a, b in equal if told[a] != told[b]}
    assert disagree
    assert set(zip(conflicts["image_id_a"], conflicts["image_id_b"], strict=True)) == disagree
    for row in conflicts.itertuples():
        a, b = told[row.image_id_a], told[row.image_id_b]
        expected = [f"{name}: {one} / {two}" for name, one, two in zip(("age", "gender", "race"), a, b, strict=True)
                    if one != two]  # fmt: skip
        assert row.conflicts == "; ".join(expected)
    assert any("contradict each other" in note for note in result.steps[-1].summary["notes"])


@pytest.fixture
def photos(real_data, tmp_path: Path) -> Path:
    """The photographs of imagededup's tests."""
    return Path(shutil.copytree(real_data / "imagededup-testdata" / "mixed_images", tmp_path / "mixed"))


def test_expected_duplicates_of_a_peer(real_data, photos: Path, tmp_path: Path):
    expected = read_json(real_data / "imagededup-testdata" / "EXPECTED.json")
    wanted = {
        frozenset((image, other))
        for image, others in expected["phash_find_duplicates_max_distance_10"].items()
        for other, _ in others
    }
    plain = find(photos, tmp_path / "plain", near={"max_distance": 10}, overrides=["steps.near_duplicates.mirrored=no"])
    assert pairs_of(tmp_path / "plain") == wanted
    corrupt = expected["corrupt_files_in_mixed_images"][0]
    assert any(f"{corrupt} (not_an_image)" in note for note in plain.steps[-1].summary["notes"])
    # By default mirror images are sought too. The copy turned by a quarter is no alteration that any hash here allows.
    find(photos, tmp_path / "run")
    three = [f"ukbench00120{end}.jpg" for end in ("", "_hflip", "_resize")]
    assert pairs_of(tmp_path / "run") == {frozenset((a, b)) for a in three for b in three if a < b}
    similar = {frozenset(names.split("|")) for names in expected["cnn_mobilenet_cosine"]}
    assert similar - pairs_of(tmp_path / "run") == {frozenset(("ukbench00120.jpg", "ukbench00120_rotation.jpg"))}


def pairs_of(run: Path) -> set[frozenset[str]]:
    table = pd.read_parquet(run / "pairs.parquet")
    return {frozenset(pair) for pair in zip(table["image_id_a"], table["image_id_b"], strict=True)}
