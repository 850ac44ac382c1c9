"""What speaks for two identities of two datasets being one person: their names, their photographs, their faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from curate.core import columns as col
from curate.core.errors import CurateError
from curate.core.manifest import Manifest
from curate.core.shapes import Features
from curate.search.between_sets import Nearest, learn, nearest
from curate.search.names import LOOK, check_names, match_names
from curate.search.odds import competing, log_prior
from curate.search.templates import Templates
from curate.stats.two_covariance import TwoCovariance

#: Steps whose evidence is pairs of images that are copies.
COPY_STEPS = ("exact_duplicates", "near_duplicates")


@dataclass(frozen=True)
class Cast:
    """The identities of each dataset: a row for each pair of a dataset and an identity that occurs together.

    of `(N,)`: the row of each image, -1 for replicas and images without an identity. dataset `(C,)`: codes; identity
    `(C,)`: as the manifest has it; name, id `(C,)`: as a reader knows them, id is null where the name is all there
    is; images `(C,)`.
    """

    of: np.ndarray
    dataset: np.ndarray
    datasets: list[str]
    identity: np.ndarray
    name: np.ndarray
    id: np.ndarray
    images: np.ndarray

    def rows(self, dataset: int) -> np.ndarray:
        """The identities of a dataset."""
        return np.flatnonzero(self.dataset == dataset)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Each two datasets."""
        return combinations(range(len(self.datasets)), 2)


def cast_of(manifest: Manifest) -> Cast:
    """The identities of a manifest; a name is that of the label `name`, where there is one, else the identity itself.

    An identity that begins with its dataset's name and a slash (`curate.collect.several`) is shown without them.
    """
    frame = manifest.frame
    dataset, identity = (manifest.codes(name).astype(np.int64) for name in (col.DATASET, col.IDENTITY))
    usable = manifest.originals() & (dataset >= 0) & (identity >= 0)
    width = max(len(frame[col.IDENTITY].cat.categories), 1)
    cells, first, of, images = np.unique(
        (dataset * width + identity)[usable], return_index=True, return_inverse=True, return_counts=True
    )
    result = np.full(len(manifest), -1, np.int64)
    result[usable] = of.reshape(-1)
    datasets = frame[col.DATASET].cat.categories.tolist()
    full = frame[col.IDENTITY].cat.categories.to_numpy(dtype=object)[cells % width]
    bare = np.array(
        [text.removeprefix(f"{datasets[d]}/") for text, d in zip(full, cells // width, strict=True)], object
    )
    name, known = bare.copy(), np.full(len(cells), None, dtype=object)
    if "name" in frame:
        said = frame["name"].astype("str").to_numpy(dtype=object)[np.flatnonzero(usable)[first]]
        has = np.array([isinstance(text, str) for text in said], bool)
        name[has] = said[has]
        known = np.where(has & (name != bare), bare, None)
    return Cast(result, cells // width, datasets, full, name, known, images)


def by_name(cast: Cast) -> tuple[pd.DataFrame, list[str]]:
    """Pairs (a, b) of identities whose names may be one person's, and what a reader must know.

    name_score: the probability; name_why. Raises InputError for empty names, and sets whose names are codes.
    """
    parts, notes = [_no_pairs({"name_score": "float64", "name_why": "str"})], []
    for dataset, label in enumerate(cast.datasets):
        names = cast.name[cast.rows(dataset)].tolist()
        check_names(names, label)
        values, counts = np.unique(np.array(names, dtype=str), return_counts=True)
        if (counts > 1).any():
            notes.append(f"{label}: {int((counts > 1).sum()):,} names are borne by several identities (first: "
                         f"{values[counts > 1][0]}); which of them a name means, names cannot tell")  # fmt: skip
    for one, two in cast.pairs():
        left, right = cast.rows(one), cast.rows(two)
        others = cast.name[(cast.dataset != one) & (cast.dataset != two)].tolist()
        found = match_names(cast.name[left].tolist(), cast.name[right].tolist(), others=others)
        if found.left_out:
            sets = f"{cast.datasets[one]} and {cast.datasets[two]}"
            notes.append(f"{sets}: {found.left_out:,} pairs of very common names were not compared")  # fmt: skip
        pairs = found.pairs
        parts.append(pd.DataFrame({"a": left[pairs["i"]], "b": right[pairs["j"]], "name_score": pairs["score"],
                                   "name_why": pairs["why"]}))  # fmt: skip
    return pd.concat(parts, ignore_index=True), notes


def by_image(manifest: Manifest, features: Features, cast: Cast) -> pd.DataFrame:
    """Pairs (a, b) of identities of two datasets that share photographs, from the copies that earlier steps confirmed.

    shared_images: the smaller of the numbers of images of a and of b with a copy on the other side; image_a, image_b
    and image_similarity: the surest pair. An image that an earlier step dropped as a copy speaks for the one
    that stayed for it. Raises CurateError where no step has looked for copies.
    """
    pairs = _copies(manifest, features)
    x, y = pairs["x"].to_numpy(), pairs["y"].to_numpy()
    a, b = (cast.of[rows] if len(cast.of) else rows for rows in (x, y))
    keep = (a >= 0) & (b >= 0)
    pairs = pairs.assign(a=a, b=b)[keep].sort_values(
        ["a", "b", "similarity", "x", "y"], ascending=[True, True, False, True, True]
    )
    if not len(pairs):
        return _no_pairs(_IMAGE_COLUMNS)
    grouped = pairs.groupby(["a", "b"], sort=True)
    best = grouped.first().reset_index()
    shared = np.minimum(grouped["x"].nunique(), grouped["y"].nunique()).to_numpy()
    ids = manifest.frame[col.IMAGE_ID]
    return pd.DataFrame({"a": best["a"], "b": best["b"], "shared_images": shared,
                         "image_a": ids.take(best["x"]).array, "image_b": ids.take(best["y"]).array,
                         "image_similarity": best["similarity"]})  # fmt: skip


def copies_between(manifest: Manifest, features: Features, dataset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a dataset's images with a copy in another dataset, each with its surest copy and their similarity."""
    pairs = _copies(manifest, features)
    codes = manifest.codes(col.DATASET)
    turned = pairs.rename(columns={"x": "y", "y": "x"})
    both = pd.concat([pairs, turned[pairs.columns]], ignore_index=True)
    both = both[codes[both["x"]] == dataset].sort_values(["x", "similarity", "y"], ascending=[True, False, True])
    both = both.drop_duplicates("x")
    return both["x"].to_numpy(), both["y"].to_numpy(), both["similarity"].to_numpy()


def _copies(manifest: Manifest, features: Features) -> pd.DataFrame:
    """Rows (x, y) of images of two datasets that are copies, the dataset of x first, and their similarity."""
    tables = [features["evidence"][name] for name in COPY_STEPS if name in features["evidence"]]
    codes = manifest.codes(col.DATASET)
    if not tables:
        if len(manifest.frame[col.DATASET].cat.categories) < 2:
            return pd.DataFrame({"x": np.zeros(0, np.int64), "y": np.zeros(0, np.int64), "similarity": np.zeros(0)})
        raise CurateError("the overlap by image reads what exact_duplicates and near_duplicates found: "
                          "put them before it")  # fmt: skip
    table = pd.concat([part[["image_id_a", "image_id_b", "similarity"]] for part in tables], ignore_index=True)
    x, y = (_standing_rows(table[name], manifest, features) for name in ("image_id_a", "image_id_b"))
    keep = (x >= 0) & (y >= 0)
    x, y, similarity = x[keep], y[keep], table["similarity"].to_numpy()[keep]
    swap = codes[x] > codes[y]
    pairs = pd.DataFrame({"x": np.where(swap, y, x), "y": np.where(swap, x, y), "similarity": similarity})
    return pairs[codes[x] != codes[y]].drop_duplicates(["x", "y"]).reset_index(drop=True)


_IMAGE_COLUMNS = {
    "shared_images": "int64", "image_a": "str", "image_b": "str", "image_similarity": "float64",
}  # fmt: skip


def _standing_rows(ids: pd.Series, manifest: Manifest, features: Features) -> np.ndarray:
    """Row of each image, or of the one that it was dropped for; -1 where that is gone too."""
    drops = features["decisions"]
    drops = drops[((drops["action"] == col.DROP) & drops["related_id"].notna()).to_numpy()]
    keeper = drops.drop_duplicates(col.IMAGE_ID).set_index(col.IMAGE_ID)["related_id"]
    ids = ids.astype("str")
    rows = manifest.rows_of(ids)
    for _ in range(8):  # an image stays for one that stayed for another, a few times at most
        gone = rows < 0
        if not gone.any():
            break
        ids = ids.where(~gone, ids.map(keeper).fillna(ids))
        rows = manifest.rows_of(ids)
    return rows


@dataclass(frozen=True)
class Faces:
    """What the vectors say: the model, a template for each row of the cast, and the images that it is made of.

    points: `(N, d)`, the projected vectors; of: `(N,)`, the row of the cast of each, -1 where the image is of nobody,
    has no vector or is not trusted to show its identity.
    """

    model: TwoCovariance
    templates: Templates
    points: np.ndarray
    of: np.ndarray

    def rows(self, cast: Cast, dataset: int) -> np.ndarray:
        """The identities of a dataset that have a template."""
        return np.flatnonzero((cast.dataset == dataset) & (self.templates.count > 0))

    def log_ratio(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of pairs of rows of the cast: float64 `(P,)`, NaN where one of the two has no template."""
        score = np.full(len(a), np.nan)
        both = (self.templates.count[a] > 0) & (self.templates.count[b] > 0)
        score[both] = self.templates.same_person(a[both], b[both])
        return score


def faces_of(vectors: np.ndarray, cast: Cast) -> Faces:
    """Learn what tells persons apart from all sets' vectors `(N, D)`, and take a template of each identity."""
    usable = np.where(np.any(vectors, axis=1), cast.of, -1)
    model, inside = learn(vectors, usable)
    points, of = model.project(vectors), np.where(inside, usable, -1)
    made = Templates.of(points, np.maximum(of, 0), inside.astype(float), len(cast.dataset), model.between)
    return Faces(model, made, points, of)


def by_identity(
    faces: Faces, cast: Cast, features: Features, rng: np.random.Generator, far: float | None
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Pairs (a, b) of identities whose templates are alike, and for each two datasets the threshold and its rate.

    log_ratio, cosine, mutual, margin: see `curate.search.between_sets.Nearest`; face_score: the probability, given that
    each identity is at most one of the other set. Listed are mutual pairs from the threshold on, and all from a
    probability of 0.05 on.
    """
    parts, thresholds = [_no_pairs(_FACE_COLUMNS)], {}
    for one, two in cast.pairs():
        left, right = faces.rows(cast, one), faces.rows(cast, two)
        found = nearest(faces.templates, left, right, features.executor, rng, far=far)
        passed = found.score >= found.threshold
        chance = _chances(found, len(left), len(right))
        keep = (found.mutual & passed) | (chance >= LOOK)
        parts.append(pd.DataFrame({
            "a": found.i[keep], "b": found.j[keep], "log_ratio": found.score[keep],
            "cosine": found.cosine[keep], "mutual": found.mutual[keep], "margin": found.margin[keep],
            "face_score": chance[keep], "passed": passed[keep],
        }))  # fmt: skip
        thresholds[f"{cast.datasets[one]} x {cast.datasets[two]}"] = _threshold(found, len(left), len(right), far)
    return pd.concat(parts, ignore_index=True), thresholds


def _chances(found: Nearest, left: int, right: int) -> np.ndarray:
    """The probability of each pair. How many are shared is taken from the pairs themselves: counted once by the usual
    prior, and then by that count (a step of expectation maximisation)."""
    chance = competing(found.i, found.j, found.score + log_prior(left, right))
    shared = float(chance[found.mutual & (found.score >= found.threshold)].sum())
    return competing(found.i, found.j, found.score + log_prior(left, right, shared))


_FACE_COLUMNS = {
    "log_ratio": "float64", "cosine": "float64", "mutual": "bool", "margin": "float64", "face_score": "float64",
    "passed": "bool",
}  # fmt: skip


def _threshold(found: Nearest, left: int, right: int, far: float | None) -> dict[str, float]:
    rate = far if far is not None else 0.01 / max(left, 1)
    return {
        "log_ratio": found.threshold, "false_match_rate": rate, "impostor_pairs": found.impostors,
        "templates_a": left, "templates_b": right,
        # Templates, not pairs, are independent: the rule of three over the fewer of them.
        "supported": bool(rate * found.impostors >= 3),
    }  # fmt: skip


def _no_pairs(columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in {"a": "int64", "b": "int64", **columns}.items()})
