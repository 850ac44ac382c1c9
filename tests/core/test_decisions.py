"""apply_decisions against a slow reference with dictionaries, for every action."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest

IDS = [f"{identity}/{number}" for identity in "abc" for number in range(4)]
LEVELS = {"gender": "identity", "age": "image"}


def make(rows: dict[str, dict]) -> Manifest:
    frame = pd.DataFrame([{"image_id": key, **row} for key, row in rows.items()])
    frame = frame if len(frame) else pd.DataFrame({"image_id": [], "identity": [], "gender": [], "age": []})
    return Manifest.from_frame(frame, levels=LEVELS)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, dict]:
    keys = draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1, max_size=10))
    value = lambda *words: draw(st.sampled_from(words))  # noqa: E731
    genders = {identity: value("f", "m", None) for identity in "abc"}
    return {
        key: {"identity": key[0], "gender": genders[key[0]], "age": value("old", "young", None),
              "split": value("train", "holdout", None)}
        for key in keys
    }  # fmt: skip


_DECISION = st.one_of(
    st.tuples(st.sampled_from(IDS), st.just("drop"), st.sampled_from(["blurred", "copy"]), st.none(),
              st.sampled_from([None, *IDS])),
    st.tuples(st.sampled_from(IDS), st.just("keep"), st.just("person"), st.none(), st.none()),
    st.tuples(st.sampled_from(IDS), st.just("flag"), st.just("look"), st.none(), st.sampled_from(IDS)),
    st.tuples(st.sampled_from(IDS), st.sampled_from(["move", "merge"]), st.just("noise"),
              st.sampled_from(["a", "b", "c", "new"]), st.none()),
    st.tuples(st.sampled_from(IDS), st.just("assign"), st.just("x"),
              st.sampled_from(["split=train", "split=holdout", "split=", "weight=2.5", "weight=0", "age=old", "age=",
                               "gender=f"]), st.none()),
    st.sampled_from([(f"{key}~r{n}", "add", "rare", str(n * 7), key) for key in IDS for n in (1, 2)]),
)  # fmt: skip


def decisions_of(rows: list[tuple]) -> Decisions:
    names = ["image_id", "action", "reason", "new_value", "related_id"]
    return Decisions.from_frame(pd.DataFrame(rows, columns=names, dtype=object))


def slow(rows: dict[str, dict], decisions: list[tuple]) -> tuple[dict[str, dict], dict[str, str]] | None:
    """What apply_decisions should do, one decision at a time; None where it should refuse."""
    rows = {key: dict(row) for key, row in rows.items()}
    kept = {image for image, action, *_ in decisions if action == "keep"}
    gone: dict[str, str] = {}
    for image, action, reason, _, _ in sorted(decisions, key=lambda d: (d[0], d[1], d[2])):
        if action == "drop" and image in rows and image not in kept:
            gone.setdefault(image, reason)
    for image in gone:
        del rows[image]
    assigned: dict[tuple[str, str], str] = {}
    for image, action, _, value, _ in decisions:
        if action == "assign" and image in rows:
            name, new = value.split("=")
            if assigned.setdefault((image, name), new) != new:
                return None
    if any(name == "weight" for _, name in assigned):
        for row in rows.values():
            row.setdefault("weight", 1.0)
    for (image, name), new in assigned.items():
        rows[image][name] = float(new) if name == "weight" else new or None
    moved: dict[str, str] = {}
    for image, action, _, value, _ in decisions:
        if (
            action in ("move", "merge")
            and image in rows
            and image not in kept
            and moved.setdefault(image, value) != value
        ):
            return None
    settled: dict[str, str] = {}
    for image in sorted(set(rows) - set(moved)):
        if rows[image]["gender"] is not None:
            settled.setdefault(rows[image]["identity"], rows[image]["gender"])
    for image, identity in moved.items():
        rows[image]["identity"] = identity
        rows[image]["gender"] = settled.get(identity, rows[image]["gender"])
    added = {}
    for image, action, _, value, parent in decisions:
        if action == "add" and parent in rows and image not in rows:
            added[image] = {**rows[parent], "parent_id": parent, "replica": int(image[-1]), "augment_seed": int(value)}
    return {**rows, **added}, gone


def as_dict(manifest: Manifest) -> dict[str, dict]:
    frame = manifest.frame.drop(columns=["dataset"]).astype(object)
    return {row.pop("image_id"): row for row in frame.where(frame.notna(), None).to_dict("records")}


def filled(rows: dict[str, dict], columns: list[str]) -> dict[str, dict]:
    default = {"weight": 1.0, "replica": 0, "augment_seed": 0}
    return {key: {name: row.get(name, default.get(name)) for name in columns} for key, row in sorted(rows.items())}


@settings(deadline=None, max_examples=200)
@given(manifests(), st.lists(_DECISION, max_size=14, unique=True))
def test_like_the_slow_reference_and_twice_is_once(rows, decisions):
    table = make(rows)
    before = table.frame.copy(deep=True)
    expected = slow(rows, decisions)
    if expected is None:
        with pytest.raises(InputError, match="two"):
            apply_decisions(table, decisions_of(decisions))
        return
    made = decisions_of(decisions)
    after, rejected = apply_decisions(table, made)
    columns = [name for name in after.frame.columns if name not in ("image_id", "dataset")]
    assert as_dict(after) == filled(expected[0], columns)
    assert dict(zip(rejected["image_id"], rejected["reason"], strict=True)) == expected[1]
    assert table.frame.equals(before)
    again, twice = apply_decisions(after, made)
    assert again.frame.equals(after.frame)
    assert not len(twice)
    for name in after.frame:
        if isinstance(after.frame[name].dtype, pd.CategoricalDtype):
            names = list(after.frame[name].cat.categories)
            assert names == sorted(set(after.frame[name].dropna()))


@settings(deadline=None, max_examples=50)
@given(st.lists(_DECISION, max_size=10, unique=True), st.randoms(use_true_random=False))
def test_order_of_the_decisions_changes_no_byte(rows, random):
    scored = [(*row, float(i % 3)) for i, row in enumerate(rows)] + [(*row, 9.0) for row in rows]
    shuffled = list(scored)
    random.shuffle(shuffled)
    names = ["image_id", "action", "reason", "new_value", "related_id", "score"]
    one, two = (
        Decisions.from_frame(pd.DataFrame(part, columns=names).astype({"score": float})) for part in (scored, shuffled)
    )
    assert one.frame.equals(two.frame)
    halves = [Decisions.from_frame(one.frame.iloc[i::2]) for i in (1, 0)]
    assert Decisions.concat(halves).frame.equals(one.frame)


def test_what_is_dropped_keeps_its_columns_and_the_evidence():
    table = make({"a/0": {"identity": "a", "gender": "f", "age": None}, "a/1": {"identity": "a", "gender": "f",
                                                                              "age": "old"}})  # fmt: skip
    made = Decisions.of(["a/1"], "drop", "copy", score=0.98, threshold=0.96, related_id="a/0").stamped("near", 3)
    _, rejected = apply_decisions(table, made)
    row = rejected.iloc[0]
    assert (row["image_id"], row["identity"], row["age"]) == ("a/1", "a", "old")
    assert (row["step"], row["reason"], row["score"], row["threshold"], row["related_id"]) == (
        "near", "copy", 0.98, 0.96, "a/0"
    )  # fmt: skip


def test_a_replica_takes_the_identity_its_parent_moves_to():
    table = make({"a/0": {"identity": "a", "gender": "f", "age": None}, "b/0": {"identity": "b", "gender": "m",
                                                                              "age": None}})  # fmt: skip
    made = Decisions.concat(
        [
            Decisions.of(["a/0"], "move", "noise", new_value="b"),
            Decisions.of(["a/0~r1"], "add", "rare", related_id="a/0", new_value="5"),
        ]
    )
    after, _ = apply_decisions(table, made)
    assert after.frame.set_index("image_id")["identity"].to_dict() == {"a/0": "b", "a/0~r1": "b", "b/0": "b"}
    assert after.frame["gender"].tolist() == ["m", "m", "m"]


def test_a_replica_settles_no_label():
    table = make({"a/0": {"identity": "a", "gender": "f", "age": None}, "b/0": {"identity": "b", "gender": "m",
                                                                              "age": None}})  # fmt: skip
    moves = Decisions.of(["a/0", "b/0"], "move", "noise", new_value="new")
    adds = Decisions.of(["a/0~r1"], "add", "rare", related_id="a/0", new_value="5")
    once, _ = apply_decisions(table, Decisions.concat([moves, adds]))
    twice, _ = apply_decisions(once, Decisions.concat([moves, adds]))
    assert once.frame["gender"].tolist() == ["f", "f", "m"]
    assert twice.frame.equals(once.frame)


@pytest.mark.parametrize(
    ("action", "value", "message"),
    [
        ("assign", "split", "column=value"),
        ("assign", None, "column=value"),
        ("assign", "path=x", "can't be assigned"),
        ("assign", "weight=heavy", "gives no weight"),
        ("assign", "weight=-1", "gives no weight"),
        ("assign", "weight=nan", "gives no weight"),
        ("move", None, "names no identity"),
    ],
)
def test_decisions_without_sense_are_refused(action, value, message):
    table = make({"a/0": {"identity": "a", "gender": "f", "age": None}})
    with pytest.raises(InputError, match=message):
        apply_decisions(table, Decisions.of(["a/0"], action, "x", new_value=value))


@pytest.mark.parametrize(("image", "seed"), [("a/0-copy", "1"), ("a/0~r1", None), ("a/0~r1", "-3"), ("a/0~r1", "x")])
def test_replicas_without_number_or_seed_are_refused(image, seed):
    table = make({"a/0": {"identity": "a", "gender": "f", "age": None}})
    with pytest.raises(InputError, match="describes no replica"):
        apply_decisions(table, Decisions.of([image], "add", "x", related_id="a/0", new_value=seed))


def test_a_seed_of_63_bits_survives():
    table = make({"a/0": {"identity": "a", "gender": "f", "age": None}})
    seed = 2**63 - 1
    after, _ = apply_decisions(table, Decisions.of(["a/0~r1"], "add", "x", related_id="a/0", new_value=str(seed)))
    assert after.frame["augment_seed"].tolist() == [0, seed]


def test_unknown_actions_and_missing_ids_are_refused():
    with pytest.raises(InputError, match=r"row 2, column action: unknown action; found 'dorp'; allowed: drop, move"):
        Decisions.from_frame(pd.DataFrame({"image_id": ["a", "b"], "action": ["drop", "dorp"], "reason": "x"}))
    with pytest.raises(InputError, match="row 1, column image_id: the decision names no image"):
        Decisions.from_frame(pd.DataFrame({"image_id": [None, "b"], "action": "drop", "reason": "x"}))
    with pytest.raises(InputError, match="unknown action"):
        Decisions.from_frame(pd.DataFrame({"image_id": ["a"], "action": [None], "reason": "x"}))


def test_empty_tables():
    table = make({"a/0": {"identity": "a", "gender": "f", "age": None}})
    assert apply_decisions(table, Decisions.empty())[0].frame.equals(table.frame)
    nothing = table.take(np.zeros(1, dtype=bool))
    after, rejected = apply_decisions(nothing, Decisions.of(["a/0"], "drop", "x"))
    assert len(after) == len(rejected) == 0
    assert len(Decisions.concat([])) == 0
    assert len(Decisions.concat([Decisions.empty(), Decisions.of(["a"], "drop", "x")])) == 1


def test_replicas_go_with_the_image_that_they_are_copies_of():
    base = Manifest.from_frame(pd.DataFrame({"image_id": ["a", "b"], "identity": ["x", "y"]}))
    added = Decisions.of(["a~r1", "b~r1"], "add", "o", related_id=["a", "b"], new_value=["1", "2"])
    more, _ = apply_decisions(base, added)
    left, rejected = apply_decisions(more, Decisions.of(["a"], "drop", "twin"))
    assert left.frame["image_id"].tolist() == ["b", "b~r1"]
    assert rejected["image_id"].tolist() == ["a", "a~r1"]
    assert set(rejected["reason"]) == {"twin"}
