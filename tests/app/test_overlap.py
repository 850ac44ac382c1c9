"""The page Overlap over a real comparison of two drawn sets that share persons and photographs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curate.core.bundled import bundled_module

images_of = bundled_module("app", "images")
overlaps = bundled_module("app", "overlaps")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `curate overlap` by name and image: some persons, and one photograph, are in both sets."""
    from curate.collect.synthetic import FaultRates, SyntheticParams, write_synthetic
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.verbs.overlap import run_overlap

    folder = tmp_path_factory.mktemp("overlap")
    faults = FaultRates(shared_identity=0.3)
    drawn = SyntheticParams(identities=16, images=4, benchmark=10, seed=3, faults=faults)
    with LocalExecutor(1) as executor:
        write_synthetic(drawn, folder / "pair", executor)
        train, bench = folder / "pair" / "images", folder / "pair" / "benchmark" / "images"
        theirs = sorted(path for path in bench.glob("*/*.jpg"))[0]
        stranger = train / "Somebody_Else"
        stranger.mkdir()
        shutil.copyfile(theirs, stranger / "copied_0001.jpg")
        run_overlap([f"train={train}", f"bench={bench}"], folder / "run", executor=executor,
                    by=["name", "image"], planted=20, cache=folder / "cache")  # fmt: skip
    return folder / "run"


def test_the_page_shows_both_sides_of_each_pair(browser: Any, serve: Any, visiting: Any, shared: Path) -> None:
    pairs = pd.read_parquet(shared / "pairs.parquet")
    copied = pairs[(pairs["identity_a"] == "Somebody_Else") | (pairs["identity_b"] == "Somebody_Else")]
    assert len(copied) == 1
    named = pairs[(pairs["verdict"] == "same") & ~pairs["identity_a"].isin(copied["identity_a"])]
    assert len(named) >= 2
    app = serve(shared)
    try:
        visit = visiting(browser, app.url)
        visit.open("overlap")
        page = visit.page
        assert page.locator("[data-testid=stException]").count() == 0
        shown = {metric.split("\n")[0].split(":")[0]: metric.split("\n")[-1]
                 for metric in page.locator("[data-testid=stMetric]").all_inner_texts()}  # fmt: skip
        assert {name: int(value) for name, value in shown.items()} == {
            verdict: int((pairs["verdict"] == verdict).sum()) for verdict in overlaps.VERDICTS
        }
        blocks = page.locator("[data-testid=stHtml] div", has_text=re.compile("; score ")).locator("img")
        assert blocks.count() >= 2 * 2 * len(pairs)
        page.get_by_role("textbox", name="Name holds").fill("somebody")
        page.get_by_role("textbox", name="Name holds").press("Enter")
        page.locator("[data-testid=stHtml]", has_text="Somebody_Else").wait_for()
        visit.settle()
        texts = " ".join(page.locator("[data-testid=stHtml]").all_inner_texts())
        assert "Somebody_Else in train, 1 image" in texts
        assert named["identity_a"].iloc[0] not in texts
        assert page.locator("[data-testid=stHtml] img[style*='3px solid']").count() == 2, "the shared photograph"
        assert visit.trouble == []
        visit.close()
    finally:
        app.stop()


def test_the_images_of_a_side_are_those_of_its_set(shared: Path) -> None:
    opened = images_of.open_run(shared)
    sides = overlaps.Sides(opened.images, opened.run.source)
    source = pd.read_parquet(shared / "steps/00-source/manifest.parquet")
    for pair in pd.read_parquet(shared / "pairs.parquet").to_dict("records"):
        for side in "ab":
            rows = sides.rows(pair, side)
            whole = f"{pair[f'dataset_{side}']}/{pair[f'identity_{side}']}"
            mine = source[(source["dataset"] == pair[f"dataset_{side}"]) & (source["identity"] == whole)]
            assert sorted(map(opened.images.id_of, rows)) == sorted(mine["image_id"])
            if isinstance(pair[f"image_{side}"], str):
                assert opened.images.id_of(rows[0]) == pair[f"image_{side}"]


def test_filters_agree_with_a_look_at_each_row() -> None:
    rng = np.random.default_rng(5)
    size = 300
    pairs = pd.DataFrame({
        "dataset_a": rng.choice(["A", "B"], size), "dataset_b": "C",
        "identity_a": rng.choice(["Ann", "Bo", "C.*"], size),
        "identity_b": rng.choice(["ann", "Dee"], size), "verdict": rng.choice(overlaps.VERDICTS, size),
        "score": np.where(rng.random(size) < 0.1, np.nan, rng.random(size).round(2)),
        "by": rng.choice(["name", "name,image", "identity"], size),
    })  # fmt: skip
    for verdicts in ((), ("same",), overlaps.VERDICTS):
        for ways in ((), ("image",), ("name", "identity")):
            for sets in (None, ("A", "C")):
                for text in ("", "AN", ".*"):
                    for doubtful in (False, True):
                        wanted = overlaps.PairFilter(verdicts, ways, sets, text, doubtful)
                        found = overlaps.choose(pairs, wanted)
                        slow = [
                            row for row in pairs.to_dict("records")
                            if row["verdict"] in verdicts and (not ways or set(ways) & set(row["by"].split(",")))
                            and (sets is None or (row["dataset_a"], row["dataset_b"]) == sets)
                            and (text.lower() in row["identity_a"].lower() or text.lower() in row["identity_b"].lower())
                        ]  # fmt: skip
                        key = (lambda row: abs(row["score"] - 0.5)) if doubtful else (lambda row: -row["score"])
                        slow.sort(key=lambda row, key=key: np.inf if np.isnan(row["score"]) else key(row))
                        pd.testing.assert_frame_equal(
                            found, pd.DataFrame(slow, columns=pairs.columns).astype(pairs.dtypes)
                        )
