"""The images of an audit: who they show, which group they belong to, and where their vectors lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curate.core.errors import InputError
from curate.core.vectors import StoredVectors
from curate.search.directions import Directions
from curate.search.screen import Screened

#: Vectors read at a time.
PART = 8192
#: Groups at most: there is a histogram for each two of them.
MAX_GROUPS = 64


@dataclass(frozen=True)
class Faces:
    """The images compared, in order of (group, identity, image).

    vectors: as they are stored; each row is a direction, whatever its length. identity: `(M,)` int64 codes from 0.
    group: `(M,)` int64, `len(groups)` for an image of no group. groups: names. image: `(M,)` rows of the manifest.
    """

    vectors: StoredVectors
    identity: np.ndarray
    group: np.ndarray
    groups: tuple[str, ...]
    image: np.ndarray

    @classmethod
    def of(
        cls, vectors: StoredVectors, identity: np.ndarray, group: np.ndarray, groups: tuple[str, ...],
        image: np.ndarray | None = None,
    ) -> Faces:  # fmt: skip
        """Put in order; group -1 means no group. Identities are renumbered 0, 1, ... in order of their codes."""
        if len(groups) > MAX_GROUPS:
            raise InputError("too many groups to compare each with each", value=len(groups),
                             allowed=f"at most {MAX_GROUPS}", remedy="Group by fewer labels")  # fmt: skip
        group = np.where(np.asarray(group) < 0, len(groups), group).astype(np.int64)
        _, identity = np.unique(identity, return_inverse=True)
        order = np.lexsort((np.arange(len(group)), identity, group))
        image = np.arange(len(group)) if image is None else np.asarray(image)
        return cls(vectors.take(order), identity[order].astype(np.int64), group[order], tuple(groups), image[order])

    def __len__(self) -> int:
        return len(self.identity)

    @property
    def people(self) -> int:
        """How many identities there are."""
        return int(self.identity.max(initial=-1)) + 1

    def per_identity(self, group: int | None) -> np.ndarray:
        """Images of each identity in a group, or in all: `(people,)`."""
        chosen = self.identity if group is None else self.identity[self.group == group]
        return np.bincount(chosen, minlength=self.people)


def directions_of(vectors: StoredVectors, scale: np.ndarray | None = None) -> Directions:
    """Read vectors as directions, float32 or float64 rows. scale: one over their lengths, where they are known."""
    rows = vectors.read()
    rows = np.ascontiguousarray(rows, np.promote_types(rows.dtype, np.float32))
    return Directions.of(rows) if scale is None else Directions(rows, scale)


def parts_of(vectors: StoredVectors) -> Iterator[StoredVectors]:
    """Consecutive vectors, some at a time."""
    for start in range(0, len(vectors), PART):
        yield vectors.take(slice(start, start + PART))


def acquired(vectors: StoredVectors) -> tuple[np.ndarray, int | None]:
    """`(N,)` bool: which images have a vector that is not zero; and the place of the first that is not finite."""
    present = np.zeros(len(vectors), bool)
    for at, part in enumerate(parts_of(vectors)):
        rows = part.read().astype(np.float32, copy=False)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            return present, at * PART + int(finite.argmin())
        present[at * PART : at * PART + len(rows)] = rows.any(axis=1)
    return present, None


def measured(vectors: StoredVectors, halves: bool) -> tuple[np.ndarray, float]:
    """One over the length of each vector, and the largest distance of a unit vector from what a screen sees of it."""
    scales, off = [np.zeros(0)], 0.0
    for part in parts_of(vectors):
        directions = directions_of(part)
        scales.append(directions.scale)
        off = max(off, Screened.of(directions, halves).off)
    return np.concatenate(scales), off
