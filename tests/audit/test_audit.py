"""The audit equals brute force, whatever the tile, the order of the rows and the number of workers."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.audit import scores as room
from curate.audit.all_pairs import AuditParams, audit
from curate.audit.group_rates import CURVE_COLUMNS, RATE_COLUMNS, as_table, rates_table
from curate.core.errors import InputError
from curate.core.files import write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Features, SerialExecutor, step_rng
from curate.core.vectors import unit
from curate.stats.intervals import clustered_interval, dyadic_variance
from curate.stats.rates import det_curve, threshold_at


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


def people(n: int, seed: int = 0, *, dimensions: int = 12, image_level: bool = False, spread: float = 1.0):
    """A manifest of n images of about n / 4 identities in two groups, some unlabelled, and unit vectors."""
    rng = np.random.default_rng(seed)
    identity = rng.integers(0, max(1, n // 4), n)
    centre = rng.normal(size=(n, dimensions)) + 0.6
    vectors = unit(centre[identity] + spread * rng.normal(size=(n, dimensions)))
    label = np.array(["f", "m", None], dtype=object)[rng.integers(0, 3, n) if image_level else identity % 7 % 3]
    frame = pd.DataFrame(
        {
            "image_id": pd.array([f"{i:04d}" for i in range(n)], dtype="str"),
            "identity": pd.array([f"p{i:03d}" for i in identity], dtype="str"),
            "kind": pd.array(label, dtype="str"),
            "split": pd.array(["holdout"] * n, dtype="str"),
        }
    )
    return Manifest.from_frame(frame, levels={"kind": "image" if image_level else "identity"}), vectors


def run(manifest, vectors, executor=None, **settings):
    settings = {"group_by": ("kind",), "far": (0.3, 0.05, 0.01), **settings}
    return audit(manifest, Features({"embedding": vectors}, executor), AuditParams(**settings), step_rng(0, "audit"))


def brute_force(manifest: Manifest, vectors: np.ndarray, targets) -> pd.DataFrame:
    """The same table from the full score matrix and a loop over all pairs."""
    identity, group = manifest.codes("identity").astype(int), manifest.codes("kind").astype(int)
    names = list(manifest.frame["kind"].cat.categories)
    faces = room.Faces.of(vectors, identity, group, tuple(names))
    scores = faces.vectors @ faces.vectors.T
    pairs = list(combinations(range(len(identity)), 2))
    same = {pair: faces.identity[pair[0]] == faces.identity[pair[1]] for pair in pairs}
    impostors = np.array([scores[pair] for pair in pairs if not same[pair]])
    rows = []
    kinds = [("all", "all"), ("f", "f"), ("m", "m"), ("f", "m")]
    label = [[*names, None][code] for code in faces.group]
    for a, b in kinds:
        here = [(i, j) for i, j in pairs if a == "all" or sorted(map(str, (label[i], label[j]))) == sorted((a, b))]
        imp, gen = [p for p in here if not same[p]], [p for p in here if same[p]]
        if not here:
            continue
        for target in targets:
            threshold = threshold_at(impostors, target)
            sides = []
            for chosen, wrong in (
                (imp, [scores[p] >= threshold for p in imp]),
                (gen, [scores[p] < threshold for p in gen]),
            ):
                who = faces.identity[np.array(chosen, dtype=int).reshape(-1, 2)]
                variance = dyadic_variance(who[:, 0], who[:, 1], np.ones(len(chosen)), np.array(wrong, dtype=float))
                sides.append(
                    (len(chosen), int(sum(wrong)), clustered_interval(int(sum(wrong)), len(chosen), variance,
                                                                      len(np.unique(who))))
                )  # fmt: skip
            (n, k, low), (g, m, high) = sides
            limits = [(x.low, x.high) if count else (np.nan, np.nan) for x, count in ((low, n), (high, g))]
            rows.append((a, b, target, threshold, n, k, low.rate, *limits[0], g, m, high.rate, *limits[1],
                         target * low.n_eff >= 3))  # fmt: skip
    return as_table(rows, RATE_COLUMNS)


@pytest.mark.parametrize("image_level", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_rates_equal_brute_force(seed, image_level):
    manifest, vectors = people(90, seed, image_level=image_level)
    made = run(manifest, vectors)
    expected = brute_force(manifest, vectors, (0.3, 0.05, 0.01))
    pd.testing.assert_frame_equal(made.tables["audit/rates"], expected, check_exact=False, rtol=1e-9)
    exact = ["threshold", "impostors", "false_matches", "genuines", "false_non_matches", "fmr", "fnmr"]
    pd.testing.assert_frame_equal(made.tables["audit/rates"][exact], expected[exact], check_exact=True)
    assert (made.tables["audit/rates"].query("group_a == 'all'")["fmr"] <= [0.3, 0.05, 0.01]).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 60), st.integers(0, 99), st.sampled_from([16, 17, 31]), st.sampled_from([0.5, 0.02]))
def test_tiles_change_nothing_but_the_last_bits(n, seed, tile, target):
    """Scores on a grid, which every order of sums gets exactly: all tiles give the same table."""
    manifest, _ = people(n, seed)
    rng = np.random.default_rng(seed)
    vectors = np.zeros((n, 8), dtype=np.float32)
    for row in vectors:
        row[rng.choice(8, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    whole, cut = (run(manifest, vectors, far=(target,), tile=size) for size in (8192, tile))
    for name, table in whole.tables.items():
        pd.testing.assert_frame_equal(cut.tables[name], table, check_exact=True)


def test_workers_and_order_of_tiles_change_nothing():
    manifest, vectors = people(200, 3)
    expected = run(manifest, vectors, tile=16)
    with ProcessPoolExecutor(2) as pool:
        for executor in (Backwards(), Pool(pool)):
            made = run(manifest, vectors, executor, tile=16)
            assert made.summary == expected.summary
            for name, table in expected.tables.items():
                pd.testing.assert_frame_equal(made.tables[name], table, check_exact=True)


def test_a_shuffled_table_is_the_same_bytes(tmp_path):
    manifest, vectors = people(120, 4)
    order = np.random.default_rng(1).permutation(120)
    shuffled = Manifest.from_frame(manifest.frame.take(order), levels=manifest.levels)
    for name, source in (("a", manifest), ("b", shuffled)):
        for table, frame in run(source, vectors).tables.items():
            write_table(tmp_path / name / table, frame)
    for file in (tmp_path / "a" / "audit").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "audit" / file.name).read_bytes()


def test_every_pair_stands_in_one_tile():
    manifest, vectors = people(50, 1)
    faces = room.Faces.of(vectors, manifest.codes("identity"), manifest.codes("kind"), ("f", "m"))
    total = sum(
        len(t.left) * (len(t.left) - 1) // 2 if t.right is None else len(t.left) * len(t.right)
        for t in room.cut(faces, 16)
    )
    assert total == 50 * 49 // 2
    assert (np.diff(faces.group) >= 0).all()


def test_the_curve_is_exact_at_its_thresholds():
    manifest, vectors = people(150, 2)
    curves = run(manifest, vectors).tables["audit/curves"]
    assert tuple(curves.columns) == CURVE_COLUMNS
    assert set(curves["group"]) == {"all", "f", "m"}
    assert curves.groupby("group").size().max() <= 300
    scores = vectors @ vectors.T
    identity, group = manifest.codes("identity"), manifest.frame["kind"].to_numpy()
    first, second = np.triu_indices(150, 1)
    for name, rows in curves.groupby("group"):
        here = (name == "all") | ((group[first] == name) & (group[second] == name))
        same = identity[first] == identity[second]
        genuine, impostor = scores[first, second][here & same], scores[first, second][here & ~same]
        for row in rows.itertuples():
            assert row.fmr == pytest.approx(np.mean(impostor >= row.threshold), abs=1e-12)
            assert row.fnmr == pytest.approx(np.mean(genuine < row.threshold), abs=1e-12)
        assert rows["fmr"].iloc[0] == 1
        assert rows["fnmr"].iloc[-1] == 1


def test_operating_points_lie_on_the_roc_of_scikit_learn():
    from sklearn.metrics import roc_curve

    manifest, vectors = people(150, 5)
    rates = run(manifest, vectors).tables["audit/rates"].query("group_a == 'all'")
    scores = (vectors @ vectors.T)[np.triu_indices(150, 1)]
    identity = manifest.codes("identity")
    same = np.equal.outer(identity, identity)[np.triu_indices(150, 1)]
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    for row in rates.itertuples():
        at = np.searchsorted(fpr, row.far_target, side="right") - 1  # the last point within the target
        assert row.fmr == pytest.approx(fpr[at], abs=1e-12)
        assert 1 - row.fnmr == pytest.approx(tpr[at], abs=1e-12)
    curve = det_curve(scores[same], scores[~same])
    assert len(curve.fmr) == len(fpr)


def test_constant_scores():
    manifest, vectors = people(30, 4)
    vectors[:] = vectors[0]
    rates = run(manifest, vectors, far=(0.1, 1.0)).tables["audit/rates"].query("group_a == 'all'")
    # Every impostor scores the same: none may match at 0.1, all at 1.
    assert rates["fmr"].tolist() == [1.0, 0.0]
    assert rates["fnmr"].tolist() == [0.0, 1.0]
    assert rates["threshold"].iloc[0] == -np.inf


def test_signed_and_tiny_scores_keep_their_order():
    values = np.array([-1, -0.5, -1e-38, -1e-45, -0.0, 0.0, 1e-45, 1e-38, 0.25, 1], dtype=np.float32)
    keys = room._ordered_bits(values)
    assert (np.diff(keys) >= 0).all()
    assert keys[4] == keys[5]
    assert [float(room._from_ordered_bits(key)) for key in keys] == [float(value) + 0.0 for value in values]
    assert room.bin_of(values).tolist() == [0, 16384, 32767, 32767, 32768, 32768, 32768, 32768, 40960, 65535]


def test_failures_to_acquire_are_counted_not_compared():
    manifest, vectors = people(60, 6)
    vectors[[3, 10, 11]] = 0
    made = run(manifest, vectors)
    keep = np.ones(60, dtype=bool)
    keep[[3, 10, 11]] = False
    expected = run(manifest.take(keep), vectors[keep])
    pd.testing.assert_frame_equal(made.tables["audit/rates"], expected.tables["audit/rates"])
    acquired = made.tables["audit/acquisition"].set_index("group")
    assert acquired.loc["all", ["images", "failures"]].tolist() == [60, 3]
    assert acquired.loc["all", "fta"] == 0.05
    assert made.summary["failures_to_acquire"] == 3


def test_replicas_other_splits_and_nameless_rows_stay_out():
    manifest, vectors = people(60, 7)
    frame = manifest.frame.astype({"identity": "str", "split": "str", "kind": "str"})
    frame["parent_id"] = pd.Series([None] * 60, dtype="str")
    frame.loc[5, "parent_id"] = "0004"
    frame.loc[6, "split"] = "train"
    frame.loc[7, "identity"] = None
    made = run(Manifest.from_frame(frame, levels=manifest.levels), vectors)
    keep = ~np.isin(np.arange(60), [5, 6, 7])
    expected = run(manifest.take(keep), vectors[keep])
    pd.testing.assert_frame_equal(made.tables["audit/rates"], expected.tables["audit/rates"])
    assert "1 images have no identity: not compared." in made.notes


def test_a_group_of_one_identity_and_a_group_without_genuine_pairs():
    frame = pd.DataFrame(
        {
            "image_id": [f"{i}" for i in range(9)],
            "identity": ["a", "a", "a", "b", "c", "d", "e", "e", "g"],
            "kind": ["one"] * 3 + ["single"] * 3 + ["both"] * 3,
        }
    )
    manifest = Manifest.from_frame(frame, levels={"kind": "identity"})
    vectors = unit(np.random.default_rng(0).normal(size=(9, 5)))
    made = run(manifest, vectors, split=None, far=(0.5,))
    rates = made.tables["audit/rates"].set_index(["group_a", "group_b"])
    assert rates.loc[("one", "one"), "impostors"] == 0
    assert np.isnan(rates.loc[("one", "one"), "fmr"])
    assert not rates.loc[("one", "one"), "supported"]
    assert rates.loc[("one", "one"), "genuines"] == 3
    assert rates.loc[("single", "single"), "genuines"] == 0
    assert np.isnan(rates.loc[("single", "single"), "fnmr"])
    assert (rates.loc[("both", "one"), ["impostors", "genuines"]] == [9, 0]).all()
    assert "single: no genuine pair, so no FNMR." in made.notes
    assert set(made.tables["audit/curves"]["group"]) == {"all", "both"}
    assert made.summary["FNMR (FRR) at 0.5"]["single"] is None
    json.dumps(made.summary, allow_nan=False)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("split", ["holdout", None, "nowhere"])
def test_tiny_manifests_give_empty_tables_and_a_note(rows, split):
    manifest, vectors = people(max(rows, 1), 0)
    made = run(manifest.take(np.arange(rows)), vectors[:rows], split=split)
    assert tuple(made.tables["audit/rates"].columns) == RATE_COLUMNS
    assert len(made.tables["audit/rates"]) == len(made.tables["audit/curves"]) == 0
    assert "nothing to compare" in made.notes[0]
    assert {figure.table for figure in made.figures} <= set(made.tables)


def test_one_identity_has_no_threshold():
    manifest, vectors = people(3, 0)
    manifest = Manifest.from_frame(manifest.frame.assign(identity="same"), levels=manifest.levels)
    made = run(manifest, vectors)
    assert len(made.tables["audit/rates"]) == 0
    assert any("no impostor pair" in note for note in made.notes)


def test_a_vector_that_is_not_a_number_is_refused():
    manifest, vectors = people(20, 0)
    vectors[13, 2] = np.nan
    with pytest.raises(InputError, match=r"not finite.*'0013'"):
        run(manifest, vectors)


def test_a_group_may_not_be_called_all():
    manifest, vectors = people(20, 0)
    frame = manifest.frame.assign(kind="all")
    with pytest.raises(InputError, match="name of the pooled figures"):
        run(Manifest.from_frame(frame, levels=manifest.levels), vectors)


@pytest.mark.parametrize("bad", [{"far": ()}, {"far": (0.0,)}, {"far": (2.0,)}, {"fars": (0.1,)}, {"tile": 1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValidationError):
        AuditParams(**bad)


def test_inputs_are_left_alone_and_figures_name_their_columns():
    manifest, vectors = people(60, 8)
    frame, copy = manifest.frame.copy(), vectors.copy()
    made = run(manifest, vectors)
    pd.testing.assert_frame_equal(manifest.frame, frame)
    np.testing.assert_array_equal(vectors, copy)
    for figure in made.figures:
        table = made.tables[figure.table]
        named = [figure.options[key] for key in ("x", "y", "color", "value") if key in figure.options]
        assert set(named) | set(figure.options.get("columns", ())) <= set(table.columns)
    assert any("FMR (FAR)" in figure.title for figure in made.figures)
    cross = made.tables["audit/cross"]
    assert len(cross) == 4
    assert cross.loc[1, "fmr"] == cross.loc[2, "fmr"]


def test_float16_vectors_and_no_groups():
    manifest, vectors = people(60, 9)
    made = run(manifest, vectors.astype(np.float16), group_by=())
    assert set(made.tables["audit/rates"]["group_a"]) == {"all"}
    assert "audit/cross" not in made.tables


def test_a_table_without_errors_keeps_its_types():
    manifest, vectors = people(40, 1)
    faces = room.Faces.of(vectors, manifest.codes("identity"), manifest.codes("kind"), ("f", "m"))
    clean = (room.Errors(0.9, room.SparseCounts(), room.SparseCounts()),)
    table = rates_table(faces, clean, (0.01,))
    assert (table["false_matches"] == 0).all()
    assert (table["fmr_low"].dropna() == 0).all()
    assert table["fmr_high"].min() > 0
    assert as_table([], RATE_COLUMNS).dtypes.equals(table.dtypes)


def test_lfw_embeddings_give_the_published_rates(real_data):
    folder = real_data / "lfw-embeddings"
    vectors = np.frombuffer((folder / "LFW_tensor.bytes").read_bytes(), "<f4").reshape(-1, 128)
    index = pd.read_csv(folder / "index.csv", keep_default_na=False)
    manifest = Manifest.from_frame(
        pd.DataFrame(
            {
                "image_id": index["row"].astype(str).str.zfill(5),
                "identity": index["identity"],
                "gender": index["gender_afif4"],
            }
        )
    )
    made = run(manifest, vectors, group_by=("gender",), split=None, far=(1e-3,))
    rates = made.tables["audit/rates"].set_index(["group_a", "group_b"])
    pooled, men, women = (rates.loc[(name, name)] for name in ("all", "M", "F"))
    assert pooled["fmr"] == pytest.approx(1e-3, rel=1e-3)
    assert pooled["fmr"] <= 1e-3
    assert 1 - pooled["fnmr"] == pytest.approx(0.968, abs=5e-4)
    assert (men["fmr"], women["fmr"]) == pytest.approx((0.00151, 0.00105), abs=5e-6)
    assert (men["fnmr"], women["fnmr"]) == pytest.approx((0.0232, 0.0600), abs=5e-5)
    assert (pooled["genuines"], men["impostors"] > 2.4e6, women["impostors"] > 2.4e5) == (15_789, True, True)
    assert rates.loc[("F", "M"), "genuines"] == 0
