"""The published lists of names; what was checked by hand on them stands in docs/overlap.md."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytest.importorskip("datasketch")
pytest.importorskip("rapidfuzz")

from curate.collect.name_list import NamesParams, read_names
from curate.core.shapes import SerialExecutor
from curate.search.names import match_names


def names_of(path: Path) -> dict[str, str]:
    """Name of each id (or name)."""
    frame = read_names(NamesParams(path=path), None, SerialExecutor(), path.parent).manifest.frame
    return dict(zip(frame["identity"].astype(str), frame["name"].astype(str), strict=True))


def test_the_published_overlap_of_casia_and_lfw_is_found(real_data: Path):
    folder = real_data / "overlap-lists/happynear"
    casia = names_of(folder / "CASIA__webface_id_name_list.txt")
    lfw = names_of(folder / "CASIA__lfw-names.txt")
    others = [*names_of(real_data / "overlap-lists/vggface1/names.txt").values(),
              *names_of(real_data / "vggface2-meta/identity_meta.csv").values()]  # fmt: skip
    ids, right = list(casia), list(lfw.values())
    found = match_names(list(casia.values()), right, others=others)
    pairs = {(ids[i], right[j]): verdict for i, j, verdict in
             zip(found.pairs["i"], found.pairs["j"], found.pairs["verdict"], strict=True)}  # fmt: skip
    with open(folder / "CASIA__webface_lfw_overlap_detail.txt", encoding="utf-8") as handle:
        published = {(row[0], row[2]) for row in list(csv.reader(handle, skipinitialspace=True))[1:]}
    assert len(published) == 17
    assert published <= set(pairs)
    only_ids = (folder / "CASIA__webface_lfw_overlap.txt").read_text().split()
    assert set(only_ids) <= {casia_id for casia_id, _ in pairs}
    # Few more than those are called the same or likely: the list's authors had removed what matched letter by letter.
    assert sum(verdict != "look" for verdict in pairs.values()) < 40
    assert found.compared * 100 < len(casia) * len(lfw)


def test_names_called_the_same_agree_in_gender(real_data: Path):
    with open(real_data / "vggface2-meta/identity_meta.csv", encoding="utf-8") as handle:
        rows = list(csv.reader(handle, skipinitialspace=True))[1:]
    with open(real_data / "lfw-faces-112/labels.csv", encoding="utf-8") as handle:
        gender = {row["identity"]: row["gender_afif4"].lower() for row in csv.DictReader(handle) if row["gender_afif4"]}
    found = match_names(list(gender), [row[1] for row in rows]).pairs
    found = found[(found["verdict"] == "same").to_numpy()]
    ours = list(gender.values())
    agree = [ours[i] == rows[j][4] for i, j in zip(found["i"], found["j"], strict=True)]
    assert len(agree) > 500
    assert sum(agree) >= 0.99 * len(agree)
