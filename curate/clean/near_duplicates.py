"""The same photograph altered: resized, recompressed, brightened, cropped, mirrored."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from curate.clean.compared import Population, own_vectors, population, stacked
from curate.clean.confirmed import ConfirmParams, Pairs, as_evidence, confirmed_pairs, needs_of, textured
from curate.clean.copies import LISTED, Linkage, decide, evidence
from curate.clean.crowds import crowds_of, tied
from curate.clean.proposals import METHODS
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step
from curate.images.quality import detail


class NearDuplicatesParams(ConfirmParams):
    """Parameters of `near_duplicates`."""

    linkage: Linkage = "star"  # chain: an image goes too where only other copies tie it to the one that stays
    max_listed: Annotated[int, Field(ge=1)] = LISTED  # equal images; of more only pairs with the best are listed


@step(
    "near_duplicates",
    needs=lambda params: (*needs_of(params), "quality", "decoded", "vectors"),
    version=4,
    before=("holdout", "oversample"),
)
def near_duplicates(
    manifest: Manifest, features: Features, params: NearDuplicatesParams, rng: np.random.Generator
) -> Decisions:
    """Drop altered copies of one photograph within an identity, and flag those across identities.

    A method proposes pairs (`curate.clean.proposals`: hashes, local descriptors or vectors), the agreement of their
    aligned small pixels confirms them (`curate.search.confirm`). Within an identity (of one dataset and split),
    visited by detail (sharpness times pixels, then image_id), an image not yet dropped stays and drops every later one
    confirmed as its copy: `near_duplicate`, score = the agreement, threshold = `min_correlation`, related_id = the one
    that stays; with `linkage: chain` copies of copies go too (`near_duplicate_chained`). A confirmed pair of two
    identities is flagged on both sides (`near_duplicate_other_identity`; new_value: the identity that
    `curate.clean.suggestions` names), one with an image of no identity too (`near_duplicate_unknown_identity`),
    and one of two splits or datasets (`..._other_split`, `..._other_dataset`). Unreadable images, images of one colour
    and replicas take part in nothing. Of more than `max_listed` images with equal small pixels only pairs with the best
    of each identity, and of these with the best of all, are made. Evidence: all confirmed pairs.
    Raises InputError for vectors (`method: embedding`) where images are held against another run, which has none.
    """
    if params.method == "embedding" and features.reference is not None:
        raise InputError("the run held against has no vectors to compare with", value="method embedding",
                         allowed="a method that looks at pixels")  # fmt: skip
    people = population(manifest, features)
    order = np.lexsort((np.arange(len(people.old)), -detail(stacked(features, "quality"))))
    i, j, measure, score = _pairs(people, features, params, order, rng)
    decisions, kept = decide(people, order, i, j, score, reason="near_duplicate", threshold=params.min_correlation,
                             linkage=params.linkage, vectors=own_vectors(people, features),
                             max_listed=params.max_listed)  # fmt: skip
    return decisions.with_evidence(
        evidence(people, i, j, kind="near", method=params.method, distance=as_evidence(params, measure),
                 similarity=score, kept=kept)
    )  # fmt: skip


def _pairs(
    people: Population, features: Features, params: NearDuplicatesParams, order: np.ndarray, rng: np.random.Generator
) -> Pairs:
    """All confirmed pairs, in order; those of crowds stand for many more."""
    small = stacked(features, "thumbnail")
    takes_part = (stacked(features, "decoded")["reason"] == 0) & people.originals & textured(small)
    crowd = crowds_of(stacked(features, "phash"), small, params.max_listed)
    crowd[~takes_part] = -1
    one, two, stands = tied(people, crowd, order)
    if len(one):
        count = len(np.unique(crowd[crowd >= 0]))
        warnings.warn(
            f"{count:,} pictures stand under more than {params.max_listed:,} ids each (placeholders?), "
            f"{int((crowd >= 0).sum()):,} images together: of those only pairs with the best image are made",
            stacklevel=2,
        )  # fmt: skip
    rows = np.flatnonzero(takes_part & stands)
    facts = {name: _taken(stacked(features, name), rows) for name in needs_of(params)}
    if params.method == "embedding" and (without := int((~facts["embedding"].any(axis=1)).sum())):
        warnings.warn(f"{without:,} images have no vector: no copy of them is proposed", stacklevel=2)
    new = ~people.old[rows] if people.old.any() else None
    i, j, measure, score = confirmed_pairs(facts, params, features.executor, new=new, rng=rng)
    best = 0.0 if METHODS[params.method].most else 1.0
    i, j = np.concatenate([rows[i], one]), np.concatenate([rows[j], two])
    measure, score = np.append(measure, np.full(len(one), best)), np.append(score, np.ones(len(one)))
    order = np.lexsort((j, i))
    return i[order], j[order], measure[order], score[order]


def _taken(array: np.ndarray, rows: np.ndarray) -> Any:
    """Those rows of a fact; of one too large to be copied, as they are asked for."""
    return _Rows(array, rows) if array[:1].nbytes > 4096 else array[rows]


@dataclass(frozen=True)
class _Rows:
    """Rows of an array, taken when they are asked for."""

    array: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.array[self.rows[key]]
