"""Explain and undo."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.core.files import write_table
from curate.core.manifest import read_manifest
from curate.recipe.execute import LocalExecutor
from curate.recipe.story import explain, undo


def _rejected(run: Path, step: str) -> list[str]:
    frame = pd.read_parquet(run / "rejected.parquet")
    return sorted(frame.loc[frame["step"] == step, col.IMAGE_ID])


def _text(run: Path, image: str) -> str:
    return "\n".join(event.text for event in explain(run, image))


def test_every_rejected_image_is_explained(finished: Path):
    rejected = pd.read_parquet(finished / "rejected.parquet")
    assert len(rejected)
    for row in rejected.itertuples():
        events = explain(finished, row.image_id)
        drops = [event for event in events if event.action == col.DROP]
        assert [drops[0].step, row.reason in drops[0].text] == [row.step, True]
        assert events[-1].text == "left out of the manifest"


def test_the_story_comes_from_the_decisions_alone(finished: Path, tmp_path: Path):
    run = tmp_path / "copy"
    shutil.copytree(finished, run)
    image = _rejected(run, "near_duplicates")[0]
    assert "left out" in _text(run, image)
    path = next((run / "steps").glob("*near_duplicates")) / "decisions.parquet"
    frame = pd.read_parquet(path)
    write_table(path, frame[~((frame[col.IMAGE_ID] == image) & (frame["action"] == col.DROP))])
    changed = explain(run, image)
    assert "near_duplicates" not in {event.step for event in changed if event.action == col.DROP}
    assert changed[-1].text == "in the manifest"


def test_the_keeper_knows_for_whom_it_stays(finished: Path):
    rejected = pd.read_parquet(finished / "rejected.parquet")
    row = rejected[rejected["related_id"].notna()].iloc[0]
    assert f"{row[col.IMAGE_ID]}" in _text(finished, row["related_id"])


def test_an_unknown_id_gets_the_closest(finished: Path):
    image = read_manifest(finished / "manifest.parquet").frame[col.IMAGE_ID][0]
    with pytest.raises(InputError, match="the closest") as error:
        explain(finished, image[:-5] + "x.jpg")
    assert image in str(error.value)


def test_undo_of_a_step_brings_all_back(finished: Path, cache: Path, tmp_path: Path):
    run = tmp_path / "copy"
    shutil.copytree(finished, run)
    dropped = _rejected(run, "near_duplicates")
    with LocalExecutor(1) as executor:
        result = undo(run, step="near_duplicates", executor=executor)
    assert _rejected(run, "near_duplicates") == []
    cached = {done.summary["name"]: done.cached for done in result.steps}
    assert cached["exact_duplicates"]
    assert not cached["near_duplicates"]
    assert "overruled by a person" in _text(run, dropped[0])


def test_undo_of_one_image(finished: Path, tmp_path: Path):
    run = tmp_path / "copy"
    shutil.copytree(finished, run)
    image, other = _rejected(run, "near_duplicates")[:2]
    with LocalExecutor(1) as executor:
        result = undo(run, images=[image], executor=executor)
        ids = set(result.manifest.frame[col.IMAGE_ID])
        assert image in ids
        assert other not in ids
        with pytest.raises(InputError, match="nothing to undo"):
            undo(run, images=[image], executor=executor)
    assert explain(run, image)[-1].text == "in the manifest"


def test_undo_refuses_what_it_can_not_do(finished: Path):
    with LocalExecutor(1) as executor:
        with pytest.raises(InputError, match="the run has no step 'nearly'"):
            undo(finished, step="nearly", executor=executor)
        with pytest.raises(InputError, match="the run has no image"):
            undo(finished, images=["nobody/0.jpg"], executor=executor)
        with pytest.raises(CurateError, match="either --step or --image"):
            undo(finished, executor=executor)


def test_the_latest_human_row_wins(small, go, tmp_path: Path):
    from curate.recipe.store import RunFolder

    result = go(small, tmp_path / "run")
    image = result.manifest.frame[col.IMAGE_ID][0]
    folder = RunFolder(tmp_path / "run")
    folder.append_review(pd.DataFrame({"image_id": [image], "action": "drop", "reason": "ugly", "step": "unreadable"}))
    dropped = go(small, tmp_path / "run")
    assert image not in set(dropped.manifest.frame[col.IMAGE_ID])
    assert "[a person]" in _text(tmp_path / "run", image)
    folder.append_review(pd.DataFrame({"image_id": [image], "action": "keep", "reason": "no", "step": "unreadable"}))
    assert image in set(go(small, tmp_path / "run").manifest.frame[col.IMAGE_ID])
    assert len(folder.review()) == 2
