"""Audits of score tables: figures against brute force, formats, and every kind of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit.rates import threshold_of
from curate.audit.read_scores import Columns, read_scores
from curate.audit.score_table import ScoreTable
from curate.audit.scored_pairs import AuditScoresParams, audit_scores
from curate.audit.source import Target
from curate.core.errors import InputError
from curate.core.shapes import Features, step_rng
from curate.stats.intervals import clustered_interval, design_effect, dyadic_variance, limits, wilson
from curate.stats.rates import det_curve, eer, fmr, fnmr, threshold_at


def audit(path: Path, **settings):
    settings = {"score": "score", "label": "label", "far": (0.1, 0.02), "draws": 60, **settings}
    return audit_scores(None, Features({}), AuditScoresParams(scores=path, **settings), step_rng(0, "audit_scores"))


def table(seed: int, rows: int = 400, people: int = 30) -> pd.DataFrame:
    """Comparisons of identities in two groups; an identity has one group."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, people, rows)
    genuine = rng.random(rows) < 0.4
    b = np.where(genuine, a, (a + rng.integers(1, people, rows)) % people)
    score = np.round(rng.normal(size=rows) + 1.5 * genuine + 0.4 * (a % 2), 1)  # ties
    names = np.array(["f", "m"])
    return pd.DataFrame({"a": [f"p{k}" for k in a], "b": [f"p{k}" for k in b], "ga": names[a % 2], "gb": names[b % 2],
                         "label": genuine.astype(int), "score": score, "fold": np.arange(rows) % 5})  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(frame: pd.DataFrame, name: str = "scores.csv") -> Path:
        path = tmp_path / name
        frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
        return path

    return write


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_rates_equal_brute_force(tmp_path_factory, seed, named):
    frame = table(seed)
    path = tmp_path_factory.mktemp("scores") / "s.parquet"
    frame.to_parquet(path)
    ids = {"id_a": "a", "id_b": "b"} if named else {}
    made = audit(path, group="ga", group_b="gb", **ids)
    genuine, score = frame["label"].to_numpy(bool), frame["score"].to_numpy()
    for row in made.tables["audit/rates"].itertuples():
        pair = sorted((row.group_a, row.group_b))
        sides = np.sort(frame[["ga", "gb"]].to_numpy(str), axis=1)
        here = np.full(len(frame), True) if row.group_a == "all" else (sides == pair).all(axis=1)
        threshold = threshold_at(score[~genuine], row.far_target)
        assert row.threshold == threshold
        gen, imp = here & genuine, here & ~genuine
        assert (row.impostors, row.genuines) == (imp.sum(), gen.sum())
        for mask, wrong, rate, low, high in (
            (imp, score >= threshold, row.fmr, row.fmr_low, row.fmr_high),
            (gen, score < threshold, row.fnmr, row.fnmr_low, row.fnmr_high),
        ):
            if not mask.any():
                assert np.isnan(rate)
                continue
            assert rate == wrong[mask].mean()
            who = frame.loc[mask, "a"].to_numpy(), frame.loc[mask, "b"].to_numpy()
            errors, count = int(wrong[mask].sum()), int(mask.sum())
            if errors < 10:
                assert low == 0
                assert high >= rate
            elif named:
                codes = np.unique(np.concatenate(who), return_inverse=True)[1].reshape(2, count)
                variance = dyadic_variance(*codes, np.ones(count), wrong[mask].astype(float))
                expected = clustered_interval(errors, count, variance, len(set(np.concatenate(who))))
                assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9)
                assert design_effect(errors, count, variance) >= 1 or np.isnan(design_effect(errors, count, variance))
            else:
                assert (low, high) == pytest.approx(wilson(errors, count), rel=1e-12)
    point = made.tables["audit/points"].iloc[0]
    assert point["eer"] == pytest.approx(eer(score[genuine], score[~genuine]).rate, abs=1e-12)


def test_curves_are_scikit_learns(written):
    from sklearn.metrics import roc_curve

    frame = table(1, rows=150)
    made = audit(written(frame))
    fpr, tpr, _ = roc_curve(frame["label"], frame["score"], drop_intermediate=False)
    curve = made.tables["audit/curves"]
    known = {(round(x, 12), round(y, 12)) for x, y in zip(fpr, tpr, strict=True)}
    assert len(curve) > 20
    assert all((round(row.fmr, 12), round(row.tar, 12)) in known for row in curve.itertuples())
    for row in curve.itertuples():
        assert row.fnmr == fnmr(frame.loc[frame["label"] == 1, "score"].to_numpy(), row.threshold)
        assert row.fmr == fmr(frame.loc[frame["label"] == 0, "score"].to_numpy(), row.threshold)


def test_row_order_changes_nothing_with_ids(written):
    frame = table(2)
    one = audit(written(frame, "a.csv"), group="ga", group_b="gb", id_a="a", id_b="b")
    two = audit(written(frame.sample(frac=1, random_state=0), "b.csv"), group="ga", group_b="gb", id_a="a", id_b="b")
    for name in ("rates", "points", "curves", "errors", "worst_identities", "transfer"):
        name = f"audit/{name}"
        pd.testing.assert_frame_equal(one.tables[name], two.tables[name], check_exact=True)
    assert one.documents == two.documents


@pytest.mark.parametrize("labels", [{1: 1, 0: 0}, {1: "True", 0: "False"}, {1: 1, 0: -1}, {1: "1.0", 0: "0.0"}])
def test_labels_and_distances(written, labels):
    frame = table(3)
    plain = audit(written(frame, "a.csv")).tables["audit/rates"]
    other = frame.assign(label=frame["label"].map(labels), score=-frame["score"])
    made = audit(written(other, "b.csv"), distance=True)
    pd.testing.assert_frame_equal(made.tables["audit/rates"], plain)
    assert any("sign changed" in note for note in made.notes)


def test_four_columns_of_bob(tmp_path, written):
    frame = table(4)
    path = tmp_path / "scores-dev"
    lines = [f"{r.a} {r.b} probe/{at} {r.score}" for at, r in enumerate(frame.itertuples())]
    path.write_text("\n".join(lines) + "\n\n")
    made = audit(path, score=None, label=None).tables["audit/rates"]
    pd.testing.assert_frame_equal(made, audit(written(frame), id_a="a", id_b="b").tables["audit/rates"])
    path.write_text("a b c\n")
    with pytest.raises(InputError, match="row 1: a line of scores has four parts"):
        audit(path)


def test_folds_given_thresholds_and_a_fixing_group(written):
    frame = table(5)
    made = audit(written(frame), fold="fold", far=(), threshold=(0.5, 1.0), group="ga", fix_on="f")
    rates = made.tables["audit/rates"]
    assert rates["far_target"].isna().all()
    assert set(rates["threshold"]) == {0.5, 1.0}
    assert len(made.tables["audit/folds"]) == 5
    assert made.summary["accuracy over folds"] == pytest.approx(made.tables["audit/folds"]["accuracy"].mean())
    made = audit(written(frame), group="ga", fix_on="f")
    women = frame[(frame["ga"] == "f") & (frame["label"] == 0)]["score"].to_numpy()
    expected = [threshold_at(women, rate) for rate in (0.1, 0.02)]
    assert made.tables["audit/rates"]["threshold"].unique().tolist() == expected


def test_a_tie_at_the_threshold_is_a_match():
    score = np.array([1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0])
    nobody = np.zeros(7, np.int64)
    source = ScoreTable(score, np.array([True, *[False] * 6]), nobody, nobody, (), np.arange(7), np.arange(7), None)
    assert threshold_of(source, Target(None, 0.17)) == np.nextafter(3.0, np.inf)
    assert threshold_of(source, Target(None, 3 / 6)) == np.nextafter(3.0, np.inf)  # four would match at 3
    assert threshold_of(source, Target(None, 0.7)) == np.nextafter(2.0, np.inf)


BAD = [
    ({"score": [0.1, np.nan, 0.3]}, {}, r"row 2, column score: the score is not a finite number"),
    ({"score": [0.1, 0.2, np.inf]}, {}, r"row 3, column score: the score is not a finite number; found 'inf'"),
    ({"score": ["0.1", "high", "0.3"]}, {}, r"row 2, column score.*found 'high'"),
    ({"score": [0.5, 0.5, 0.5]}, {}, "all scores are the same number"),
    ({"label": [1, 1, 1]}, {}, "there is no impostor comparison"),
    ({"label": [0, 0, 0]}, {}, "there is no genuine comparison"),
    ({"label": [1, 0, 2]}, {}, r"row 3, column label: not a label.*found '2'; allowed: 1 or True"),
    ({"label": [1, 0, -1]}, {}, "0 and -1 both stand there"),
    ({"label": [1, None, 0]}, {}, "row 2, column label"),
    ({}, {"score": "scor"}, "no column 'scor'. Did you mean 'score'"),
    ({}, {"score": None}, "name the columns of the score and of the label"),
    ({}, {"id_a": "a"}, "both sides of a comparison need an id"),
    ({"a": ["x", "x", "y"], "b": ["x", "x", "z"]}, {"id_a": "a", "id_b": "b"}, "row 2.*says impostor and both ids"),
    ({"a": ["x", "x", "y"], "b": ["x", "z", "z"], "label": [1, 0, 1]}, {"id_a": "a", "id_b": "b"},
     "row 3.*says genuine and the ids differ"),
    ({"a": ["x", None, "y"], "b": ["x", "z", "z"]}, {"id_a": "a", "id_b": "b"}, "row 2, column a: the id is missing"),
    ({"ga": ["all", "f", "f"]}, {"group": "ga"}, "name of the pooled figures"),
    ({"ga": ["f", "f", "f"]}, {"group": "ga", "fix_on": "m"}, "no group 'm'"),
    ({}, {"far": (), "threshold": ()}, "no operating point"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "asked", "message"), BAD)
def test_bad_input_is_refused(written, columns, asked, message):
    frame = pd.DataFrame({"label": [1, 0, 0], "score": [0.9, 0.2, 0.3], "ga": ["f", "m", "f"], **columns})
    with pytest.raises(InputError, match=message):
        audit(written(frame), **asked)


def test_missing_and_empty_files(tmp_path, written):
    with pytest.raises(InputError, match="no such file"):
        audit(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no such file"):
        audit(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="there is no row"):
        audit(tmp_path / "empty.txt")
    with pytest.raises(InputError, match="there is no row"):
        audit(written(table(0).head(0)))


def test_targets_that_the_data_do_not_support_are_marked(written):
    made = audit(written(table(6)), far=(0.1, 1e-5))
    rates = made.tables["audit/rates"]
    assert rates["supported"].tolist() == [True, False]
    assert rates["fmr_low"].iloc[1] == 0 < rates["fmr_high"].iloc[1]
    assert any("Too few independent comparisons" in note and "all at 1e-05" in note for note in made.notes)


def test_without_ids_that_is_said(written):
    made = audit(written(table(7)))
    assert "No ids are given" in made.notes[0]
    assert "audit/worst_pairs" not in made.tables


def test_rfw_scores(real_data):
    path = real_data / "rfw-pair-scores" / "scores_RFW.csv"
    made = audit(path, score="Balanced34", group="group", far=(1e-2, 1e-3))
    frame = pd.read_csv(path)
    genuine, score = frame["label"] == 1, frame["Balanced34"]
    for row in made.tables["audit/rates"].itertuples():
        here = (frame["group"] == row.group_a) | (row.group_a == "all")
        assert row.fmr == (score[here & ~genuine] >= row.threshold).mean()
        assert row.fnmr == (score[here & genuine] < row.threshold).mean()
    source = read_scores(path, Columns("Balanced34", "label", "group"))
    curve = det_curve(score[genuine].to_numpy(), score[~genuine].to_numpy())
    assert len(source.tail.score) == 12_000
    assert curve.fmr[-1] == 1


@pytest.mark.parametrize("named", [True, False])
def test_bins_hold_every_score_and_give_the_rates_of_a_cut_at_their_edges(written, named):
    frame = table(11)
    frame["score"] *= 37  # no cosine
    ids = {"id_a": "a", "id_b": "b"} if named else {}
    path = written(frame, "s.parquet")
    bins = audit(path, group="ga", group_b="gb", **ids).tables["audit/histogram"]
    edges = np.unique(bins["threshold"])[1:]
    step = np.diff(edges)
    assert step == pytest.approx(np.full(len(step), step[0]))
    impostors = frame["score"][frame["label"] == 0]
    assert edges[0] <= impostors.min()
    assert edges[-2] <= impostors.max() < edges[-1]
    assert bins.loc[bins["threshold"] > -np.inf, "exact"].all()
    some = tuple(edges[20:-1:40].tolist())
    for row in audit(path, group="ga", group_b="gb", far=(), threshold=some, **ids).tables["audit/rates"].itertuples():
        mine = bins[(bins["group_a"] == row.group_a) & (bins["group_b"] == row.group_b)]
        above, bin = mine[mine["threshold"] >= row.threshold], mine[mine["threshold"] == row.threshold].iloc[0]
        for kind, all_of, wrong, low, high, n_eff, degrees in (
            ("impostors", row.impostors, row.false_matches, row.fmr_low, row.fmr_high, bin.fmr_n_eff, bin.fmr_degrees),
            ("genuines", row.genuines, row.genuines - row.false_non_matches, row.fnmr_low, row.fnmr_high,
             bin.fnmr_n_eff, bin.fnmr_degrees),
        ):  # fmt: skip
            assert (mine[kind].sum(), above[kind].sum()) == (all_of, wrong)
            if all_of:
                errors = wrong if kind == "impostors" else all_of - wrong
                told = limits(int(errors), int(all_of), n_eff, degrees)
                if errors >= 10:  # else the design effect is borrowed from other thresholds than here
                    assert (told.low, told.high) == pytest.approx((low, high), rel=1e-9)
