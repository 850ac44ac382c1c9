from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curate.clean.planted import LOOKED_FOR_BY, PlantedFaultsParams, planted_faults
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features

RNG = np.random.default_rng(0)
MANIFEST = Manifest.from_frame(pd.DataFrame({"image_id": pd.array([], "str"), "identity": pd.array([], "str")}))


def truth_of(*faults):
    columns = ("image_id", "fault", "related_id", "true_identity")
    return pd.DataFrame(
        [(*fault, None)[:4] if len(fault) > 2 else (*fault, None, None) for fault in faults], columns=columns
    )


def measured(truth, *decisions, steps=None):
    frame = Decisions.concat(decisions).frame
    steps = tuple(frame["step"].dropna().unique()) if steps is None else steps
    given = Features({"decisions": frame, "truth": truth, "steps": steps})
    found = planted_faults(MANIFEST, given, PlantedFaultsParams(), RNG)
    table = found.tables["planted/faults"].set_index("fault")
    return table, found


def test_recall_and_precision_of_pairs_by_hand():
    # a2 and a3 are copies of a1, b2 of b1; c1 and d1 are nobody's copy.
    truth = truth_of(("a2", "resized", "a1"), ("a3", "flipped", "a1"), ("b2", "resized", "b1"))
    decided = Decisions.of(
        ["a1", "a3", "c1"], "drop", "near_duplicate", score=0.99, related_id=["a2", "a2", "d1"]
    ).stamped("near_duplicates", 3)  # fmt: skip
    other = Decisions.of(["b2"], "drop", "exact_bytes", related_id=["b1"]).stamped("exact_duplicates", 2)
    kept = Decisions.of(["b2"], "keep", "mine", related_id=["b1"]).stamped("near_duplicates", 3, "human")
    table, found = measured(truth, decided, other, kept)
    # a2 was named with a1, a3 with a2 (one source); b2 was only found by another step, which dropped it before.
    assert table["planted"].to_dict() == {"flipped": 1, "resized": 2}
    assert table["recall"].to_dict() == {"flipped": 1.0, "resized": 0.5}
    assert table["removed_before"].to_dict() == {"flipped": 0, "resized": 1}
    assert table.loc["resized", ["decided", "true"]].tolist() == [3, 2]
    assert table["precision"]["resized"] == pytest.approx(2 / 3)
    assert found.summary["resized"] == "recall 0.50, precision 0.67 (near_duplicates)"


def test_a_pair_flagged_on_both_sides_counts_once():
    truth = truth_of(("a2", "exact_copy_other_identity", "a1"))
    flags = Decisions.of(["a1", "a2"], "flag", "exact_bytes_other_identity", related_id=["a2", "a1"])
    table, _ = measured(truth, flags.stamped("exact_duplicates", 1))
    assert table.loc["exact_copy_other_identity", ["found", "decided", "true"]].tolist() == [1, 1, 1]


def test_naming_the_source_with_a_stranger_finds_nothing():
    truth = truth_of(("a2", "cropped", "a1"), ("b2", "cropped", "b1"))
    wrong = Decisions.of(["a1"], "drop", "near_duplicate", related_id=["b2"]).stamped("near_duplicates", 1)
    table, _ = measured(truth, wrong)
    assert table.loc["cropped", ["found", "precision"]].tolist() == [0, 0.0]


def test_single_images():
    truth = truth_of(("a", "corrupt"), ("b", "tiny"), ("c", "tiny"))
    decided = Decisions.of(["a", "b", "x"], "drop", ["unreadable:truncated", "too_small", "too_small"])
    table, _ = measured(truth, decided.stamped("unreadable", 1))
    assert table["recall"].to_dict() == {"corrupt": 1.0, "tiny": 0.5}
    assert table["precision"].tolist() == pytest.approx([2 / 3, 2 / 3])


def test_a_fault_that_no_step_looks_for_has_no_recall_and_a_note():
    truth = truth_of(("a", "shared_identity"), ("b", "resized", "a"), ("c", "unheard_of"))
    table, found = measured(truth)
    assert table["recall"].isna().all()
    assert len(found.notes) == 1
    assert all(f"{fault} (1)" in found.notes[0] for fault in ("shared_identity", "resized", "unheard_of"))
    assert found.summary["shared_identity"] == "1 planted, no step looked"


def test_a_step_that_ran_and_found_nothing_has_recall_zero():
    table, found = measured(truth_of(("b", "resized", "a")), steps=["near_duplicates"])
    assert table["recall"].tolist() == [0.0]
    assert np.isnan(table["precision"]["resized"])
    assert found.summary["resized"] == "recall 0.00, no decision (near_duplicates)"


def test_nothing_planted():
    table, found = measured(truth_of())
    assert not len(table)
    assert found.summary == {}


def test_the_steps_named_here_exist():
    from curate.recipe.registry import all_steps

    named = {step for steps in LOOKED_FOR_BY.values() for step in steps}
    assert named
    assert named <= set(all_steps())


def test_wrong_names_are_answered_by_their_reason():
    truth = truth_of(("a", "mislabelled"), ("b", "mixed_identity"), ("c", "split_identity"), ("d", "mislabelled"))
    moved = Decisions.of(["a", "x", "b"], "move", "mislabelled", new_value="q")
    merged = Decisions.of(["c"], "merge", "split_identity", new_value="q")
    unsure = Decisions.of(["d"], "flag", "mislabelled")
    table, _ = measured(truth, *(part.stamped("label_noise", 4) for part in (moved, merged, unsure)))
    # What is only flagged is no answer; an image of a second person is truly mislabelled, and not found as mixed.
    assert table["recall"].to_dict() == {"mislabelled": 0.5, "mixed_identity": 0.0, "split_identity": 1.0}
    assert table.loc["mislabelled", ["decided", "true"]].tolist() == [3, 2]
    assert table.loc["split_identity", ["decided", "true"]].tolist() == [1, 1]
