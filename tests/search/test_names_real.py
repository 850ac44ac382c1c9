"""The published lists of names; what was checked by hand on them stands in docs/overlap.md."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

pytest.importorskip("datasketch")
pytest.importorskip("rapidfuzz")

from curate.collect.name_list import NamesParams, read_names
from curate.core.shapes import SerialExecutor
from curate.search.names import match_names
from curate.search.names.match import CALIBRATION, probability, weighed


def names_of(path: Path) -> dict[str, str]:
    """Name of each id (or name)."""
    frame = read_names(NamesParams(path=path), None, SerialExecutor(), path.parent).manifest.frame
    return dict(zip(frame["identity"].astype(str), frame["name"].astype(str), strict=True))


def lists(real_data: Path) -> dict[str, list[str]]:
    """The names of four published lists."""
    paths = {
        "casia": "overlap-lists/happynear/CASIA__webface_id_name_list.txt",
        "lfw": "overlap-lists/happynear/CASIA__lfw-names.txt",
        "vgg": "overlap-lists/vggface1/names.txt",
        "vgg2": "vggface2-meta/identity_meta.csv",
    }
    return {name: list(names_of(real_data / path).values()) for name, path in paths.items()}


def checked_pairs(names: dict[str, list[str]]) -> list[tuple[pd.DataFrame, np.ndarray, pd.DataFrame]]:
    """Of each two lists: pairs before calibration, the rows of the checked ones among them, and those checks."""
    checked = pd.read_csv(Path(__file__).parents[2] / "docs/names_checked.csv", keep_default_na=False)
    checked = checked[checked["persons"] != "unknown"]
    result = []
    for one, two in combinations(names, 2):
        others = [name for other in names if other not in (one, two) for name in names[other]]
        pairs = weighed(names[one], names[two], others=others)[0]
        written = pd.MultiIndex.from_arrays(
            [np.array(names[side], object)[pairs[place]] for side, place in ((one, "i"), (two, "j"))]
        )
        mine = checked[(checked["list_a"] == one) & (checked["list_b"] == two)]
        rows = [np.flatnonzero(written == key) for key in zip(mine["name_a"], mine["name_b"], strict=True)]
        held = [row[0] for row in rows if len(row)]
        result.append((pairs, np.array(held, int), mine[[len(row) > 0 for row in rows]]))
    return result


def fitted(found: list, use: np.ndarray, same: np.ndarray, *, exact: bool) -> tuple[float, float, float]:
    """The curve under which the checks are likeliest; `exact`: with a term for names that do not differ."""

    def loss(curve: np.ndarray) -> float:
        chance = np.clip(chances((*curve, 0.0)[:3], found)[use], 1e-9, 1 - 1e-9)
        return -np.log(np.where(same[use], chance, 1 - chance)).sum()

    best = minimize(loss, [-1.0, 0.8, 2.0] if exact else [-1.0, 0.8], method="Powell").x
    return (*best, 0.0)[:3]


def chances(curve: tuple[float, float, float], found: list) -> np.ndarray:
    """The probability of each checked pair by a curve."""
    return np.concatenate([probability(pairs, curve)[rows] for pairs, rows, _ in found])


def test_the_curve_is_the_one_that_the_checked_pairs_ask_for(real_data: Path):
    found = checked_pairs(lists(real_data))
    checks = pd.concat([part for _, _, part in found], ignore_index=True)
    same, sample = (checks["persons"] == "same").to_numpy(), checks["sample"].to_numpy()
    np.testing.assert_allclose(CALIBRATION, fitted(found, sample > 0, same, exact=True), atol=0.05)
    # Fitted to the first sample alone, the curve tells the truth about the second.
    chance = chances(fitted(found, sample == 1, same, exact=False), found)[sample == 2]
    assert chance.mean() == pytest.approx(same[sample == 2].mean(), abs=0.1)


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
