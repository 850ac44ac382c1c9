"""The same photograph altered: resized, recompressed, brightened, cropped, mirrored."""

from __future__ import annotations

from typing import Literal

import numpy as np

from curate.clean.confirmed import ConfirmParams, confirmed_pairs, textured
from curate.clean.copies import Linkage, decide, evidence, own_vectors, population, stacked
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step
from curate.images.quality import detail


class NearDuplicatesParams(ConfirmParams):
    """Parameters of `near_duplicates`."""

    method: Literal["phash"] = "phash"  # what proposes pairs
    linkage: Linkage = "star"  # chain: an image goes too where only other copies tie it to the one that stays


@step(
    "near_duplicates",
    needs=("phash", "phash_mirror", "thumbnail", "quality", "decoded", "vectors"),
    version=3,
    before=("holdout", "oversample"),
)
def near_duplicates(
    manifest: Manifest, features: Features, params: NearDuplicatesParams, rng: np.random.Generator
) -> Decisions:
    """Drop altered copies of one photograph within an identity, and flag those across identities.

    pHash proposes pairs (also with the hashes of the mirror image and of parts of the other image), the agreement of
    their aligned small pixels confirms them (`curate.search.confirm`). Within an identity (of one dataset and split),
    visited by detail (sharpness times pixels, then image_id), an image not yet dropped stays and drops every later one
    confirmed as its copy: `near_duplicate`, score = the agreement, threshold = `min_correlation`, related_id = the one
    that stays; with `linkage: chain` copies of copies go too (`near_duplicate_chained`). A confirmed pair of two
    identities is flagged on both sides (`near_duplicate_other_identity`; new_value: the identity that
    `curate.clean.copies.suggestions` names), one with an image of no identity too (`near_duplicate_unknown_identity`),
    and one of two splits or datasets (`..._other_split`, `..._other_dataset`). Unreadable images, images of one colour
    and replicas take part in nothing. Evidence: all confirmed pairs.
    """
    people = population(manifest, features)
    takes_part = (stacked(features, "decoded")["reason"] == 0) & people.originals
    takes_part &= textured(stacked(features, "thumbnail"))
    rows = np.flatnonzero(takes_part)
    i, j, distance, score = confirmed_pairs(
        stacked(features, "phash")[rows], stacked(features, "phash_mirror")[rows] if params.mirrored else None,
        stacked(features, "thumbnail")[rows], params, features.executor,
        new=~people.old[rows] if people.old.any() else None,
    )  # fmt: skip
    i, j = rows[i], rows[j]
    order = np.lexsort((np.arange(len(people.old)), -detail(stacked(features, "quality"))))
    decisions, kept = decide(people, order, i, j, score, reason="near_duplicate", threshold=params.min_correlation,
                             linkage=params.linkage, vectors=own_vectors(people, features))  # fmt: skip
    return decisions.with_evidence(
        evidence(people, i, j, kind="near", method=params.method, distance=distance, similarity=score, kept=kept)
    )
