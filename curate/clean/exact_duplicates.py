"""Copies with the same bytes, or the same pixels in other bytes."""

from __future__ import annotations

from typing import Literal

import numpy as np

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step

BYTES, PIXELS = "exact_bytes", "exact_pixels"


class ExactDuplicatesParams(StrictParams):
    """Parameters of `exact_duplicates`."""

    level: Literal["bytes", "pixels"] = "pixels"  # pixels: equal pixels in other bytes (another header) count too


@step("exact_duplicates", needs=("content", "pixels", "quality"))
def exact_duplicates(
    manifest: Manifest, features: Features, params: ExactDuplicatesParams, rng: np.random.Generator
) -> Decisions:
    """Drop all but one image of the same bytes or pixels within an identity; flag those across identities.

    Within an identity the image with the most pixels, then the sharpest, then the first image_id stays; the others
    are dropped as `exact_bytes` or `exact_pixels` (whichever holds against the one that stays: `related_id`). Copies
    under several identities are not dropped, since nobody knows whose they are: the one that stays of each identity is
    flagged `exact_bytes_other_identity` (or `exact_pixels_...`). An image without an identity is neither dropped nor a
    reason to drop: it and its copy are flagged `..._unknown_identity`. Each flagged image names the best copy other
    than itself, of a known identity if there is one. Unreadable images and replicas take part in nothing.
    """
    content, pixels, quality = features["content"], features["pixels"], features["quality"]
    rows = np.flatnonzero(pixels.any(axis=1) & content.any(axis=1) & manifest.originals())
    key = (pixels if params.level == "pixels" else content)[rows]
    identity = manifest.codes(col.IDENTITY).astype(np.int64)[rows]
    sharpness, size = quality["sharpness"][rows], quality["pixels"][rows]
    # Rows of one key stand together, known identities first, then by identity; the best of each comes first.
    order = np.lexsort((rows, -sharpness, -size, identity, identity < 0, key[:, 1], key[:, 0]))
    rows, key, identity = rows[order], key[order], identity[order]
    new_key = np.append(True, (key[1:] != key[:-1]).any(axis=1))[: len(rows)]
    new_stay = new_key | np.append(True, identity[1:] != identity[:-1])[: len(rows)] | (identity < 0)
    stays = np.flatnonzero(new_stay)
    keeper = stays[np.cumsum(new_stay) - 1]
    gone = np.flatnonzero(~new_stay)
    parts = []
    for reason, here in _by_level(content, rows[gone], rows[keeper[gone]]):
        parts.append(_decide(manifest, "drop", reason, rows[gone][here], rows[keeper[gone]][here]))
    other = _best_other(stays, np.cumsum(new_key)[stays], quality, rows, identity)
    flagged = other >= 0
    one, two = rows[stays[flagged]], rows[other[flagged]]
    unknown = (identity[stays[flagged]] < 0) | (identity[other[flagged]] < 0)
    for reason, here in _by_level(content, one, two):
        for suffix, which in (("other_identity", here & ~unknown), ("unknown_identity", here & unknown)):
            parts.append(_decide(manifest, "flag", f"{reason}_{suffix}", one[which], two[which]))
    return Decisions.concat(parts)


def _best_other(
    stays: np.ndarray, group: np.ndarray, quality: np.ndarray, rows: np.ndarray, identity: np.ndarray
) -> np.ndarray:
    """For each image that stays, the best of its group but itself (a known identity before none), -1 if it is alone."""
    mine = quality[rows[stays]]
    order = np.lexsort((rows[stays], -mine["sharpness"], -mine["pixels"], identity[stays] < 0, group))
    sorted_group = group[order]
    first = np.searchsorted(sorted_group, group)
    size = np.searchsorted(sorted_group, group, side="right") - first
    best = order[first] if len(order) else order
    second = order[np.minimum(first + 1, len(order) - 1)] if len(order) else order
    choice = np.where(best == np.arange(len(stays)), second, best)
    return np.where(size > 1, stays[choice] if len(stays) else choice, -1)


def _by_level(content: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[tuple[str, np.ndarray], ...]:
    equal = (content[one] == content[two]).all(axis=1)
    return (BYTES, equal), (PIXELS, ~equal)


def _decide(manifest: Manifest, action: str, reason: str, rows: np.ndarray, related: np.ndarray) -> Decisions:
    ids = manifest.ids
    return Decisions.of(ids.take(rows), action, reason, related_id=ids.take(related))
