"""Weights and targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.balance.weights import WeightParams, category_weights, targets, weight
from curate.core.apply import apply_decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.recipe.check import check_step


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8), st.sampled_from([0.0, 0.9, 0.999, 0.999999]))
def test_weights_follow_their_formulas(counts: list[int], beta: float):
    for scheme, raw in (
        ("inverse_frequency", [1 / n if n else 0 for n in counts]),
        ("effective_number", [(1 - beta) / (1 - beta**n) if n else 0 for n in counts]),
    ):
        total = sum(w * n for w, n in zip(raw, counts, strict=True))
        wanted = [w * sum(counts) / total if total else 0 for w in raw]
        assert category_weights(counts, scheme, beta) == pytest.approx(wanted, rel=1e-6)


def test_inverse_frequency_is_what_scikit_learn_calls_balanced():
    from sklearn.utils.class_weight import compute_class_weight

    y = np.repeat([0, 1, 2], [50, 7, 3])
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=y)
    assert category_weights(np.bincount(y)) == pytest.approx(wanted)


def test_effective_number_of_the_source_at_its_ends():
    assert category_weights([10, 1000], "effective_number", 0.0).tolist() == [1, 1]
    near = category_weights([10, 1000], "effective_number", 1 - 1e-12)
    assert near == pytest.approx(category_weights([10, 1000]), rel=1e-6)
    for bad in ({"counts": [-1]}, {"counts": [1], "beta": 1.0}, {"counts": [1], "scheme": "magic"}):
        with pytest.raises(ValueError, match="must be|unknown"):
            category_weights(**bad)


def table() -> Manifest:
    rows = [("a", "p", "f", "x"), ("b", "p", "f", None), ("c", "q", "m", "x"), ("d", None, None, "y"),
            ("e", "q", "m", "x"), ("g", "q", "m", "x")]  # fmt: skip
    return Manifest.from_frame(
        pd.DataFrame(rows, columns=["image_id", "identity", "gender", "age"]),
        levels={"gender": "identity", "age": "image"},
    )


def test_the_step_weighs_labels_and_cells():
    people = table()
    by_gender, _ = apply_decisions(people, weight(people, Features(), WeightParams(by=("gender",)), step_rng(0, "w")))
    assert by_gender.frame["weight"].tolist() == pytest.approx([5 / 4, 5 / 4, 5 / 6, 1, 5 / 6, 5 / 6])
    cell = WeightParams(by=("gender", "age"), scheme="effective_number", beta=0.0)
    decided = weight(people, Features(), cell, step_rng(0, "w"))
    assert decided.frame["image_id"].tolist() == ["a", "c", "e", "g"]
    assert decided.frame["score"].tolist() == [1.0] * 4
    check_step(weight, people, {})
    check_step(weight, people, {}, WeightParams(by=("gender", "age"), scheme="effective_number"))
    with pytest.raises(InputError, match="no label 'height'"):
        weight(people, Features(), WeightParams(by=("height",)), step_rng(0, "w"))


def test_targets_have_a_mask_and_stable_codes():
    made = targets(table(), ("gender", "age"))
    assert made.codes.tolist() == [[0, 0], [0, 0], [1, 0], [0, 1], [1, 0], [1, 0]]
    assert made.mask.tolist() == [[True, True], [True, False], [True, True], [False, True], [True, True], [True, True]]
    assert made.categories == (("f", "m"), ("x", "y"))
    part = table().take(np.array([2, 3]))
    again = targets(part, ("gender", "age"), made.categories)
    assert again.codes.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(InputError, match="no code"):
        targets(part, ("gender",), (("f",),))
