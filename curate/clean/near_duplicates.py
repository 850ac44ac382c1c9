"""The same photograph altered: resized, recompressed, brightened, cropped, mirrored."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, Features, StrictParams, step
from curate.images.quality import detail
from curate.search.confirm import correlate_pairs
from curate.search.hamming import pairs_within
from curate.search.linkage import star_linkage


class NearDuplicatesParams(StrictParams):
    """Parameters of `near_duplicates`."""

    max_distance: Annotated[int, Field(ge=0, le=32)] = 10  # Hamming, bits of a 64-bit pHash: only proposes
    min_correlation: Annotated[float, Field(gt=0, le=1)] = 0.95  # aligned small pixels: confirms
    mirrored: bool = True  # whether a mirrored copy counts


@step("near_duplicates", needs=("phash", "phash_mirror", "thumbnail", "quality", "decoded"))
def near_duplicates(
    manifest: Manifest, features: Features, params: NearDuplicatesParams, rng: np.random.Generator
) -> Decisions:
    """Drop altered copies of one photograph within an identity, and flag those across identities.

    pHash proposes pairs (also with the hash of the mirror image), the correlation of their aligned small pixels
    confirms them (`curate.search.confirm`). Within an identity, visited by detail (sharpness times pixels, then
    image_id), an image not yet dropped stays and drops every later one confirmed as its copy: `near_duplicate`, score
    = the correlation, threshold = `min_correlation`, related_id = the one that stays. A confirmed pair of two
    identities is flagged on both sides (`near_duplicate_other_identity`), one with an image of no identity too
    (`near_duplicate_unknown_identity`). Unreadable images, images of one colour and replicas take part in nothing.
    """
    takes_part = (features["decoded"]["reason"] == 0) & manifest.originals() & textured(features["thumbnail"])
    rows = np.flatnonzero(takes_part)
    i, j, score = confirmed_pairs(
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


def textured(thumbnails: np.ndarray, *, min_spread: float = 3.0) -> np.ndarray:
    """Mask `(N,)` of small grey images `(N, S, S)` uint8 whose standard deviation is at least so many grey levels."""
    result = np.empty(len(thumbnails), dtype=bool)
    for start in range(0, len(thumbnails), 65_536):
        tile = thumbnails[start : start + 65_536]
        result[start : start + len(tile)] = tile.std(axis=(1, 2), dtype=np.float32) >= min_spread
    return result


def confirmed_pairs(
    phash: np.ndarray,
    phash_mirror: np.ndarray | None,
    thumbnails: np.ndarray,
    params: NearDuplicatesParams,
    executor: Executor,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (i, j, correlation) with i < j, in order of (i, j), proposed by the hashes and confirmed by the pixels.

    Without `phash_mirror` no mirrored copy is proposed. Of a pair confirmed both ways the higher correlation counts.
    """
    found = []
    for others in (None, phash_mirror):
        if others is None and found:
            continue
        i, j, _ = pairs_within(phash, params.max_distance, executor, others=others)
        score = correlate_pairs(thumbnails, i, j, np.full(len(i), others is not None), executor)
        confirmed = score >= np.float32(params.min_correlation)
        found.append((i[confirmed], j[confirmed], score[confirmed].astype(np.float64)))
    i, j, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-score, j, i))
    i, j, score = i[order], j[order], score[order]
    first = np.append(True, (i[1:] != i[:-1]) | (j[1:] != j[:-1]))[: len(i)]
    return i[first], j[first], score[first]


def _score_of(i: np.ndarray, j: np.ndarray, score: np.ndarray, one: np.ndarray, two: np.ndarray, n: int) -> np.ndarray:
    """The score of the pairs (one, two), which are all among (i, j), sorted."""
    key = np.minimum(one, two) * n + np.maximum(one, two)
    return score[np.searchsorted(i * n + j, key)]
