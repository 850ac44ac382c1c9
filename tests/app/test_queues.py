"""Queues hold what the steps decided, in the order asked for; images are found by their ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.core.bundled import bundled_module
from curate.core.files import write_table
from curate.report.runs import StepRecord

images_of = bundled_module("app", "images")
queues = bundled_module("app", "queues")


@pytest.fixture(scope="module")
def opened(demo: Path):
    return images_of.open_run(demo)


@pytest.fixture(scope="module")
def built(opened):
    return {(queue.step, queue.reason): queue for queue in queues.build_queues(opened.run, opened.images)}


def test_images_are_found_and_told_of_as_the_tables_say(opened, demo: Path) -> None:
    images = opened.images
    source = pd.read_parquet(demo / "steps/00-source/manifest.parquet")
    final = pd.read_parquet(demo / "manifest.parquet").set_index("image_id")
    rejected = set(pd.read_parquet(demo / "rejected.parquet")["image_id"])
    assert len(images) == len(source)
    for row, image in enumerate(source["image_id"]):
        assert images.row(image) == row
        assert images.id_of(row) == image
        assert images.path_of(row) == source["path"][row]
        now = final["identity"][image] if image in final.index else source["identity"][row]
        assert images.identity_of(row) == now
        assert images.dropped[row] == (image in rejected)
        if image in final.index:
            assert images.split_of(row) == final["split"][image]
    assert images.row("nobody") == images.row("") == images.row("~") == -1
    assert images.rows(pd.Series(["nobody", source["image_id"][3]])).tolist() == [-1, 3]
    name = source["identity"][0]
    same = [row for row in range(len(source)) if images.identity_of(row) == name]
    assert images.rows_of_identity(name).tolist() == same
    assert images.find_identities(str(name)[:4].upper())[0].casefold().startswith(str(name)[:4].casefold())
    assert images.find_identities("no such person") == []


def test_every_reviewable_decision_is_in_one_item(opened, built, demo: Path) -> None:
    images = opened.images
    for file in sorted(demo.glob("steps/*/decisions.parquet")):
        step = file.parent.name.split("-", 1)[1]
        table = pd.read_parquet(file)
        table = table[table["action"].isin(queues.REVIEWABLE)]
        for reason, part in table.groupby("reason", observed=True):
            queue = built[step, reason]
            covered = {images.id_of(row) for members in queue.members for row in members}
            flagged = {images.id_of(row) for row in queue.other[queue.action == "flag"] if row >= 0}
            covered |= flagged & set(part["image_id"])  # an overlap flags one side alone
            assert covered == set(part["image_id"])
            drops = part[part["action"] == "drop"]
            assert sorted(images.id_of(row) for row in queue.row[queue.action == "drop"]) == sorted(drops["image_id"])


def test_two_flags_that_name_each_other_are_one_item(built) -> None:
    queue = built["near_duplicates", "near_duplicate_other_identity"]
    pairs = {frozenset(pair) for pair in zip(queue.row.tolist(), queue.other.tolist(), strict=True)}
    assert len(pairs) == len(queue) > 0


def test_a_merge_is_one_item(opened, tmp_path: Path) -> None:
    images = opened.images
    name = images.identities[0]
    ids = [images.id_of(row) for row in images.rows_of_identity(name)]
    folder = tmp_path / "01-noise"
    frame = pd.DataFrame({"image_id": ids, "action": "merge", "reason": "split", "score": 0.7, "threshold": 0.6,
                          "related_id": None, "new_value": images.identities[1], "source": "step"})  # fmt: skip
    write_table(folder / "decisions.parquet", frame.astype({"related_id": "str"}))
    record = StepRecord(1, "noise", "step", "", folder, actions={"merge/split": len(ids)})
    (queue,) = queues.queues_of(record, images, {})
    assert len(queue) == 1
    assert sorted(images.id_of(row) for row in queue.members[0]) == sorted(ids)
    assert queue.suggested[0] == images.identities[1]


def slow_pick(queue, images, said: set[int], wanted) -> list[int]:
    """The filter, item by item."""
    found = []
    for at in range(len(queue)):
        pair = queue.action[at] == "flag" and queue.other[at] in said
        reviewed = queue.row[at] in said or pair
        if wanted.status != "all" and reviewed != (wanted.status == "reviewed"):
            continue
        if wanted.group and images.labels_of(queue.row[at])[wanted.group[0]] != wanted.group[1]:
            continue
        if wanted.score and (queue.score[at] < wanted.score[0] or queue.score[at] > wanted.score[1]):
            continue
        if wanted.text.lower() not in images.id_of(queue.row[at]).lower():
            continue
        found.append(at)
    doubt = {at: abs(queue.score[at] - queue.threshold[at]) for at in found}
    doubt = {at: value if value == value else float("inf") for at, value in doubt.items()}
    if wanted.order == "name":
        return sorted(found, key=lambda at: queue.row[at])
    sign = -1 if wanted.order == "surest" else 1
    return sorted(found, key=lambda at: (sign * doubt[at], queue.row[at]))


@pytest.mark.parametrize("key", [("near_duplicates", "near_duplicate"),
                                 ("near_duplicates", "near_duplicate_other_identity")])  # fmt: skip
def test_filters_agree_with_going_through_one_by_one(opened, built, key) -> None:
    images, queue = opened.images, built[key]
    said = set(queue.row[::3].tolist())
    middle = float(np.median(queue.score))
    text = images.id_of(queue.row[0])[2:6]
    for status in ("open", "reviewed", "all"):
        for order in ("doubt", "surest", "name"):
            for extra in ({}, {"score": (middle, 1.0)}, {"text": text.upper()}, {"group": ("gender", "f")}):
                wanted = queues.Filter(status=status, order=order, **extra)
                assert queues.pick(queue, images, said, wanted).tolist() == slow_pick(queue, images, said, wanted)


def test_the_confidence_and_the_suggestion_of_a_label_fault_are_shown(opened, tmp_path: Path) -> None:
    images = opened.images
    ids = [images.id_of(row) for row in range(4)]
    noise = {"image_id": [ids[0], ids[0], ids[1]], "kind": ["mislabelled", "mixed", "mislabelled"],
             "confidence": [0.25, 0.9, 0.75], "suggested_identity": ["A", "B", None]}  # fmt: skip
    write_table(tmp_path / "noise.parquet", pd.DataFrame(noise).astype({"suggested_identity": "str"}))
    faults = queues.read_faults(replace(opened.run, path=tmp_path), images)
    folder = tmp_path / "05-label_noise"
    frame = pd.DataFrame({"image_id": ids[:2], "action": "flag", "reason": "mislabelled", "score": [1.0, 2.0],
                          "threshold": 3.0, "related_id": None, "new_value": None, "source": "step"})  # fmt: skip
    write_table(folder / "decisions.parquet", frame.astype({"related_id": "str", "new_value": "str"}))
    record = StepRecord(5, "label_noise", "step", "", folder, actions={"flag/mislabelled": 2})
    (queue,) = queues.queues_of(record, images, faults)
    assert queue.confidence.tolist() == [0.25, 0.75]
    assert queue.suggested.tolist() == ["A", ""]
    wanted = queues.Filter(status="all", confidence=(0.5, 1.0))
    assert [images.id_of(queue.row[at]) for at in queues.pick(queue, images, set(), wanted)] == [ids[1]]


def test_two_persons_under_one_name_are_one_item(opened, tmp_path: Path) -> None:
    images = opened.images
    rows = images.rows_of_identity(images.identities[0])
    ids = [images.id_of(row) for row in rows]
    half = len(ids) // 2
    frame = pd.DataFrame({"image_id": ids[:half], "action": "move", "reason": "mixed_identity", "score": 1.0,
                          "threshold": 0.5, "related_id": ids[-1], "new_value": "X~2", "source": "step"})  # fmt: skip
    write_table(tmp_path / "05-label_noise" / "decisions.parquet", frame)
    record = StepRecord(5, "label_noise", "step", "", tmp_path / "05-label_noise", actions={"move/mixed_identity": 1})
    (queue,) = queues.queues_of(record, images, {})
    assert [sorted(members.tolist()) for members in queue.members] == [rows[:half].tolist()]
