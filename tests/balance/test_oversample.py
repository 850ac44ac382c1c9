"""The class IDROversampler and the step `oversample`."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance.oversample import OversampleParams, oversample
from curate.balance.seeds import augment_seeds
from curate.core.apply import apply_decisions, replica_id
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.stats.imbalance import idr


def manifest(n: int = 300, seed: int = 0, split: object = None, **columns: object) -> Manifest:
    rng = np.random.default_rng(seed)
    identity = rng.zipf(1.6, n) % 25
    frame = pd.DataFrame(
        {
            "image_id": [f"i{row:05d}.jpg" for row in rng.permutation(n)],
            "identity": [f"p{number:02d}" for number in identity],
            "gender": np.where(identity % 5 == 0, "f", "m"),
            "age": rng.choice(["child", "young", "old", None], n, p=[0.05, 0.6, 0.25, 0.1]),
        }
    )
    if split is not None:
        frame["split"] = split
    return Manifest.from_frame(frame.assign(**columns), levels={"gender": "identity", "age": "image"})


def run(table: Manifest, seed: int = 1, **params: object):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return oversample(table, Features({}), OversampleParams(**params), step_rng(seed, "oversample"))


def counts(table: Manifest, label: str) -> np.ndarray:
    return np.bincount(table.codes(label)[table.codes(label) >= 0])


def same(one: Manifest, two: Manifest) -> bool:
    return one.frame.equals(two.frame)


def test_every_label_reaches_the_target():
    table = manifest()
    after, rejected = apply_decisions(table, run(table, target=2, budget=100_000))
    assert not len(rejected)
    assert all(idr(counts(after, label)) <= 2 for label in ("identity", "gender", "age"))
    assert any(idr(counts(table, label)) > 2 for label in ("identity", "gender", "age"))
    assert same(after.take(after.originals()), Manifest(after.frame[after.originals()].reset_index(drop=True)))
    assert after.originals().sum() == len(table)


def test_replicas_copy_their_parent_and_tell_why():
    table = manifest()
    decisions = run(table, target=2.0)
    frame = decisions.frame
    assert set(frame["action"]) == {"add"}
    assert set(frame["reason"]) <= {"rare_identity", "rare_gender", "rare_age"}
    assert (frame["score"] > 2.0).all()
    assert (frame["threshold"] == 2.0).all()
    seeds = frame["new_value"].astype(np.uint64)
    assert (seeds < 2**63).all()
    assert seeds.is_unique
    after, _ = apply_decisions(table, decisions)
    replicas = after.frame[~after.originals()]
    parents = table.frame.set_index("image_id").loc[replicas["parent_id"]]
    for label in ("identity", "gender", "age"):
        assert replicas[label].astype("str").tolist() == parents[label].astype("str").tolist()
    numbers = replicas.groupby("parent_id")["replica"].agg(list)
    assert all(sorted(number) == list(range(1, len(number) + 1)) for number in numbers)
    assert [replica_id(*row) for row in zip(replicas["parent_id"], replicas["replica"], strict=True)] == list(
        replicas["image_id"]
    )


def test_applied_twice_changes_nothing():
    table = manifest()
    once, _ = apply_decisions(table, run(table))
    again, rejected = apply_decisions(once, run(once))
    assert same(once, again)
    assert not len(rejected)


def test_replicas_of_another_seed_are_discarded_and_redrawn():
    table = manifest()
    other, _ = apply_decisions(table, run(table, seed=2))
    fresh, _ = apply_decisions(table, run(table, seed=1))
    decisions = run(other, seed=1)
    after, rejected = apply_decisions(other, decisions)
    assert same(after, fresh)
    assert set(rejected["reason"]) == {"stale_replica"}
    assert same(apply_decisions(after, decisions)[0], fresh)


def test_a_replica_of_an_image_that_is_gone_is_discarded():
    table = manifest()
    after, _ = apply_decisions(table, run(table))
    parent = after.frame["parent_id"].dropna().iloc[0]
    orphaned = after.take((after.frame["image_id"] != parent).to_numpy())
    mended, rejected = apply_decisions(orphaned, run(orphaned))
    assert parent in set(rejected["parent_id"])
    assert mended.frame["parent_id"].dropna().isin(mended.frame["image_id"]).all()


def test_order_of_the_rows_changes_nothing():
    table = manifest()
    shuffled = Manifest.from_frame(table.frame.sample(frac=1, random_state=3), levels=table.levels)
    assert run(shuffled).frame.equals(run(table).frame)


def test_only_the_split_is_oversampled():
    table = manifest(split=np.where(np.arange(300) % 3, "train", "holdout"))
    train = set(table.frame["image_id"][table.in_split("train")])
    assert set(run(table).frame["related_id"]) <= train
    assert len(set(run(table, split=None).frame["related_id"]) - train)
    assert run(manifest(), split=None).frame.equals(run(manifest()).frame)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 40), st.integers(0, 5), st.sampled_from([None, 1, 3]))
def test_any_small_table(n, seed, cap):
    table = manifest(n, seed)
    before = table.frame.copy(deep=True)
    decisions = run(table, max_replicas_per_image=cap, budget=200)
    assert table.frame.equals(before)
    after, _ = apply_decisions(table, decisions)
    assert len(decisions) <= 200
    if cap and len(decisions):
        assert after.frame["replica"].max() <= cap
    assert same(apply_decisions(after, run(after, max_replicas_per_image=cap, budget=200))[0], after)


def test_a_target_out_of_reach_is_said():
    table = manifest()
    with pytest.warns(UserWarning, match=r"ended above the target IDR of 1: the budget of 10 replicas .* identity"):
        oversample(table, Features({}), OversampleParams(target=1, budget=10), step_rng(1, "x"))
    with pytest.warns(UserWarning, match="the caps allow no more"):
        oversample(table, Features({}), OversampleParams(target=1, max_replicas_per_image=1), step_rng(1, "x"))


def test_bad_input():
    table = manifest(split="train")
    with pytest.raises(InputError, match="Did you mean 'gender'"):
        run(table, labels=("gendre",))
    with pytest.raises(InputError, match="named twice"):
        run(table, labels=("age", "age"))
    with pytest.raises(InputError, match="Did you mean 'train'"):
        run(table, split="trian")
    for params in ({"target": 0.9}, {"target": np.nan}, {"target": np.inf}, {"budget": 0}, {"labels": ()},
                   {"max_replicas_per_image": 0}, {"tagret": 2}):  # fmt: skip
        with pytest.raises(ValueError, match="validation error"):
            OversampleParams(**params)


def test_an_empty_split_and_a_missing_label_are_said():
    with pytest.warns(UserWarning, match="no image is in the split 'train'"):
        assert not len(oversample(manifest(split="holdout"), Features({}), OversampleParams(), step_rng(1, "x")))
    empty = manifest(gender=pd.Series([None] * 300, dtype="str"))
    with pytest.warns(UserWarning, match="'gender' has no value"):
        decisions = oversample(empty, Features({}), OversampleParams(target=3), step_rng(1, "x"))
    assert "rare_gender" not in set(decisions.frame["reason"])


def test_one_category_is_balanced():
    table = manifest(gender="f")
    assert not len(run(table, labels=("gender",), target=1))


def test_an_image_with_the_name_of_a_replica_is_refused():
    frame = pd.DataFrame({"image_id": ["a", "a~r1", *"bcdef"], "identity": ["x", *["y"] * 6]})
    with pytest.raises(InputError, match="bears the name of a replica"):
        run(Manifest.from_frame(frame), target=1, budget=20)


def test_seeds_depend_on_the_id_the_number_and_the_seed_alone():
    table = manifest()
    rows, number = np.array([5, 0, 7]), np.array([1, 2, 1])
    seeds = augment_seeds(table.ids, rows, number, 9)
    part = table.take(np.array([0, 7]))
    assert augment_seeds(part.ids, np.array([1, 0]), np.array([1, 2]), 9).tolist() == seeds[[2, 1]].tolist()
    assert augment_seeds(table.ids.slice(5), np.array([0]), np.array([1]), 9)[0] == seeds[0]
    assert (
        len({*seeds, *augment_seeds(table.ids, rows, number, 10), *augment_seeds(table.ids, rows, number + 1, 9)}) == 9
    )
    many = augment_seeds(table.ids, np.repeat(np.arange(300), 100), np.tile(np.arange(100), 300), 0)
    assert len(np.unique(many)) == len(many)
    bits = (many[:, None] >> np.arange(63, dtype=np.uint64)) & np.uint64(1)
    assert abs(bits.mean(axis=0) - 0.5).max() < 0.02


@pytest.mark.parametrize("choice", ["uniform", "lookahead"])
def test_caps_of_identity_and_cell(choice):
    table = manifest()
    decisions = run(table, target=1, choice=choice, max_replicas_per_identity=4, max_replicas_per_cell=30)
    after, _ = apply_decisions(table, decisions)
    added = after.frame[~after.originals()]
    assert added["identity"].value_counts().max() == 4
    assert added["gender"].value_counts().max() <= 30
    assert same(apply_decisions(after, run(after, target=1, choice=choice, max_replicas_per_identity=4,
                                           max_replicas_per_cell=30))[0], after)  # fmt: skip


def test_a_joint_label_and_an_empty_cell():
    frame = pd.DataFrame({"image_id": list("abcdefg"), "identity": list("ppqqrrs"), "gender": list("ffmmmmm"),
                          "ethnicity": ["x", "x", "x", "y", "y", "y", "y"]})  # fmt: skip
    table = Manifest.from_frame(frame, levels={"gender": "identity", "ethnicity": "identity"})
    with pytest.warns(UserWarning, match="gender/ethnicity: no image is in f/y"):
        decisions = oversample(table, Features({}), OversampleParams(labels=("gender/ethnicity",), target=1),
                               step_rng(1, "x"))  # fmt: skip
    assert set(decisions.frame["reason"]) == {"rare_gender/ethnicity"}
    assert len(decisions) == 5
    with pytest.raises(InputError, match="Did you mean 'ethnicity'"):
        run(table, labels=("gender/ethnicty",))


def test_a_target_out_of_reach_is_said_before():
    with pytest.warns(
        UserWarning, match=r"can't be reached: 'identity' needs at least \d+ replicas, and the budget is 9"
    ):
        oversample(manifest(), Features({}), OversampleParams(target=1, budget=9), step_rng(1, "x"))
