"""The same photograph altered: resized, recompressed, brightened, cropped, mirrored."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from curate.clean.copies import Linkage, decide, evidence, own_vectors, population, stacked
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, Features, StrictParams, step
from curate.images.quality import detail
from curate.search.confirm import correlate_pairs
from curate.search.hamming import pairs_within


class NearDuplicatesParams(StrictParams):
    """Parameters of `near_duplicates`."""

    max_distance: Annotated[int, Field(ge=0, le=32)] = 10  # Hamming, bits of a 64-bit pHash: only proposes
    min_correlation: Annotated[float, Field(gt=0, le=1)] = 0.95  # aligned small pixels: confirms
    mirrored: bool = True  # whether a mirrored copy counts
    linkage: Linkage = "star"  # chain: an image goes too where only other copies tie it to the one that stays


@step("near_duplicates", needs=("phash", "phash_mirror", "thumbnail", "quality", "decoded", "vectors"), version=2)
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
        evidence(people, i, j, kind="near", method="phash", distance=distance, similarity=score, kept=kept)
    )


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
    new: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (i, j, distance, correlation) with i < j, in order of (i, j), proposed by hashes and confirmed by pixels.

    new: mask of the images of which a pair has at least one; None: all. Without `phash_mirror` no mirrored copy is
    proposed. Of a pair confirmed both ways the higher correlation counts.
    """
    found = []  # of each way: i, j, distance, correlation
    for others in (None, phash_mirror):
        if others is None and found:
            continue
        i, j, distance = pairs_within(phash, params.max_distance, executor, others=others, new=new)
        score = correlate_pairs(thumbnails, i, j, np.full(len(i), others is not None), executor)
        confirmed = score >= np.float32(params.min_correlation)
        found.append((i[confirmed], j[confirmed], distance[confirmed], score[confirmed].astype(np.float64)))
    i, j, distance, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-score, j, i))
    i, j, distance, score = i[order], j[order], distance[order], score[order]
    first = np.append(True, (i[1:] != i[:-1]) | (j[1:] != j[:-1]))[: len(i)]
    return i[first], j[first], distance[first], score[first]
