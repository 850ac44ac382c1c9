"""The same bytes for any number of kills and workers, and for any order of the input."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import pytest
import yaml

from curate.core import columns as col
from curate.recipe.execute import LocalExecutor
from curate.recipe.run import run_recipe
from curate.recipe.schema import make_recipe
from tests.recipe.conftest import SMALL
from tests.recovery.kills import digests, kill_often


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments(tmp_path: Path, seed: int):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump(SMALL))
    tally = kill_often(("run", str(recipe)), tmp_path, kills=3, seed=seed)
    assert tally.kills == 3
    assert tally.differing == 0


def _run(raw: dict, out: Path, cache: Path, workers: int) -> Path:
    with LocalExecutor(workers) as executor:
        run_recipe(make_recipe(raw), out, executor=executor, cache=cache)
    return out


def test_workers_and_order_change_nothing(tmp_path: Path):
    one = _run(copy.deepcopy(SMALL), tmp_path / "one", tmp_path / "cache1", 1)
    two = _run(copy.deepcopy(SMALL), tmp_path / "two", tmp_path / "cache2", 2)
    assert digests(one) == digests(two)

    source = pd.read_parquet(one / "steps/00-source/manifest.parquet")
    found = {}
    for seed in (0, 1):
        shuffled = source.sample(frac=1, random_state=seed)
        assert shuffled[col.IMAGE_ID].tolist() != source[col.IMAGE_ID].tolist()
        table = tmp_path / f"order{seed}" / "faces.csv"
        table.parent.mkdir()
        shuffled.to_csv(table, index=False)
        raw = copy.deepcopy(SMALL)
        root = image_root(one)
        raw["source"] = {"kind": "table", "path": str(table), "root": root}
        raw["steps"] = [step for step in raw["steps"] if step != "planted_faults"]
        found[seed] = digests(_run(raw, tmp_path / f"run{seed}", tmp_path / "cache1", 1))
    assert found[0] == found[1]


def test_a_cluster_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray")
    from curate.recipe.execute import RayExecutor

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    raw = copy.deepcopy(SMALL)
    raw["source"]["identities"] = 12
    local = _run(copy.deepcopy(raw), tmp_path / "local", tmp_path / "cache1", 1)
    with RayExecutor(2) as executor:
        run_recipe(make_recipe(raw), tmp_path / "ray", executor=executor, cache=tmp_path / "cache2")
    assert digests(local) == digests(tmp_path / "ray")


def image_root(run: Path) -> str:
    """The folder of a finished run's images."""
    from curate.core.files import read_json

    return read_json(run / "plan.json")["source"]["root"]
