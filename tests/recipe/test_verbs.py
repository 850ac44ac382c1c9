"""Verbs: recipes built on the spot, whose run folders resume."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from curate.core.errors import CurateError, InputError
from curate.core.files import read_json
from curate.recipe.execute import LocalExecutor
from curate.recipe.verbs import run_duplicates, verb_recipe

SMALL = ("source.identities=8", "source.images=6", "source.seed=5", "source.benchmark=0")


@pytest.fixture
def find(cache: Path):
    """Run the verb `duplicates`; thresholds of the calibration are sought on few images."""

    def call(source, out, workers=1, **more):
        with LocalExecutor(workers) as executor:
            return run_duplicates(str(source), out, executor=executor, cache=cache, **more)

    return call


@pytest.fixture(scope="module")
def faces(tmp_path_factory, cache: Path) -> Path:
    """Drawn faces with planted faults, as a folder that may be copied from."""
    with LocalExecutor(1) as executor:
        out = tmp_path_factory.mktemp("faces") / "run"
        run_duplicates("synthetic", out, executor=executor, cache=cache, overrides=SMALL)
    return Path(read_json(out / "plan.json")["source"]["root"])


def test_a_verb_names_whole_paths_and_takes_overrides(tmp_path: Path, monkeypatch):
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    recipe = verb_recipe("duplicates", "faces", [("near_duplicates", {"max_distance": 4, "mirrored": None})],
                         ["steps.near_duplicates.min_correlation=0.9", "seed=3"])  # fmt: skip
    assert recipe.source.root == tmp_path / "faces"
    assert (recipe.name, recipe.seed) == ("duplicates", 3)
    params = recipe.steps[-1].params
    assert (params.max_distance, params.min_correlation, params.mirrored) == (4, 0.9, True)
    with pytest.raises(InputError, match="Did you mean 'max_distance'"):
        verb_recipe("duplicates", "faces", [("near_duplicates", {"max_distanc": 4})])


def test_duplicates_writes_a_run_that_resumes(find, tables, tmp_path: Path):
    out = tmp_path / "run"
    first = find("synthetic", out, overrides=SMALL)
    names = ["label_conflicts", "exact_duplicates", "near_duplicates", "duplicate_pairs"]
    assert [done.summary["name"] for done in first.steps] == names
    assert read_json(out / "plan.json")["name"] == "duplicates"
    before = tables(out)
    again = find("synthetic", out, overrides=SMALL)
    assert all(done.cached for done in again.steps)
    assert tables(out) == before
    other = find("synthetic", tmp_path / "other", workers=2, overrides=SMALL)
    assert not any(done.cached for done in other.steps)
    assert tables(tmp_path / "other") == before
    pairs = pd.read_parquet(out / "pairs.parquet")
    assert list(pairs.columns) == ["image_id_a", "image_id_b", "kind", "method", "distance", "similarity",
                                   "same_identity", "keep"]  # fmt: skip
    rejected = pd.read_parquet(out / "rejected.parquet")
    named = {frozenset(pair) for pair in zip(pairs["image_id_a"], pairs["image_id_b"], strict=True)}
    assert len(rejected)
    assert {frozenset(pair) for pair in zip(rejected["image_id"], rejected["related_id"], strict=True)} <= named
    assert set(pairs["keep"].dropna()).isdisjoint(rejected["image_id"])
    page = (out / "report/index.html").read_text()
    assert page.count('class="pair') >= len(pairs)


def test_a_person_overrules_and_the_pairs_say_so(find, tmp_path: Path, cache: Path):
    from curate.recipe.story import undo

    out = tmp_path / "run"
    find("synthetic", out, overrides=SMALL)
    row = pd.read_parquet(out / "rejected.parquet").iloc[0]
    with LocalExecutor(1) as executor:
        undo(out, images=[row["image_id"]], executor=executor)
    pairs = pd.read_parquet(out / "pairs.parquet")
    both = {row["image_id"], row["related_id"]}
    this = pairs[pairs[["image_id_a", "image_id_b"]].isin(both).all(axis=1)]
    assert len(this) == 1
    assert this["keep"].isna().all()


def test_calibrated_thresholds_are_stated_and_used(find, tables, tmp_path: Path):
    out = tmp_path / "run"
    few = (*SMALL, "steps.duplicate_calibration.sample=12")
    find("synthetic", out, calibrate=True, precision=0.9, overrides=few)
    chosen = read_json(out / "calibration/chosen.json")
    assert chosen["wanted_precision"] == 0.9
    planned = {step["name"]: step["params"] for step in read_json(out / "plan.json")["steps"]}
    assert planned["near_duplicates"] | chosen["params"] == planned["near_duplicates"]
    before = tables(out)
    again = find("synthetic", out, calibrate=True, precision=0.9, overrides=few)
    assert all(done.cached for done in again.steps)
    assert tables(out) == before
    assert "Recall and precision against the threshold" in (out / "report/index.html").read_text()
    with pytest.raises(CurateError, match="--calibrate chooses max_distance"):
        find("synthetic", out, calibrate=True, near={"max_distance": 3}, overrides=SMALL)
    with pytest.raises(CurateError, match="give --calibrate"):
        find("synthetic", out, precision=0.9, overrides=SMALL)


def test_new_images_against_a_finished_run(find, faces: Path, tmp_path: Path):
    """Another folder, and the same folder grown: old images are looked up, and nothing is decided about them."""
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(faces, old)
    find(old, tmp_path / "first")
    kept = pd.read_parquet(tmp_path / "first/manifest.parquet")["image_id"].tolist()
    (new / "somebody").mkdir(parents=True)
    known, other = kept[0], kept[-1]
    (new / known).parent.mkdir()
    shutil.copy(old / known, new / known)  # the same id, the same identity, the same bytes
    shutil.copy(old / other, new / "somebody" / "x.jpg")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(new / "somebody/y.png")
    find(new, tmp_path / "second", against=tmp_path / "first")
    pairs = pd.read_parquet(tmp_path / "second/pairs.parquet")
    got = [tuple(pair) for pair in pairs[["image_id_a", "image_id_b"]].itertuples(index=False)]
    assert sorted(map(sorted, got)) == sorted([sorted([known, f"against:{known}"]), sorted([other, "somebody/x.jpg"])])
    assert pairs["keep"].dropna().tolist() == [f"against:{known}"]
    left = pd.read_parquet(tmp_path / "second/manifest.parquet")["image_id"].tolist()
    assert left == ["somebody/x.jpg", "somebody/y.png"]
    assert "not an image of the source" not in (tmp_path / "second/report/index.html").read_text()
    assert read_json(tmp_path / "second/plan.json")["against"] == str((tmp_path / "first").resolve())

    shutil.copytree(new / "somebody", old / "somebody")
    result = find(old, tmp_path / "third", against=tmp_path / "first")
    assert result.manifest.frame["image_id"].tolist() == ["somebody/x.jpg", "somebody/y.png"]
    assert any("has seen already" in note for note in result.notes)
    again = find(old, tmp_path / "third", against=tmp_path / "first")
    assert all(done.cached for done in again.steps)
    with pytest.raises(InputError, match="not a run folder"):
        find(new, tmp_path / "fourth", against=tmp_path / "nowhere")


def test_images_without_identity_are_flagged_only(find, faces: Path, tmp_path: Path):
    flat = tmp_path / "flat"
    flat.mkdir()
    image = sorted(faces.rglob("*.jpg"))[0]
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(image, flat / name)
    (flat / "c.jpg").write_bytes(b"no picture")
    result = find(flat, tmp_path / "run")
    assert len(result.manifest) == 3
    pairs = pd.read_parquet(tmp_path / "run/pairs.parquet")
    assert pairs["kind"].tolist() == ["exact_bytes"]
    assert pairs["same_identity"].isna().all()
    assert any("c.jpg" in note for done in result.steps for note in done.summary["notes"])
