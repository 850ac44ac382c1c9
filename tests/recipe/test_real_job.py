"""The whole job on real faces: a tenth of them, so that it is quick."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from curate.core import columns as col
from curate.recipe.execute import LocalExecutor
from curate.recipe.run import run_recipe
from curate.recipe.schema import load_recipe
from curate.recipe.story import explain, undo

TABLES = ("manifest.parquet", "rejected.parquet", "protocol/pairs.parquet", "audit/rates.parquet", "report/index.html")


def test_a_folder_of_real_faces(real_data: Path, tmp_path: Path):
    faces = real_data / "lfw-faces-112"
    for person in sorted((faces / "images").iterdir())[::10]:
        shutil.copytree(person, tmp_path / "faces" / person.name)
    recipe = load_recipe("lfw_balanced", [
        f"source.root={tmp_path / 'faces'}", f"source.labels={faces / 'labels.csv'}",
        "steps.oversample.budget=2000", "steps.verification_protocol.pairs_per_group=100",
    ])  # fmt: skip
    with LocalExecutor(1) as executor:
        result = run_recipe(recipe, tmp_path / "run", executor=executor, cache=tmp_path / "cache")
        assert [name for name in TABLES if not (tmp_path / "run" / name).exists()] == []
        listed = sum(1 for _ in (tmp_path / "faces").rglob("*.jpg"))
        rejected = pd.read_parquet(tmp_path / "run/rejected.parquet")
        assert len(rejected) + int(result.manifest.originals().sum()) == listed
        for image in rejected[col.IMAGE_ID][::7]:
            assert explain(tmp_path / "run", image)[-1].text == "left out of the manifest"
        image = rejected.loc[rejected["step"] == "small_identities", col.IMAGE_ID].iloc[0]
        again = undo(tmp_path / "run", images=[image], executor=executor)
        assert image in set(again.manifest.frame[col.IMAGE_ID])
