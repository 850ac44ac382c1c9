"""A click is a row that the next run obeys; undo is a row too; two windows and a crash lose nothing."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import pandas as pd
import pytest

from curate.core.bundled import bundled_module
from curate.core.errors import InputError
from curate.recipe.execute import LocalExecutor
from curate.recipe.run import run_recipe
from curate.recipe.schema import make_recipe
from curate.recipe.store import WITHDRAWN, RunFolder

images_of = bundled_module("app", "images")
reviews = bundled_module("app", "reviews")
STEP = "near_duplicates"


@pytest.fixture
def mine(demo: Path, tmp_path: Path) -> Path:
    """A copy of a run, free to be reviewed."""
    return Path(shutil.copytree(demo, tmp_path / "run"))


def resume(folder: Path) -> pd.DataFrame:
    """Run the run's own recipe again; the manifest."""
    plan = RunFolder(folder).plan()
    with LocalExecutor(1) as executor:
        run_recipe(make_recipe(plan["recipe"]), folder, executor=executor, cache=Path(plan["cache"]), until=STEP)
    return pd.read_parquet(next(folder.glob(f"steps/*-{STEP}")) / "decisions.parquet")


def dropped_by(folder: Path) -> list[str]:
    """What the step dropped, in order."""
    table = pd.read_parquet(next(folder.glob(f"steps/*-{STEP}")) / "decisions.parquet")
    return table["image_id"][(table["action"] == "drop") & (table["source"] == "step")].tolist()


def test_words_are_rows_with_reviewer_and_time(mine: Path) -> None:
    images, folder = images_of.open_run(mine).images, RunFolder(mine)
    first, second = (images.row(name) for name in dropped_by(mine)[:2])
    say = {"step": STEP, "reason": "near_duplicate", "reviewer": "Ann"}
    reviews.say(folder, images, [reviews.Answer((first,))], action="keep", **say)
    reviews.say(folder, images, [reviews.Answer((second,), first, " Somebody New ")], action="move", **say)
    rows = pd.read_parquet(mine / "review" / "decisions.parquet")
    assert rows["action"].tolist() == ["keep", "move"]
    assert rows["image_id"].tolist() == [images.id_of(first), images.id_of(second)]
    assert rows["new_value"].tolist()[1] == "Somebody New"
    assert rows["related_id"].tolist()[1] == images.id_of(first)
    assert set(rows["reviewer"]) == {"Ann"}
    assert pd.to_datetime(rows["time"], utc=True).is_monotonic_increasing
    assert reviews.said_of(folder.standing(), images) == {STEP: {first, second}}


def test_the_next_run_obeys_and_an_undo_gives_the_same_bytes_back(mine: Path) -> None:
    images, folder = images_of.open_run(mine).images, RunFolder(mine)
    file = next(mine.glob(f"steps/*-{STEP}")) / "decisions.parquet"
    before = file.read_bytes()
    row = images.row(dropped_by(mine)[0])
    say = {"step": STEP, "reason": "near_duplicate", "reviewer": "Ann"}
    kept = reviews.say(folder, images, [reviews.Answer((row,))], action="keep", **say)
    dropped = reviews.say(folder, images, [reviews.Answer((row,))], action="drop", **say)
    made = resume(mine)
    mine_now = made[made["image_id"] == images.id_of(row)]
    assert ("drop", "human") in set(zip(mine_now["action"], mine_now["source"], strict=True))
    reviews.take_back(folder, dropped, "Ann")
    made = resume(mine)
    mine_now = made[made["image_id"] == images.id_of(row)]
    assert ("keep", "human") in set(zip(mine_now["action"], mine_now["source"], strict=True))
    assert file.read_bytes() != before
    reviews.take_back(folder, kept, "Ann")
    resume(mine)
    assert file.read_bytes() == before, "as if nobody had spoken"
    rows = folder.review()
    assert len(rows) == 4, "nothing is deleted"
    assert rows["reason"].tolist()[-1] == WITHDRAWN


@pytest.mark.parametrize(("words", "match"), [
    ({"action": "move"}, "needs an identity"),
    ({"action": "merge", "identity": "  "}, "needs an identity"),
    ({"action": "assign"}, "no such word"),
    ({"action": "keep", "step": "no_such_step"}, "no such step"),
])  # fmt: skip
def test_what_cannot_be_done_is_refused_and_nothing_is_written(mine: Path, words: dict, match: str) -> None:
    images, folder = images_of.open_run(mine).images, RunFolder(mine)
    given = {"step": STEP, "reason": "x", "reviewer": "Ann", **words}
    with pytest.raises(InputError, match=match):
        reviews.say(folder, images, [reviews.Answer((0,), identity=given.pop("identity", None))], **given)
    assert not (mine / "review" / "decisions.parquet").exists()


def _speak(run: str, rows: list[int], reviewer: str) -> None:
    images, folder = images_of.open_run(run).images, RunFolder(run)
    for row in rows:
        reviews.say(folder, images, [reviews.Answer((row,))], action="keep", step=STEP, reason="x", reviewer=reviewer)


def test_two_windows_lose_nothing(mine: Path) -> None:
    work = [(list(range(0, 24, 2)), "Ann"), (list(range(1, 24, 2)), "Ben")]
    context = multiprocessing.get_context("fork")
    windows = [context.Process(target=_speak, args=(str(mine), rows, who)) for rows, who in work]
    for window in windows:
        window.start()
    for window in windows:
        window.join()
        assert window.exitcode == 0
    rows = RunFolder(mine).review()
    images = images_of.open_run(mine).images
    for wanted, who in work:
        said = rows["image_id"][rows["reviewer"] == who].tolist()
        assert said == [images.id_of(row) for row in wanted], "each window's words, in its order"


def test_a_crash_leaves_the_old_words(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, folder = images_of.open_run(mine).images, RunFolder(mine)
    say = {"step": STEP, "reason": "x", "reviewer": "Ann"}
    reviews.say(folder, images, [reviews.Answer((0,))], action="keep", **say)
    old = (mine / "review" / "decisions.parquet").read_bytes()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("curate.core.files.os.replace", crash)
    with pytest.raises(KeyboardInterrupt):
        reviews.say(folder, images, [reviews.Answer((1,))], action="keep", **say)
    monkeypatch.undo()
    assert (mine / "review" / "decisions.parquet").read_bytes() == old
    reviews.say(folder, images, [reviews.Answer((2,))], action="keep", **say)
    assert len(folder.review()) == 2, "the lock died with the crash"


def test_one_answer_for_many_is_undone_as_a_whole_but_for_what_others_said_since(mine: Path) -> None:
    images, folder = images_of.open_run(mine).images, RunFolder(mine)
    say = {"step": STEP, "reason": "x"}
    earlier = [reviews.Answer((1,), identity="Before")]
    reviews.say(folder, images, earlier, action="move", reviewer="Ann", **say)
    old = folder.standing()
    answers = [reviews.Answer((row, row + 1), related=row + 30, identity=f"to {row}") for row in range(20)]
    spoken = reviews.say(folder, images, answers, action="move", reviewer="Ann", **say)
    rows = folder.review().iloc[1:]
    assert rows["image_id"].tolist() == [images.id_of(row) for row in range(21)], "each image once"
    assert rows["new_value"].tolist() == ["to 0", *(f"to {row}" for row in range(20))], "the first answer counts"
    assert rows["time"].nunique() == 1
    reviews.say(folder, images, [reviews.Answer((5,))], action="keep", reviewer="Ben", **say)
    reviews.say(folder, images, [reviews.Answer((6,), identity="to 5")], action="move", reviewer="Ben", **say)
    assert reviews.take_back(folder, spoken, "Ann") == 2, "those that Ben has spoken on since"
    now = folder.standing()
    assert dict(zip(now["image_id"], now["reviewer"], strict=True)) == {
        images.id_of(1): "Ann", images.id_of(5): "Ben", images.id_of(6): "Ben"
    }  # fmt: skip
    assert now.loc[now["image_id"] == images.id_of(1), "new_value"].tolist() == old["new_value"].tolist()
    assert len(folder.review()) == 1 + 21 + 2 + 19, "nothing is deleted"
    before = len(folder.review())
    with pytest.raises(InputError, match="no such step"):
        reviews.say(folder, images, answers, action="move", reviewer="Ann", step="nothing", reason="x")
    assert len(folder.review()) == before, "all or none"
