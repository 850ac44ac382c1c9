"""Pairs are unique, balanced, disjoint between folds, and drawn uniformly."""

from __future__ import annotations

import json
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.core.errors import InputError
from curate.core.files import read_table, write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.protocol.certificate import against_manifest, certificate, faults, fingerprint
from curate.protocol.pairs import COLUMNS, ProtocolParams, verification_protocol
from curate.protocol.table import coded
from tests.protocol.conftest import make_faces as faces


def protocol(manifest: Manifest, seed: int = 0, features: Features | None = None, **settings):
    settings = {"group_by": ("gender",), **settings}
    return verification_protocol(
        manifest, features or Features(), ProtocolParams(**settings), step_rng(seed, "protocol")
    )


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 12), min_size=8, max_size=40),
    st.integers(1, 4),
    st.integers(1, 60),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.integers(0, 9),
)
def test_a_protocol_is_balanced_and_disjoint(counts, folds, wanted, share, seed):
    manifest = faces(counts)
    made = protocol(manifest, seed, folds=folds, pairs_per_group=wanted, genuine=share, allow_fewer=True)
    table = made.tables["protocol/pairs"]
    assert tuple(table.columns) == COLUMNS
    assert (table["image_id_a"] < table["image_id_b"]).all()
    assert not table.duplicated(["image_id_a", "image_id_b"]).any()
    folds_of: dict[str, set] = {}
    for row in table.itertuples():
        assert (row.identity_a == row.identity_b) == row.genuine
        assert row.image_id_a.startswith(row.identity_a)
        assert row.image_id_b.startswith(row.identity_b)
        assert row.group == row.group_a == row.group_b
        for who in (row.identity_a, row.identity_b):
            folds_of.setdefault(who, set()).add((row.group, row.fold))
    assert all(len(places) == 1 for places in folds_of.values())
    possible = made.tables["protocol/feasibility"].set_index(["group", "kind"])
    got = Counter(zip(table["group"], np.where(table["genuine"], "genuine", "impostor"), strict=True))
    for key, row in possible.iterrows():
        assert got[key] == row["taken"] == min(row["asked"], row["held"])
        assert row["possible"] <= row["taken"]
        if row["possible"] == row["asked"]:
            per_fold = table[(table["group"] == key[0]) & (table["genuine"] == (key[1] == "genuine"))]["fold"]
            sizes = np.bincount(per_fold, minlength=folds)
            assert sizes.max() - sizes.min() <= 1
            assert (np.diff(sizes) <= 0).all()  # the remainder goes to the first folds
    assert made.documents["protocol/certificate"]["valid"]


def test_same_seed_same_table_in_any_row_order():
    manifest = faces([3, 5, 2, 6, 4, 4, 3, 7])
    made = protocol(manifest, folds=2, pairs_per_group=20).tables["protocol/pairs"]
    shuffled = Manifest.from_frame(manifest.frame.sample(frac=1, random_state=1))
    again = protocol(shuffled, folds=2, pairs_per_group=20).tables["protocol/pairs"]
    pd.testing.assert_frame_equal(made, again)
    assert fingerprint(coded(made)) == fingerprint(coded(again))
    other = protocol(manifest, 1, folds=2, pairs_per_group=20).tables["protocol/pairs"]
    assert fingerprint(coded(made)) != fingerprint(coded(other))


def test_tables_are_the_same_bytes_and_documents_are_json(tmp_path):
    manifest = faces([3, 5, 2, 6, 4, 4, 3, 7])
    shuffled = Manifest.from_frame(manifest.frame.sample(frac=1, random_state=2))
    for name, source in (("a", manifest), ("b", shuffled)):
        made = protocol(source, folds=2, pairs_per_group=20)
        write_table(tmp_path / name, made.tables["protocol/pairs"])
        json.dumps([made.summary, dict(made.documents)], allow_nan=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back = read_table(tmp_path / "a")
    assert fingerprint(coded(back)) == made.summary["fingerprint"]
    assert certificate(coded(back))["valid"]


def test_shortage_names_every_group_and_a_remedy():
    manifest = faces([2] * 12)
    with pytest.raises(InputError) as caught:
        protocol(manifest, folds=3, pairs_per_group=40)
    text = str(caught.value)
    assert "f: 20 genuine pairs asked, 6 can be had" in text
    assert "m: 20 genuine pairs asked, 6 can be had" in text
    assert "pairs_per_group: 12" in text
    assert len(protocol(manifest, folds=3, pairs_per_group=12).tables["protocol/pairs"]) == 24
    made = protocol(manifest, folds=3, pairs_per_group=40, allow_fewer=True)
    assert "f: only 6 of 20 genuine pairs were possible." in made.notes


def test_rows_that_may_not_be_compared():
    frame = faces([3] * 8).frame.copy()
    frame["parent_id"] = pd.Series([None] * len(frame), dtype="str")
    replica = frame.iloc[[0, 3]].assign(image_id=["p0000/000.jpg~r1", "p0001/000.jpg~r1"])
    replica["parent_id"] = ["p0000/000.jpg", "p0001/000.jpg"]
    frame["split"] = frame["split"].astype("str")
    frame["identity"] = frame["identity"].astype("str")
    frame["gender"] = frame["gender"].astype("str")
    frame.loc[1, "identity"] = None
    frame.loc[5, "gender"] = None
    frame.loc[7, "split"] = "train"
    manifest = Manifest.from_frame(pd.concat([frame, replica], ignore_index=True))
    made = protocol(manifest, folds=1, pairs_per_group=10_000, allow_fewer=True)
    table = made.tables["protocol/pairs"]
    used = set(table["image_id_a"]) | set(table["image_id_b"])
    assert len(used) == 24 - 3
    assert not used & {frame["image_id"][1], frame["image_id"][5], frame["image_id"][7]}
    left = made.documents["protocol/certificate"]["left_out"]
    assert left == {
        "replicas": 2, "without_identity": 1, "without_group": 1, "without_match": 0, "in_another_group": 0,
    }  # fmt: skip
    assert any("1 images have no identity" in note for note in made.notes)


def test_an_identity_keeps_to_the_group_of_most_of_its_images():
    frame = faces([4] * 6, groups=1, split=None).frame.copy()
    frame["age"] = ["young"] * 3 + ["old"] + ["old"] * 4 + ["old", "old", "young", "young"] + ["young"] * 12
    manifest = Manifest.from_frame(frame, levels={"age": "image"})
    made = protocol(manifest, group_by=("age",), split=None, folds=1, pairs_per_group=10_000, allow_fewer=True)
    table = made.tables["protocol/pairs"]
    assert made.documents["protocol/certificate"]["checks"]["no_identity_in_two_groups"]
    assert made.documents["protocol/certificate"]["left_out"]["in_another_group"] == 3
    homes = {who: set(rows["group"]) for who, rows in table.groupby("identity_a", observed=True)}
    assert homes["p0000"] == {"young"}
    assert homes["p0002"] == {"old"}  # a tie: the first in order


@pytest.mark.parametrize("split", ["holdout", None])
@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_manifests_give_empty_tables_and_a_note(rows, split):
    made = protocol(faces([1] * rows, split="holdout" if rows else None), split=split)
    assert len(made.tables["protocol/pairs"]) == 0
    assert tuple(made.tables["protocol/pairs"].columns) == COLUMNS
    assert "can be compared" in made.notes[0]
    assert made.documents["protocol/certificate"]["valid"]


def test_the_certificate_finds_what_is_wrong():
    manifest = faces([3, 5, 2, 6, 4, 4, 3, 7])
    table = protocol(manifest, folds=2, pairs_per_group=20).tables["protocol/pairs"]
    assert certificate(coded(table))["valid"]

    def failing(changed: pd.DataFrame) -> dict[str, list[int]]:
        pairs = coded(changed)
        found = faults(pairs) | against_manifest(pairs, manifest)
        return {name: rows.tolist() for name, rows in found.items() if len(rows)}

    assert failing(table) == {}
    assert failing(pd.concat([table, table.iloc[[3]]])) == {"no_duplicate_pairs": [len(table)]}
    swapped = table.iloc[[3]].rename(columns={f"{n}_{s}": f"{n}_{o}" for n in ("image_id", "identity", "group")
                                              for s, o in ("ab", "ba")})  # fmt: skip
    assert failing(pd.concat([table, swapped])) == {"no_duplicate_pairs": [len(table)]}
    wrong = table["genuine"].to_numpy().copy()
    wrong[5] = ~wrong[5]
    assert failing(table.assign(genuine=wrong)) == {"genuine_as_identities": [5]}
    moved = table["fold"].to_numpy().copy()
    moved[0] = 1
    assert 0 in failing(table.assign(fold=moved))["no_identity_in_two_folds"]
    same = table["image_id_a"].astype("str").copy()
    same[2] = table["image_id_b"][2]
    assert failing(table.assign(image_id_a=same))["no_image_with_itself"] == [2]
    same[2] = "aaa"
    assert failing(table.assign(image_id_a=same))["images_known"] == [2]
    who = table["identity_a"].astype("str").copy()
    who[2] = "p9999"
    found = failing(table.assign(identity_a=who))
    assert found["identities_as_in_manifest"] == [2]
    assert 2 in found["no_image_in_two_identities"]


@pytest.mark.parametrize(
    "settings", [{"folds": 0}, {"pairs_per_group": 0}, {"genuine": 1.5}, {"pair_per_group": 5}, {"groups": ("gender",)}]
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        ProtocolParams(**settings)


def test_an_unknown_label_is_refused():
    with pytest.raises(InputError, match="gender"):
        protocol(faces([2, 2]), group_by=("gendre",))


def test_many_rows_take_seconds():
    rng = np.random.default_rng(0)
    n, people = 300_000, 20_000
    who = np.sort(rng.integers(0, people, n))
    frame = pd.DataFrame(
        {
            "image_id": pd.Series(np.arange(n)).astype("str").str.zfill(7),
            "identity": pd.Categorical.from_codes(who, [f"p{i:05d}" for i in range(people)]),
            "gender": pd.Categorical.from_codes(who % 2, ["f", "m"]),
        }
    )
    manifest = Manifest.from_frame(frame)
    start = time.perf_counter()
    made = protocol(manifest, split=None, pairs_per_group=150_000)
    assert time.perf_counter() - start < 15
    assert made.documents["protocol/certificate"]["valid"]
    assert len(made.tables["protocol/pairs"]) == 300_000
