"""Real lists: DiveFace, LFW by gender, LFW's own pairs, and an InsightFace verification set."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from curate.core.errors import InputError
from curate.core.files import read_json, read_table
from curate.protocol.certificate import faults
from curate.protocol.formats import read_pairs
from curate.protocol.table import coded
from curate.recipe.execute import LocalExecutor
from curate.recipe.verbs import run_protocol

DATA = os.environ.get("CURATE_REAL_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CURATE_REAL_DATA is not set")

DIVEFACE = {
    "Group1/Female": 194_337, "Group1/Male": 86_695, "Group2/Female": 77_022, "Group2/Male": 113_348,
    "Group3/Female": 302_337, "Group3/Male": 458_967,
}  # fmt: skip
LFW = {"F": 9_095, "M": 223_038}
SOURCES = {
    "diveface": ("diveface-lists", ("source.names=[ethnicity, gender]",), ("ethnicity", "gender"), DIVEFACE),
    "lfw": ("lfw-faces-112/images", (f"source.labels={DATA}/lfw-faces-112/labels.csv",
            "source.columns={gender: gender_afif4}"), ("gender",), LFW),
}  # fmt: skip


@pytest.mark.parametrize("name", list(SOURCES))
def test_real_groups_are_refused_with_their_true_counts_or_give_all_they_have(name: str, tmp_path: Path):
    source, overrides, group_by, held = SOURCES[name]
    params = {"group_by": group_by, "pairs_per_group": 1_000_000, "genuine": 0.5, "folds": 10}

    def run(out: str, **more):
        with LocalExecutor(1) as executor:
            given = {**params, **more}
            return run_protocol(
                f"{DATA}/{source}", tmp_path / out, executor=executor, params=given, overrides=overrides
            )

    with pytest.raises(InputError) as caught:
        run("refused")
    for group, pairs in held.items():
        assert f"{group}: 500,000 genuine pairs asked, {pairs:,} can be had" in str(caught.value)
    run("fewer", allow_fewer=True, pairs_per_group=1_000_000, genuine=1.0)
    run("equal", allow_fewer=True, equal=True, pairs_per_group=1_000_000, genuine=1.0)
    for out, expected in (("fewer", held), ("equal", dict.fromkeys(held, min(held.values())))):
        table = read_table(tmp_path / out / "pairs.parquet")
        assert Counter(table.loc[table["genuine"], "group"]) == expected
        assert read_json(tmp_path / out / "certificate.json")["valid"]


def test_lfw_pairs_are_verified_and_written_back_unchanged(tmp_path: Path):
    path = Path(DATA) / "lfw-meta" / "pairs.txt"
    pairs, found = read_pairs(path)
    assert pairs.table.groupby(["fold", "genuine"]).size().tolist() == [300] * 20
    assert not any(len(rows) for rows in faults(coded(pairs.table)).values())
    found.write(pairs, tmp_path / "pairs.txt", None)
    assert (tmp_path / "pairs.txt").read_bytes() == path.read_bytes()


def test_a_real_bin_is_read_without_calling_what_it_names():
    folder = Path(DATA) / "insightface-small-lfw-bin"
    table = read_pairs(folder / "small_lfw.bin")[0].table
    assert table["genuine"].tolist() == [True] * 10
    assert table["image_id_b"][9] == "small_lfw.bin#000019"
