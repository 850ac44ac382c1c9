"""The step `ranking`: scores of a slow twin, and images planted under a wrong name at the bottom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.clean.ranking import RankingParams, ranking
from curate.collect import SOURCES
from curate.core.manifest import Manifest
from curate.core.shapes import Features, SerialExecutor, step_rng
from curate.recipe.check import check_step
from curate.recipe.execute import LocalExecutor
from curate.recipe.features import FeatureStore
from curate.recipe.schema import make_recipe


def made(sizes: list[int], seed: int = 0, noise: float = 0.6, size: int = 12) -> tuple[Manifest, np.ndarray]:
    """Identities as points with noise around, vectors of length 1."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    vectors = rng.normal(size=(len(sizes), size))[codes] + noise * rng.normal(size=(len(codes), size))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{code:02}/{at:04}" for at, code in enumerate(codes)]
    frame = pd.DataFrame({"image_id": ids, "identity": [f"p{code:02}" for code in codes]})
    return Manifest.from_frame(frame), vectors.astype(np.float32)


def run(manifest: Manifest, vectors: np.ndarray, executor=None, **params):
    features = Features({"embedding": vectors}, executor)
    return ranking(manifest, features, RankingParams(**params), step_rng(3, "ranking"))


def slow_axes(names: list[str], vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1 on axes on which the images of one person differ equally in all directions."""
    vectors, size = vectors.astype(float), vectors.shape[1]
    within, freedom = np.zeros((size, size)), 0
    for name in sorted(set(names)):
        mine = vectors[[other == name for other in names]]
        freedom += len(mine) - 1
        for one in mine - mine.mean(axis=0):
            within += np.outer(one, one)
    within = 0.8 * within / freedom + 0.2 * np.trace(within) / freedom / size * np.eye(size)
    seen = (vectors - vectors.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(within)).T
    return seen / np.linalg.norm(seen, axis=1, keepdims=True)


def slow_scores(manifest: Manifest, vectors: np.ndarray, folds: int, negatives: int) -> dict[str, float]:
    """One image after the other: the classifier of its fold, fitted without it."""
    from sklearn.linear_model import LogisticRegression

    vectors = slow_axes(manifest.frame["identity"].tolist(), vectors)
    chance = step_rng(3, "ranking").random(len(manifest))
    names = manifest.frame["identity"].tolist()
    pool = sorted(sorted(range(len(names)), key=lambda row: chance[row])[:negatives])
    found = {}
    for name in sorted(set(names)):
        mine = sorted((row for row in range(len(names)) if names[row] == name), key=lambda row: chance[row])
        others = [row for row in pool if names[row] != name]
        for place, row in enumerate(mine):
            parts = min(folds, len(mine))
            seen = [other for at, other in enumerate(mine) if at % parts != place % parts]
            model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=200)
            model.fit(vectors[seen + others], [1] * len(seen) + [0] * len(others))
            found[manifest.frame["image_id"][row]] = float(model.decision_function(vectors[[row]])[0])
    return found


def test_scores_are_those_of_the_slow_twin():
    manifest, vectors = made([4, 7, 3, 9, 5])
    evidence = run(manifest, vectors, folds=3, negatives=20).evidence
    expected = slow_scores(manifest, vectors, 3, 20)
    assert len(evidence) == 28
    for row in evidence.itertuples():
        assert row.score == pytest.approx(expected[row.image_id], abs=0.01), "the solver may stop elsewhere"
    for _, group in evidence.groupby("identity", observed=True):
        assert group["rank"].tolist() == list(range(1, len(group) + 1))
        assert group["score"].is_monotonic_decreasing
        assert (group["images"] == len(group)).all()


def test_the_best_are_kept_and_the_rest_says_by_how_much_it_missed():
    manifest, vectors = made([3, 8, 2])
    decisions = run(manifest, vectors, keep=5)
    assert decisions.frame["image_id"].str.startswith("01/").all()
    assert len(decisions.frame) == 3
    assert (decisions.frame["reason"] == "ranked_low").all()
    assert (decisions.frame["score"] <= decisions.frame["threshold"]).all()
    assert decisions.frame["threshold"].nunique() == 1
    assert not decisions.evidence["image_id"].str.startswith("02/").any(), "two images can't judge each other"


def test_images_without_a_vector_or_a_name_are_not_ranked():
    manifest, vectors = made([6, 6])
    vectors[2] = 0
    frame = manifest.frame.assign(identity=manifest.frame["identity"].where(np.arange(12) != 4))
    evidence = run(Manifest.from_frame(frame), vectors).evidence
    assert len(evidence) == 10
    assert np.isfinite(evidence["score"]).all()


def test_nothing_to_rank():
    manifest, vectors = made([5])
    assert not len(run(manifest, vectors).frame), "nobody else to be told from"
    manifest, vectors = made([2, 2, 1])
    assert not len(run(manifest, vectors).frame)


def test_workers_change_nothing(monkeypatch):
    monkeypatch.setattr("curate.clean.ranking._TILE", 8)
    manifest, vectors = made([4, 7, 3, 9, 5])
    with LocalExecutor(2) as executor:
        two = run(manifest, vectors, executor, keep=3)
    monkeypatch.setattr("curate.clean.ranking._TILE", 2048)
    one = run(manifest, vectors, SerialExecutor(), keep=3)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    pd.testing.assert_frame_equal(one.evidence, two.evidence)


def test_it_keeps_the_rules_of_the_house():
    check_step(ranking, params=RankingParams(keep=3, negatives=40, folds=2))


def test_images_that_are_all_alike_are_no_trouble():
    manifest, vectors = made([4, 4, 4])
    vectors[:] = vectors[np.repeat([0, 4, 8], 4)]
    assert np.isfinite(run(manifest, vectors).evidence["score"]).all()
    vectors[:] = vectors[0]
    assert np.isfinite(run(manifest, vectors).evidence["score"]).all()


COPIES = ("exact_copy_other_identity", "near_copy_other_identity")


def bottom_share(evidence: pd.DataFrame, fault: pd.Series, sought: tuple[str, ...], planted: tuple[str, ...]) -> float:
    """The share of the sought images that lie in the bottom max(number planted, 10%) of their identity."""
    found = number = 0
    for _, group in evidence.groupby("identity", observed=True):
        kinds = group["image_id"].map(fault).astype(object)
        bottom = kinds.tail(max(int(kinds.isin(planted).sum()), -(-len(group) // 10)))
        found += int(bottom.isin(sought).sum())
        number += int(kinds.isin(sought).sum())
    assert number >= 40
    return found / number


def test_planted_images_of_others_rank_at_the_bottom(tmp_path: Path):
    """Planted are all images of somebody else; if only mislabelled ones count, copies may not take their places.

    Seed 7 is none that the method was chosen on.
    """
    recipe = make_recipe({"name": "r", "source": {"kind": "synthetic", "seed": 7}, "steps": []})
    with LocalExecutor(1) as executor:
        manifest = SOURCES["synthetic"].read(recipe.source, None, executor, tmp_path).manifest
        store = FeatureStore(manifest, tmp_path, executor, recipe.embedder)
        vectors, truth = store.get("embedding", manifest), store.get("truth", manifest)
        evidence = run(manifest, vectors).evidence
    fault = truth.set_index("image_id")["fault"].astype(object)
    wrong = ("mislabelled", *COPIES)
    assert bottom_share(evidence, fault, ("mislabelled",), wrong) >= 0.9
    assert bottom_share(evidence, fault, wrong, wrong) >= 0.9
    without = evidence[~evidence["image_id"].map(fault).isin(COPIES)]
    assert bottom_share(without, fault, ("mislabelled",), ("mislabelled",)) >= 0.9
