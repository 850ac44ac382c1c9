from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("datasketch")
pytest.importorskip("rapidfuzz")

from curate.collect.faults import FaultRates
from curate.collect.synthetic import SyntheticParams, write_synthetic
from curate.core.errors import InputError
from curate.core.files import read_json
from curate.recipe.execute import LocalExecutor
from curate.recipe.run import run_recipe
from curate.recipe.schema import make_recipe
from curate.recipe.verbs import run_overlap
from curate.recipe.verbs.shared import verb_recipe

ALL = ("name", "image", "identity")


@pytest.fixture
def compare(cache: Path):
    def call(sources, out, workers=1, **more):
        with LocalExecutor(workers) as executor:
            return run_overlap([str(source) for source in sources], out, executor=executor, cache=cache, **more)

    return call


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A training set and a benchmark of drawn faces that share persons, every second of them under another name."""
    params = SyntheticParams(identities=100, images=9, benchmark=40, seed=4, size=64,
                             faults=FaultRates(shared_identity=0.2))  # fmt: skip
    with LocalExecutor(2) as executor:
        return write_synthetic(params, tmp_path_factory.mktemp("drawn") / "set", executor)


def test_names_of_two_lists(compare, tables, tmp_path: Path):
    (tmp_path / "train.txt").write_text("Wolfgang_Zuckermandel\nOla_Nord\nZhang_Ziyi\n")
    (tmp_path / "bench.csv").write_text('id, name\nn1, "Ziyi Zhang"\nn2, "Per Ast"\n')
    out = tmp_path / "run"
    sources = [tmp_path / "train.txt", f"lfw={tmp_path / 'bench.csv'}"]
    first = compare(sources, out)
    pairs = pd.read_parquet(out / "pairs.parquet")
    assert list(pairs.columns)[:8] == [
        "dataset_a", "identity_a", "dataset_b", "identity_b", "by", "score", "verdict", "evidence"
    ]  # fmt: skip
    assert pairs[["dataset_a", "identity_a", "id_a", "dataset_b", "identity_b"]].to_numpy().tolist() == [
        ["lfw", "Ziyi Zhang", "n1", "train", "Zhang_Ziyi"]
    ]
    assert read_json(out / "plan.json")["name"] == "overlap"
    assert set(read_json(out / "overlap.json")["sets"]) == {"lfw", "train"}
    before = tables(out)
    again = compare(sources, out)
    assert all(done.cached for done in again.steps)
    assert not any(done.cached for done in first.steps)
    assert tables(out) == before
    assert "Shared identities" in (out / "report/index.html").read_text()


def test_drawn_persons_are_found_by_all_ways_and_dropped(compare, tables, drawn: Path, tmp_path: Path):
    out = tmp_path / "run"
    sources = [f"train={drawn / 'images'}", f"bench={drawn / 'benchmark/images'}"]
    done = compare(sources, out, by=ALL, action="drop_identities", planted=40)
    pairs = pd.read_parquet(out / "pairs.parquet")
    truth = pd.read_parquet(drawn / "truth.parquet")
    shared = truth[truth["fault"] == "shared_identity"]
    wanted = set(zip(shared["related_id"].str.split("/").str[0], shared["image_id"].str.split("/").str[0], strict=True))
    found = set(zip(pairs["identity_a"], pairs["identity_b"], strict=True))
    assert len(wanted) == 20
    assert len(found & wanted) >= 18
    assert len(found & wanted) >= 0.8 * len(found)
    paper = read_json(out / "overlap.json")
    assert paper["removed"]["images"] > 0
    assert paper["share_nobody_known"]
    assert set(paper["missed"]) == set(ALL)
    assert paper["missed"]["image"]["found"] >= 0.8 * paper["missed"]["image"]["planted"]
    left = done.manifest.frame["identity"].astype(str)
    assert "bench" in set(done.manifest.frame["dataset"])
    gone = {b for a, b in found & wanted if (f"train/{b}" not in set(left))}
    assert len(gone) >= 16
    compare(sources, tmp_path / "other", workers=2, by=ALL, action="drop_identities", planted=40)
    assert tables(tmp_path / "other") == tables(out)


def test_planted_copies_are_sought_as_the_run_sought_its_own(compare, tmp_path: Path):
    params = SyntheticParams(identities=12, images=3, benchmark=8, seed=1, size=64)
    with LocalExecutor(1) as executor:
        small = write_synthetic(params, tmp_path / "set", executor)
    sources = [f"train={small / 'images'}", f"bench={small / 'benchmark/images'}"]
    found = {}
    for strict in (0.945, 0.9999):
        out = tmp_path / str(strict)
        compare(sources, out, by=("image",), planted=40, overrides=[f"steps.near_duplicates.min_correlation={strict}"])
        found[strict] = read_json(out / "overlap.json")["missed"]["image"]["found"]
    assert found[0.9999] < 0.8 * found[0.945]
    out = tmp_path / "0.945"  # other parameters, same decisions or not: measured again
    done = compare(sources, out, by=("image",), planted=40, overrides=["steps.near_duplicates.max_listed=99"])
    assert not done.steps[-1].cached


def test_planted_faults_counts_shared_identities_of_several_sources(
    cache: Path, drawn: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(drawn)
    recipe = make_recipe({
        "name": "both", "source": {"kind": "several", "sources": [
            {"kind": "folder", "root": "images", "dataset": "train"},
            {"kind": "folder", "root": "benchmark/images", "dataset": "bench"},
        ]},
        "steps": [{"overlap": {"by": ["name", "identity"], "train": "train"}}, "planted_faults"],
    })  # fmt: skip
    with LocalExecutor(1) as executor:
        run_recipe(recipe, tmp_path / "run", executor=executor, cache=cache)
    row = pd.read_parquet(tmp_path / "run/planted/faults.parquet").set_index("fault").loc["shared_identity"]
    assert row["step"] == "overlap"
    assert row["recall"] >= 0.9
    assert row["precision"] >= 0.8
    plan = read_json(tmp_path / "run/plan.json")
    assert [one["root"] for one in plan["recipe"]["source"]["sources"]] == [
        str(drawn / "images"), str(drawn / "benchmark/images")
    ]  # fmt: skip


def test_bad_calls_are_refused(compare, tmp_path: Path):
    (tmp_path / "a.txt").write_text("Ann Lee\n")
    (tmp_path / "b.txt").write_text("n000123\nn000124\n")
    with pytest.raises(InputError, match="two sets or more"):
        compare([tmp_path / "a.txt"], tmp_path / "run")
    with pytest.raises(InputError, match="one source stands twice"):
        compare([tmp_path / "a.txt", f"other={tmp_path / 'a.txt'}"], tmp_path / "run")
    with pytest.raises(InputError, match="'b' are numbers, not names.*n000123"):
        compare([tmp_path / "a.txt", tmp_path / "b.txt"], tmp_path / "run")
    with pytest.raises(InputError, match=r"source\.sources\.2\.path lies in the run folder"):
        compare([tmp_path / "b.txt", tmp_path / "a.txt"], tmp_path / "run", overrides=[
            f"source.sources=[{{kind: names, path: {tmp_path}/b.txt}}, {{kind: names, path: {tmp_path}/run/a.txt}}]"
        ])  # fmt: skip
    with pytest.raises(InputError, match="a list of names.*`curate duplicates` can do nothing with it.*curate overlap"):
        verb_recipe("duplicates", str(tmp_path / "a.txt"), ["unreadable"])
    with pytest.raises(InputError, match="no way 'faces'"):
        compare([tmp_path / "a.txt", tmp_path / "b.txt"], tmp_path / "run", by=("faces",))
