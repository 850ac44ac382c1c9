"""What people decide, folders that are not ours, and recipes that change: nothing is lost, nothing stale is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.recipe.store import RunFolder
from curate.recipe.story import explain


@pytest.fixture
def table(small, tmp_path: Path) -> dict:
    """A recipe over a plain table of twelve images, two identities of which have two genders."""
    people = {"a": "fff", "b": "mmf", "c": "mfm", "d": "fff"}
    rows = [(f"{name}{at}", name, gender) for name, genders in people.items() for at, gender in enumerate(genders)]
    path = tmp_path / "data" / "people.csv"
    path.parent.mkdir()
    pd.DataFrame(rows, columns=["image_id", "identity", "gender"]).to_csv(path, index=False)
    small["source"] = {"kind": "table", "path": str(path)}
    small["labels"] = {}
    small["steps"] = [{"small_identities": {"min_images": 2}}]
    return small


def _genders(result) -> dict[str, object]:
    frame = result.manifest.frame
    return dict(
        zip(frame[col.IMAGE_ID], frame["gender"].astype("object").where(frame["gender"].notna(), None), strict=True)
    )


def test_conflicts_of_labels_that_nobody_declared_are_settled_too(table, go, tmp_path: Path):
    genders = _genders(go(table, tmp_path / "run"))
    assert genders["a0"] == "f"
    assert genders["b0"] is None


def test_conflicts_are_settled_once_where_the_recipe_says_how(table, go, tmp_path: Path):
    table["steps"].insert(0, {"label_conflicts": {"default": "majority"}})
    result = go(table, tmp_path / "run")
    assert [done.summary["name"] for done in result.steps] == ["label_conflicts", "small_identities"]
    assert _genders(result)["b2"] == "m"


def test_a_persons_word_on_a_label_counts_more_than_the_steps(table, go, tmp_path: Path):
    go(table, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    say = {"image_id": ["b0", "b1", "b2"], "action": "assign", "reason": "seen", "new_value": "gender=m"}
    folder.append_review(pd.DataFrame({**say, "step": "label_conflicts"}))
    assert {_genders(go(table, tmp_path / "run"))[name] for name in ("b0", "b1", "b2")} == {"m"}
    folder.append_review(pd.DataFrame({**say, "step": "label_conflicts", "new_value": "gender=f"}))
    assert _genders(go(table, tmp_path / "run"))["b0"] == "f"


def test_a_move_and_a_label_of_one_image_both_count(table, go, tmp_path: Path):
    go(table, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    row = {"image_id": ["a0"], "reason": "seen", "step": "small_identities"}
    folder.append_review(pd.DataFrame({**row, "action": "move", "new_value": "d"}))
    folder.append_review(pd.DataFrame({**row, "action": "assign", "new_value": "gender=x"}))
    frame = go(table, tmp_path / "run").manifest.frame.set_index(col.IMAGE_ID)
    assert frame.loc["a0", col.IDENTITY] == "d"


def test_a_row_without_a_step_reaches_the_first_step_that_decides(table, go, tmp_path: Path):
    table["steps"] = [{"label_conflicts": {}}, *table["steps"]]
    table["steps"].insert(0, {"imbalance": {"labels": ["gender"], "split": None}})
    go(table, tmp_path / "run")
    RunFolder(tmp_path / "run").append_review(pd.DataFrame({"image_id": ["a0"], "action": ["drop"], "reason": ["x"]}))
    assert "a0" not in set(go(table, tmp_path / "run").manifest.frame[col.IMAGE_ID])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"action": "move"}, "identity|new_value"),
        ({"action": "assign", "new_value": "gendr=f"}, "can't be assigned"),
        ({"action": "drop", "step": "smal_identities"}, "no such step"),
        ({"action": "drop", "image_id": "nobody"}, "no such image"),
        ({"action": "dorp"}, "unknown action"),
    ],
)
def test_what_can_not_be_done_is_refused_at_once(table, go, tmp_path: Path, row: dict, problem: str):
    go(table, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match=problem):
        folder.append_review(pd.DataFrame([{"image_id": "a0", "reason": "x", **row}]))
    assert len(folder.review()) == 0


def test_a_folder_that_is_no_run_is_left_alone(table, go, tmp_path: Path):
    (tmp_path / "mine/steps/precious").mkdir(parents=True)
    with pytest.raises(InputError, match="no run and is not empty"):
        go(table, tmp_path / "mine")
    assert (tmp_path / "mine/steps/precious").is_dir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(CurateError, match="another --out"):
        go(table, tmp_path / "file")


def test_a_run_never_writes_over_its_source(table, go, tmp_path: Path):
    with pytest.raises(InputError, match="write over it"):
        go(table, tmp_path / "data")


def test_a_report_that_left_the_recipe_leaves_nothing_behind(table, go, tmp_path: Path):
    table["steps"].append({"imbalance": {"labels": ["gender"], "split": None}})
    first = go(table, tmp_path / "run")
    assert (tmp_path / "run/imbalance/labels.parquet").exists()
    assert "imbalance" in first.page.read_text()
    table["steps"].pop()
    second = go(table, tmp_path / "run")
    assert not (tmp_path / "run/imbalance/labels.parquet").exists()
    assert "imbalance/labels" not in second.page.read_text()


def test_a_run_that_failed_is_not_told_as_finished(table, go, tmp_path: Path):
    go(table, tmp_path / "run")
    table["steps"].append({"verification_protocol": {"pairs_per_group": 10**9, "split": None}})
    with pytest.raises(InputError):
        go(table, tmp_path / "run")
    assert not (tmp_path / "run/manifest.parquet").exists()
    with pytest.raises(CurateError, match="not finished"):
        explain(tmp_path / "run", "a0")


def test_two_files_whose_names_look_alike_stay_apart(small, go, tmp_path: Path):
    import cv2

    root = tmp_path / "faces" / "p"
    root.mkdir(parents=True)
    for seed, name in enumerate(("a%41.png", "a%2541.png", "aA.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        (root / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    small["source"], small["labels"] = {"kind": "folder", "root": str(root.parent)}, {}
    small["steps"] = ["unreadable", "exact_duplicates"]
    assert len(go(small, tmp_path / "run").manifest) == 3
