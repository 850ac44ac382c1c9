"""Identities and photographs that several datasets share, and what becomes of them."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from curate.clean.overlap_evidence import Cast, by_identity, by_image, by_name, cast_of, copies_between, faces_of
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step
from curate.search.names import LIKELY, SAME, VERDICTS

By = Literal["name", "image", "identity"]
#: What the evidence lists first, then what each way to look has found; missing where it found or looked for nothing.
PAIR_COLUMNS = (
    "dataset_a", "identity_a", "dataset_b", "identity_b", "by", "score", "verdict", "evidence", "id_a", "id_b",
    "images_a", "images_b", "name_score", "shared_images", "image_a", "image_b", "image_similarity", "face_score",
    "log_ratio", "cosine", "mutual", "margin",
)  # fmt: skip


class OverlapParams(StrictParams):
    """Parameters of `overlap`."""

    by: Annotated[tuple[By, ...], Field(min_length=1)] = ("name",)
    train: str | None = None  # the dataset that images are dropped from; the others are benchmarks, never touched
    action: Literal["flag", "drop_images", "drop_identities"] = "flag"
    from_verdict: Literal["same", "likely", "look"] = "likely"  # from which verdict on identities are dropped
    far: Annotated[float, Field(gt=0, lt=1)] | None = None  # false-match rate of faces; null: 0.01 / identities of a


def needs_of(params: OverlapParams) -> tuple[str, ...]:
    """Features of each way to look."""
    needs = ("evidence", "decisions") if "image" in params.by else ()
    return (*needs, *(("embedding",) if "identity" in params.by else ()))


@step("overlap", needs=needs_of, before=("holdout", "oversample"))
def overlap(manifest: Manifest, features: Features, params: OverlapParams, rng: np.random.Generator) -> Decisions:
    """Find the identities and photographs that datasets share, and flag or drop them.

    Each two datasets of the manifest are compared by name (`curate.search.names`), by image (copies that
    exact_duplicates and near_duplicates confirmed before) and by identity (templates of vectors,
    `curate.search.between_sets`). Evidence: one row for each pair of identities, with all that speaks for it and one
    verdict: `same`, `likely` or `look` (see `verdicts`). `flag`: every image of a paired identity of `train` (of all
    datasets, where none is named) is flagged `overlap_<way>`. `drop_images`: images of train with a copy in a benchmark
    go (`overlap_copy`). `drop_identities`: those too, and all images of its identities with `from_verdict` or surer.
    Score: the pair's; related_id: an image of the other identity. Raises InputError for a dataset that is not there.
    """
    datasets = manifest.frame[col.DATASET].cat.categories.tolist()
    if len(datasets) < 2:  # nothing to compare
        return Decisions.empty().with_evidence(readable(cast_of(manifest), no_pairs()))
    if params.train is not None and params.train not in datasets:
        raise InputError(f"there is no dataset {params.train!r}. {nearest(params.train, datasets)}")
    if params.action != "flag" and params.train is None:
        raise InputError("nothing says which dataset images are dropped from", column="train",
                         allowed=", ".join(datasets), remedy="Give train: DATASET")  # fmt: skip
    cast = cast_of(manifest)
    pairs = find_pairs(manifest, features, params, rng, cast)
    parts = [_identity_decisions(manifest, cast, pairs, params)]
    if params.action != "flag":
        parts.append(_copy_drops(manifest, features, cast, params))
    return Decisions.concat(_once(parts)).with_evidence(readable(cast, pairs))


def find_pairs(
    manifest: Manifest, features: Features, params: OverlapParams, rng: np.random.Generator, cast: Cast
) -> pd.DataFrame:
    """All pairs of identities with what each way found: the columns of PAIR_COLUMNS for rows (a, b) of the cast."""
    pairs = pd.DataFrame({"a": pd.Series(dtype="int64"), "b": pd.Series(dtype="int64")})
    faces = None
    if "name" in params.by:
        names, notes = by_name(cast)
        pairs = pairs.merge(names, on=["a", "b"], how="outer")
        for note in notes:
            warnings.warn(note, stacklevel=2)
    if "image" in params.by:
        pairs = pairs.merge(by_image(manifest, features, cast), on=["a", "b"], how="outer")
    if "identity" in params.by and len(cast.datasets) > 1:
        faces = faces_of(features["embedding"], cast)
        pairs = pairs.merge(by_identity(faces, cast, features, rng, params.far)[0], on=["a", "b"], how="outer")
    pairs = _filled(pairs)
    if faces is not None:  # what the faces of pairs say that other ways found
        ratio = faces.log_ratio(pairs["a"].to_numpy(), pairs["b"].to_numpy())
        pairs["log_ratio"] = pairs["log_ratio"].where(pairs["log_ratio"].notna(), ratio)
        # Names only somewhat alike, with faces that are rather of two persons: nothing to look at.
        idle = (pairs["name_score"] < LIKELY) & (ratio < 0) & pairs["face_score"].isna() & pairs["shared_images"].isna()
        pairs = pairs[~idle.to_numpy(bool)]
    pairs = pairs.sort_values(["a", "b"], kind="stable", ignore_index=True)
    return verdicts(pairs, cast, params)


def no_pairs() -> pd.DataFrame:
    """The columns of `find_pairs` without a row."""
    pairs = _filled(pd.DataFrame({"a": np.zeros(0, np.int64), "b": np.zeros(0, np.int64)}))
    text = dict.fromkeys(("by", "verdict", "lead", "evidence"), pd.Series(dtype="str"))
    return pairs.assign(**text, score=np.zeros(0))


def _filled(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same with every column of every way to look, missing where that was not taken."""
    pairs = pairs.copy(deep=False)
    for name in ("name_score", "shared_images", "image_similarity", "face_score", "log_ratio", "cosine", "margin"):
        pairs[name] = pairs[name].astype("float64") if name in pairs else np.nan
    for name in ("name_why", "image_a", "image_b"):
        pairs[name] = pairs[name].astype("str") if name in pairs else pd.Series(pd.array([None] * len(pairs), "str"))
    for name in ("mutual", "passed"):
        pairs[name] = pairs[name].astype("boolean") if name in pairs else pd.array([None] * len(pairs), "boolean")
    return pairs


def verdicts(pairs: pd.DataFrame, cast: Cast, params: OverlapParams) -> pd.DataFrame:
    """The columns by, score, verdict and evidence, from what each way found.

    By name and by identity a probability from 0.9 on is `same`, from 0.5 on `likely`, below `look`; by identity `same`
    and `likely` also ask that the pair passes the threshold and is mutual. Where both have faces, the odds by name are
    multiplied with the likelihood ratio of the faces: what is as good as certain by name stands against faces that
    are a little unlike. Two shared photographs, or one that is all
    that the smaller identity has, are `same`, one of more is `likely` (its label may be wrong). The surest way decides,
    but a name that the faces outweigh is `look`, and faces whose names differ are at most `likely`.
    """
    written, face = pairs["name_score"].to_numpy(), pairs["face_score"].to_numpy()
    shared, ratio = pairs["shared_images"].to_numpy(), pairs["log_ratio"].to_numpy()
    name = np.where(np.isfinite(ratio), _with_faces(written, ratio), written)
    smaller = np.minimum(cast.images[pairs["a"]], cast.images[pairs["b"]]) if len(pairs) else np.zeros(0)
    sure = (pairs["mutual"].fillna(False) & pairs["passed"].fillna(False)).to_numpy(bool)
    levels = {
        "name": np.select([name >= SAME, name >= LIKELY, name > 0], [3, 2, 1], 0),
        "image": np.select([(shared >= 2) | (shared >= smaller), shared >= 1], [3, 2], 0),
        "identity": np.select([sure & (face >= SAME), sure & (face >= LIKELY), np.isfinite(face)], [3, 2, 1], 0),
    }
    no_face = (written >= LIKELY) & (name < LIKELY) & (levels["identity"] == 0) & (levels["image"] == 0)
    no_name = (levels["identity"] > 0) & (levels["name"] == 0) & (levels["image"] == 0) & ("name" in params.by)
    level = np.max(list(levels.values()), axis=0)
    level = np.where(no_name, np.minimum(level, 2), level)
    ways = np.array(list(levels))[:, None]
    used = np.stack(list(levels.values())) > 0
    lead = np.stack(list(levels.values())).argmax(axis=0)
    scores = np.stack([name, np.minimum(shared / np.maximum(smaller, 1), 1.0), face])
    texts = _texts(pairs, no_face, no_name)
    return pairs.assign(
        by=pd.array([",".join(ways[column, 0]) for column in used.T], "str"),
        score=scores[lead, np.arange(len(pairs))],
        verdict=pd.array(np.array(VERDICTS, dtype=object)[3 - np.maximum(level, 1)], "str"),
        lead=pd.array(np.array(list(levels), dtype=object)[lead], "str"), evidence=pd.array(texts, "str"),
        rank=level,
    )  # fmt: skip


def _with_faces(name: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """The probability by name after the log-likelihood ratio of the faces."""
    sure = np.clip(name, 1e-12, 1 - 1e-12)
    return 1 / (1 + np.exp(-np.clip(np.log(sure) - np.log1p(-sure) + ratio, -50, 50)))


def _texts(pairs: pd.DataFrame, no_face: np.ndarray, no_name: np.ndarray) -> list[str]:
    texts = []
    for row, nobody, other in zip(pairs.itertuples(index=False), no_face, no_name, strict=True):
        said = []
        if row.name_score > 0:
            said.append(f"name: {row.name_why} ({row.name_score:.2f})")
        if row.shared_images > 0:
            said.append(f"photographs: {row.shared_images:.0f} shared")
        if np.isfinite(row.face_score):
            which = "mutual nearest" if row.mutual is not pd.NA and row.mutual else "another is nearer"
            said.append(f"faces: log ratio {row.log_ratio:.1f}, {which}")
        elif np.isfinite(row.log_ratio):
            said.append(f"faces: log ratio {row.log_ratio:.1f}")
        if nobody:
            said.append("the names match and the faces do not: two persons of one name, or wrong images")
        if other:
            said.append("the faces match and the names do not: an alias, or a wrong name")
        texts.append("; ".join(said))
    return texts


def readable(cast: Cast, pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs as PAIR_COLUMNS, in order of the datasets and identities."""
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    labels = np.array(cast.datasets, dtype=object)
    table = pairs.assign(
        dataset_a=labels[cast.dataset[a]], identity_a=cast.name[a], id_a=cast.id[a], images_a=cast.images[a],
        dataset_b=labels[cast.dataset[b]], identity_b=cast.name[b], id_b=cast.id[b], images_b=cast.images[b],
    )  # fmt: skip
    text = dict.fromkeys(("dataset_a", "identity_a", "dataset_b", "identity_b", "by", "verdict", "evidence", "id_a",
                          "id_b", "image_a", "image_b"), "str")  # fmt: skip
    return table[list(PAIR_COLUMNS)].astype({**text, "images_a": "int64", "images_b": "int64"}).reset_index(drop=True)


def _identity_decisions(manifest: Manifest, cast: Cast, pairs: pd.DataFrame, params: OverlapParams) -> Decisions:
    """Flags or drops of all images of paired identities, each for its surest pair."""
    if params.action == "drop_images":
        return Decisions.empty()
    sides = [pairs.assign(mine=pairs[one], other=pairs[two]) for one, two in (("a", "b"), ("b", "a"))]
    both = pd.concat(sides, ignore_index=True)
    if params.train is not None:
        both = both[cast.dataset[both["mine"]] == cast.datasets.index(params.train)]
    if params.action == "drop_identities":
        both = both[(both["rank"] >= 3 - VERDICTS.index(params.from_verdict)).to_numpy()]
    best = both.sort_values(["mine", "rank", "score", "other"], ascending=[True, False, False, True])
    best = best.drop_duplicates("mine").set_index("mine")
    rows = np.flatnonzero(np.isin(cast.of, best.index))
    if not len(rows):
        return Decisions.empty()
    chosen = best.loc[cast.of[rows]]
    first = np.full(len(cast.dataset), -1, np.int64)
    first[cast.of[::-1]] = np.arange(len(cast.of))[::-1]  # -1, images of nobody, writes to the last and is mended
    first[-1] = int((cast.of == len(first) - 1).argmax())
    ids = manifest.frame[col.IMAGE_ID]
    return Decisions.of(
        ids.take(rows), col.FLAG if params.action == "flag" else col.DROP, ("overlap_" + chosen["lead"]).array,
        score=chosen["score"].to_numpy(), related_id=ids.take(first[chosen["other"]]),
    )  # fmt: skip


def _copy_drops(manifest: Manifest, features: Features, cast: Cast, params: OverlapParams) -> Decisions:
    """Drops of the images of train with a confirmed copy in another dataset."""
    if "image" not in params.by:
        return Decisions.empty()
    mine, other, similarity = copies_between(manifest, features, cast.datasets.index(params.train))
    ids = manifest.frame[col.IMAGE_ID]
    return Decisions.of(ids.take(mine), col.DROP, "overlap_copy", score=similarity, related_id=ids.take(other))


def _once(parts: list[Decisions]) -> list[Decisions]:
    """The same, but of each image only the first drop: a copy of a paired identity goes once."""
    seen: set[str] = set()
    result = []
    for part in parts:
        frame = part.frame
        new = ~((frame["action"] == col.DROP) & frame[col.IMAGE_ID].isin(seen)).to_numpy(bool)
        seen.update(frame[col.IMAGE_ID][(frame["action"] == col.DROP).to_numpy(bool)])
        result.append(Decisions.from_frame(frame[new].reset_index(drop=True)))
    return result
