"""The verbs of this room: run folders that resume, the same for any number of workers, and errors that say what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from curate.cli.shared import app
from curate.core.errors import CurateError, InputError
from curate.core.files import read_json
from curate.core.vectors import unit

runner = CliRunner()


def call(*words: object) -> str:
    """The output of a command; raises what it raised."""
    done = runner.invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def table_bytes(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """A manifest and vectors of 90 persons in two groups, stored as float16 in an order of their own."""
    folder, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    identity = np.repeat(np.arange(90), 4)
    vectors = unit(rng.normal(size=(90, 24))[identity] + 0.8 * rng.normal(size=(360, 24))).astype(np.float16)
    frame = pd.DataFrame({"image_id": [f"{i:04d}" for i in range(360)], "identity": [f"p{k:02d}" for k in identity],
                          "gender": np.array(["f", "m"])[identity % 2]})  # fmt: skip
    frame.to_csv(folder / "manifest.csv", index=False)
    order = rng.permutation(360)
    np.save(folder / "v.npy", vectors[order])
    frame[["image_id"]].iloc[order].to_csv(folder / "v.csv", index=False)
    return folder


def test_all_pairs_resumes_and_is_the_same_for_any_workers(faces, tmp_path):
    asked = ("audit", "all-pairs", "--vectors", faces / "v.npy", "--manifest", faces / "manifest.csv", "--group-by",
             "gender", "--far", "1e-1,1e-2", "--identify", "--set", "steps.audit.draws=50")  # fmt: skip
    out = call(*asked, "--out", tmp_path / "one", "--workers", 1)
    assert "FMR (FAR) at 0.01" in out
    before = table_bytes(tmp_path / "one")
    assert {"audit/rates.parquet", "audit/cross.parquet", "audit/identification.parquet"} <= set(before)
    plan = read_json(tmp_path / "one/plan.json")
    assert plan["name"] == "audit"
    assert plan["steps"][-1]["params"]["split"] is None
    assert "done before" in call(*asked, "--out", tmp_path / "one", "--workers", 1)
    call(*asked, "--out", tmp_path / "two", "--workers", 2)
    assert table_bytes(tmp_path / "two") == before == table_bytes(tmp_path / "one")
    page = (tmp_path / "one/report/index.html").read_text()
    for words in ("DET curve per group", "within and between groups", "95% limits", "Identification against gallery"):
        assert words in page
    results = read_json(tmp_path / "one/audit/results.json")
    rates = pd.read_parquet(tmp_path / "one/audit/rates.parquet")
    assert len(results["error_rates"]) == len(rates)
    assert results["error_rates"][0]["false_match_rate"]["value"] == rates["fmr"].iloc[0]


def test_pairs_resumes_and_compares(faces, tmp_path):
    rng = np.random.default_rng(1)
    genuine = np.arange(600) % 2
    score = {name: rng.normal(size=600) + shift * genuine for name, shift in (("good", 3), ("poor", 1))}
    frame = pd.DataFrame({"y": genuine, "g": np.array(["a", "b"])[np.arange(600) % 3 % 2], **score})
    frame.to_csv(tmp_path / "scores.csv", index=False)
    for name in ("good", "poor"):
        asked = ("audit", "pairs", tmp_path / "scores.csv", "--score", name, "--label", "y", "--group", "g", "--far",
                 "0.05", "--out", tmp_path / name)  # fmt: skip
        assert "FMR (FAR) at 0.05" in call(*asked)
        assert "done before" in call(*asked)
    out = call("compare", tmp_path / "good", tmp_path / "poor", "--out", tmp_path / "both.csv", "--draws", 100)
    assert "differences are paired" in out
    made = pd.read_csv(tmp_path / "both.csv").query("measure == 'fnmr' and group_a == 'all'").iloc[0]
    assert made["difference_low"] > 0
    # Another table under the same name is another input: the audit is made again.
    frame.assign(good=frame["poor"]).to_csv(tmp_path / "scores.csv", index=False)
    asked = ("audit", "pairs", tmp_path / "scores.csv", "--score", "good", "--label", "y", "--far", "0.05", "--out",
             tmp_path / "good")  # fmt: skip
    assert "02 audit_scores" in call(*asked)
    assert pd.read_parquet(tmp_path / "good/audit/rates.parquet")["fnmr"].iloc[0] > 0.5


def test_only_thresholds(faces, tmp_path):
    call("audit", "all-pairs", "--vectors", faces / "v.npy", "--manifest", faces / "manifest.csv", "--threshold",
         "0.4,0.5", "--out", tmp_path / "run")  # fmt: skip
    rates = pd.read_parquet(tmp_path / "run/audit/rates.parquet")
    assert rates["threshold"].tolist() == [0.4, 0.5]
    assert rates["far_target"].isna().all()


def test_bad_input_is_named(faces, tmp_path):
    given = ("audit", "all-pairs", "--manifest", faces / "manifest.csv", "--out", tmp_path / "run")
    with pytest.raises(CurateError, match="--far takes numbers"):
        call(*given, "--vectors", faces / "v.npy", "--far", "1e-2;1e-3")
    with pytest.raises(InputError, match="no such"):
        call(*given, "--vectors", faces / "none.npy")
    with pytest.raises(InputError, match="far"):
        call(*given, "--vectors", faces / "v.npy", "--far", "0")
    np.save(tmp_path / "long.npy", 3 * np.load(faces / "v.npy").astype(np.float32))
    (tmp_path / "long.csv").write_bytes((faces / "v.csv").read_bytes())
    with pytest.raises(InputError, match="not of unit length"):
        call(*given, "--vectors", tmp_path / "long.npy")
    np.save(tmp_path / "other.npy", np.load(faces / "v.npy"))
    ids = pd.read_csv(faces / "v.csv", dtype=str)
    ids.assign(image_id="x" + ids["image_id"]).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(InputError, match="none of the manifest's images has a vector"):
        call(*given, "--vectors", tmp_path / "other.npy")
    with pytest.raises(InputError, match="no such file"):
        call("audit", "pairs", tmp_path / "none.csv", "--score", "s", "--label", "y", "--out", tmp_path / "run")


def test_images_without_a_vector_are_failures_to_acquire(faces, tmp_path):
    ids = pd.read_csv(faces / "v.csv", dtype=str)
    np.save(tmp_path / "some.npy", np.load(faces / "v.npy")[:300])
    ids.head(300).to_csv(tmp_path / "some.csv", index=False)
    call("audit", "all-pairs", "--vectors", tmp_path / "some.npy", "--manifest", faces / "manifest.csv",
         "--far", "0.01", "--out", tmp_path / "run")  # fmt: skip
    acquired = pd.read_parquet(tmp_path / "run/audit/acquisition.parquet").iloc[0]
    assert (acquired["images"], acquired["failures"]) == (360, 60)
