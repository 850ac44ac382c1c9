"""`curate noise` and `curate noise-sample`: a run that resumes, tables that say why, judgements that become rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.core.errors import CurateError, InputError
from curate.core.files import read_json
from curate.recipe.execute import LocalExecutor
from curate.recipe.judged import draw_noise_sample, judge_noise_sample
from curate.recipe.verbs import run_noise


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray]:
    """A table of 600 images with labels, their vectors beside it in another order, and which names are wrong."""
    folder, rng = tmp_path_factory.mktemp("names"), np.random.default_rng(0)
    person = rng.normal(size=(50, 32))
    shown = np.repeat(np.arange(50), 12)
    x = person[shown] + 0.5 * rng.normal(size=(600, 32))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    label = shown.copy()
    wrong = rng.choice(600, 60, replace=False)
    label[wrong] = (shown[wrong] + rng.integers(1, 50, 60)) % 50
    ids = np.array([f"{row:03d}" for row in range(600)])
    table = pd.DataFrame({"image_id": ids, "identity": [f"p{name}" for name in label],
                          "gender": np.where(label % 2, "f", "m")})  # fmt: skip
    table.to_csv(folder / "set.csv", index=False)
    order = rng.permutation(600)
    np.save(folder / "x.npy", x[order].astype(np.float16))
    pd.DataFrame({"image_id": ids[order]}).to_csv(folder / "rows.csv", index=False)
    return folder / "set.csv", folder / "x.npy", label != shown


@pytest.fixture
def find(source, cache: Path):
    def call(out: Path, workers: int = 1, **more):
        with LocalExecutor(workers) as executor:
            return run_noise(str(source[0]), out, executor=executor, cache=cache, **more)

    return call


def test_noise_writes_a_run_that_resumes(find, source, tables, tmp_path: Path):
    given = {"vectors": source[1], "ids": source[1].with_name("rows.csv"), "group_by": ("gender",)}
    out = tmp_path / "run"
    first = find(out, **given)
    assert [done.summary["name"] for done in first.steps] == [
        "label_conflicts",
        "label_noise",
        "noise",
        "filter_impact",
    ]
    assert read_json(out / "plan.json")["name"] == "noise"
    before = tables(out)
    assert all(done.cached for done in find(out, **given).steps)
    assert tables(out) == before
    find(tmp_path / "other", workers=2, **given)
    assert tables(tmp_path / "other") == before

    noise = pd.read_parquet(out / "noise.parquet")
    assert {"image_id", "identity", "kind", "score", "confidence", "suggested_identity", "action"} <= set(noise.columns)
    sure = noise[(noise["confidence"] >= 0.5) & (noise["kind"] == "mislabelled")]
    rows = np.isin(np.arange(600), sure["image_id"].astype(int))
    assert 2 * (rows & source[2]).sum() / (rows.sum() + source[2].sum()) > 0.95
    assert noise["confidence"].between(0.1, 1).all()
    assert set(sure["action"]) == {"drop"}
    limits = pd.read_parquet(out / "noise_thresholds.parquet")
    assert set(limits["group"].dropna()) == {"f", "m"}
    impact = pd.read_parquet(out / "filter_impact.parquet")
    assert impact[(impact["step"] == "all").to_numpy()]["removed"].sum() == (noise["action"] == "drop").sum()
    assert "From which score a name counts as wrong" in (out / "report/index.html").read_text()


def test_what_does_not_fit_together_is_refused(find, source, tmp_path: Path):
    with pytest.raises(CurateError, match="--ids names the rows of --vectors"):
        find(tmp_path / "a", ids=source[0])
    with pytest.raises(CurateError, match="give --group-by"):
        find(tmp_path / "b", vectors=source[1], max_difference=0.1)
    with pytest.raises(CurateError, match="needs vectors"):
        find(tmp_path / "c")
    with pytest.raises(InputError, match="beside it, or named as ids"):
        find(tmp_path / "d", vectors=source[1])
    few = tmp_path / "few.csv"
    pd.read_csv(source[1].with_name("rows.csv"), dtype=str).head(7).to_csv(few, index=False)
    with pytest.raises(InputError, match="ids and vectors differ"):
        find(tmp_path / "e", vectors=source[1], ids=few)
    few.write_text("name\n1\n")
    with pytest.raises(InputError, match="'image_id' is missing"):
        find(tmp_path / "f", vectors=source[1], ids=few)


def test_a_run_refuses_to_go_on_where_groups_lose_unequally(find, source, tmp_path: Path):
    labels = pd.read_csv(source[0], dtype=str)
    labels["group"] = np.where(source[2] | (np.arange(600) % 7 == 0), "much", "little")
    labels.to_csv(tmp_path / "set.csv", index=False)
    given = {"vectors": source[1], "ids": source[1].with_name("rows.csv"), "group_by": ("group",)}
    overrides = ("labels.group=image",)
    with LocalExecutor(1) as executor:
        out = tmp_path / "run"
        with pytest.raises(CurateError, match=r"label_noise removed .* of the images of much and 0\.\d% of those of l"):
            run_noise(str(tmp_path / "set.csv"), out, executor=executor, max_difference=0.2, cache=tmp_path / "c",
                      overrides=overrides, **given)  # fmt: skip
        run_noise(str(tmp_path / "set.csv"), out, executor=executor, max_difference=0.9, cache=tmp_path / "c",
                  overrides=overrides, **given)  # fmt: skip
    assert (out / "filter_impact.parquet").exists()


def test_judgements_become_precision_and_recall(find, source, tmp_path: Path):
    out = tmp_path / "run"
    find(out, vectors=source[1], ids=source[1].with_name("rows.csv"))
    place = tmp_path / "sample.csv"
    sample = draw_noise_sample(out, 120, place)
    assert 80 <= len(sample) <= 130
    assert "rest" in set(sample["stratum"])
    with pytest.raises(InputError, match="may hold answers"):
        draw_noise_sample(out, 120, place)
    filled = pd.read_csv(place, dtype=str)
    truth = source[2][filled["image_id"].astype(int)]
    filled["fault"] = np.where((filled["kind"].isin(["mislabelled", "rest"])) & truth, "yes", "no")
    filled.to_csv(place, index=False)
    rates = judge_noise_sample(out, place).set_index("kind")
    noise = pd.read_parquet(out / "noise.parquet")
    sure = noise[(noise["kind"] == "mislabelled") & (noise["confidence"] >= 0.5)]["image_id"].astype(int).to_numpy()
    row = rates.loc["mislabelled"]
    assert row["findings"] == len(sure)
    assert row["precision_low"] <= source[2][sure].mean() <= row["precision_high"]
    assert row["recall_low"] <= source[2][sure].sum() / source[2].sum() <= row["recall_high"]

    def refused(match: str, **changed):
        filled.assign(**changed).to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(InputError, match=match):
            judge_noise_sample(out, tmp_path / "bad.csv")

    refused(r"bad\.csv, row 1, column fault: not an answer; found 'maybe'; allowed: yes, no", fault="maybe")
    refused("the run has no such finding", image_id="nobody")
    refused("is judged; allowed: yes or no", fault="")
    filled.drop(columns="fault").to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(InputError, match="'fault' is missing"):
        judge_noise_sample(out, tmp_path / "bad.csv")
    with pytest.raises(InputError, match="no such file"):
        judge_noise_sample(out, tmp_path / "absent.csv")
    (out / "noise.parquet").unlink()
    with pytest.raises(InputError, match=r"no noise\.parquet"):
        draw_noise_sample(out, 5, tmp_path / "new.csv")
