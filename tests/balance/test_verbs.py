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
        "rivals", "reach", "oversample", "imbalance",
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


def people(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def test_a_target_out_of_reach_is_said_before_the_replicas_are_drawn(tmp_path: Path):
    # Two of the three values of b belong to one value of a: both can't be level.
    kinds = np.repeat([0, 1, 2], [5, 5, 1])
    frame = pd.DataFrame({"image_id": [f"i{n:02}" for n in range(11)], "identity": [f"p{n % 3}" for n in range(11)],
                          "a": np.array(["x", "x", "y"])[kinds], "b": np.array(["k", "l", "m"])[kinds]})  # fmt: skip
    done = curate("balance", people(tmp_path / "t.csv", frame), "--labels", "a,b", "--target", 1, "--out",
                  tmp_path / "run", cache=tmp_path)  # fmt: skip
    assert done.exit_code == 0, done.output + repr(done.exception)
    said = "The target IDR of 1 can't be reached: no replicas of these images bring the labels there: 'b' prevents it"
    assert said in done.stdout
    assert done.stdout.index(said) < done.stdout.index(" oversample ")
    reach = pd.read_parquet(tmp_path / "run" / "balance" / "reach.parquet").set_index("label")
    assert reach["out_of_reach"].to_dict() == {"a": "not proven", "b": "not proven", "all labels": "proven"}
    assert reach.loc["a", "replicas_at_least"] == 9
    capped = curate("balance", tmp_path / "t.csv", "--labels", "b", "--target", 1, "--out", tmp_path / "capped",
                    "--set", "steps.oversample.max_replicas_per_image=1", cache=tmp_path)  # fmt: skip
    assert "with these caps D1 of 'b' comes to" in capped.stdout[: capped.stdout.index(" oversample ")]


@pytest.mark.parametrize(("words", "said"), [
    (("--labels", "identity,gendre"), "the label 'gendre' has no column. Did you mean 'gender'?"),
    (("--target", 0.5), r"'steps.oversample.target': Input should be greater than or equal to 1; found 0.5"),
    (("--budget", 0), r"'steps.oversample.budget': Input should be greater than or equal to 1; found 0"),
    (("--set", "steps.oversample.targt=2"), "targt"),
    (("--method", "quota", "--labels", "identity,gender", "--images", 500), "identities with 500 images or more"),
])  # fmt: skip
def test_bad_input_is_an_error_that_says_what_to_do(table: Path, tmp_path: Path, words, said):
    done = curate("balance", table, *words, "--out", tmp_path / "run", cache=tmp_path)
    assert isinstance(done.exception, CurateError)
    assert said in str(done.exception).replace("reach", "oversample")


def test_labels_that_can_not_be_balanced_are_said(tmp_path: Path):
    frame = pd.DataFrame({"image_id": [f"i{n}" for n in range(8)], "identity": list("aaabbbcd"), "one": "x",
                          "none": [None] * 8})  # fmt: skip
    done = curate("balance", people(tmp_path / "t.csv", frame), "--labels", "one,none", "--out", tmp_path / "run",
                  cache=tmp_path)  # fmt: skip
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert "one: one category only (x); its IDR is 1 by definition" in done.stdout
    assert "the label 'none' has no value among the images: it takes no part" in done.stdout
    assert len(read_manifest(tmp_path / "run" / "manifest.parquet")) == 8


def test_replicas_that_are_there_already_are_redrawn(table: Path, tmp_path: Path):
    words = ("--labels", "identity,gender,hat", "--target", 1.5)
    for name, source, seed in (
        ("one", table, 1),
        ("two", tmp_path / "one" / "manifest.parquet", 2),
        ("other", table, 2),
    ):
        done = curate("balance", source, *words, "--seed", seed, "--out", tmp_path / name, cache=tmp_path)
        assert done.exit_code == 0, done.output + repr(done.exception)
    one, two, other = (read_manifest(tmp_path / name / "manifest.parquet") for name in ("one", "two", "other"))
    assert two.originals().sum() == one.originals().sum() == 300
    assert two.frame["augment_seed"].tolist() == other.frame["augment_seed"].tolist()
    assert set(two.frame["parent_id"].dropna()) <= set(two.frame["image_id"][two.originals()])
