"""Runs: resumed, changed, interrupted by a full disk, held by another."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import CurateError, InputError
from curate.core.files import read_json
from curate.core.manifest import read_manifest
from curate.core.shapes import STEPS, StrictParams, step
from curate.recipe.execute import LocalExecutor
from curate.recipe.run import plan_recipe
from curate.recipe.schema import make_recipe


def test_every_room_leaves_its_table(finished: Path):
    names = ["manifest.parquet", "rejected.parquet", "protocol/pairs.parquet", "audit/rates.parquet",
             "imbalance/labels.parquet", "planted/faults.parquet", "report/index.html", "plan.json"]  # fmt: skip
    assert [name for name in names if not (finished / name).exists()] == []


def test_nothing_is_lost(finished: Path):
    source = read_manifest(finished / "steps/00-source/manifest.parquet")
    final = read_manifest(finished / "manifest.parquet")
    rejected = pd.read_parquet(finished / "rejected.parquet")
    originals = final.frame[final.originals()]
    assert sorted([*originals[col.IMAGE_ID], *rejected[col.IMAGE_ID]]) == source.frame[col.IMAGE_ID].tolist()
    assert rejected["reason"].notna().all()


def test_replicas_stay_in_training(finished: Path):
    final = read_manifest(finished / "manifest.parquet")
    replicas = final.frame[~final.originals()]
    assert len(replicas)
    assert set(replicas[col.SPLIT]) == {col.TRAIN}
    pairs = pd.read_parquet(finished / "protocol/pairs.parquet")
    assert not set(pairs["image_id_a"]) & set(replicas[col.IMAGE_ID])


def test_no_absolute_path_and_no_host_in_any_table(finished: Path, cache: Path):
    for path in finished.rglob("*.parquet"):
        text = pq.read_table(path).to_pandas().to_csv()
        assert str(cache) not in text, path
        assert os.uname().nodename not in text, path


def test_the_same_command_resumes(small, go, tables, tmp_path: Path):
    first = go(small, tmp_path / "run")
    before = tables(tmp_path / "run")
    again = go(small, tmp_path / "run")
    assert not any(done.cached for done in first.steps)
    assert all(done.cached for done in again.steps)
    assert tables(tmp_path / "run") == before


def test_the_plan_says_what_is_done(small, go, cache: Path, tmp_path: Path):
    def planned() -> set[str]:
        _, rows = plan_recipe(make_recipe(small), tmp_path / "run", executor=LocalExecutor(1), cache=cache)
        return {row.name for row in rows if row.done}

    assert planned() == set()
    assert not (tmp_path / "run").exists()
    ran = {step.summary["name"] for step in go(small, tmp_path / "run").steps}
    assert planned() == ran
    shutil.rmtree(next((tmp_path / "run/steps").glob("*planted_faults")))
    assert planned() == ran - {"planted_faults"}
    small["steps"][3] = {"small_identities": {"min_images": 4}}
    expected = planned()
    assert "near_duplicates" in expected
    assert expected == {step.summary["name"] for step in go(small, tmp_path / "run").steps if step.cached}


def test_a_changed_parameter_changes_what_follows_and_nothing_before(small, go, tmp_path: Path):
    go(small, tmp_path / "run")
    small["steps"][3] = {"small_identities": {"min_images": 4}}
    again = go(small, tmp_path / "run")
    cached = {done.summary["name"]: done.cached for done in again.steps}
    assert cached["near_duplicates"]
    assert not cached["small_identities"]
    assert not cached["audit"]


def test_a_removed_step_leaves_no_folder(small, go, tmp_path: Path):
    go(small, tmp_path / "run")
    del small["steps"][2]
    go(small, tmp_path / "run")
    folders = sorted(path.name for path in (tmp_path / "run/steps").iterdir())
    assert [f"{step['order']:02d}-{step['name']}" for step in read_json(tmp_path / "run/plan.json")["steps"]] == (
        folders[1:]
    )


def test_a_tampered_table_is_made_again(small, go, tables, tmp_path: Path):
    go(small, tmp_path / "run")
    before = tables(tmp_path / "run")
    victim = next((tmp_path / "run/steps").glob("*near_duplicates")) / "decisions.parquet"
    frame = pd.read_parquet(victim)
    frame.head(0).to_parquet(victim)
    go(small, tmp_path / "run")
    assert tables(tmp_path / "run") == before


def test_a_changed_image_is_seen(small, go, tmp_path: Path):
    first = go(small, tmp_path / "one")
    images = tmp_path / "faces"
    shutil.copytree(first.manifest.root, images)
    small["source"] = {"kind": "folder", "root": str(images)}
    small["labels"] = {}
    small["steps"] = ["unreadable", "exact_duplicates"]
    before = go(small, tmp_path / "two")
    victim = images / before.manifest.frame[col.PATH][0]
    victim.write_bytes(b"no longer an image")
    after = go(small, tmp_path / "two")
    assert len(after.manifest) == len(before.manifest) - 1


def test_a_full_disk_says_so_and_the_run_resumes(small, go, tables, tmp_path: Path, monkeypatch):
    go(small, tmp_path / "whole")
    real = pq.write_table

    def full(table, where, *args, **kwargs):
        if "rates" in str(where):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(table, where, *args, **kwargs)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(CurateError, match="No space left on device.*run the same command again"):
        go(small, tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.part"))
    monkeypatch.undo()
    again = go(small, tmp_path / "run")
    assert again.steps[0].cached
    assert tables(tmp_path / "run") == tables(tmp_path / "whole")


def test_a_second_run_fails_at_once_and_names_the_pid(small, go, tmp_path: Path):
    (tmp_path / "run").mkdir()
    code = (
        "import fcntl,os,sys,time; f=os.open(sys.argv[1],os.O_RDWR|os.O_CREAT); fcntl.flock(f,fcntl.LOCK_EX);"
        "os.pwrite(f,str(os.getpid()).encode(),0); print('held',flush=True); time.sleep(60)"
    )
    held = tmp_path / "run/.lock"
    with subprocess.Popen([sys.executable, "-c", code, str(held)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(CurateError, match=f"pid {holder.pid}"):
                go(small, tmp_path / "run")
        finally:
            holder.kill()
    # The lock died with its process.
    with open(held) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_need_that_nothing_provides(small, go, tmp_path: Path):
    pd.DataFrame({"image_id": ["a", "b"], "identity": ["x", "x"]}).to_csv(tmp_path / "plain.csv", index=False)
    small["source"] = {"kind": "table", "path": str(tmp_path / "plain.csv")}
    small["labels"] = {}
    small["steps"] = ["near_duplicates"]
    with pytest.raises(CurateError, match="'near_duplicates' needs .* the source has none.*source.root"):
        go(small, tmp_path / "run")


def test_a_plain_table_needs_no_pixels(small, go, tmp_path: Path):
    pd.DataFrame({"image_id": ["a", "b", "c"], "identity": ["x", "x", "y"]}).to_csv(tmp_path / "t.csv", index=False)
    small["source"] = {"kind": "table", "path": str(tmp_path / "t.csv")}
    small["labels"] = {}
    small["steps"] = [{"small_identities": {"min_images": 2}}]
    assert go(small, tmp_path / "run").manifest.frame[col.IMAGE_ID].tolist() == ["a", "b"]


def test_what_is_missing_is_said_before_the_work(small, go, finished: Path, tmp_path: Path):
    root = read_json(finished / "plan.json")["source"]["root"]
    small["source"], small["labels"] = {"kind": "folder", "root": str(Path(root) / "..") + "/benchmark/images"}, {}
    small["steps"] = ["unreadable", "planted_faults"]
    with pytest.raises(CurateError, match="no truth table"):
        go(small, tmp_path / "run")
    small["embedder"] = {"kind": "vectors", "path": str(tmp_path / "nowhere")}
    small["steps"] = ["unreadable", {"audit": {"group_by": [], "split": None}}]
    with pytest.raises(CurateError, match="no such vectors"):
        go(small, tmp_path / "run")
    assert not (tmp_path / "run/plan.json").exists()


class _ListParams(StrictParams):
    """A list of names to drop, and whether pixels matter."""

    names: Path
    pixels: bool = False


@pytest.fixture
def named_drops():
    """A step that reads a file, and needs pixels only if told so."""

    @step("named_drops", needs=lambda params: ("quality",) if params.pixels else ())
    def named_drops(manifest, features, params: _ListParams, rng) -> Decisions:
        assert ("quality" in features) == params.pixels
        wanted = params.names.read_text().split()
        return Decisions.of([name for name in wanted if name in manifest.frame[col.IMAGE_ID].array], col.DROP, "named")

    yield named_drops
    del STEPS["named_drops"]


def test_a_file_that_a_step_reads_is_an_input(named_drops, small, go, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("")
    small["steps"] = ["unreadable", {"named_drops": {"names": "names.txt"}}]
    first = go(small, tmp_path / "run")
    again = go(small, tmp_path / "run")
    assert [done.cached for done in again.steps] == [True, True, True]
    Path("names.txt").write_text(first.manifest.frame[col.IMAGE_ID][0])
    changed = go(small, tmp_path / "run")
    assert [done.cached for done in changed.steps] == [True, True, False]
    assert len(changed.manifest) == len(first.manifest) - 1
    planned = read_json(tmp_path / "run/plan.json")["recipe"]["steps"][1]
    assert planned == {"named_drops": {"names": str((tmp_path / "names.txt").resolve())}}
    assert small["steps"][1] == {"named_drops": {"names": "names.txt"}}
    small["steps"][1]["named_drops"]["pixels"] = True
    assert not go(small, tmp_path / "run").steps[2].cached


@pytest.mark.parametrize(
    ("name", "field"),
    [("holdout", "stratify"), ("oversample", "labels"), ("imbalance", "cells"), ("audit", "group_by")],
)
def test_a_misspelt_label_is_refused_before_anything_runs(small, go, tmp_path: Path, name, field):
    params = next(entry[name] for entry in small["steps"] if isinstance(entry, dict) and name in entry)
    params[field] = ["gendre"]
    with pytest.raises(InputError, match=rf"no label 'gendre'; steps.{name}.{field}.*Did you mean 'gender'"):
        go(small, tmp_path / "run")
    assert not list((tmp_path / "run" / "steps").glob("01-*"))
