"""The audit equals brute force, whatever the screen, the order of the rows and the number of workers."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from curate.audit import face_pairs, genuine, screened
from curate.audit.all_pairs import AuditParams
from curate.audit.curves import CURVE_COLUMNS
from curate.audit.rates import RATE_COLUMNS, as_table
from curate.core.errors import InputError
from curate.core.files import write_table
from curate.core.manifest import Manifest
from curate.core.shapes import SerialExecutor
from curate.core.vectors import unit
from curate.stats.intervals import MIN_ERRORS, clustered_interval, design_effect, dyadic_variance, limits
from curate.stats.rates import det_curve, eer, threshold_at


class Pool:
    """Two processes, results in order."""

    workers = 2

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool

    def map(self, function, items):
        return self.pool.map(function, items)


class Backwards(SerialExecutor):
    """Computes the last item first, gives the results in order."""

    def map(self, function, items):
        items = list(items)
        return iter([function(item) for item in reversed(items)][::-1])


@pytest.fixture(params=["every score in float64", "only the tail"])
def small(request, monkeypatch):
    """Small tiles, so that a few hundred images make many; and a tail that is a tail."""
    monkeypatch.setattr(screened, "BLOCK", 64)
    monkeypatch.setattr(screened, "TILE", 17)
    monkeypatch.setattr("curate.search.screen.TILE", 17)
    monkeypatch.setattr(genuine, "TASK", 50)
    monkeypatch.setattr(genuine, "_SPLIT", 3)
    if request.param == "only the tail":
        monkeypatch.setattr(face_pairs, "EVERY", 0)
        monkeypatch.setattr(face_pairs, "_SAMPLE", 60)
        monkeypatch.setattr(genuine, "FEW", 0)


def brute_force(room, manifest: Manifest, vectors: np.ndarray, targets, thresholds=()) -> pd.DataFrame:
    """The same table from all scores and a loop over cells and targets, then thresholds."""
    i, j, score = room.all_scores(vectors)
    identity = manifest.codes("identity").astype(int)
    label = manifest.frame["kind"].astype("object").to_numpy()
    same = identity[i] == identity[j]
    impostors = np.sort(score[~same])[::-1]
    cuts = [(target, threshold_at(impostors, target)) for target in targets] + [(np.nan, cut) for cut in thresholds]
    rows = []
    for a, b in [("all", "all"), ("f", "f"), ("m", "m"), ("f", "m")]:
        here = np.array([
            a == "all" or sorted(map(str, pair)) == sorted((a, b)) for pair in zip(label[i], label[j], strict=True)
        ])  # fmt: skip
        if not here.any():
            continue
        for target, threshold in cuts:
            sides = []
            for mask, wrong in ((here & ~same, score >= threshold), (here & same, score < threshold)):
                who = identity[i[mask]], identity[j[mask]]

                def judged(bad, mask=mask, who=who):
                    variance = dyadic_variance(*who, np.ones(mask.sum()), bad[mask].astype(float))
                    return int(bad[mask].sum()), int(mask.sum()), variance

                if not sides:  # impostors borrow from their 100 highest scores
                    loose = score >= np.sort(score[mask])[-min(100, mask.sum())] if mask.any() else mask
                    effect = design_effect(*judged(loose)) if mask.any() else np.nan
                else:  # genuine ones from the next threshold that misses ten
                    effect = np.nan
                    for cut in sorted(room.told):  # every threshold at which misses are counted
                        if int((score < cut)[mask].sum()) >= MIN_ERRORS:
                            effect = design_effect(*judged(score < cut))
                            break
                errors, count, variance = judged(wrong)
                people = len(np.unique(np.concatenate(who)))
                sides.append((count, errors, clustered_interval(errors, count, variance, people, effect=effect)))
            (n, k, low), (g, m, high) = sides
            limits = [(x.low, x.high) if count else (np.nan, np.nan) for x, count in ((low, n), (high, g))]
            rows.append((a, b, target, threshold, n, k, low.rate, *limits[0], g, m, high.rate, *limits[1],
                         target * low.n_eff >= 3))  # fmt: skip
    return as_table(rows, RATE_COLUMNS)


@pytest.mark.parametrize("image_level", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_rates_equal_brute_force(room, small, seed, image_level, monkeypatch):
    manifest, vectors = room.people(150, seed, image_level=image_level)
    asked = []
    monkeypatch.setattr(
        face_pairs.FacePairs, "genuine",
        lambda self, told, others, lenders: asked.append(lenders) or genuine.genuine_of(
            self.faces, told, others, lenders, self._executor),
    )  # fmt: skip
    made = room.run(manifest, vectors)
    room.told = np.unique(asked[0])
    expected = brute_force(room, manifest, vectors, made.tables["audit/rates"]["far_target"].unique())
    exact = ["threshold", "impostors", "false_matches", "genuines", "false_non_matches", "fmr", "fnmr"]
    rates = made.tables["audit/rates"]
    pd.testing.assert_frame_equal(rates[exact], expected[exact], check_exact=True)
    pd.testing.assert_frame_equal(rates, expected, check_exact=False, rtol=1e-9)
    assert (rates.query("group_a == 'all'")["fmr"] <= [0.3, 0.05, 0.01]).all()
    bins = made.tables["audit/histogram"]
    edges = np.unique(bins["threshold"])[1::15]
    assert len(edges) > 8
    at = brute_force(room, manifest, vectors, (), edges).set_index(["group_a", "group_b", "threshold"])
    limited = 0
    for (*names, threshold), row in at.iterrows():
        mine = bins[(bins["group_a"] == names[0]) & (bins["group_b"] == names[1])]
        above, bin = mine[mine["threshold"] >= threshold], mine[mine["threshold"] == threshold].iloc[0]
        assert mine["impostors"].sum() == row.impostors
        assert mine["genuines"].sum() == row.genuines
        missed = int(row.genuines - above["genuines"].sum())
        assert missed == row.false_non_matches
        told = limits(missed, int(row.genuines), bin.fnmr_n_eff, bin.fnmr_degrees) if row.genuines else None
        if told is not None:
            assert (told.low, told.high) == pytest.approx((row.fnmr_low, row.fnmr_high), rel=1e-9)
        matched = int(above["impostors"].sum())
        if bin.exact:
            assert matched == row.false_matches
            told = limits(matched, int(row.impostors), bin.fmr_n_eff, bin.fmr_degrees)
            assert (told.low, told.high) == pytest.approx((row.fmr_low, row.fmr_high), rel=1e-9)
            limited += 1
        else:
            assert np.isnan(bin.fmr_n_eff)
            near = brute_force(room, manifest, vectors, (), (threshold + 0.03, threshold - 0.03))
            near = near[(near["group_a"] == names[0]) & (near["group_b"] == names[1])]["false_matches"]
            assert near.iloc[0] <= matched <= near.iloc[1]
    assert limited > 3


def test_workers_and_order_of_tiles_change_nothing(room, small):
    manifest, vectors = room.people(200, 3)
    expected = room.run(manifest, vectors)
    with ProcessPoolExecutor(2) as pool:
        for executor in (Backwards(), Pool(pool)):
            made = room.run(manifest, vectors, executor)
            assert made.summary == expected.summary
            assert made.documents == expected.documents
            for name, table in expected.tables.items():
                pd.testing.assert_frame_equal(made.tables[name], table, check_exact=True)


def test_a_shuffled_table_is_the_same_bytes(room, tmp_path):
    manifest, vectors = room.people(120, 4)
    order = np.random.default_rng(1).permutation(120)
    shuffled = Manifest.from_frame(manifest.frame.take(order), levels=manifest.levels)
    for name, source in (("a", manifest), ("b", shuffled)):
        for table, frame in room.run(source, vectors).tables.items():
            write_table(tmp_path / name / table, frame)
    for file in (tmp_path / "a" / "audit").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "audit" / file.name).read_bytes()


def test_the_curve_is_exact_where_it_says_so(room, small):
    manifest, vectors = room.people(200, 2)
    curves = room.run(manifest, vectors).tables["audit/curves"]
    assert tuple(curves.columns) == CURVE_COLUMNS
    assert set(curves["group"]) == {"all", "f", "m"}
    assert curves["exact"].any()
    first, second, scores = room.all_scores(vectors)
    identity, group = manifest.codes("identity"), manifest.frame["kind"].to_numpy()
    for name, rows in curves.groupby("group"):
        here = (name == "all") | ((group[first] == name) & (group[second] == name))
        same = identity[first] == identity[second]
        genuine_scores, impostor = scores[here & same], scores[here & ~same]
        for row in rows.itertuples():
            assert row.fnmr == pytest.approx(np.mean(genuine_scores < row.threshold), abs=1e-12)
            assert row.tar == pytest.approx(1 - row.fnmr, abs=1e-12)
            if row.exact:
                assert row.fmr == pytest.approx(np.mean(impostor >= row.threshold), abs=1e-12)
            else:  # off by no more than the screen and a bin, in the threshold
                step = 0.01
                assert np.mean(impostor >= row.threshold + step) <= row.fmr <= np.mean(impostor >= row.threshold - step)


def test_points_and_operating_points_are_scikit_learns(room):
    from sklearn.metrics import roc_curve

    manifest, vectors = room.people(200, 5)
    made = room.run(manifest, vectors)
    first, second, scores = room.all_scores(vectors)
    identity = manifest.codes("identity")
    same = identity[first] == identity[second]
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    for row in made.tables["audit/rates"].query("group_a == 'all'").itertuples():
        at = np.searchsorted(fpr, row.far_target, side="right") - 1  # the last point within the target
        assert row.fmr == pytest.approx(fpr[at], abs=1e-12)
        assert 1 - row.fnmr == pytest.approx(tpr[at], abs=1e-12)
    curve = det_curve(scores[same], scores[~same])
    np.testing.assert_allclose(np.unique(curve.fmr), np.unique(fpr), atol=1e-12)
    point = made.tables["audit/points"].iloc[0]
    assert point["exact"]
    assert point["eer"] == pytest.approx(eer(scores[same], scores[~same]).rate, abs=1e-15)


def test_constant_scores(room):
    manifest, vectors = room.people(30, 4)
    vectors[:] = vectors[0]
    rates = room.run(manifest, vectors, far=(0.1, 1.0)).tables["audit/rates"].query("group_a == 'all'")
    # Every impostor scores the same: none may match at 0.1, all at 1.
    assert rates["fmr"].tolist() == [1.0, 0.0]
    assert rates["fnmr"].tolist() == [0.0, 1.0]
    assert rates["threshold"].iloc[0] == -np.inf


def test_the_length_of_a_vector_says_nothing(room):
    manifest, vectors = room.people(80, 6)
    long = vectors * np.float32(2.0) ** np.random.default_rng(0).integers(-3, 4, (80, 1))
    one, two = (room.run(manifest, rows).tables["audit/rates"] for rows in (vectors, long.astype(np.float32)))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_failures_to_acquire_are_counted_not_compared(room):
    manifest, vectors = room.people(60, 6)
    vectors[[3, 10, 11]] = 0
    made = room.run(manifest, vectors)
    keep = np.ones(60, dtype=bool)
    keep[[3, 10, 11]] = False
    expected = room.run(manifest.take(keep), vectors[keep])
    pd.testing.assert_frame_equal(made.tables["audit/rates"], expected.tables["audit/rates"])
    acquired = made.tables["audit/acquisition"].set_index("group")
    assert acquired.loc["all", ["images", "failures"]].tolist() == [60, 3]
    assert acquired.loc["all", "fta"] == 0.05
    assert made.summary["failures_to_acquire"] == 3


def test_replicas_other_splits_and_nameless_rows_stay_out(room):
    manifest, vectors = room.people(60, 7)
    frame = manifest.frame.astype({"identity": "str", "split": "str", "kind": "str"})
    frame["parent_id"] = pd.Series([None] * 60, dtype="str")
    frame.loc[5, "parent_id"] = "0004"
    frame.loc[6, "split"] = "train"
    frame.loc[7, "identity"] = None
    made = room.run(Manifest.from_frame(frame, levels=manifest.levels), vectors)
    keep = ~np.isin(np.arange(60), [5, 6, 7])
    expected = room.run(manifest.take(keep), vectors[keep])
    pd.testing.assert_frame_equal(made.tables["audit/rates"], expected.tables["audit/rates"])
    assert "1 images have no identity: not compared." in made.notes


def test_a_group_of_one_identity_and_a_group_without_genuine_pairs(room):
    frame = pd.DataFrame(
        {
            "image_id": [f"{i}" for i in range(9)],
            "identity": ["a", "a", "a", "b", "c", "d", "e", "e", "g"],
            "kind": ["one"] * 3 + ["single"] * 3 + ["both"] * 3,
        }
    )
    manifest = Manifest.from_frame(frame, levels={"kind": "identity"})
    vectors = unit(np.random.default_rng(0).normal(size=(9, 5)))
    made = room.run(manifest, vectors, split=None, far=(0.5,))
    rates = made.tables["audit/rates"].set_index(["group_a", "group_b"])
    assert rates.loc[("one", "one"), "impostors"] == 0
    assert np.isnan(rates.loc[("one", "one"), "fmr"])
    assert not rates.loc[("one", "one"), "supported"]
    assert rates.loc[("one", "one"), "genuines"] == 3
    assert rates.loc[("single", "single"), "genuines"] == 0
    assert np.isnan(rates.loc[("single", "single"), "fnmr"])
    assert (rates.loc[("both", "one"), ["impostors", "genuines"]] == [9, 0]).all()
    assert "single: no genuine pair, so no FNMR." in made.notes
    assert "one: no impostor pair, so no FMR." in made.notes
    assert set(made.tables["audit/curves"]["group"]) == {"all", "both"}
    assert made.summary["FNMR (FRR) at 0.5"]["single"] is None
    json.dumps([made.summary, made.documents], allow_nan=False)
    with pytest.raises(InputError, match="'one' has no impostor pairs"):
        room.run(manifest, vectors, split=None, fix_on="one")
    with pytest.raises(InputError, match="no group 'bot'.*Did you mean 'both'"):
        room.run(manifest, vectors, split=None, fix_on="bot")


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("split", ["holdout", None, "nowhere"])
def test_tiny_manifests_give_empty_tables_and_a_note(room, rows, split):
    manifest, vectors = room.people(max(rows, 1), 0)
    made = room.run(manifest.take(np.arange(rows)), vectors[:rows], split=split)
    assert tuple(made.tables["audit/rates"].columns) == RATE_COLUMNS
    assert len(made.tables["audit/rates"]) == len(made.tables["audit/curves"]) == 0
    assert "nothing to compare" in made.notes[0]
    assert {figure.table for figure in made.figures} <= set(made.tables)


def test_one_identity_has_no_threshold(room):
    manifest, vectors = room.people(3, 0)
    manifest = Manifest.from_frame(manifest.frame.assign(identity="same"), levels=manifest.levels)
    made = room.run(manifest, vectors)
    assert len(made.tables["audit/rates"]) == 0
    assert any("no impostor pair" in note for note in made.notes)


def test_a_vector_that_is_not_a_number_is_refused(room):
    manifest, vectors = room.people(20, 0)
    vectors[13, 2] = np.nan
    with pytest.raises(InputError, match=r"not finite.*'0013'"):
        room.run(manifest, vectors)


def test_a_group_may_not_be_called_all(room):
    manifest, vectors = room.people(20, 0)
    frame = manifest.frame.assign(kind="all")
    with pytest.raises(InputError, match="name of the pooled figures"):
        room.run(Manifest.from_frame(frame, levels=manifest.levels), vectors)


@pytest.mark.parametrize("bad", [{"far": (0.0,)}, {"far": (2.0,)}, {"fars": (0.1,)}, {"alpha": 2}, {"prevalence": 0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValidationError):
        AuditParams(**bad)
    with pytest.raises(ValidationError):
        AuditParams(far=("a tenth",))


def test_a_rate_in_yaml_may_lack_its_point():
    assert AuditParams(far=("1e-1",)).far == (0.1,)  # YAML 1.1 reads 1e-1 as text


def test_too_many_pairs_in_the_tail_are_refused(room, monkeypatch):
    manifest, vectors = room.people(150, 1)
    monkeypatch.setattr(face_pairs, "EVERY", 0)
    monkeypatch.setattr(screened, "MAX_TAIL", 300)
    monkeypatch.setattr(face_pairs, "MAX_TAIL", 300)
    with pytest.raises(InputError, match="Ask for a smaller FAR"):
        room.run(manifest, vectors, far=(0.2,))


def test_inputs_are_left_alone_and_figures_name_their_columns(room):
    manifest, vectors = room.people(60, 8)
    frame, copy = manifest.frame.copy(), vectors.copy()
    made = room.run(manifest, vectors)
    pd.testing.assert_frame_equal(manifest.frame, frame)
    np.testing.assert_array_equal(vectors, copy)
    for figure in made.figures:
        table = made.tables[figure.table]
        for key in ("x", "y", "color", "value", "low", "high"):
            assert figure.options.get(key) is None or figure.options[key] in table.columns


def test_float16_vectors_and_no_groups(room):
    manifest, vectors = room.people(60, 9)
    made = room.run(manifest, vectors.astype(np.float16), group_by=())
    assert set(made.tables["audit/rates"]["group_a"]) == {"all"}
    assert "audit/cross" not in made.tables


def test_lfw_embeddings_give_the_published_rates(room, real_data):
    folder = real_data / "lfw-embeddings"
    vectors = np.frombuffer((folder / "LFW_tensor.bytes").read_bytes(), "<f4").reshape(-1, 128)
    index = pd.read_csv(folder / "index.csv", keep_default_na=False)
    frame = {"image_id": index["row"].astype(str).str.zfill(5), "identity": index["identity"],
             "gender": index["gender_afif4"]}  # fmt: skip
    made = room.run(Manifest.from_frame(pd.DataFrame(frame)), vectors, group_by=("gender",), split=None, far=(1e-3,))
    rates = made.tables["audit/rates"].set_index(["group_a", "group_b"])
    pooled, men, women = (rates.loc[(name, name)] for name in ("all", "M", "F"))
    assert pooled["fmr"] == pytest.approx(1e-3, rel=1e-3)
    assert pooled["fmr"] <= 1e-3
    assert 1 - pooled["fnmr"] == pytest.approx(0.968, abs=5e-4)
    assert (men["fmr"], women["fmr"]) == pytest.approx((0.00151, 0.00105), abs=5e-6)
    assert (men["fnmr"], women["fnmr"]) == pytest.approx((0.0232, 0.0600), abs=5e-5)
    assert (pooled["genuines"], men["impostors"] > 2.4e6, women["impostors"] > 2.4e5) == (15_789, True, True)
    assert rates.loc[("F", "M"), "genuines"] == 0
    plain = made.tables["audit/plain"].iloc[0]
    assert pooled["fmr_high"] - pooled["fmr_low"] > 10 * (plain["fmr_high"] - plain["fmr_low"])
