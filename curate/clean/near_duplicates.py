"""The same photograph altered: resized, recompressed, brightened, cropped, mirrored."""

from __future__ import annotations

import numpy as np

from curate.clean.confirmed import ConfirmParams, confirmed_pairs, textured
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step
from curate.images.quality import detail
from curate.search.linkage import star_linkage


class NearDuplicatesParams(ConfirmParams):
    """Parameters of `near_duplicates`."""


@step("near_duplicates", needs=("phash", "phash_mirror", "thumbnail", "quality", "decoded"), version=2)
def near_duplicates(
    manifest: Manifest, features: Features, params: NearDuplicatesParams, rng: np.random.Generator
) -> Decisions:
    """Drop altered copies of one photograph within an identity, and flag those across identities.

    pHash proposes pairs (also with the hashes of the mirror image and of parts of the other image), the agreement of
    their aligned small pixels confirms them (`curate.search.confirm`). Within an identity, visited by detail
    (sharpness times pixels, then image_id), an image not yet dropped stays and drops every later one confirmed as its
    copy: `near_duplicate`, score = the agreement, threshold = `min_correlation`, related_id = the one that stays. A
    confirmed pair of two identities is flagged on both sides (`near_duplicate_other_identity`), one with an image of no
    identity too (`near_duplicate_unknown_identity`). Unreadable images, images of one colour and replicas take part in
    nothing.
    """
    takes_part = (features["decoded"]["reason"] == 0) & manifest.originals() & textured(features["thumbnail"])
    rows = np.flatnonzero(takes_part)
    i, j, _, score = confirmed_pairs(
        features["phash"][rows], features["phash_mirror"][rows] if params.mirrored else None,
        features["thumbnail"][rows], params, features.executor,
    )  # fmt: skip
    i, j = rows[i], rows[j]
    identity = manifest.codes(col.IDENTITY)
    same = (identity[i] == identity[j]) & (identity[i] >= 0)
    unknown = (identity[i] < 0) | (identity[j] < 0)
    ids = manifest.ids
    order = np.lexsort((np.arange(len(manifest)), -detail(features["quality"])))
    keeper = star_linkage(order, i[same], j[same])
    gone = np.flatnonzero(keeper >= 0)
    parts = [
        Decisions.of(
            ids.take(gone),
            "drop",
            "near_duplicate",
            related_id=ids.take(keeper[gone]),
            score=_score_of(i, j, score, gone, keeper[gone], len(manifest)),
            threshold=params.min_correlation,
        )
    ]
    for reason, which in (("other_identity", ~same & ~unknown), ("unknown_identity", unknown)):
        one, two = np.concatenate([i[which], j[which]]), np.concatenate([j[which], i[which]])
        parts.append(
            Decisions.of(
                ids.take(one),
                "flag",
                f"near_duplicate_{reason}",
                related_id=ids.take(two),
                score=np.tile(score[which], 2),
                threshold=params.min_correlation,
            )
        )
    return Decisions.concat(parts)


def _score_of(i: np.ndarray, j: np.ndarray, score: np.ndarray, one: np.ndarray, two: np.ndarray, n: int) -> np.ndarray:
    """The score of the pairs (one, two), which are all among (i, j), sorted."""
    key = np.minimum(one, two) * n + np.maximum(one, two)
    return score[np.searchsorted(i * n + j, key)]
