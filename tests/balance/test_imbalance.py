"""The report `imbalance`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curate.balance.imbalance import ImbalanceParams, imbalance
from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features


def manifest() -> Manifest:
    rows = [
        ("a1", "a", "f", "Asian", "train"), ("a2", "a", "f", "Asian", "train"), ("b1", "b", "m", "Asian", "train"),
        ("b2", "b", "m", None, "train"), ("b3", "b", "m", "Asian", "train"), ("c1", None, "m", "Asian", "train"),
        ("d1", "d", "f", "White", "holdout"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["image_id", "identity", "gender", "ethnicity", "split"])
    return Manifest.from_frame(frame, levels={"gender": "identity", "ethnicity": "identity"})


def replicated() -> Manifest:
    added = Decisions.of(["a1~r1", "a1~r2"], "add", "x", related_id=["a1", "a1"], new_value=["1", "2"])
    return apply_decisions(manifest(), added)[0]


def measured(table: Manifest, **params: object):
    return imbalance(table, Features({"evidence": {}}), ImbalanceParams(**params), np.random.default_rng(0))


def rows(report, name: str, *columns: str) -> list[tuple]:
    return list(report.tables[f"imbalance/{name}"][list(columns)].itertuples(index=False, name=None))


def test_before_and_after():
    report = measured(replicated())
    assert rows(report, "labels", "label", "stage", "categories", "images", "missing", "smallest",
                "smallest_images") == [
        ("identity", "before", 2, 5, 1, "a", 2), ("identity", "after", 2, 7, 1, "b", 3),
        ("ethnicity", "before", 1, 5, 1, "Asian", 5), ("ethnicity", "after", 1, 7, 1, "Asian", 7),
        ("gender", "before", 2, 6, 0, "f", 2), ("gender", "after", 2, 8, 0, "f", 4),
        ("ethnicity/gender", "before", 2, 5, 1, "Asian/f", 2), ("ethnicity/gender", "after", 2, 7, 1, "Asian/m", 3),
    ]  # fmt: skip
    assert report.summary["IDR identity"] == "1.38 -> 1.26"
    labels = report.tables["imbalance/labels"].set_index(["label", "stage"])
    assert labels.loc[("gender", "before"), "max_min"] == 2


def test_cells_categories_and_identities():
    report = measured(replicated())
    assert rows(report, "cells", "cell", "stage", "images", "identities") == [
        ("Asian/f", "before", 2, 1), ("Asian/m", "before", 3, 1), ("White/f", "before", 0, 0),
        ("Asian/f", "after", 4, 1), ("Asian/m", "after", 3, 1), ("White/f", "after", 0, 0),
    ]  # fmt: skip
    assert ("gender", "after", "f", 4) in rows(report, "categories", "label", "stage", "category", "images")
    assert rows(report, "identities", "group", "stage", "rank", "images") == [
        ("Asian/f", "before", 1, 2), ("Asian/m", "before", 1, 2),
        ("Asian/f", "after", 1, 4), ("Asian/m", "after", 1, 2),
    ]  # fmt: skip


def test_figures_name_columns_that_are_there():
    report = measured(replicated())
    for figure in report.figures:
        table = report.tables[figure.table]
        for option in ("x", "y", "color", "facet", "dash"):
            if option in figure.options:
                assert figure.options[option] in table, (figure, option)


def test_identities_are_thinned_but_keep_both_ends():
    sizes = np.arange(1, 1001)
    names = np.repeat([f"p{size:04d}" for size in sizes], sizes)
    frame = pd.DataFrame({"image_id": [f"{row:07d}" for row in range(len(names))], "identity": names})
    table = measured(Manifest.from_frame(frame)).tables["imbalance/identities"]
    assert len(table) <= 200
    assert (table["rank"] + table["images"] == 1001).all()
    assert table["rank"].min() == 1
    assert table["rank"].max() == 1000
    assert set(table["group"]) == {"all"}


def test_deciles_that_hide_a_rare_category_are_noted():
    counts = {"rare": 1, **{f"p{number:02d}": 10 for number in range(30)}}
    names = [name for name, count in counts.items() for _ in range(count)]
    frame = pd.DataFrame({"image_id": [f"{row:03d}" for row in range(len(names))], "identity": names})
    notes = " ".join(measured(Manifest.from_frame(frame)).notes)
    assert "IDR 1.00" in notes
    assert "10.0 times" in notes
    assert "rare: 1" in notes
    assert "no replicas" in notes


def test_two_categories_are_noted():
    frame = pd.DataFrame({"image_id": [f"{row:03d}" for row in range(50)], "identity": "x",
                          "gender": ["f"] * 5 + ["m"] * 45})  # fmt: skip
    notes = " ".join(measured(Manifest.from_frame(frame)).notes)
    assert "never passes 9" in notes
    assert "one category only" in notes


def test_empty_and_missing():
    table = manifest()
    for part in (table.take(np.zeros(7, dtype=bool)), table.take(np.arange(7) == 5)):
        report = measured(part)
        assert len(report.tables["imbalance/labels"]) == 4
    assert "nothing can be said" in " ".join(measured(table.take(np.zeros(7, dtype=bool))).notes)
    assert rows(measured(table, split="holdout"), "labels", "label", "images")[0] == ("identity", 1)
    assert "No image is in the split" in " ".join(measured(table.take(np.arange(7) < 6), split="holdout").notes)


def test_bad_input():
    with pytest.raises(InputError, match="Did you mean 'ethnicity'"):
        measured(manifest(), cells=("ethnicty",))
    with pytest.raises(InputError, match="Did you mean 'identity'"):
        measured(manifest(), labels=("identty",))
    with pytest.raises(InputError, match="Did you mean 'train'"):
        measured(manifest(), split="trein")


def test_scumble_irlbl_and_effective_size():
    report = measured(replicated(), labels=("gender", "ethnicity"))
    # IRLbl before, over both labels: f 5/2 (no: the largest category is Asian with 5), m 5/4, Asian 1.
    ratios = {"f": 5 / 2, "m": 5 / 4, "Asian": 1.0}
    mixed = {name: 1 - np.sqrt(ratios[name]) / ((ratios[name] + 1) / 2) for name in "fm"}
    cells = report.tables["imbalance/cells"].set_index(["cell", "stage"])
    assert cells.loc[("Asian/f", "before"), "scumble"] == pytest.approx(mixed["f"])
    assert cells.loc[("Asian/m", "before"), "scumble"] == pytest.approx(mixed["m"])
    assert np.isnan(cells.loc[("White/f", "before"), "scumble"])
    assert cells.loc[("Asian/f", "before"), "irlbl"] == 1.5
    # Of the two originals of Asian/f one is used three times.
    assert cells.loc[("Asian/f", "after"), "effective_size"] == 16 / 10
    categories = report.tables["imbalance/categories"].set_index(["label", "stage", "category"])
    assert categories.loc[("gender", "before", "f"), "irlbl"] == 2
    assert categories.loc[("gender", "before", "m"), "scumble"] == pytest.approx((3 * mixed["m"] + 0) / 4)
    labels = report.tables["imbalance/labels"].set_index(["label", "stage"])
    assert labels.loc[("gender", "before"), "scumble"] == pytest.approx((2 * mixed["f"] + 3 * mixed["m"]) / 6)
    assert report.summary["effective sample size"] == "5 of 6"


def test_an_empty_cell_is_noted_and_a_joint_label_counted():
    frame = pd.DataFrame({"image_id": list("abcdefg"), "identity": list("ppqqrrs"), "gender": list("ffmmmmm"),
                          "ethnicity": ["x", "x", "x", "y", "y", "y", "y"]})  # fmt: skip
    table = Manifest.from_frame(frame, levels={"gender": "identity", "ethnicity": "identity"})
    report = measured(table, labels=("gender/ethnicity",), cells=("gender", "ethnicity"))
    assert "gender/ethnicity: no image is in f/y." in report.notes
    assert rows(report, "categories", "category", "images") == [("f/x", 2), ("m/x", 1), ("m/y", 4)]


def test_quantile_of_the_deciles():
    frame = pd.DataFrame({"image_id": [f"{row:03d}" for row in range(10)], "identity": list("abbcccdddd")})
    table = measured(Manifest.from_frame(frame), quantile="lower").tables["imbalance/labels"]
    assert table["idr"].tolist() == [3.0]


def test_the_history_of_an_oversampling_is_drawn():
    from curate.balance.oversample import OversampleParams, oversample

    table = manifest()
    made = oversample(table, Features({}), OversampleParams(labels=("gender",), target=1), np.random.default_rng(0))
    assert made.evidence["replicas"].tolist()[0] == 0
    assert made.evidence["idr"].iloc[-1] == 1
    given = Features({"evidence": {"oversample": made.evidence}})
    report = imbalance(apply_decisions(table, made)[0], given, ImbalanceParams(), np.random.default_rng(0))
    assert report.tables["imbalance/history"] is made.evidence
    assert [figure.options["y"] for figure in report.figures if figure.table == "imbalance/history"] == [
        "idr",
        "max_min",
    ]
