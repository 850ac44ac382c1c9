"""The parts of an audit: sides, fairness, transfer, promises, identification, failures, comparisons of audits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit import sides
from curate.audit.all_pairs import AuditParams, audit
from curate.audit.compare import compare
from curate.audit.scored_pairs import AuditScoresParams, audit_scores
from curate.core.errors import InputError
from curate.core.files import write_json, write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.core.vectors import unit
from curate.stats.bootstrap import identity_weights


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_sums_over_all_comparisons_equal_the_list_of_them(seed, one_group):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, (2, 6))
    first, second = [], []
    images_a, images_b = np.repeat(np.arange(6), a), np.repeat(np.arange(6), b)
    for i, x in enumerate(images_a):
        for y in images_a[i + 1 :] if one_group else images_b:
            first.append(x)
            second.append(y)
    first, second = np.array(first, np.int64), np.array(second, np.int64)
    (weights,) = identity_weights(6, 20, rng)
    for genuine in (True, False):
        mask = (first == second) == genuine
        listed = sides.Listed(first[mask], second[mask], 6, False)
        if genuine:
            summed = sides.Within(a * (a - 1) // 2 if one_group else a * b)
        else:
            summed = sides.Crossed(a) if one_group else sides.Crossed(a, b)
        assert summed.total == listed.total
        np.testing.assert_allclose(summed.per_identity, listed.per_identity)
        assert summed.squared == pytest.approx(listed.squared)
        np.testing.assert_allclose(summed.drawn(weights), listed.drawn(weights), rtol=1e-12)
        some = listed.errors
        np.testing.assert_allclose(summed.of_pair(some.first, some.second), some.counts)


def population(seed: int, people: int = 120, shift: float = 0.0):
    """Two groups; the impostors of `m` are more alike by far. Three images each."""
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(people), 3)
    men = identity % 2 == 1
    centre = rng.normal(size=(people, 16)) + np.where(np.arange(people) % 2 == 1, 0.5, 0.1)[:, None]
    noise = rng.normal(size=(len(identity), 16))
    vectors = unit(centre[identity] + (0.7 + shift) * noise)
    frame = {"image_id": [f"{i:04d}" for i in range(len(identity))], "identity": [f"p{k:03d}" for k in identity],
             "kind": np.where(men, "m", "f")}  # fmt: skip
    return Manifest.from_frame(pd.DataFrame(frame), levels={"kind": "identity"}), vectors


def write_run(folder, made):
    for name, frame in made.tables.items():
        write_table(folder / f"{name}.parquet", frame)
    for name, value in made.documents.items():
        write_json(folder / f"{name}.json", value)
    return folder


@pytest.fixture
def made(room) -> SimpleNamespace:
    manifest, vectors = population(0)
    return room.run(manifest, vectors, split=None, far=(0.1, 0.02))


def test_transfer_moves_each_groups_own_threshold(made, room):
    manifest, vectors = population(0)
    first, second, score = room.all_scores(vectors)
    identity, group = manifest.codes("identity"), manifest.frame["kind"].to_numpy()
    table = made.tables["audit/transfer"]
    assert set(table["fixed_on"]) == {"all", "f", "m"}
    for row in table.itertuples():
        here = (group[first] == row.group) & (group[second] == row.group)
        same = identity[first] == identity[second]
        assert row.fmr == np.mean(score[here & ~same] >= row.threshold)
        assert row.fnmr == np.mean(score[here & same] < row.threshold)
    own = table[table["fixed_on"] == table["group"]]
    assert (own["fmr"] <= own["far_target"]).all()
    moved = table[(table["fixed_on"] == "f") & (table["group"] == "m")]
    assert (moved["fmr"] > moved["far_target"]).all()


def test_a_promise_is_kept_and_not_by_much(made):
    table = made.tables["audit/promise"]
    rates = made.tables["audit/rates"].query("group_a == 'all'").set_index("far_target")
    for target, rows in table.groupby("far_target"):
        groups = rows[rows["group"] != "all"]
        assert rows["kept"].all()
        assert (groups["fmr_high"] <= target).all()
        assert groups["fmr_high"].max() > 0.6 * target  # not simply a threshold that nothing passes
        assert (rows["threshold"] >= rates.loc[target, "threshold"]).all()
        assert (rows["fnmr"] >= rows["fnmr_before"]).all()


def test_a_promise_that_cannot_be_kept_says_why(room):
    manifest, vectors = population(1)
    table = room.run(manifest, vectors, split=None, far=(1e-5,)).tables["audit/promise"]
    assert not table["kept"].any()
    assert "can't show an FMR under 1e-05" in table["reason"].iloc[0]


def test_the_fairness_pack_is_its_definitions(made):
    rates = made.tables["audit/rates"]
    for entry in made.documents["audit/fairness"]:
        assert entry["groups"] == ["f", "m"]
        rows = rates[(rates["group_a"] == rates["group_b"]) & (rates["far_target"] == entry["far_target"])].iloc[1:]
        fmr, fnmr = rows["fmr"].to_numpy(), rows["fnmr"].to_numpy()
        told = {name: entry["measures"][name] for name in entry["measures"]}
        assert told["max_over_min_fmr"]["value"] == pytest.approx(fmr.max() / fmr.min())
        assert told["fdr"]["value"] == pytest.approx(1 - np.ptp(fmr) / 2 - np.ptp(fnmr) / 2)
        every = (rows["impostors"] + rows["genuines"]).to_numpy()
        over = [np.ptp(rows[name].to_numpy() / every) for name in ("false_matches", "false_non_matches")]
        assert told["fdr_of_all_pairs"]["value"] == pytest.approx(1 - sum(over) / 2)
        accuracy = 1 - (rows["false_matches"] + rows["false_non_matches"]).to_numpy() / every
        assert told["accuracy_deviation"]["value"] == pytest.approx(accuracy.std(ddof=1))
        for measure in told.values():
            assert measure["source"]
            if measure["value"] is not None and measure["high"] is not None:
                assert measure["low"] <= measure["value"] * 1.05 + 1e-9
                assert measure["high"] >= measure["value"] * 0.95


def test_a_group_without_errors_is_never_infinite_in_silence(room):
    manifest, vectors = population(2)
    rows = room.run(manifest, vectors, split=None).tables["audit/curves"]
    tops = rows[rows["fmr"] > 0].groupby("group")["threshold"].max()
    between = (tops["f"] + tops["m"]) / 2  # only one group has an impostor above
    entry = room.run(manifest, vectors, split=None, far=(), threshold=(between,)).documents["audit/fairness"][0]
    ratio = entry["measures"]["max_over_min_fmr"]
    assert ratio["value"] is None
    assert ratio["at_least"] > 0
    assert "no upper limit" in ratio["note"]
    one = room.run(manifest, vectors, split=None, group_by=()).documents["audit/fairness"][0]
    assert one["measures"]["gini_fmr"]["value"] is None
    assert "fewer than two groups" in one["measures"]["gini_fmr"]["note"]


def test_a_planted_wrong_label_is_suspected(room):
    manifest, vectors = population(3, shift=-0.4)
    frame = manifest.frame.astype({"identity": "str"})
    frame.loc[0, "identity"] = frame["identity"][30]  # an image of p000 under the name p010
    made = room.run(Manifest.from_frame(frame, levels=manifest.levels), vectors, split=None, far=(0.01, 0.001))
    suspects = made.tables["audit/suspects"]
    assert suspects["image_id"].tolist()[:1] == ["0000"]
    assert suspects["action"].iloc[0] == "flag"
    assert suspects["related_id"].iloc[0] in ("0001", "0002")
    assert len(suspects) <= 2
    assert made.tables["audit/worst_identities"]["false_matches"].is_monotonic_decreasing
    worst = made.tables["audit/worst_pairs"]
    assert ("p000", "p010") in set(zip(worst["identity_a"], worst["identity_b"], strict=True))


def slow_rank_one(vectors, identity, gallery, probes):
    score = vectors[probes] @ vectors[gallery].T
    return np.mean(identity[gallery][score.argmax(axis=1)] == identity[probes])


def test_identification_falls_with_the_gallery_and_equals_a_search(room):
    manifest, vectors = population(4, people=90, shift=0.5)
    made = room.run(manifest, vectors, split=None, identification={"draws": 12, "galleries": (10, 30, 60)})
    table = made.tables["audit/identification"]
    measured = table[~table["extrapolated"]]
    ranks = measured[measured["measure"] == "rank 1"]
    assert ranks["gallery"].tolist() == [10, 30, 60]
    assert ranks["rate"].is_monotonic_decreasing
    assert ((ranks["rate_low"] <= ranks["rate"]) & (ranks["rate"] <= ranks["rate_high"])).all()
    strict, loose = (measured[measured["fpir_target"] == fpir]["rate"].to_numpy() for fpir in (0.01, 0.1))
    assert (strict <= loose + 1e-12).all()
    assert (loose <= ranks["rate"].to_numpy() + 1e-12).all()
    rng, identity, found = np.random.default_rng(0), manifest.codes("identity"), []
    for _ in range(40):
        enrolled = rng.permutation(90)[:60]
        gallery = np.array([rng.choice(np.flatnonzero(identity == who)) for who in enrolled])
        probes = np.setdiff1d(np.flatnonzero(np.isin(identity, enrolled)), gallery)
        found.append(slow_rank_one(vectors, identity, gallery, probes))
    assert ranks["rate"].iloc[-1] == pytest.approx(np.mean(found), abs=0.03)
    beyond = table[table["extrapolated"]]
    assert beyond["gallery"].max() == 100_000_000
    assert beyond["rate"].is_monotonic_decreasing


def test_the_binomial_model_holds_where_entries_are_independent(room):
    """Random directions: what is extrapolated from a few is what a larger search finds."""
    rng = np.random.default_rng(5)
    identity = np.repeat(np.arange(300), 2)
    vectors = unit(rng.normal(size=(300, 6))[identity] + 0.5 * rng.normal(size=(600, 6)))
    frame = pd.DataFrame({"image_id": [f"{i:04d}" for i in range(600)], "identity": [f"p{k:03d}" for k in identity]})
    made = room.run(Manifest.from_frame(frame, levels={}), vectors, split=None, group_by=(),
                    identification={"draws": 20, "galleries": (200,), "beyond": (200,)})  # fmt: skip
    table = made.tables["audit/identification"].query("measure == 'rank 1'").set_index("extrapolated")
    assert table.loc[True, "rate"] == pytest.approx(table.loc[False, "rate"], abs=0.05)


def test_two_audits_of_the_same_people(room, tmp_path):
    runs = []
    for name, shift in (("good", -0.2), ("same", -0.2), ("bad", 0.4)):
        manifest, vectors = population(6, shift=shift)
        runs.append(write_run(tmp_path / name, room.run(manifest, vectors, split=None, far=(0.05,))))
    same = compare(runs[0], runs[1], draws=50)
    assert (same.table[["difference", "difference_low", "difference_high"]].dropna() == 0).all(axis=None)
    assert "differences are paired" in same.notes[0]
    table = compare(runs[0], runs[2], draws=200).table.set_index(["measure", "group_a", "group_b"])
    worse = table.loc[("fnmr", "all", "all")]
    assert 0 < worse["difference_low"] < worse["difference"] < worse["difference_high"]
    assert {"garbe", "fdr", "max_over_min_fmr"} <= set(table.index.get_level_values(0))
    assert table.loc[("fnmr", "m", "m"), "first"] < table.loc[("fnmr", "m", "m"), "second"]


def test_pairing_makes_differences_sharper(tmp_path):
    """Two models that agree on most rows: the paired interval is narrower than that of independent samples."""
    rng = np.random.default_rng(7)
    genuine = np.arange(4000) % 2 == 0
    score = rng.normal(size=4000) + 2 * genuine
    runs = []
    for name, noise in (("a", 0.0), ("b", 0.15)):
        frame = pd.DataFrame({"label": genuine.astype(int), "score": score + noise * rng.normal(size=4000)})
        path = tmp_path / f"{name}.csv"
        frame.to_csv(path, index=False)
        params = AuditScoresParams(scores=path, score="score", label="label", far=(0.05,), draws=0)
        runs.append(write_run(tmp_path / name, audit_scores(None, Features({}), params, step_rng(0, "x"))))
    row = compare(*runs, draws=400).table.query("measure == 'fnmr'").iloc[0]
    alone = np.sqrt(2 * row["first"] * (1 - row["first"]) / 2000) * 2 * 1.96
    assert row["difference_high"] - row["difference_low"] < 0.6 * alone
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_audits_that_cannot_be_compared(room, tmp_path):
    manifest, vectors = population(8)
    one = write_run(tmp_path / "one", room.run(manifest, vectors, split=None, far=(0.05,)))
    other = write_run(tmp_path / "other", room.run(manifest, vectors, split=None, far=(0.01,)))
    bare = write_run(tmp_path / "bare", room.run(manifest, vectors, split=None, far=(0.05,), max_errors=0))
    with pytest.raises(InputError, match="no targets in common"):
        compare(one, other)
    with pytest.raises(InputError, match="did not keep its errors"):
        compare(one, bare)
    with pytest.raises(InputError, match="holds no audit"):
        compare(tmp_path, one)


def test_images_without_a_group_are_in_the_pooled_comparison(room, tmp_path):
    manifest, vectors = room.people(200, 3)
    run = write_run(tmp_path / "run", room.run(manifest, vectors))
    table = compare(run, run, draws=20).table.query("group_a == 'all'")
    rates = room.run(manifest, vectors).tables["audit/rates"].query("group_a == 'all'")
    for name in ("fmr", "fnmr"):
        np.testing.assert_allclose(table[table["measure"] == name]["first"], rates[name])


def test_audit_passes_the_public_check_of_reports():
    assert audit.kind == "report"
    assert audit.params is AuditParams
    assert audit.needs == ("stored_vectors",)
