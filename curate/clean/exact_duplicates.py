"""Copies with the same bytes, or the same pixels in other bytes."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from curate.clean.compared import RELATIONS, Population, own_vectors, population, relations, stacked
from curate.clean.copies import LISTED, evidence, flags
from curate.clean.suggestions import suggestions
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step

BYTES, PIXELS = "exact_bytes", "exact_pixels"


class ExactDuplicatesParams(StrictParams):
    """Parameters of `exact_duplicates`."""

    level: Literal["bytes", "pixels"] = "pixels"  # pixels: equal pixels in other bytes (another header) count too
    max_listed: Annotated[int, Field(ge=1)] = LISTED  # images; of a larger group only pairs with its best are listed


@step(
    "exact_duplicates", needs=("content", "pixels", "quality", "vectors"), version=3, before=("holdout", "oversample")
)
def exact_duplicates(
    manifest: Manifest, features: Features, params: ExactDuplicatesParams, rng: np.random.Generator
) -> Decisions:
    """Drop all but one image of the same bytes or pixels within an identity; flag those across identities.

    Within an identity (of one dataset and split) the image with the most pixels, then the sharpest, then the first
    image_id stays; the others are dropped as `exact_bytes` or `exact_pixels` (whichever holds against the one that
    stays: `related_id`). Copies under several identities are not dropped, since nobody knows whose they are: the one
    that stays of each identity is flagged `exact_bytes_other_identity` (or `exact_pixels_...`), and new_value is the
    identity that `curate.clean.suggestions` names. An image without an identity is neither dropped nor a reason
    to drop: it and its copy are flagged `..._unknown_identity`. Copies in two splits or datasets are flagged
    `..._other_split` or `..._other_dataset`. Each flagged image names the best copy other than itself, of a known
    identity if there is one. Unreadable images and replicas take part in nothing. Evidence: all pairs of equal images,
    of a group of more than `max_listed` those with its best image.
    """
    people = population(manifest, features)
    content, pixels, quality = (stacked(features, name) for name in ("content", "pixels", "quality"))
    rows = np.flatnonzero(pixels.any(axis=1) & content.any(axis=1) & people.originals)
    key = (pixels if params.level == "pixels" else content)[rows]
    cell, old = people.cell[rows], people.old[rows]
    sharpness, size = quality["sharpness"][rows], quality["pixels"][rows]
    # Rows of one key stand together, known identities first, then by identity; the best of each comes first.
    order = np.lexsort((rows, -sharpness, -size, ~old, cell, cell < 0, key[:, 1], key[:, 0]))
    rows, key, cell, old = rows[order], key[order], cell[order], old[order]
    new_key = np.append(True, (key[1:] != key[:-1]).any(axis=1))[: len(rows)]
    new_stay = new_key | np.append(True, cell[1:] != cell[:-1])[: len(rows)] | (cell < 0) | old
    stays = np.flatnonzero(new_stay)
    # A new image is dropped for the best of its cell, which is the first of them, old ones before new ones.
    first = np.flatnonzero(new_key | np.append(True, cell[1:] != cell[:-1])[: len(rows)] | (cell < 0))
    keeper = first[np.searchsorted(first, np.arange(len(rows)), side="right") - 1]
    gone = np.flatnonzero(~new_stay)
    parts = [
        Decisions.of(people.ids.take(rows[gone][here]), col.DROP, reason,
                     related_id=people.ids.take(rows[keeper[gone]][here]))
        for reason, here in _by_level(content, rows[gone], rows[keeper[gone]])
    ]  # fmt: skip
    group = np.cumsum(new_key)
    pairs = _pairs(group, old, params.max_listed)
    suggested = suggestions(people, *_to_first(rows, group), own_vectors(people, features))
    other = _best_other(stays, group[stays], quality, rows, people.identity[rows])
    flagged = (other >= 0) & ~old[stays]
    one, two = rows[stays[flagged]], rows[other[flagged]]
    relation = relations(people, one, two)
    for reason, here in _by_level(content, one, two):
        for at in range(1, len(RELATIONS)):
            which = here & (relation == at)
            parts.append(flags(people, one[which], two[which], f"{reason}_{RELATIONS[at]}", suggested))
    return Decisions.concat(parts).with_evidence(_evidence(people, content, rows, pairs, new_stay, params))


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


def _to_first(rows: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that tie each image to the first of its group: as many as images, where all pairs would be squares."""
    first = np.searchsorted(group, group)
    tied = first != np.arange(len(rows))
    return rows[first[tied]], rows[tied]


def _pairs(group: np.ndarray, old: np.ndarray, max_listed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (p, q) of places in one group `(n,)`, ascending, at least one new; of a large group those of its first."""
    n = len(group)
    place = np.arange(n)
    first = np.searchsorted(group, group)
    size = np.searchsorted(group, group, side="right") - first
    if (large := size > max_listed).any():
        warnings.warn(
            f"{len(np.unique(group[large])):,} groups of equal images have more than {max_listed:,} images: of those "
            "only the pairs with the best image are listed. Everything else counts all of them", stacklevel=2,
        )  # fmt: skip
    found_p, found_q = [first[large & (first != place)]], [place[large & (first != place)]]
    for step_ in range(1, min(max_listed, int(size.max(initial=1)))):
        p = place[: n - step_]
        p = p[(group[p] == group[p + step_]) & ~large[p]]
        found_p.append(p)
        found_q.append(p + step_)
    p, q = np.concatenate(found_p), np.concatenate(found_q)
    new = ~(old[p] & old[q])
    return p[new], q[new]


def _evidence(
    people: Population, content: np.ndarray, rows: np.ndarray, pairs: tuple[np.ndarray, np.ndarray],
    stays: np.ndarray, params: ExactDuplicatesParams,
) -> pd.DataFrame:  # fmt: skip
    p, q = pairs
    i, j = rows[p], rows[q]
    kept = np.where(stays[p] & ~stays[q], i, np.where(stays[q] & ~stays[p], j, -1))
    kept = np.where(relations(people, i, j) == 0, kept, -1)
    kind = np.where((content[i] == content[j]).all(axis=1), BYTES, PIXELS)
    return evidence(people, i, j, kind=kind, method=params.level, distance=0.0, similarity=1.0, kept=kept)
