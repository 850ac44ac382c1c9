from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("datasketch")
pytest.importorskip("rapidfuzz")

from curate.clean.keep_datasets import KeepDatasetsParams, keep_datasets
from curate.clean.overlap import PAIR_COLUMNS, OverlapParams, _filled, overlap, verdicts
from curate.clean.overlap_evidence import cast_of
from curate.clean.overlap_pairs import OverlapPairsParams, matrix_of, overlap_pairs
from curate.clean.overlap_planted import RENAMINGS, renamed
from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.errors import CurateError, InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features
from curate.recipe.check import check_step

TRAIN = ["Wolfgang_Zuckermandel", "Zhang_Ziyi", "Ottokar_Quintel", "Jens_Holm"]
BENCH = ["Ziyi_Zhang", "Wolfgang_A._Zuckermandel", "Per_Ast", "Jens_Holm"]


def manifest_of(sets: dict[str, list[str]], images: int = 3) -> Manifest:
    rows = [(f"{d}/{name}/{n}", f"{d}/{name}", d) for d, names in sets.items() for name in names for n in range(images)]
    return Manifest.from_frame(pd.DataFrame(rows, columns=["image_id", "identity", "dataset"]), levels={})


BOTH = manifest_of({"train": TRAIN, "bench": BENCH})
DROPS = Decisions.empty().stamped("near_duplicates", 1).frame


def evidence_of(*pairs: tuple[str, str]) -> dict[str, pd.DataFrame]:
    table = pd.DataFrame([sorted(pair) for pair in pairs], columns=["image_id_a", "image_id_b"])
    return {"near_duplicates": table.assign(similarity=0.99).astype({"image_id_a": "str", "image_id_b": "str"})}


def decided(params: OverlapParams, manifest: Manifest = BOTH, **values) -> Decisions:
    features = Features({"evidence": {}, "decisions": DROPS, **values})
    return overlap(manifest, features, params, np.random.default_rng(0))


def people_vectors(manifest: Manifest, persons: dict[str, int], seed: int = 0) -> np.ndarray:
    """Vectors of the images by the person that each identity shows; identities not named are persons of their own."""
    rng = np.random.default_rng(seed)
    names = manifest.frame["identity"].astype(str)
    number = {name: persons.get(name, 100 + at) for at, name in enumerate(dict.fromkeys(names))}
    centres = rng.standard_normal((400, 32)) * np.where(np.arange(32) < 16, 3, 0)
    vectors = centres[[number[name] for name in names]] + rng.standard_normal((len(names), 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_names_are_paired_with_one_verdict_and_all_evidence():
    found = decided(OverlapParams())
    pairs = found.evidence
    assert tuple(pairs.columns) == PAIR_COLUMNS
    assert list(zip(pairs["identity_a"], pairs["identity_b"], pairs["verdict"], strict=True)) == [
        ("Jens_Holm", "Jens_Holm", "same"),
        ("Wolfgang_A._Zuckermandel", "Wolfgang_Zuckermandel", "same"),
        ("Ziyi_Zhang", "Zhang_Ziyi", "same"),
    ]
    assert pairs["evidence"][2].startswith("name: order (")
    assert set(pairs["by"]) == {"name"}
    assert pairs["score"].between(0.9, 1).all()
    flagged = found.frame
    assert len(flagged) == 18  # three images of each of six identities, on both sides
    assert set(flagged["action"]) == {"flag"}
    assert set(flagged["reason"]) == {"overlap_name"}
    assert flagged.loc[flagged["image_id"] == "bench/Ziyi_Zhang/1", "related_id"].item() == "train/Zhang_Ziyi/0"


def test_identities_are_dropped_from_train_alone_and_the_benchmark_can_leave():
    params = OverlapParams(train="train", action="drop_identities")
    found = decided(params)
    after, _ = apply_decisions(BOTH, found)
    left = after.frame["identity"].astype(str).unique().tolist()
    assert [name for name in left if name.startswith("train")] == ["train/Ottokar_Quintel"]
    assert sum(name.startswith("bench") for name in left) == 4
    alone = keep_datasets(after, Features(), KeepDatasetsParams(datasets=("train",)), np.random.default_rng(0))
    assert apply_decisions(after, alone)[0].frame["dataset"].unique().tolist() == ["train"]
    with pytest.raises(InputError, match="no dataset 'trian'.*Did you mean 'train'"):
        keep_datasets(after, Features(), KeepDatasetsParams(datasets=("trian",)), np.random.default_rng(0))


def test_shared_photographs_pair_identities_and_can_be_dropped():
    evidence = evidence_of(("train/Ottokar_Quintel/0", "bench/Per_Ast/2"), ("train/Jens_Holm/0", "train/Jens_Holm/1"))
    found = decided(OverlapParams(by=("image",), train="train", action="drop_images"), evidence=evidence)
    assert found.frame[["image_id", "action", "reason", "related_id"]].to_numpy().tolist() == [
        ["train/Ottokar_Quintel/0", "drop", "overlap_copy", "bench/Per_Ast/2"]
    ]
    pair = found.evidence.iloc[0]
    assert (pair["identity_a"], pair["identity_b"], pair["verdict"]) == ("Per_Ast", "Ottokar_Quintel", "likely")
    assert (pair["shared_images"], pair["image_b"]) == (1, "train/Ottokar_Quintel/0")
    two = decided(OverlapParams(by=("image",)), evidence=evidence_of(
        ("train/Ottokar_Quintel/0", "bench/Per_Ast/2"), ("train/Ottokar_Quintel/1", "bench/Per_Ast/1")
    ))  # fmt: skip
    assert two.evidence["verdict"].tolist() == ["same"]


def test_an_image_dropped_as_a_copy_speaks_for_the_one_that_stayed():
    gone = Decisions.of(["train/Ottokar_Quintel/9"], "drop", "near_duplicate", related_id=["train/Ottokar_Quintel/1"])
    evidence = evidence_of(("train/Ottokar_Quintel/9", "bench/Per_Ast/2"))
    found = decided(OverlapParams(by=("image",)), evidence=evidence, decisions=gone.stamped("near_duplicates", 1).frame)
    assert found.evidence["image_b"].tolist() == ["train/Ottokar_Quintel/1"]


MANY = manifest_of({
    "train": [*TRAIN, *(f"Zo{c}_Tre{d}l" for c in "abcdefgh" for d in "abcd")],
    "bench": [*BENCH, *(f"Ux{c}_Mor{d}k" for c in "abcdef" for d in "abcd")],
}, images=6)  # fmt: skip


def test_faces_and_names_agree_or_the_report_says_that_they_do_not():
    persons = {
        "train/Zhang_Ziyi": 1, "bench/Ziyi_Zhang": 1,  # both agree
        "train/Jens_Holm": 2, "bench/Jens_Holm": 3,  # two persons of one name
        "train/Ottokar_Quintel": 4, "bench/Per_Ast": 4,  # one person, two names
    }  # fmt: skip
    found = decided(OverlapParams(by=("name", "identity")), MANY, embedding=people_vectors(MANY, persons))
    pairs = found.evidence.set_index("identity_b")
    assert pairs.loc["Zhang_Ziyi", ["by", "verdict"]].tolist() == ["name,identity", "same"]
    assert pairs.loc["Jens_Holm", ["by", "verdict"]].tolist() == ["name", "look"]
    assert "the names match and the faces do not" in pairs.loc["Jens_Holm", "evidence"]
    assert pairs.loc["Ottokar_Quintel", ["by", "verdict"]].tolist() == ["identity", "likely"]
    assert "the faces match and the names do not" in pairs.loc["Ottokar_Quintel", "evidence"]
    assert pairs.loc["Zhang_Ziyi", "mutual"]


def test_faces_and_names_weigh_against_one_another():
    cast = cast_of(MANY)
    pairs = pd.DataFrame({
        "a": [0] * 5, "b": [40] * 5, "name_score": [0.999, 0.999, 0.3, np.nan, 0.6], "name_why": ["spelling"] * 5,
        "log_ratio": [-4.0, -20.0, 5.0, 9.0, np.nan], "face_score": [np.nan, np.nan, np.nan, 0.95, np.nan],
        "mutual": [None, None, None, True, None], "passed": [None, None, None, True, None],
    })  # fmt: skip
    made = verdicts(_filled(pairs), cast, OverlapParams(by=("name", "identity")))
    assert made["verdict"].tolist() == ["same", "look", "same", "likely", "likely"]
    odds = 999 * np.exp(-4.0)
    assert made["score"].tolist()[0] == pytest.approx(odds / (1 + odds))
    assert made["evidence"].str.contains("the names match and the faces do not").tolist() == [False, True, *[False] * 3]
    assert made["name_score"].tolist()[:3] == [0.999, 0.999, 0.3]  # by name alone


def test_names_by_label_stand_beside_ids():
    frame = BOTH.frame.assign(name=BOTH.frame["identity"].astype(str).str.split("/").str[1])
    codes = {
        name: f"{name.split('/')[0]}/n{number:05d}"
        for number, name in enumerate(frame["identity"].astype(str).unique())
    }
    frame["identity"] = frame["identity"].astype(str).map(codes)
    manifest = Manifest.from_frame(frame, levels={"name": "identity"})
    pairs = decided(OverlapParams(), manifest).evidence
    assert pairs["identity_a"].tolist()[0] == "Jens_Holm"
    assert pairs["id_a"].str.fullmatch(r"n\d{5}").all()
    bare = Manifest.from_frame(frame.drop(columns="name"), levels={})
    with pytest.raises(InputError, match="numbers, not names.*found 'n0"):
        decided(OverlapParams(), bare)


def test_one_name_on_two_identities_of_a_set_is_said_and_decides_nothing():
    frame = pd.DataFrame({"image_id": ["a", "b", "c"], "identity": ["t/1", "t/2", "u/Ann Quist"],
                          "dataset": ["t", "t", "u"], "name": ["Ann Quist"] * 3})  # fmt: skip
    manifest = Manifest.from_frame(frame, levels={"name": "identity"})
    with pytest.warns(UserWarning, match="t: 1 names are borne by several identities"):
        pairs = decided(OverlapParams(), manifest).evidence
    assert pairs["score"].tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    assert set(pairs["id_a"]) == {"1", "2"}


def test_the_report_counts_certifies_and_measures_what_is_missed():
    sets = {"train": [*TRAIN, "Ola_Nord"], "bench": BENCH, "other": ["Zhang Ziyi", "Per Ast"]}
    manifest = manifest_of(sets)
    found = decided(OverlapParams(train="train", action="drop_identities"), manifest)
    after, _ = apply_decisions(manifest, found)
    given = {
        "evidence": {"overlap": found.evidence},
        "decisions": found.stamped("overlap", 2).frame,
        "steps": {"overlap": OverlapParams()},
    }
    made = overlap_pairs(after, Features(given), OverlapPairsParams(train="train"), np.random.default_rng(0))
    matrix = matrix_of(found.evidence, cast_of(manifest)).set_index(["dataset_a", "dataset_b"])
    assert matrix["shared"].to_dict() == {
        ("bench", "bench"): 4, ("bench", "other"): 2, ("bench", "train"): 3, ("other", "bench"): 2,
        ("other", "other"): 2,
        ("other", "train"): 1, ("train", "bench"): 3, ("train", "other"): 1, ("train", "train"): 5,
    }  # fmt: skip
    paper = made.documents["overlap"]
    assert paper["removed"] == {"images": 9, "by_reason": {"overlap_name": 9}}
    assert paper["share_nobody_known"]
    assert paper["sets"]["train"] | {"fingerprint": ""} == {"identities": 2, "images": 6, "fingerprint": ""}
    missed = made.tables["overlap/missed"]
    assert missed["planted"].sum() == paper["missed"]["name"]["planted"] == 6
    assert (missed["found"] <= missed["planted"]).all()
    assert missed["high"].between(0, 1).all()
    assert list(made.tables["pairs"].columns) == list(PAIR_COLUMNS)
    kept = overlap_pairs(
        manifest, Features(given | {"decisions": DROPS}), OverlapPairsParams(), np.random.default_rng(0)
    )
    assert not kept.documents["overlap"]["share_nobody_known"]


def test_planted_names_are_really_written_otherwise():
    rng = np.random.default_rng(0)
    for kind in RENAMINGS:
        name = renamed("Anna_Maria_Lindqvist", kind, rng)
        assert name != "Anna_Maria_Lindqvist"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (OverlapParams(train="nobody"), "no dataset 'nobody'"),
        (OverlapParams(action="drop_identities"), "which dataset images are dropped from.*bench, train"),
    ],
)
def test_datasets_must_be_named_rightly(params: OverlapParams, said: str):
    with pytest.raises(InputError, match=said):
        decided(params)


def test_images_need_the_steps_that_find_copies():
    with pytest.raises(CurateError, match="put them before it"):
        decided(OverlapParams(by=("image",)))
    with pytest.raises(CurateError, match="put that before it"):
        overlap_pairs(BOTH, Features({"evidence": {}, "decisions": DROPS, "steps": {}}), OverlapPairsParams(),
                      np.random.default_rng(0))  # fmt: skip


def test_the_steps_keep_the_rules_of_the_house():
    check_step(overlap, BOTH, {})
    check_step(overlap, BOTH, {}, OverlapParams(train="train", action="drop_identities", from_verdict="look"))
    check_step(keep_datasets, BOTH, {}, KeepDatasetsParams(datasets=("bench",)))
    both = {
        "evidence": {"overlap": decided(OverlapParams()).evidence},
        "decisions": DROPS,
        "steps": {"overlap": OverlapParams()},
    }
    check_step(overlap_pairs, BOTH, both)
