"""Each rival agrees with its slow twin; the steps keep the rules of the house."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance.compare import RivalParams, rivals
from curate.balance.exemplars import BY_VECTORS
from curate.balance.pool import dense_codes
from curate.balance.resample import METHODS, ResampleParams, resample
from curate.balance.rivals import BY_LABELS, Limits, Pool, labelsets, places
from curate.core.apply import apply_decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.recipe.check import check_step

_spec = importlib.util.spec_from_file_location("rival_reference", Path(__file__).with_name("rival_reference.py"))
slow = importlib.util.module_from_spec(_spec)
sys.modules["rival_reference"] = slow
_spec.loader.exec_module(slow)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@st.composite
def pools(draw) -> Pool:
    """Skewed labels that may be missing; the identity is the first."""
    n, seed = draw(st.integers(1, 60)), draw(st.integers(0, 2**32 - 1))
    own = rng(seed)
    columns = []
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 7))
        column = own.choice(size, n, p=(share := np.arange(1, size + 1) ** -1.7) / share.sum())
        column[own.random(n) < draw(st.sampled_from([0, 0, 0.2]))] = -1
        columns.append(dense_codes(column))
    vectors = own.normal(size=(n, 5)).astype(np.float32)
    return Pool(np.stack(columns, axis=1), columns[0], columns[-1], vectors)


@settings(deadline=None, max_examples=60)
@given(pools(), st.integers(1, 80), st.sampled_from([0.2, 0.5, 0.9]), st.integers(1, 6), st.integers(0, 99))
def test_each_rival_agrees_with_its_slow_twin(pool: Pool, budget: int, keep: float, images: int, seed: int):
    limits = Limits(budget, keep, images)
    fast = {name: METHODS[name](pool, limits, rng(seed)).tolist()
            for name in ("ml_ros", "ml_rus", "lp_ros", "cap", "wider", "herding", "k_center")}  # fmt: skip
    assert fast["ml_ros"] == slow.slow_ml_ros(pool.codes, budget, rng(seed))
    assert fast["ml_rus"] == slow.slow_ml_rus(pool.codes, keep, rng(seed)).tolist()
    assert fast["lp_ros"] == slow.slow_lp_ros(pool.codes, budget, rng(seed))
    assert fast["cap"] == slow.slow_cap(pool.identity, images, rng(seed))
    assert fast["wider"] == slow.slow_wider(pool.identity, keep, rng(seed))
    for name, twin in (("herding", slow.slow_herding), ("k_center", slow.slow_k_center)):
        wanted = set(np.flatnonzero(pool.identity < 0).tolist())
        for who in range(int(pool.identity.max()) + 1):
            wanted |= twin(pool.vectors, np.flatnonzero(pool.identity == who).tolist(), images)
        assert np.flatnonzero(fast[name]).tolist() == sorted(wanted), name


@settings(deadline=None, max_examples=30)
@given(pools(), st.integers(1, 80), st.sampled_from([0.3, 0.8]), st.integers(0, 99))
def test_random_sampling_levels_the_labelsets(pool: Pool, budget: int, keep: float, seed: int):
    limits = Limits(budget, keep)
    bags = slow.labelset_rows(pool.codes)
    sizes = [len(bag) for bag in bags]
    over = BY_LABELS["random_over"](pool, limits, rng(seed))
    assert (over >= 1).all()
    top = max(sizes, default=0)
    levels = [size for size in range(top + 1) if sum(max(size - have, 0) for have in sizes) <= budget]
    assert [int(over[bag].sum()) for bag in bags] == [max(have, levels[-1]) for have in sizes]
    under = BY_LABELS["random_under"](pool, limits, rng(seed))
    assert set(under.tolist()) <= {0, 1}
    fits = [size for size in range(1, top + 1) if sum(min(have, size) for have in sizes) <= int(keep * len(pool))]
    level = max(fits, default=1) if len(bags) > 1 else top  # one labelset has nothing to be balanced with
    assert [int(under[bag].sum()) for bag in bags] == [min(have, level) for have in sizes]
    unlabelled = (pool.codes < 0).any(axis=1)
    assert (over[unlabelled] == 1).all()
    assert (under[unlabelled] == 1).all()


@settings(deadline=None, max_examples=60)
@given(pools(), st.integers(1, 80), st.sampled_from([0.3, 0.8]), st.integers(0, 99))
def test_the_draws_of_random_sampling_are_those_of_its_slow_twin(pool: Pool, budget: int, keep: float, seed: int):
    limits = Limits(budget, keep)
    assert METHODS["random_over"](pool, limits, rng(seed)).tolist() == slow.slow_random_over(
        pool.codes, budget, rng(seed)
    )
    assert METHODS["random_under"](pool, limits, rng(seed)).tolist() == slow.slow_random_under(
        pool.codes, keep, rng(seed)
    )


@settings(deadline=None, max_examples=150)
@given(pools(), st.integers(1, 4), st.sampled_from([None, 1, 2]), st.integers(0, 99))
def test_quota_agrees_with_its_slow_twin(pool: Pool, images: int, identities: int | None, seed: int):
    limits = Limits(1, images=images, identities=identities)
    wanted = slow.slow_quota(pool.identity, pool.cell, images, identities, rng(seed))
    if wanted is None:
        with pytest.raises(InputError, match="has . identities with|has .. identities with"):
            METHODS["quota"](pool, limits, rng(seed))
    else:
        assert METHODS["quota"](pool, limits, rng(seed)).tolist() == wanted


def test_random_sampling_keeps_the_conventions_of_imbalanced_learn():
    """Its own test cases: the strategies that name every category are what no limit, or the fewest rows, gives."""
    folder = os.environ.get("CURATE_REAL_DATA")
    if not folder:
        pytest.skip("CURATE_REAL_DATA is not set")
    targets = {"multi": {1: 50, 2: 100, 3: 25}, "binary": {1: 25, 0: 100}}
    cases = json.loads((Path(folder) / "testvectors-imblearn" / "sampling_strategy_cases.json").read_text())["cases"]
    of_ours = {("auto", "over"), ("all", "over"), ("not majority", "over"), (0.5, "over"), ("auto", "under"),
               ("all", "under"), ("not minority", "under"), (0.5, "under")}  # fmt: skip
    tried = 0
    for strategy, kind, expected, target in cases:
        if isinstance(strategy, dict) or (strategy, kind) not in of_ours:
            continue  # the others leave a rare, or a frequent, category as it is: no rival of ours does
        counts = targets[target]
        column = np.repeat(np.arange(len(counts)), [counts[name] for name in sorted(counts)])
        pool = Pool(column.astype(np.int32)[:, None], column, column)
        if kind == "over":
            times = METHODS["random_over"](pool, Limits(sum(expected.values())), rng())
            made = np.bincount(column, weights=times) - np.bincount(column)
        else:
            keep = sum({**{str(name): min(counts.values()) for name in counts}, **expected}.values()) / len(column)
            times = METHODS["random_under"](pool, Limits(1, keep=keep), rng())
            made = np.bincount(column, weights=times)
        for name, number in zip(sorted(counts), made.tolist(), strict=True):
            assert expected.get(str(name), number) == number, (strategy, kind, target)
        tried += 1
    assert tried == 8


def test_labelsets_and_places():
    codes = np.array([[1, 0], [0, 0], [1, 0], [-1, 0], [0, 1]])
    sets, sizes = labelsets(codes)
    assert sets.tolist() == [2, 0, 2, -1, 1]
    assert sizes.tolist() == [1, 1, 2]
    assert places(np.array([5, 3, 5, 5]), np.array([2.0, 9.0, 1.0, 2.0])).tolist() == [1, 0, 0, 2]


def make(counts: dict[str, int]) -> Manifest:
    """Identities of a size; the first letter of the name is the gender."""
    rows = [(f"{who}/{i}.jpg", who, who[0]) for who, n in counts.items() for i in range(n)]
    return Manifest.from_frame(pd.DataFrame(rows, columns=["image_id", "identity", "gender"]))


def test_quota_takes_the_same_from_each_cell():
    people = make({"f1": 6, "f2": 5, "f3": 2, "m1": 9, "m2": 4, "m3": 4, "m4": 4})
    decided = resample(people, Features(), ResampleParams(method="quota", images=4), step_rng(0, "resample"))
    left, gone = apply_decisions(people, decided)
    counts = left.frame.groupby(["gender", "identity"], observed=True).size()
    assert counts.tolist() == [4] * 4
    assert counts.groupby("gender").size().tolist() == [2, 2]
    assert set(gone["reason"]) == {"quota"}
    with pytest.raises(InputError, match="the cell f has 1 identities with 6 images"):
        resample(people, Features(), ResampleParams(method="quota", images=6, identities=2), step_rng(0, "resample"))


def test_an_identity_in_two_cells_counts_in_one():
    pool = Pool(np.zeros((7, 1), np.int32), np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 1, 0, 0]))
    times = BY_LABELS["quota"](pool, Limits(1, images=2, identities=1), rng())
    assert times[2] == 0
    assert times.tolist() in ([1, 1, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1])


def test_images_without_a_vector_come_last():
    vectors = np.zeros((4, 3), np.float32)
    vectors[2] = [1, 0, 0]
    pool = Pool(np.zeros((4, 1), np.int32), np.zeros(4, np.int64), np.zeros(4, np.int64), vectors)
    for method in BY_VECTORS.values():
        assert method(pool, Limits(1, images=1), rng()).tolist() == [0, 0, 1, 0]
        assert method(pool, Limits(1, images=3), rng()).tolist() == [1, 1, 1, 0]
    with pytest.raises(InputError, match="vectors"):
        BY_VECTORS["herding"](Pool(pool.codes, pool.identity, pool.cell), Limits(1), rng())


def test_the_steps_keep_the_rules():
    people = make({"f1": 6, "f2": 2, "m1": 9, "m2": 3, "m3": 1})
    for method in BY_LABELS:
        check_step(resample, people, {}, ResampleParams(method=method, images=1 if method == "quota" else 2))
    check_step(rivals, people, {}, RivalParams(images=2))


def test_vectors_choose_within_each_identity():
    people = make({"f1": 6, "m1": 2})
    values = {"embedding": rng(1).normal(size=(8, 4)).astype(np.float32)}
    for method in BY_VECTORS:
        params = ResampleParams(method=method, images=3)
        check_step(resample, people, values, params)
        left, _ = apply_decisions(people, resample(people, Features(values), params, step_rng(0, "x")))
        assert left.frame["identity"].value_counts().to_dict() == {"f1": 3, "m1": 2}


def test_replicas_of_a_rival_are_redrawn_and_stale_ones_go():
    people = make({"f1": 6, "f2": 1, "m1": 3})
    params = ResampleParams(method="random_over", labels=("identity",))
    once, _ = apply_decisions(people, resample(people, Features(), params, step_rng(0, "resample")))
    assert once.frame["identity"].value_counts().to_dict() == {"f1": 6, "f2": 6, "m1": 6}
    again, _ = apply_decisions(once, resample(once, Features(), params, step_rng(0, "resample")))
    assert again.frame.equals(once.frame)
    thin = ResampleParams(method="cap", images=2)
    bare, gone = apply_decisions(once, resample(once, Features(), thin, step_rng(0, "resample")))
    assert bare.originals().all()
    assert {"cap", "stale_replica"} == set(gone["reason"])


def test_the_table_of_rivals_counts_what_each_leaves():
    people = make({"f1": 8, "f2": 2, "m1": 4, "m2": 2})
    made = rivals(people, Features(), RivalParams(images=2, target=1.0, budget=100), step_rng(0, "rivals"))
    table = made.tables["balance/rivals"].set_index("method")
    assert list(table.index) == ["none", "idr", "idr_lookahead", *BY_LABELS]
    assert table.loc["none", ["images", "identities", "replicas", "samples"]].tolist() == [16, 4, 0, 16]
    assert table.loc["idr", "identity_idr"] == 1
    assert table.loc["cap", ["images", "samples", "most_copies"]].tolist() == [8, 8, 1]
    assert table.loc["random_over", "identity_max_min"] == 1
    assert table.loc["random_over", "distinct"] < table.loc["random_over", "samples"]
    assert (table["samples"] == table["images"] + table["replicas"]).all()
    few = rivals(people, Features(), RivalParams(images=2, methods=("ml_ros",), budget=100), step_rng(0, "rivals"))
    assert few.tables["balance/rivals"].set_index("method").loc["ml_ros"].equals(
        rivals(people, Features(), RivalParams(images=2, budget=100), step_rng(0, "rivals"))
        .tables["balance/rivals"].set_index("method").loc["ml_ros"]
    )  # fmt: skip
    with pytest.raises(InputError, match="no such method"):
        rivals(people, Features(), RivalParams(methods=("magic",)), step_rng(0, "rivals"))
