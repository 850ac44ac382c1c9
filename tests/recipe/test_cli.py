"""The command line: each verb, and errors without a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from curate.core.files import read_json


def curate(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        [sys.executable, "-m", "curate.cli", *map(str, words)], capture_output=True, text=True, check=False,
        env=environment, cwd=cwd,
    )  # fmt: skip


@pytest.fixture
def recipe(small, tmp_path: Path) -> Path:
    small["source"]["identities"] = 12
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small))
    return path


def test_run_plan_explain_undo(recipe: Path, cache: Path, tmp_path: Path):
    plan = curate("plan", recipe, "--workers", 1, "--cache", tmp_path / "empty")
    assert plan.returncode == 0, plan.stderr
    assert "near_duplicates" in plan.stdout
    assert "images" in plan.stdout

    out = tmp_path / "run"
    done = curate("run", recipe, "--out", out, "--workers", 1, "--cache", cache)
    assert done.returncode == 0, done.stderr
    assert f"Report: {out / 'report' / 'index.html'}" in done.stdout
    assert "recall" in done.stdout
    again = curate("run", recipe, "--out", out, "--workers", 1, "--cache", cache)
    assert again.stdout.count("(done before)") == 11
    assert "cached" in curate("plan", recipe, "--workers", 1, "--cache", cache).stdout
    assert curate("plan", recipe, "--out", out, "--workers", 1, "--cache", cache).stdout.count("done") == 11

    image = pd.read_parquet(out / "rejected.parquet")["image_id"][0]
    told = curate("explain", out, image)
    assert "dropped: " in told.stdout
    back = curate("undo", out, "--image", image, "--workers", 1)
    assert back.returncode == 0, back.stderr
    assert image in set(pd.read_parquet(out / "manifest.parquet")["image_id"])


def test_errors_are_one_line(recipe: Path, finished: Path, tmp_path: Path):
    for words, text in [
        (("run", recipe, "--set", "steps.audit.fra=[0.1]", "--out", tmp_path / "x"), "Did you mean 'far'"),
        (("run", "no_such_recipe"), "no bundled recipe"),
        (("explain", tmp_path, "a"), "not a run folder"),
        (("explain", finished, "nobody"), "has no image"),
        (("run", "lfw_balanced", "--set", f"source.root={tmp_path / 'nowhere'}", "--out", tmp_path / "y"), "nowhere"),
    ]:
        done = curate(*words)
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert text in done.stderr
        assert "Traceback" not in done.stderr


def test_doctor_names_the_extras():
    done = curate("doctor")
    assert done.returncode == 0, done.stderr
    for word in ("streamlit", "dlib", "ray", "demo", "lfw_balanced", "near_duplicates"):
        assert word in done.stdout


def test_importing_curate_loads_nothing_heavy():
    heavy = "{'torch', 'faiss', 'streamlit', 'cv2', 'sklearn', 'numba', 'plotly', 'pandas'}"
    code = f"import sys, curate; print(*sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_public_names_are_there():
    import curate as package

    assert all(getattr(package, name) is not None for name in package.__all__)


def test_the_wheel_works_in_an_empty_folder(tmp_path: Path):
    here = Path(__file__).parents[2]
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns(".venv", ".git", "runs", "__pycache__", "*.egg-info")
    shutil.copytree(here, source, ignore=ignore, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", source], check=True)
    wheel = next((tmp_path / "dist").glob("*.whl"))
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = (
        "import curate; from curate.core.bundled import bundled; print(curate.__file__);"
        "print((bundled('app') / 'main.py').is_file(), len(list(bundled('data_manifests').glob('*.yaml'))) > 5)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=empty, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert found[0].startswith(str(site))
    assert found[1] == "True True"
    done = subprocess.run(
        [sys.executable, "-m", "curate.cli", "run", "demo", "--workers", "1", "--cache", tmp_path / "cache",
         "--set", "source.identities=12"],
        cwd=empty, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert (empty / "runs/demo/report/index.html").is_file()
    faults = pd.read_parquet(empty / "runs/demo/planted/faults.parquet").set_index("fault")
    assert faults["step"].notna().all()  # the demo looks for everything that it plants
    assert faults.loc["shared_identity", "step"] == "overlap"


def test_duplicates_writes_pairs_and_refuses_what_it_does_not_know(cache: Path, tmp_path: Path):
    small = ("--set", "source.identities=6", "--set", "source.images=5", "--workers", 1, "--cache", cache)
    done = curate(
        "duplicates", "synthetic", "--out", tmp_path / "run", "--max-distance", 8, "--linkage", "chain", *small
    )
    assert done.returncode == 0, done.stderr
    assert f"Pairs: {tmp_path / 'run' / 'pairs.parquet'}" in done.stdout
    assert (tmp_path / "run/pairs.parquet").exists()
    steps = {step["name"]: step["params"] for step in read_json(tmp_path / "run/plan.json")["steps"]}
    assert steps["near_duplicates"]["linkage"] == "chain"
    for words, text in [
        (("nowhere", "--out", tmp_path / "x"), "no such file or folder"),
        (("synthetic", "--out", tmp_path / "x", "--linkage", "ring", *small), "linkage"),
        (("synthetic", "--out", tmp_path / "x", "--set", "steps.near_duplicates.maxdistance=2"), "max_distance"),
        (("synthetic", "--out", tmp_path / "x", "--against", tmp_path, *small), "not a run folder"),
    ]:
        refused = curate("duplicates", *words)
        assert refused.returncode == 2, (words, refused.stdout, refused.stderr)
        assert text in refused.stderr
        assert "Traceback" not in refused.stderr
