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


def slow_scores(manifest: Manifest, vectors: np.ndarray, folds: int, negatives: int) -> dict[str, float]:
    """One image after the other: the classifier of its fold, fitted without it."""
    from sklearn.linear_model import LogisticRegression

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
        assert row.score == pytest.approx(expected[row.image_id], abs=1e-4)
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


def test_planted_images_of_others_rank_at_the_bottom(tmp_path: Path):
    """Of each identity the bottom max(number planted there, 10%): planted are all images of somebody else."""
    recipe = make_recipe({"name": "r", "source": {"kind": "synthetic"}, "steps": []})
    with LocalExecutor(1) as executor:
        manifest = SOURCES["synthetic"].read(recipe.source, None, executor, tmp_path).manifest
        store = FeatureStore(manifest, tmp_path, executor, recipe.embedder)
        vectors, truth = store.get("embedding", manifest), store.get("truth", manifest)
        evidence = run(manifest, vectors).evidence
    others = {"mislabelled", "exact_copy_other_identity", "near_copy_other_identity"}
    fault = truth[truth["fault"].isin(others)].set_index("image_id")["fault"]
    found, planted = {"mislabelled": 0, "all": 0}, {"mislabelled": 0, "all": 0}
    for _, group in evidence.groupby("identity", observed=True):
        kinds = group["image_id"].map(fault).astype(object)
        bottom = kinds.tail(max(int(kinds.notna().sum()), -(-len(group) // 10)))
        for name, mask in (("mislabelled", kinds == "mislabelled"), ("all", kinds.notna())):
            planted[name] += int(mask.sum())
            found[name] += int(mask.loc[bottom.index].sum())
    print(found, planted)
    assert planted["mislabelled"] >= 40
    assert found["mislabelled"] >= 0.9 * planted["mislabelled"]
    assert found["all"] >= 0.9 * planted["all"]
