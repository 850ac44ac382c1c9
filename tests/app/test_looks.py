"""The pure functions behind the pages agree with slow, obvious ones."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.core.bundled import bundled_module
from curate.core.decisions import Decisions
from curate.core.errors import CurateError, MissingExtra
from curate.core.files import read_json, read_table, write_json
from curate.core.shapes import Figure
from curate.core.vectors import Vectors, load_vectors, unit
from curate.recipe.looking import pointer, prepare
from curate.recipe.store import RunFolder
from curate.stats.intervals import limits

images_of = bundled_module("app", "images")
vectors_of = bundled_module("app", "vectors")
whatif = bundled_module("app", "whatif")
rates = bundled_module("app", "rates")
thumbs = bundled_module("app", "thumbs")
histories = bundled_module("app", "histories")


# ---- error rates at a threshold -----------------------------------------------------------------------------------


def binned(genuine: list[int], impostor: list[int], edges: np.ndarray, group: str, n_eff: float) -> pd.DataFrame:
    """`audit/histogram` of some scores, counted one by one."""
    rows = []
    for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
        counts = [sum(low <= score < high for score in scores) for scores in (impostor, genuine)]
        rows.append((group, group, low, *counts, True, n_eff, 30.0, n_eff, np.inf))
    return pd.DataFrame(rows, columns=["group_a", "group_b", "threshold", "impostors", "genuines", "exact", "fmr_n_eff",
                                       "fmr_degrees", "fnmr_n_eff", "fnmr_degrees"])  # fmt: skip


_scores = st.lists(st.integers(-3, 23), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(_scores, _scores, _scores, st.integers(0, 20), st.floats(-0.4, 0.4))
def test_rates_at_a_threshold_are_those_counted_from_the_scores(genuine, impostor, others, edge, off) -> None:
    edges = np.arange(0.0, 21.0)
    bins = pd.concat([binned(genuine + others, impostor, edges, "all", 9.0), binned(genuine, impostor, edges, "f", 5.0),
                      binned(others, [], edges, "m", np.nan)])  # fmt: skip
    found = rates.rates_at(bins, edge + off).set_index("group_a")  # the nearest edge
    for group, mine, n_eff in (("all", genuine + others, 9.0), ("f", genuine, 5.0), ("m", others, np.nan)):
        row = found.loc[group]
        missed, matched = sum(score < edge for score in mine), sum(score >= edge for score in impostor)
        assert (row["false_non_matches"], row["genuines"]) == (missed, len(mine))
        assert row["fnmr"] == missed / len(mine)
        if group == "m":
            assert np.isnan(row["fmr"])
            assert np.isnan(row["fnmr_high"])
            continue
        assert (row["false_matches"], row["impostors"]) == (matched, len(impostor))
        wanted = limits(matched, len(impostor), n_eff, 30.0), limits(missed, len(mine), n_eff)
        assert (row["fmr"], row["fmr_low"], row["fmr_high"]) == wanted[0][:3]
        assert (row["fnmr"], row["fnmr_low"], row["fnmr_high"]) == wanted[1][:3]


@settings(max_examples=40, deadline=None)
@given(_scores, st.floats(0, 1))
def test_the_edge_of_a_target_is_the_lowest_that_keeps_it(impostor, target) -> None:
    edges = np.arange(0.0, 21.0)
    kept = [edge for edge in edges if sum(score >= edge for score in impostor) <= target * len(impostor)]
    assert rates.edge_for(binned([1], impostor, edges, "all", 5.0), target) == (kept[0] if kept else edges[-1])


# ---- what if ------------------------------------------------------------------------------------------------------


def test_the_runs_own_settings_give_the_runs_own_replicas(demo: Path) -> None:
    run = images_of.open_run(demo).run
    rows = whatif.pool(run)
    labels, target, budget, choice = whatif.usual(run, len(rows))
    made = whatif.what_if(run, labels, target, budget, choice)
    table = read_table(next(demo.glob("steps/*-oversample")) / "decisions.parquet")
    parents = Decisions.from_frame(table).having("add")["related_id"]
    final = pd.read_parquet(demo / "manifest.parquet")["image_id"]
    assert sorted(final[rows[made.picked]]) == sorted(parents)
    after = made.measures[made.measures["stage"] == "after"].set_index("label")
    wanted = pd.read_parquet(demo / "imbalance" / "labels.parquet").query("stage == 'after'").set_index("label")
    for label in labels:
        assert after["idr"][label] == wanted["idr"][label]
        assert after["images"][label] == wanted["images"][label]
        assert after["smallest"][label] == wanted["smallest_images"][label]


def test_a_batch_is_drawn_from_the_pool_and_its_replicas(demo: Path) -> None:
    run = images_of.open_run(demo).run
    made = whatif.what_if(run, ["ethnicity"], 1.0, 500, "uniform")
    before, after = whatif.batch(made, 24)
    assert len(before) == len(after) == 24
    assert set(before) | set(after) <= set(made.rows)
    assert len(set(before)) == 24
    none = whatif.what_if(run, ["ethnicity"], 1.0, 0, "uniform")
    assert len(none.picked) == 0
    assert len(whatif.batch(none, 10_000)[1]) == len(none.rows)


# ---- vectors ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(demo: Path):
    place = prepare(demo)
    return vectors_of.load(place, images_of.open_run(demo).images)


def test_vectors_belong_to_their_images(found, demo: Path) -> None:
    images = images_of.open_run(demo).images
    ids = found.vectors.image_ids.to_pylist()
    for row in range(0, len(images), 7):
        name = images.id_of(row)
        assert (found.at[row] >= 0) == (name in ids)
        if name in ids:
            assert ids[found.at[row]] == name
    rows, matrix = found.of(np.arange(len(images)))
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)
    alike = vectors_of.similarities(matrix[:20])
    for one in range(20):
        for two in range(20):
            assert alike[one, two] == pytest.approx(float(matrix[one] @ matrix[two]), abs=1e-5)
    same = images.identity_codes[rows][:, None] == images.identity_codes[rows][None, :]
    np.fill_diagonal(same, False)
    whole = vectors_of.similarities(matrix)
    assert whole[same].mean() > whole[~same].mean(), "they are vectors of these faces"


def test_prepared_vectors_are_made_once_and_of_unit_length(found, demo: Path) -> None:
    place = prepare(demo)
    assert place == found.folder
    load_vectors(place)  # raises unless each is of unit length
    sharp = found.quality(images_of.open_run(demo).images)
    assert np.isfinite(sharp).sum() >= len(found.vectors.matrix)


def test_a_run_without_vectors_says_why(run: Path, demo: Path, tmp_path: Path) -> None:
    place, why = vectors_of.find_vectors(tmp_path, run)
    assert place is None
    assert "not ready" in why
    copy = Path(shutil.copytree(demo, tmp_path / "run"))
    plan = read_json(copy / "plan.json")
    plan["source"]["root"] = None

    write_json(copy / "plan.json", plan)
    assert prepare(copy) is None
    cache = Path(plan["cache"])
    place, why = vectors_of.find_vectors(cache / "look", copy)
    assert place is None
    assert "no vectors" in why
    write_json(pointer(cache, copy), {"vectors": str(tmp_path / "gone"), "why": ""})
    assert "are gone" in vectors_of.find_vectors(cache / "look", copy)[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 1000))
def test_the_axes_are_those_of_the_singular_values(n: int, size: int, seed: int) -> None:
    matrix = unit(np.random.default_rng(seed).standard_normal((n, size)))
    centre, axes = vectors_of.principal_axes(matrix)
    places = (matrix - centre) @ axes
    _, values, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    kept = np.sort(np.linalg.norm(places, axis=0))[::-1]
    wanted = np.append(values, [0, 0])[:2]
    assert np.allclose(kept, wanted, atol=1e-3)


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_the_map_is_computed_once(found, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if method == "umap":
        pytest.importorskip("umap")
    first = vectors_of.flat(found, method, tmp_path, limit=80)
    assert len(first) == 80
    assert first["row"].is_monotonic_increasing
    assert np.isfinite(first[["x", "y"]].to_numpy()).all()
    monkeypatch.setattr(vectors_of, "_pca", None)
    monkeypatch.setattr(vectors_of, "_umap", None)
    pd.testing.assert_frame_equal(vectors_of.flat(found, method, tmp_path, limit=80), first)


def test_without_umap_the_pip_line_is_named(found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(MissingExtra, match=r"pip install 'curate\[app\]'"):
        vectors_of.flat(found, "umap", tmp_path)


def test_vectors_of_other_images_are_refused(demo: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    Vectors(pa.array(["x", "y"], pa.large_string()), np.eye(2, dtype=np.float32), "m", "f").write(tmp_path / "v")
    with pytest.raises(CurateError, match="none of the run's images"):
        vectors_of.load(tmp_path / "v", images_of.open_run(demo).images)


# ---- thumbnails ---------------------------------------------------------------------------------------------------


def test_thumbnails_are_upright_and_kept_until_the_file_changes(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    picture = Image.new("RGB", (60, 30), "red")
    exif = picture.getexif()
    exif[274] = 6  # to be turned by a quarter
    picture.save(root / "a.jpg", exif=exif)
    kept = thumbs.Thumbs(tmp_path / "cache")
    data, problem = kept.get(root, "a.jpg", 32)
    assert problem is None
    assert Image.open(io.BytesIO(data)).size == (16, 32)
    (file,) = (tmp_path / "cache").rglob("*.jpg")
    file.write_bytes(b"from the cache")
    assert kept.get(root, "a.jpg", 32)[0] == b"from the cache"
    Image.new("RGB", (30, 30), "blue").save(root / "a.jpg")
    os.utime(root / "a.jpg", ns=(1, 1))
    assert Image.open(io.BytesIO(kept.get(root, "a.jpg", 32)[0])).size == (30, 30)


def test_a_picture_that_cannot_be_shown_is_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("no picture")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    kept = thumbs.Thumbs(tmp_path / "cache")
    assert kept.get(None, "a.jpg", 32) == (None, "the source has no pixels")
    for name in (None, "none.jpg", "empty.jpg", "text.jpg", "../secret.jpg", "/etc/passwd"):
        data, problem = kept.get(root, name, 32)
        assert data is None
        assert problem
    assert not list((tmp_path / "cache").rglob("*.jpg"))


# ---- histories ----------------------------------------------------------------------------------------------------


def test_a_history_holds_every_decision_about_the_images(demo: Path) -> None:
    run = images_of.open_run(demo).run
    ids = pd.read_parquet(demo / "rejected.parquet")["image_id"].tolist()[:5]
    told = histories.history(run, ids)
    wanted = [
        (step["order"], row.image_id, row.action, row.reason)
        for step, table in RunFolder(demo).decisions()
        for row in table.itertuples()
        if row.image_id in ids
    ]
    assert [(int(row.step.split(".")[0]), row.image, row.action, row.reason) for row in told.itertuples()] == wanted
    assert len(histories.history(run, ["nobody"])) == 0


# ---- pictures of reports ------------------------------------------------------------------------------------------


def test_pairs_and_contact_sheets_are_pictures_with_escaped_names(fake_run, tmp_path: Path) -> None:
    pytest.importorskip("streamlit")
    parts, looking = bundled_module("app", "views.parts"), bundled_module("app", "looking")
    folder = fake_run.build_run(tmp_path, people=4, evil=True)
    opened = images_of.open_run(folder)
    look = looking.Look.of(folder, opened, looking.summarise(opened.run), images_of.stamp_of(folder))
    ids = [opened.images.id_of(row) for row in range(4)]
    pairs = pd.DataFrame({"image_id_a": ids[:2], "image_id_b": ids[2:], "kind": [fake_run.EVIL, "x"]})
    drawn = parts.sheet(Figure("pairs", "t", "", {"a": "image_id_a", "b": "image_id_b", "say": ["kind"]}), pairs, look)
    assert drawn.count('<img src="data:image/jpeg') == 4
    batch = pd.DataFrame({"image_id": ids, "stage": ["before", "before", fake_run.EVIL, "after"], "cell": "f"})
    sheet = parts.sheet(Figure("contact_sheet", "t", "", {"group": "stage", "say": "cell"}), batch, look)
    assert sheet.count('<img src="data:image/jpeg') == 4
    for text in (drawn, sheet):
        assert "<script>" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;" in text
