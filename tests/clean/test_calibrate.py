"""Thresholds measured on planted copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from curate.clean.calibrate import DuplicateCalibrationParams, duplicate_calibration
from curate.clean.calibration_table import Found, Sample, choose, thresholds_table, without_known
from curate.clean.false_matches import false_rate, tail_of
from curate.clean.near_duplicates import NearDuplicatesParams
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features
from curate.images.facts import FEATURES, ShardTask, facts_of_shard
from curate.stats.intervals import upper_bound, wilson
from tests.clean.pictures import face


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[Manifest, Features]:
    """Twelve photographs, a copy of the first in other bytes, one file that is none and one of one colour."""
    root = tmp_path_factory.mktemp("photos")
    for seed in range(12):
        Image.fromarray(face(seed, 96)).save(root / f"{seed:02d}.png")
    Image.fromarray(face(0, 96)).save(root / "12.bmp")
    (root / "13.png").write_bytes(b"nothing")
    Image.fromarray(np.full((80, 80, 3), 90, np.uint8)).save(root / "14.png")
    names = sorted(path.name for path in root.iterdir())
    ids = pd.array(names, "str")
    manifest = Manifest.from_frame(pd.DataFrame({"image_id": ids, "path": ids, "identity": ids}), root=root)
    facts = facts_of_shard(ShardTask(str(root), tuple(names), tuple(FEATURES)))
    return manifest, Features(facts)


def calibrate(photos, **params):
    manifest, features = photos
    params = DuplicateCalibrationParams(**{"beside": (), **params})
    return duplicate_calibration(manifest, features, params, np.random.default_rng(7))


def test_planted_copies_are_found_and_counted(photos):
    found = calibrate(photos, alterations=("flipped", "recompressed", "resized"), sample=50)
    table = found.tables["calibration/thresholds"]
    assert set(table["copies"]) == {13 * 3}  # the unreadable file and the one-coloured image are no samples
    recall = table.pivot(index="max_distance", columns="min_correlation", values="recall").to_numpy()
    assert (np.diff(recall, axis=0) >= 0).all()
    assert (np.diff(recall, axis=1) <= 0).all()
    chosen = table[table["chosen"]].iloc[0]
    assert chosen["recall"] == 1.0
    assert chosen["precision"] >= 0.99
    # Of the many thresholds that do so, the strictest.
    best = table[(table["recall"] == 1.0) & (table["precision"] >= 0.99)]
    assert chosen["min_correlation"] == best["min_correlation"].max()
    assert found.documents["calibration/chosen"]["params"] == {
        "max_distance": chosen["max_distance"], "min_correlation": chosen["min_correlation"],
    }  # fmt: skip
    assert any(note.startswith("1 pairs of images agree") for note in found.notes)
    by_name = found.tables["calibration/alterations"].set_index("alteration")
    assert by_name["found"].tolist() == [13, 13, 13]


def test_methods_are_compared_and_the_one_asked_for_is_chosen(photos):
    few = {"alterations": ("recompressed", "flipped"), "sample": 6}
    found = calibrate(photos, method="vlad", beside=("phash", "dhash", "phash256"), **few)
    methods = found.tables["calibration/methods"]
    assert methods["method"].tolist() == ["vlad", "phash", "dhash", "phash256"]
    assert (methods["recall"] >= 0.9).all()
    assert methods["min_similarity"].notna().tolist() == [True, False, False, False]
    assert methods["max_distance"].notna().tolist() == [False, True, True, True]
    chosen = found.documents["calibration/chosen"]
    assert chosen["method"] == "vlad"
    assert set(chosen["params"]) == {"min_similarity", "min_correlation"}
    NearDuplicatesParams(method="vlad", **chosen["params"])
    assert set(found.tables["calibration/alterations"]["method"]) == set(methods["method"])
    # A method's own figures do not depend on which others are measured.
    alone = calibrate(photos, method="phash", **few).tables["calibration/thresholds"].drop(columns="chosen")
    table = found.tables["calibration/thresholds"]
    table = table[table["method"] == "phash"].drop(columns="chosen").reset_index(drop=True)
    pd.testing.assert_frame_equal(table, alone)


def test_vectors_cannot_be_calibrated():
    with pytest.raises(ValueError, match="have no vectors"):
        DuplicateCalibrationParams(method="embedding")


def test_mirrored_copies_are_lost_where_they_are_not_sought(photos):
    found = calibrate(photos, alterations=("flipped",), mirrored=False)
    assert found.tables["calibration/thresholds"]["recall"].max() == 0.0


def test_the_same_seed_gives_the_same_table(photos):
    few = {"alterations": ("brightness", "rotated"), "sample": 5}
    first, again = calibrate(photos, **few), calibrate(photos, **few)
    assert all(first.tables[name].equals(again.tables[name]) for name in first.tables)
    assert first.documents == again.documents
    assert calibrate(photos, **few, compared=4).tables["calibration/thresholds"]["copies"].max() == 8


def test_bad_words_are_refused(photos):
    with pytest.raises(InputError, match="Did you mean 'cropped'"):
        calibrate(photos, alterations=("croped",))
    with pytest.raises(InputError, match="light, medium, strong"):
        calibrate(photos, strength="huge")


def test_copies_that_the_set_holds_already_count_neither_way():
    # Images 0 and 1 agree as they are; 2 and 3 do so a little; 4 is like 0 once it is altered. What copies repeat of
    # the pairs of their images is counted once.
    pairs = Found(*map(np.array, ([0, 2], [1, 3], [2, 8], [0.97, 0.93])))
    sample = Sample(np.array([0, 0, 0]), np.array([0, 1, 4]), 3, 5, 1000)
    copies = Found(
        np.array([0, 0, 1, 2, 2]), np.array([0, 1, 0, 4, 0]), np.array([2, 4, 4, 0, 9]),
        np.array([0.99, 0.95, 0.97, 0.99, 0.94]),
    )  # fmt: skip
    copies = without_known(copies, pairs, sample)
    assert list(zip(copies.query.tolist(), copies.image.tolist(), strict=True)) == [(0, 0), (2, 4), (2, 0)]
    table = thresholds_table("phash", copies, pairs, sample, 0.1, known=0.965)
    row = table[(table["max_distance"] == 10) & (table["min_correlation"] == 0.92)].iloc[0]
    assert (row["found"], row["copies"], row["false_of_copies"], row["false_of_images"]) == (2, 3, 1, 1)
    # One of 12 comparisons of copies is false, and one of 10 of images: the worse counts.
    true, false = 0.1 * 2 / 3, 999 / 2 / 10
    assert row["false_match_rate"] == 0.1
    assert row["precision"] == pytest.approx(true / (true + false))
    assert row["precision_low"] < row["precision"] < row["precision_high"]
    strict = table[(table["max_distance"] == 6) & (table["min_correlation"] == 0.92)].iloc[0]
    assert (strict["false_of_copies"], strict["false_of_images"], strict["precision"]) == (0, 0, 1.0)


def test_the_interval_counts_a_sampled_image_once():
    few, many = false_rate(4, 2, 100, 10_000), false_rate(400, 20, 100, 10_000)
    assert few[:2] == (4e-4, 0)
    assert few[2] == pytest.approx(upper_bound(2, 100) * 2 * 100 / 10_000)
    low, high = wilson(20, 100)
    assert many[1:] == (pytest.approx(low * 0.2), pytest.approx(high * 0.2))


def mixture(rng, false, copies, scale=0.012):
    """Scores from 0.9 on: of false pairs, whose tail is exponential, and of real copies, mostly near 1."""
    return np.concatenate([0.9 + rng.exponential(scale, false), 0.93 + 0.07 * rng.beta(3, 1, copies)])


@pytest.mark.parametrize("copies", [0, 12])
def test_the_tail_counts_false_pairs_among_real_copies(copies):
    thresholds = np.array([0.9, 0.93, 0.945, 0.96, 0.98])
    rng = np.random.default_rng(3)
    truth = np.exp(-(thresholds - 0.9) / 0.012)
    tails = [tail_of(mixture(rng, 150, copies), 0.9, 0.945, thresholds) for _ in range(400)]
    share = np.median([tail.share for tail in tails], axis=0)
    assert (np.abs(share / truth - 1) < 0.1).all()
    covered = np.mean([(tail.low <= truth) & (truth <= tail.high) for tail in tails], axis=0)
    assert covered.min() >= 0.9
    if copies:  # what counting would say: all copies there
        counted = np.median([(mixture(rng, 150, copies) >= 0.96).sum() / 150 for _ in range(100)])
        assert counted > 5 * truth[3]


def test_the_tail_of_nothing_and_of_one():
    assert tail_of(np.zeros(0), 0.9, 0.945, np.array([0.9, 0.95])).share.tolist() == [1, 1]
    one = tail_of(np.array([0.93, 0.99]), 0.9, 0.945, np.array([0.9, 0.925, 0.935]))
    assert one.share[:2].tolist() == [1, 1]  # what was seen counts
    assert 0 < one.share[2] < 1
    assert one.low[2] <= one.share[2] <= one.high[2]


def test_rare_copies_do_not_make_the_choice_needlessly_strict():
    """Of 10,000 images 13 are copies of others: precision 0.99 is wanted, and kept, at a useful recall."""
    rng = np.random.default_rng(5)
    n, made, chosen = 10_000, 400, []
    for _ in range(20):
        score = mixture(rng, 40, 13)
        one = rng.permutation(n)[: 2 * len(score)].reshape(2, -1)
        pairs = Found(one.min(axis=0), one.max(axis=0), np.zeros(len(score)), score)
        source = rng.permutation(n)[:made]
        copies = Found(np.arange(made), source, np.zeros(made), 1 - rng.exponential(0.012, made))
        table = thresholds_table("phash", copies, pairs, Sample(np.zeros(made, int), source, made, n, n), 0.0013, 0.945)
        chosen.append(table.iloc[choose(table, 0.99)][["min_correlation", "recall"]].astype(float))
    threshold, recall = np.array(chosen).T
    # The truth: 40 exp(-(t - 0.9) / 0.012) false pairs against 13 true ones of which a share of recall is found.
    false = 40 * np.exp(-(threshold - 0.9) / 0.012)
    true = 13 * recall
    assert np.median(true / (true + false)) >= 0.985
    best = 1 - np.exp(-(1 - 0.97) / 0.012)  # at 0.97, the loosest that is precise enough
    assert np.median(recall) > best - 0.15
    assert recall.min() > 0.5


def test_the_choice():
    table = pd.DataFrame({
        "max_distance": [8, 8, 4, 2], "min_correlation": [0.9, 0.95, 0.9, 0.99],
        "recall": [0.99, 0.95, 0.95, 0.2], "precision": [0.9, 0.995, 0.995, 1.0],
    })  # fmt: skip
    assert choose(table, 0.99) == 1
    assert choose(table, 0.5) == 0
    assert choose(table.assign(precision=[0.3, np.nan, 0.4, 0.1]), 0.99) == 2
    nothing = table.assign(precision=np.nan, recall=np.nan)
    assert 0 <= choose(nothing, 0.99) < 4


def test_images_that_vanished_are_no_copies(photos, tmp_path: Path):
    manifest, features = photos
    gone = Manifest.from_frame(manifest.frame, root=tmp_path)
    found = duplicate_calibration(gone, features, DuplicateCalibrationParams(sample=3), np.random.default_rng(0))
    assert any("nothing is known" in note for note in found.notes)
