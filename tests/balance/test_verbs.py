"""`curate imbalance`, `curate balance`, `curate materialise`: run folders with a plan, which resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from curate.cli import app
from curate.core.errors import CurateError
from curate.core.manifest import read_manifest


def curate(*words: object, cache: Path) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATE_CACHE", str(cache))
        patch.setenv("COLUMNS", "200")
        return CliRunner().invoke(app, [*map(str, words), "--workers", "1"])


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """A long-tailed table of three labels."""
    rng = np.random.default_rng(0)
    identity = rng.choice(20, 300, p=(share := np.arange(1, 21) ** -1.2) / share.sum())
    frame = pd.DataFrame(
        {"image_id": [f"i{n:04}" for n in range(300)], "identity": [f"p{who:02}" for who in identity],
         "gender": np.where(identity % 3 == 0, "f", "m"), "hat": rng.choice(["no", "yes"], 300, p=[0.9, 0.1])}
    )  # fmt: skip
    path = tmp_path_factory.mktemp("table") / "faces.csv"
    frame.to_csv(path, index=False)
    return path


def test_imbalance_prints_json_and_keeps_a_run_folder(table: Path, tmp_path: Path):
    out = tmp_path / "run"
    words = ("imbalance", table, "--labels", "identity,gender,hat", "--out", out)
    done = curate(*words, "--json", cache=tmp_path)
    assert done.exit_code == 0, done.output + repr(done.exception)
    said = json.loads(done.stdout)
    assert [row["label"] for row in said["labels"]] == ["identity", "gender", "hat"]
    measures = {"categories", "images", "missing", "idr", "max_min", "mean_ir", "cvir", "scumble", "gini",
                "normalised_entropy", "effective_number", "smallest", "smallest_images"}  # fmt: skip
    assert measures <= said["labels"][0].keys()
    assert said["labels"][0]["idr"] > 2
    assert {"images", "identities", "irlbl", "scumble", "effective_size"} <= said["cells"][0].keys()
    assert [row["category"] for row in said["categories"]] == ["f", "m", "no", "yes"]
    assert all(row["irlbl"] >= 1 for row in said["categories"])
    assert (out / "plan.json").is_file()
    again = curate(*words, cache=tmp_path)
    assert "IDR identity" in again.stdout


def test_balance_writes_a_manifest_and_resumes(table: Path, tmp_path: Path):
    out = tmp_path / "run"
    words = ("balance", table, "--method", "idr", "--labels", "identity,gender,hat", "--target", 1.5, "--budget", 5000,
             "--seed", 3, "--out", out, "--compare")  # fmt: skip
    done = curate(*words, cache=tmp_path)
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert "random_over" in done.stdout
    plan = json.loads((out / "plan.json").read_text())
    assert plan["seed"] == 3
    assert [step["name"] for step in plan["steps"] if step["name"] != "label_conflicts"] == [
        "rivals", "oversample", "imbalance",
    ]  # fmt: skip
    made = read_manifest(out / "manifest.parquet")
    assert (~made.originals()).sum() > 100
    compared = pd.read_parquet(out / "balance" / "rivals.parquet").set_index("method")
    assert compared.loc["idr", "identity_idr"] <= 1.5
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    again = curate(*words, cache=tmp_path)
    assert again.stdout.count("(done before)") == len(plan["steps"])
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == before


def test_each_method_runs_by_its_name(table: Path, tmp_path: Path):
    done = curate("balance", table, "--method", "wider", "--keep", 0.3, "--labels", "identity,gender", "--out",
                  tmp_path / "run", cache=tmp_path)  # fmt: skip
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert len(read_manifest(tmp_path / "run" / "manifest.parquet")) == 90
    wrong = curate("balance", table, "--method", "widr", "--out", tmp_path / "x", cache=tmp_path)
    assert isinstance(wrong.exception, CurateError)
    assert "Did you mean 'wider'" in str(wrong.exception)
    unseen = curate("balance", table, "--method", "herding", "--out", tmp_path / "y", cache=tmp_path)
    assert isinstance(unseen.exception, CurateError)
    assert "needs vectors" in str(unseen.exception)


def test_a_run_with_pixels_shows_the_batch_and_becomes_files(tmp_path: Path):
    run, files = tmp_path / "run", tmp_path / "files"
    done = curate("balance", "synthetic", "--labels", "identity,gender", "--set", "source.identities=10", "--set",
                  "source.images=5", "--set", "source.benchmark=0", "--method", "herding", "--images", 3, "--augment",
                  "light", "--out", run, cache=tmp_path)  # fmt: skip
    assert done.exit_code == 0, done.output + repr(done.exception)
    page = (run / "report" / "index.html").read_text()
    assert "A training batch before and after" in page
    assert page.count("photograph</span>") > 20
    written = curate("materialise", run, "--out", files, "--augment", "light", "--size", 32, cache=tmp_path)
    assert written.exit_code == 0, written.output + repr(written.exception)
    made = read_manifest(files / "manifest.parquet", root=files / "images")
    assert all((files / "images" / path).is_file() for path in made.frame["path"])
    assert f"{len(made):,} files written" in written.stdout
