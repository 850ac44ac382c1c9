"""A run becomes a FiftyOne dataset, the same one when pushed again; a person's tags there become decisions here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curate.core.bundled import bundled_module
from curate.core.errors import CurateError, InputError, MissingExtra
from curate.core.files import read_json, write_json
from curate.core.vectors import load_vectors
from curate.recipe.looking import prepare
from curate.recipe.store import RunFolder

NAME = "curate-test-look"


def bridge(name: str) -> Any:
    return bundled_module("app", f"bridge.{name}")


def test_without_fiftyone_the_pip_line_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    for verb in (bridge("push").push, bridge("pull").pull):
        with pytest.raises(MissingExtra, match=r"pip install 'curate\[app\]'"):
            verb(run)


def test_a_run_without_pixels_is_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    plan = read_json(copy / "plan.json")
    write_json(copy / "plan.json", plan | {"source": {"root": None}})
    with pytest.raises(InputError, match="no pixels"):
        bridge("push").push(copy)


def test_without_a_database_one_line_says_what_to_do(run: Path) -> None:
    pytest.importorskip("fiftyone")
    code = f"""
from curate.core.bundled import bundled_module
from curate.core.errors import CurateError
try:
    bundled_module("app", "bridge.push").push({str(run)!r})
except CurateError as error:
    print("said:", error)
"""
    # Nothing listens at port 1; the driver asks for 30 s by default.
    where = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500&connectTimeoutMS=500"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          env={**os.environ, "FIFTYONE_DATABASE_URI": where})  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith("said:")]
    assert len(said) == 1, done.stderr
    assert "FIFTYONE_DATABASE_URI" in said[0]


def test_what_tags_say() -> None:
    rows = bridge("rows")
    assert rows.decision_of("curate:drop") == ("drop", None)
    assert rows.decision_of("curate:keep") == ("keep", None)
    assert rows.decision_of("curate:move= A: b=c ") == ("move", "A: b=c")
    for tag in ("curate:drop:near_duplicate", "mine", "curate:dropped", "drop", "curate:move"):
        assert rows.decision_of(tag) is None
    assert rows.is_ours("curate:drop:near_duplicate")
    assert not rows.is_ours("curate:move=curate:x")
    assert not rows.is_ours("mine")


@pytest.fixture(scope="module")
def large(demo: Path) -> Path:
    """A real run of at least 500 images, with vectors."""
    assert prepare(demo) is not None
    return demo


@pytest.fixture(scope="module")
def pushed(mongodb: str, large: Path) -> Iterator[Any]:
    """Its dataset."""
    fo = pytest.importorskip("fiftyone")
    if fo.dataset_exists(NAME):
        fo.delete_dataset(NAME)
    dataset = bridge("push").push(large, NAME)
    yield dataset
    dataset.delete()


def readable(run: Path) -> pd.DataFrame:
    """The source's images by id."""
    return pd.read_parquet(run / "steps/00-source/manifest.parquet").set_index("image_id")


def test_samples_say_what_the_run_says(pushed: Any, large: Path) -> None:
    source = readable(large)
    assert len(source) >= 500
    found = dict(zip(*pushed.values(["image_id", "id"]), strict=True))
    assert sorted(found) == list(source.index)
    assert pushed.persistent
    for label in ("identity", "gender", "ethnicity"):
        told = dict(zip(*pushed.values(["image_id", f"{label}.label"]), strict=True))
        assert told == {image: (None if pd.isna(value) else value) for image, value in source[label].items()}
    rejected = pd.read_parquet(large / "rejected.parquet")
    for row in rejected.itertuples():
        sample = pushed[found[row.image_id]]
        assert f"curate:drop:{row.reason}" in sample.tags
        assert sample[f"{row.step}_reason"] == row.reason
        assert sample["kept"] is False
        assert sample["step"] == row.step
        if pd.notna(row.score):
            assert sample[f"{row.step}_score"] == row.score
        if pd.notna(row.related_id):
            assert sample[f"{row.step}_related_id"] == row.related_id
            if "duplicate" in row.step:
                other = pushed[found[row.related_id]]
                assert sample["duplicate_group"] == other["duplicate_group"]
    final = pd.read_parquet(large / "manifest.parquet").set_index("image_id")
    split = dict(zip(*pushed.values(["image_id", "split"]), strict=True))
    assert all(split[image] == final["split"].get(image) for image in source.index)


def test_queues_and_cells_are_saved_views(pushed: Any, large: Path) -> None:
    views = pushed.list_saved_views()
    table = pd.read_parquet(next(large.glob("steps/*-near_duplicates")) / "decisions.parquet")
    view = pushed.load_saved_view("near_duplicates")
    assert sorted(view.values("image_id")) == sorted(set(table["image_id"]))
    scores = view.values("near_duplicates_score")
    assert scores == sorted(scores)
    source = readable(large)
    cells = source.dropna(subset=["gender", "ethnicity"]).groupby(["ethnicity", "gender"], observed=True).size()
    for (ethnicity, gender), size in cells.items():
        assert f"cell {ethnicity}/{gender}" in views
        assert len(pushed.load_saved_view(f"cell {ethnicity}/{gender}")) == size


def test_vectors_are_there_for_similarity_and_the_map(pushed: Any, large: Path) -> None:
    place = prepare(large)
    vectors = load_vectors(place)
    have = pushed.exists("vector")
    assert len(have) == len(vectors.matrix)
    image = have.first()
    matrix = vectors.matrix.astype(np.float64)
    mine = matrix[vectors.rows_of(pd.Series([image["image_id"]]))[0]]
    assert np.allclose(np.asarray(image["vector"], dtype=np.float64), mine / np.linalg.norm(mine), atol=1e-3)
    near = have.sort_by_similarity(image.id, k=5, brain_key="curate_similarity").values("image_id")
    alike = matrix @ mine / np.linalg.norm(matrix, axis=1)
    assert near[0] == image["image_id"]
    found = alike[vectors.rows_of(pd.Series(near))]
    assert np.allclose(found, np.sort(alike)[::-1][:5], atol=1e-3)  # equals may stand in any order
    points = pushed.load_brain_results("curate_map").points
    assert points.shape == (len(have), 2)
    assert np.isfinite(points).all()


def test_the_sidebar_is_in_groups(pushed: Any) -> None:
    groups = {group.name: group.paths for group in pushed.app_config.sidebar_groups}
    assert groups["labels"] == ["identity", "dataset", "ethnicity", "gender"]
    assert "near_duplicates_score" in groups["near duplicates"]


def test_pushing_again_writes_only_what_changed_and_leaves_a_persons_tags(pushed: Any, large: Path) -> None:
    before = dict(zip(*pushed.values(["image_id", "last_modified_at"]), strict=True))
    marked = pushed.first()
    marked.tags.append("mine")
    marked.save()
    pushed.reload()
    changed = dict(zip(*pushed.values(["image_id", "last_modified_at"]), strict=True))
    again = bridge("push").push(large, NAME)
    after = dict(zip(*again.values(["image_id", "last_modified_at"]), strict=True))
    assert after == changed
    assert sum(after[image] != before[image] for image in before) == 1
    assert "mine" in again[marked.id].tags
    altered = again.exists("near_duplicates_score").first()
    altered["curate_digest"] = "another"
    altered["near_duplicates_score"] = 0.0
    altered.tags = [*altered.tags, "curate:drop:an_old_reason"]
    altered.save()
    healed = bridge("push").push(large, NAME)[altered.id]
    assert healed["near_duplicates_score"] > 0
    assert "curate:drop:an_old_reason" not in healed.tags


@pytest.fixture
def reviewed(pushed: Any, large: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the run to pull into; the tags go afterwards."""
    yield Path(shutil.copytree(large, tmp_path / "run"))
    for sample in pushed.match_tags(["curate:drop", "curate:keep", "curate:move=New", "curate:move="]):
        sample.tags = [tag for tag in sample.tags if bridge("rows").decision_of(tag) is None]
        sample.save()


def tag(pushed: Any, image: str, *tags: str) -> None:
    sample = pushed.match({"image_id": image}).first()
    sample.tags = [*sample.tags, *tags]
    sample.save()


def test_tags_become_decisions_once_and_go_with_their_tag(pushed: Any, reviewed: Path) -> None:
    dropped = pd.read_parquet(reviewed / "rejected.parquet")["image_id"].tolist()
    kept = [image for image in readable(reviewed).index if image not in set(dropped)]
    tag(pushed, dropped[0], "curate:keep")
    tag(pushed, kept[0], "curate:drop")
    tag(pushed, kept[1], "curate:move=New")
    pull = bridge("pull").pull
    assert pull(reviewed, NAME, reviewer="Ann").decided == 3
    rows = RunFolder(reviewed).review()
    told = {row.image_id: (row.action, row.new_value) for row in rows.itertuples()}
    assert told[dropped[0]][0] == "keep"
    assert told[kept[0]][0] == "drop"
    assert told[kept[1]] == ("move", "New")
    assert set(rows["reviewer"]) == {"Ann"}
    again = pull(reviewed, NAME)
    assert (again.decided, again.withdrawn) == (0, 0)
    sample = pushed.match({"image_id": kept[0]}).first()
    sample.tags = [name for name in sample.tags if name != "curate:drop"]
    sample.save()
    assert pull(reviewed, NAME).withdrawn == 1
    assert kept[0] not in set(RunFolder(reviewed).standing()["image_id"])
    assert len(RunFolder(reviewed).review()) == 4


@pytest.mark.parametrize(("tags", "match"), [
    (("curate:drop", "curate:keep"), "contradict"), (("curate:move=",), "names no identity"),
])  # fmt: skip
def test_tags_that_say_nothing_clear_are_refused(pushed: Any, reviewed: Path, tags: tuple, match: str) -> None:
    tag(pushed, readable(reviewed).index[0], *tags)
    with pytest.raises(InputError, match=match):
        bridge("pull").pull(reviewed, NAME)
    assert not (reviewed / "review" / "decisions.parquet").exists()


def test_pulling_before_pushing_says_so(mongodb: str, run: Path) -> None:
    pytest.importorskip("fiftyone")
    with pytest.raises(InputError, match="has no dataset"):
        bridge("pull").pull(run, "curate-test-no-such")


def test_a_foreign_dataset_is_left_alone(mongodb: str, run: Path) -> None:
    fo = pytest.importorskip("fiftyone")
    dataset = fo.Dataset("curate-test-foreign", overwrite=True)
    try:
        for verb in (bridge("push").push, bridge("pull").pull):
            with pytest.raises(InputError, match="not made by curate"):
                verb(run, "curate-test-foreign")
        assert len(dataset) == 0
    finally:
        dataset.delete()


@contextmanager
def launched(run: Path, name: str, browser: Any) -> Iterator[tuple[list[str], Any]]:
    """FiftyOne's App on the dataset of a run: the command that serves it, and a window on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "curate.cli", "fiftyone", str(run), "--name", name, "--port", str(port)]
    served = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    try:
        _wait(f"http://127.0.0.1:{port}/")
        page.goto(f"http://127.0.0.1:{port}/datasets/{name}")
        yield command, page
    finally:
        page.context.close()
        os.killpg(served.pid, 15)
        served.wait(10)


def test_names_with_markup_do_nothing_in_the_app(
    mongodb: str, fake_run: ModuleType, browser: Any, tmp_path: Path
) -> None:
    fo = pytest.importorskip("fiftyone")
    folder = fake_run.build_run(tmp_path, people=4, evil=True)
    name = "curate-test-evil"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    dataset = bridge("push").push(folder, name)
    try:
        assert fake_run.EVIL in dataset.distinct("identity.label")
        assert any(fake_run.EVIL in view for view in dataset.list_saved_views()), "the name of a cell"
        with launched(folder, name, browser) as (_, page):
            page.get_by_text(f"{len(dataset)} samples").wait_for()
            page.get_by_text("Dismiss").click()
            page.locator("[data-cy=saved-views-selection-container]").click()
            page.get_by_text(fake_run.EVIL[:12]).first.wait_for()
            assert page.evaluate("window.hacked === undefined")
            assert page.locator("img[src=x]").count() == 0
    finally:
        dataset.delete()


def test_a_tag_given_in_the_app_reaches_the_run(pushed: Any, reviewed: Path, browser: Any) -> None:
    with launched(reviewed, NAME, browser) as (command, page):
        page.get_by_text("Dismiss").click()
        page.locator("[data-cy=saved-views-selection-container]").click()
        page.locator("[data-cy=saved-views-near-duplicates-selection-option]").click()
        page.wait_for_url("**view=near-duplicates*")
        count = len(pushed.load_saved_view("near_duplicates"))
        page.get_by_text(f"{count} samples").wait_for()
        page.locator("[data-cy=looker] input[type=checkbox]").first.evaluate("box => box.click()")
        page.locator("[data-cy=action-tag-sample-labels]").click()
        page.get_by_placeholder("+ tag selected sample").fill("curate:drop")
        page.keyboard.press("Enter")
        page.get_by_text("Apply", exact=True).click()
        for _ in range(50):
            tagged = pushed.match_tags("curate:drop").values("image_id")
            if tagged:
                break
            time.sleep(0.2)
        assert len(tagged) == 1
        assert tagged[0] in pushed.load_saved_view("near_duplicates").values("image_id")
        subprocess.run([*command[:5], "--name", NAME, "--pull"], check=True, stdout=subprocess.DEVNULL)
        rows = RunFolder(reviewed).review()
        assert rows[["image_id", "action"]].to_numpy().tolist() == [[tagged[0], "drop"]]


def _wait(url: str) -> None:
    for _ in range(500):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise CurateError(f"nothing answers at {url}")
