"""A run becomes a FiftyOne dataset, the same one when pushed again."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from curate.core.bundled import bundled_module
from curate.core.errors import InputError, MissingExtra
from curate.core.files import read_json, write_json


def test_without_fiftyone_the_pip_line_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(MissingExtra, match=r"pip install 'curate\[app\]'"):
        bundled_module("app", "fiftyone_bridge").push(run)


def test_a_run_without_pixels_is_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    plan = read_json(copy / "plan.json")
    write_json(copy / "plan.json", plan | {"source": {"root": None}})
    with pytest.raises(InputError, match="no pixels"):
        bundled_module("app", "fiftyone_bridge").push(copy)


def test_pushing_twice_gives_the_same_samples(mongodb: str, run: Path) -> None:
    pytest.importorskip("fiftyone")
    bridge = bundled_module("app", "fiftyone_bridge")
    source = pd.read_parquet(run / "steps/00-source/manifest.parquet").set_index("image_id")
    rejected = pd.read_parquet(run / "rejected.parquet").set_index("image_id")
    dataset = bridge.push(run, "curate-test-bridge")
    try:
        first = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
        assert sorted(first) == list(source.index)
        sample = dataset[first[rejected.index[0]]]
        sample.tags.append("mine")
        sample.save()

        again = bridge.push(run, "curate-test-bridge")
        assert dict(zip(*again.values(["image_id", "id"]), strict=True)) == first
        assert again.persistent
        for image, row in rejected.iterrows():
            sample = again[first[image]]
            assert sample.tags.count(f"curate:drop:{row['reason']}") == 1
            assert sample[f"{row['step']}_reason"] == row["reason"]
            assert sample["kept"] is False
            if pd.notna(row["score"]):
                assert sample[f"{row['step']}_score"] == row["score"]
            if pd.notna(row["related_id"]):
                assert sample[f"{row['step']}_related_id"] == row["related_id"]
        assert "mine" in again[first[rejected.index[0]]].tags, "a person's tags stay"
        labels = dict(zip(*again.values(["image_id", "gender.label"]), strict=True))
        assert labels == {i: (None if pd.isna(v) else v) for i, v in source["gender"].items()}
        assert len(again.match_tags("curate:drop:exact_bytes")) == (rejected["reason"] == "exact_bytes").sum()
    finally:
        dataset.delete()


def test_a_foreign_dataset_is_left_alone(mongodb: str, run: Path) -> None:
    fo = pytest.importorskip("fiftyone")
    dataset = fo.Dataset("curate-test-foreign", overwrite=True)
    try:
        with pytest.raises(InputError, match="not made by curate"):
            bundled_module("app", "fiftyone_bridge").push(run, "curate-test-foreign")
        assert len(dataset) == 0
    finally:
        dataset.delete()
