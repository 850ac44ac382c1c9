"""The step `holdout`."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.protocol.holdout import HoldoutParams, holdout, quotas, tied_identities


def manifest(identities: list[tuple[str, str | None, int]], unnamed: int = 0) -> Manifest:
    rows = [(f"{name}/{row}", name, gender) for name, gender, images in identities for row in range(images)]
    rows += [(f"~{row}", None, None) for row in range(unnamed)]
    frame = pd.DataFrame(rows, columns=["image_id", "identity", "gender"]).astype("str")
    return Manifest.from_frame(frame, levels={"gender": "identity"})


def flags(pairs: list[tuple[str, str]], reason: str = "exact_bytes_other_identity") -> pd.DataFrame:
    if not pairs:
        return Decisions.empty().frame
    return Decisions.of([a for a, _ in pairs], "flag", reason, related_id=[b for _, b in pairs]).frame


def run(table: Manifest, decisions: pd.DataFrame | None = None, seed: int = 0, **params: object) -> Decisions:
    features = Features({"decisions": Decisions.empty().frame if decisions is None else decisions})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return holdout(table, features, HoldoutParams(**params), step_rng(seed, "holdout"))


def sides(table: Manifest, decisions: Decisions) -> dict[str, str]:
    """identity -> side, after asserting that each identity has one and every image has one."""
    after, _ = apply_decisions(table, decisions)
    assert after.frame["split"].notna().all()
    named = after.frame[after.frame["identity"].notna()]
    per = named.groupby("identity", observed=True)["split"].agg(lambda values: set(values))
    assert all(len(side) == 1 for side in per)
    assert (after.frame["split"][after.frame["identity"].isna()] == "train").all()
    return {name: next(iter(side)) for name, side in per.items()}


@st.composite
def worlds(draw: st.DrawFn):
    n = draw(st.integers(1, 40))
    people = [
        (f"p{i:02d}", draw(st.sampled_from(["f", "m", "m", "m", None])), draw(st.integers(1, 4))) for i in range(n)
    ]
    ties = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=n // 3))
    return people, ties, draw(st.integers(0, 3))


@settings(deadline=None, max_examples=60)
@given(worlds(), st.sampled_from([0.1, 0.2, 0.5, 0.77]), st.integers(0, 3))
def test_disjoint_complete_tied_and_repeatable(world, fraction, seed):
    people, ties, unnamed = world
    table = manifest(people, unnamed)
    table_flags = flags([(f"p{a:02d}/0", f"p{b:02d}/0") for a, b in ties])
    decisions = run(table, table_flags, seed, fraction=fraction)
    side = sides(table, decisions)
    assert len(side) == len(people)
    for a, b in ties:
        assert side[f"p{a:02d}"] == side[f"p{b:02d}"]
    assert "train" in side.values()
    shuffled = Manifest.from_frame(table.frame.sample(frac=1, random_state=seed), levels=table.levels)
    assert run(shuffled, table_flags, seed, fraction=fraction).frame.equals(decisions.frame)
    after, _ = apply_decisions(table, decisions)
    assert apply_decisions(after, run(after, table_flags, seed, fraction=fraction))[0].frame.equals(after.frame)


def component_sizes(n: int, ties: list[tuple[int, int]]) -> list[int]:
    group = list(range(n))
    for a, b in ties:
        group = [group[a] if g == group[b] else g for g in group]
    return [group.count(group[i]) for i in range(n)]


@settings(deadline=None, max_examples=60)
@given(worlds(), st.sampled_from([0.1, 0.2, 0.5, 0.77]), st.integers(0, 3))
def test_each_cell_gets_its_share_within_one_component(world, fraction, seed):
    people, ties, _ = world
    ties = [(a, b) for a, b in ties if people[a][1] == people[b][1]]  # within a cell
    side = sides(
        (table := manifest(people)), run(table, flags([(f"p{a:02d}/0", f"p{b:02d}/0") for a, b in ties]), seed,
                                         fraction=fraction)
    )  # fmt: skip
    largest = component_sizes(len(people), ties)
    for cell in ("f", "m", None):
        members = [i for i, person in enumerate(people) if person[1] == cell]
        if members:
            held = sum(side[people[i][0]] == "holdout" for i in members)
            # One for rounding the share, half a group for what can't be cut; or one more group would leave no training.
            near = abs(held - fraction * len(members)) < 1 + max(largest[i] for i in members) / 2 + 1e-9
            assert near or sum(s == "train" for s in side.values()) == max(largest)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any), st.floats(0.01, 0.99))
def test_quotas_are_the_nearest_integers(sizes, fraction):
    sizes = np.array(sizes)
    quota = quotas(sizes, fraction)
    assert (np.abs(quota - sizes * fraction) <= 1 + 1e-9).all()
    assert (quota <= sizes).all()
    assert quota.sum() == min(int(np.floor(sizes.sum() * fraction + 0.5)), sizes.sum() - 1)


def test_a_copy_that_is_gone_still_ties():
    table = manifest([("a", "f", 2), ("b", "f", 2), ("c", "f", 2)])
    decisions = pd.concat(
        [
            flags([("a/9", "b/0")], "near_duplicate_other_identity"),
            Decisions.of(["a/9"], "drop", "exact_bytes", related_id=["a/0"]).frame,
        ]
    )
    assert tied_identities(table, decisions)[0].tolist() == [0, 0, 1]
    assert tied_identities(table, decisions.iloc[:1])[0].tolist() == [0, 1, 2]
    assert tied_identities(table, flags([("a/0", "b/0")], "blurred"))[0].tolist() == [0, 1, 2]


def test_a_huge_group_is_left_in_training_where_single_identities_suffice():
    people = [(f"p{i:02d}", "f", 1) for i in range(40)]
    table = manifest(people)
    tied = flags([(f"p{i:02d}/0", f"p{i + 1:02d}/0") for i in range(20)])
    side = sides(table, run(table, tied, fraction=0.2))
    assert sum(value == "holdout" for value in side.values()) == 8
    assert all(side[f"p{i:02d}"] == "train" for i in range(21))


def test_images_of_two_cells_go_by_the_majority():
    table = manifest([("a", "f", 3), ("b", "m", 3)])
    frame = table.frame.assign(age=["x", "y", "y", "x", "x", "y"])
    mixed = Manifest.from_frame(frame, levels={"gender": "identity", "age": "image"})
    assert len(run(mixed, stratify=("age",), fraction=0.5)) == 6


def test_reasons():
    table = manifest([("a", "f", 1), ("b", "f", 1), ("c", "m", 1)], unnamed=1)
    frame = run(table, flags([("a/0", "b/0")])).frame.set_index("image_id")
    assert frame["reason"].to_dict() == {"a/0": "tied_identity", "b/0": "tied_identity", "c/0": "drawn",
                                         "~0": "no_identity"}  # fmt: skip


def test_replicas_follow_to_training_and_never_enter_the_holdout():
    table = manifest([(f"p{i}", "f", 2) for i in range(6)])
    ids = [f"p{i}/0~r1" for i in range(6)]
    added = Decisions.of(ids, "add", "x", related_id=[name[:-3] for name in ids], new_value=["1"] * 6)
    grown, _ = apply_decisions(table, added)
    after, rejected = apply_decisions(grown, run(grown, fraction=0.5))
    assert len(rejected) == 3
    assert set(rejected["reason"]) == {"replica_of_holdout"}
    replicas = after.frame[~after.originals()]
    assert (replicas["split"] == "train").all()
    assert len(replicas) == 3


def test_no_identities_and_one():
    empty = manifest([("a", "f", 2)]).take(np.zeros(2, dtype=bool))
    assert not len(run(empty))
    assert set(run(manifest([], unnamed=2)).frame["new_value"]) == {"split=train"}
    with pytest.warns(UserWarning, match="no identity is held out"):
        made = holdout(manifest([("a", "f", 2)]), Features({"decisions": Decisions.empty().frame}),
                       HoldoutParams(fraction=0.9), step_rng(0, "holdout"))  # fmt: skip
    assert set(made.frame["new_value"]) == {"split=train"}


def test_bad_input():
    with pytest.raises(InputError, match="Did you mean 'gender'"):
        run(manifest([("a", "f", 2)]), stratify=("gendr",))
    for fraction in (0, 1, 1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match="validation error"):
            HoldoutParams(fraction=fraction)


def test_a_million_rows_in_seconds():
    rng = np.random.default_rng(0)
    n, people = 1_000_000, 100_000
    identity = pd.Categorical.from_codes(
        rng.integers(0, people, n), categories=pd.Index([f"p{i:06d}" for i in range(people)], dtype="str")
    )
    gender = pd.Categorical.from_codes(np.asarray(identity.codes) % 2, categories=pd.Index(["f", "m"], dtype="str"))
    ids = pd.Series(np.arange(n)).astype("str").str.zfill(7)
    table = Manifest.from_frame(pd.DataFrame({"image_id": ids, "identity": identity, "gender": gender}))
    start = time.monotonic()
    decisions = run(table, flags([(f"{i:07d}", f"{i + 1:07d}") for i in range(0, 20_000, 2)]))
    assert time.monotonic() - start < 15
    held = (decisions.frame["new_value"] == "split=holdout").mean()
    assert held == pytest.approx(0.2, abs=0.01)
