"""The choice `lookahead` keeps the definition and needs no more replicas than `uniform`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance.draw import Draws, _run, draw_replicas
from curate.balance.pool import dense_codes
from curate.balance.state import Cap, make_state
from curate.stats.imbalance import idr


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def table(seed: int, n: int, missing: float = 0.0, share: float | None = None) -> np.ndarray:
    """Identities of Zipf's law and labels that follow them in a share of the rows."""
    rng = np.random.default_rng(seed)
    identity = rng.zipf(1.5, n) % int(rng.integers(2, n))
    columns = [identity]
    for size in (2, 4, 7)[: int(rng.integers(1, 4))]:
        weight = np.arange(1, size + 1) ** -1.5
        own, any_ = (rng.choice(size, k, p=weight / weight.sum()) for k in (identity.max() + 1, n))
        follow = rng.random(n) < (rng.random() if share is None else share)
        columns.append(np.where(follow, own[identity], any_))
    columns = [np.where(rng.random(n) < missing, -1, column) for column in columns]
    order = rng.permutation(len(columns))
    return np.stack([dense_codes(columns[place]) for place in order], axis=1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(3, 80), st.sampled_from([0, 0.3]), st.sampled_from([1.0, 1.5, 2.0]),
       st.sampled_from([None, 2]), st.sampled_from([None, 5]))  # fmt: skip
def test_it_keeps_the_definition(seed, n, missing, target, cap, group_cap):
    codes = table(seed, n, missing)
    caps = [] if group_cap is None else [Cap(codes[:, 0], group_cap)]
    drawn = draw_replicas(codes, target, 80, generator(seed), cap, caps=caps, choice="lookahead")
    counts = [np.bincount(column[column >= 0]) for column in codes.T]
    left = np.full(n, np.inf if cap is None else cap)
    group_left = np.full(n + 1, np.inf if group_cap is None else group_cap)
    for row, label, ratio in zip(drawn.rows, drawn.labels, drawn.ratios, strict=True):
        ratios = [np.quantile(x, 0.9) / np.quantile(x, 0.1) if len(x) else 1.0 for x in counts]
        assert label == int(np.argmax(ratios))
        assert ratio == ratios[label] > target
        free = (left > 0) & ((codes[:, 0] < 0) | (group_left[codes[:, 0]] > 0))
        there = np.unique(codes[free & (codes[:, label] >= 0), label])
        assert free[row]
        assert codes[row, label] >= 0
        assert counts[label][codes[row, label]] == counts[label][there].min()
        left[row] -= 1
        group_left[codes[row, 0]] -= codes[row, 0] >= 0
        for place, code in enumerate(codes[row]):
            if code >= 0:
                counts[place][code] += 1
    if drawn.ended == "target":
        assert all(np.isnan(idr(x)) or idr(x) <= target for x in counts)


def both(codes: np.ndarray, target: float, budget: int, seed: int = 0) -> tuple[Draws, Draws]:
    """The draws of `uniform` and of the greedy choice by itself, which `draw_replicas` would drop where it is worse."""
    return tuple(_run(make_state(codes, budget=budget), target, budget, generator(seed), choice)
                 for choice in ("uniform", "lookahead"))  # fmt: skip


@pytest.mark.parametrize("target", [1.2, 1.5, 2.0])
def test_the_greedy_choice_needs_far_fewer_where_labels_are_correlated(target):
    ratios, rescued = [], 0
    for seed in range(100):
        codes = table(seed, int(np.random.default_rng(seed).integers(30, 3000)))
        plain, ahead = both(codes, target, 50_000, seed)
        if plain.ended == "target":
            assert ahead.ended == "target", seed
            assert len(ahead.rows) <= 1.02 * len(plain.rows), seed
            if len(plain.rows):
                ratios.append(len(ahead.rows) / len(plain.rows))
        rescued += ahead.ended == "target" and plain.ended != "target"
    assert sum(ratio > 1 for ratio in ratios) <= 1
    assert np.mean(ratios) < 0.7
    assert rescued > 15


def test_where_the_greedy_choice_is_unlucky_the_plain_draws_are_kept():
    codes = table(69, int(np.random.default_rng(69).integers(30, 3000)))
    plain, ahead = both(codes, 1.2, 50_000, 69)
    assert len(ahead.rows) > len(plain.rows)
    kept = draw_replicas(codes, 1.2, 50_000, generator(69), choice="lookahead")
    assert kept.rows.tolist() == plain.rows.tolist()


def test_on_real_tables_it_never_needs_more():
    """Label tables that no parameter was set on; the choice by itself, without the plain draws behind it."""
    folder = os.environ.get("CURATE_REAL_DATA")
    if not folder:
        pytest.skip("CURATE_REAL_DATA is not set")
    frames = {}
    fair = pd.read_csv(Path(folder) / "fairface-3000" / "fairface_label_train_40000_rows.csv")
    frames["fairface"] = fair[["race", "gender", "age"]]
    utk = sorted(path.name.split("_")[:3] for path in (Path(folder) / "utkface-subset").rglob("*_*_*_*.jpg"))
    utk = pd.DataFrame(utk, columns=["age", "gender", "race"]).astype(int)
    frames["utkface"] = utk.assign(age=utk["age"] // 10)
    celeba = pd.read_csv(Path(folder) / "celeba-meta" / "list_attr_celeba.zip", sep=r"\s+", skiprows=1,
                         compression="zip", nrows=60_000)  # fmt: skip
    frames["celeba"] = celeba[["Smiling", "Blond_Hair", "Chubby", "Mustache"]]
    ratios = []
    for name, frame in frames.items():
        codes = np.stack([dense_codes(pd.Categorical(frame[column]).codes) for column in frame], axis=1)
        for target in (3.0, 2.0, 1.5, 1.2):
            plain, ahead = both(codes, target, 10 * len(codes))
            if plain.ended == "target":
                assert ahead.ended == "target", (name, target)
                assert len(ahead.rows) <= len(plain.rows), (name, target)
                ratios.append(len(ahead.rows) / max(len(plain.rows), 1))
    assert len(ratios) >= 8
    assert np.mean(ratios) < 0.9


def test_the_rows_of_a_kind_take_turns():
    codes = np.repeat([0, 1], [20, 5]).astype(np.int32)[:, None]
    drawn = draw_replicas(codes, 1.0, 100, generator(), choice="lookahead")
    assert np.bincount(drawn.rows)[20:].tolist() == [3] * 5


def test_the_same_seed_gives_the_same_rows():
    codes = table(3, 500, 0.1)
    one, two, other = (
        draw_replicas(codes, 1.5, 400, generator(s), choice="lookahead").rows.tolist() for s in (1, 1, 2)
    )
    assert one == two != other
