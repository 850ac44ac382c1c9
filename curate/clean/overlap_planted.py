"""How often an overlap is missed: identities of a benchmark planted into the training set, renamed and altered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from curate.clean.known_copies import known_copies
from curate.clean.overlap_evidence import Cast, Faces
from curate.core import columns as col
from curate.core.manifest import Manifest
from curate.core.shapes import STEPS, Features
from curate.images.alter import ALTERATIONS
from curate.search.between_sets import nearest
from curate.search.names import match_names, parse
from curate.search.templates import Templates

#: How a name is written otherwise, each where the name has room for it.
RENAMINGS = ("other order", "initial added", "middle name left out", "initial for the first name", "letter left out",
             "letter doubled", "suffix added", "case and marks")  # fmt: skip
_LONG = ("middle name left out", "initial for the first name")  # need three words
_COLUMNS = {"by": "str", "alteration": "str", "planted": "int64", "found": "int64"}


def missed_names(cast: Cast, train: int, wanted: int, rng: np.random.Generator) -> pd.DataFrame:
    """Names of the benchmarks, rewritten and planted among those of train: how many are listed with their original.

    One name for each turn of RENAMINGS, in turn; a rewritten name that reads the same counts as well. Names of two
    words or more that train does not have as they are: beside its own spelling another one stands back. Returns
    (by, alteration, planted, found).
    """
    own = cast.name[cast.rows(train)].tolist()
    there = {form.tokens for name in own for form in parse(name)}
    rows = np.flatnonzero(cast.dataset != train)
    forms = [parse(name) for name in cast.name[rows]]
    rows = rows[[len(form) > 0 and len(form[0].tokens) > 1 and form[0].tokens not in there for form in forms]]
    rows = np.sort(rng.permutation(rows)[:wanted])
    kinds = [RENAMINGS[number % len(RENAMINGS)] for number in range(len(rows))]
    long = [len(parse(name)[0].tokens) > 2 for name in cast.name[rows]]
    kinds = [kind if roomy or kind not in _LONG else "letter left out" for kind, roomy in zip(kinds, long, strict=True)]
    planted = [renamed(cast.name[row], kind, rng) for row, kind in zip(rows.tolist(), kinds, strict=True)]
    found = np.zeros(len(rows), bool)
    for dataset in range(len(cast.datasets)):
        if dataset == train:
            continue
        theirs = cast.rows(dataset)
        pairs = match_names([*own, *planted], cast.name[theirs].tolist()).pairs
        pairs = pairs[(pairs["i"] >= len(own)).to_numpy()]
        number = pairs["i"].to_numpy() - len(own)
        found[number[theirs[pairs["j"].to_numpy()] == rows[number]]] = True
    return _counted("name", kinds, found)


def renamed(name: str, kind: str, rng: np.random.Generator) -> str:
    """A name written in another way, one of RENAMINGS; those of _LONG need three words."""
    form = parse(name)[0]
    words = [word.capitalize() for word in form.tokens]
    if kind == "other order":
        words = [words[-1], *words[:-1]]
    elif kind == "initial added":
        words = [words[0], "ABCDEGHJKLMNPRSTW"[int(rng.integers(17))] + ".", *words[1:]]
    elif kind == "middle name left out":
        words = [words[0], words[-1]]
    elif kind == "initial for the first name":
        words = [words[0][0] + ".", *words[1:]]
    elif kind == "suffix added":
        words = [*words, "Jr."]
    elif kind == "case and marks":
        return "-".join(words).upper()
    else:
        last, at = words[-1], int(rng.integers(1, max(len(words[-1]) - 1, 2)))
        words[-1] = (
            last[:at]
            + (last[at : at + 1] if kind == "letter doubled" else "")
            + last[at + (kind != "letter doubled") :]
        )
    return "_".join(words)


def missed_faces(
    cast: Cast, faces: Faces, train: int, paired: np.ndarray, wanted: int, features: Features,
    rng: np.random.Generator, far: float | None,
) -> pd.DataFrame:  # fmt: skip
    """Identities of the benchmarks with four images, cut in two: one half planted into train, the other left.

    paired: rows of the cast that have a partner already; those are not planted. The halves hold different photographs.
    Found: the two halves are mutual nearest and pass the threshold of the same rule.
    """
    rows = np.setdiff1d(np.flatnonzero((faces.templates.count >= 4) & (cast.dataset != train)), paired)
    rows = np.sort(rng.permutation(rows)[:wanted])
    size, number = len(cast.dataset), np.full(len(cast.dataset), -1, np.int64)
    number[rows] = size + np.arange(len(rows))  # rows of the planted halves, below those of the cast
    half = pd.Series(faces.of).groupby(faces.of).cumcount().to_numpy() % 2 == 1
    of = np.where(half & np.isin(faces.of, rows), number[faces.of], faces.of)
    halves = Templates.of(faces.points, np.maximum(of, 0), (of >= 0).astype(float), size + len(rows),
                          faces.templates.between)  # fmt: skip
    found = np.zeros(len(rows), bool)
    for dataset in range(len(cast.datasets)):
        mine = np.flatnonzero(cast.dataset[rows] == dataset)
        if dataset == train or not len(mine):
            continue
        left = np.concatenate([faces.rows(cast, train), number[rows[mine]]])
        near = nearest(halves, left, faces.rows(cast, dataset), features.executor, rng, far=far)
        good = near.mutual & (near.score >= near.threshold)
        found[mine] = np.isin(number[rows[mine]], near.i[good][near.i[good] == number[near.j[good]]])
    return _counted("identity", ["other photographs"] * len(rows), found)


def missed_copies(
    manifest: Manifest, features: Features, params: Any, train: int, wanted: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Images of the benchmarks, altered in each way of medium strength and planted into train: how many are found.

    near_duplicates runs with params, those that it had in this run, over all images and the copies. Found: the copy is
    confirmed with its own original.
    """
    near = STEPS["near_duplicates"]
    pixel = [need for need in near.needs_of(params) if need != "vectors"]
    theirs = np.flatnonzero((manifest.codes(col.DATASET) != train) & (features["decoded"]["reason"] == 0))
    rows = np.sort(rng.permutation(theirs)[: max(1, wanted // len(ALTERATIONS))])
    if not len(rows):
        return _counted("image", [], np.zeros(0, bool))
    paths = manifest.frame[col.PATH].take(rows).tolist()
    seed = int(rng.integers(2**31))
    made = known_copies(manifest.root, paths, tuple(ALTERATIONS), "medium", tuple(pixel), seed, features.executor)
    names = np.array(list(ALTERATIONS), dtype=object)[made["alteration"]]
    ids = [f"planted/{number:06d}" for number in range(len(names))]
    copies = pd.DataFrame({col.IMAGE_ID: ids, col.IDENTITY: [f"planted/{n}" for n in ids], col.DATASET: "planted"})
    own = manifest.frame[[col.IMAGE_ID, col.IDENTITY, col.DATASET]]
    whole = Manifest.from_frame(pd.concat([own.astype("str"), copies], ignore_index=True), levels={})
    order = np.concatenate([whole.rows_of(own[col.IMAGE_ID]), whole.rows_of(copies[col.IMAGE_ID])])
    values: dict[str, Any] = {"vectors": np.zeros((len(whole), 0), np.float32)}
    for need in pixel:
        both = np.concatenate([features[need], made[need]])
        values[need] = np.empty_like(both)
        values[need][order] = both
    evidence = near(whole, Features(values, features.executor), params, rng).evidence
    original = dict(zip(ids, manifest.frame[col.IMAGE_ID].take(rows[made["image"]]), strict=True))
    named = zip(evidence["image_id_a"].astype(str), evidence["image_id_b"].astype(str), strict=True)
    hits = {
        one if one in original else two for one, two in named if original.get(one) == two or original.get(two) == one
    }
    return _counted("image", names.tolist(), np.array([one in hits for one in ids]))


def _counted(by: str, kinds: list[str], found: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"by": by, "alteration": pd.array(kinds, "str"), "planted": 1, "found": found.astype(int)})
    return table.groupby(["by", "alteration"], as_index=False, sort=True)[["planted", "found"]].sum().astype(_COLUMNS)
