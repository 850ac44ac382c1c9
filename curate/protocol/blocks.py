"""Blocks: the pairs of one kind, one group (or two) and one fold, from which a quota is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curate.protocol.population import Population
from curate.protocol.spaces import Genuine, GenuineBetween, Impostor, ImpostorBetween, Space


@dataclass(frozen=True)
class Block:
    """The pairs of one kind between the images at `left` and those at `right` (None: among those at `left`).

    kind: `genuine`, `impostor` (within a group) or `across` (impostor, of two groups). left, right: places of the
    population, ascending, and so in order of identity.
    """

    images: Population
    kind: str
    group: int
    other: int
    fold: int
    left: np.ndarray
    right: np.ndarray | None = None

    @cached_property
    def identities(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The identity codes of both sides."""
        right = None if self.right is None else self.images.identity[self.right]
        return self.images.identity[self.left], right

    @cached_property
    def space(self) -> Space:
        """The numbered pairs, copies among them."""
        left, right = self.identities
        if self.kind == "genuine":
            return Genuine(left) if right is None else GenuineBetween(left, right)
        return Impostor(left) if right is None else ImpostorBetween(left, right)

    @cached_property
    def free(self) -> int:
        """How many pairs there are that are not two copies of one photograph."""
        return self.space.size - (self._copies() if self.has_copies else 0)

    @cached_property
    def has_copies(self) -> bool:
        """Whether any image here is a copy."""
        sides = [self.left] if self.right is None else [self.left, self.right]
        return any(bool((self.images.copy[side] >= 0).any()) for side in sides)

    def ends(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places in the population of the pairs of these numbers."""
        a, b = self.space.pairs(number)
        return self.left[a], (self.left if self.right is None else self.right)[b]

    def refuse(self, number: np.ndarray) -> np.ndarray:
        """Which of these numbers are pairs of copies."""
        return self.are_copies(*self.ends(number))

    def are_copies(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Which pairs of places are two copies of one photograph."""
        return (self.images.copy[a] >= 0) & (self.images.copy[a] == self.images.copy[b])

    def counts(self, side: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of one side's copies: (copy, identity, images) for each of both together, in order."""
        chosen = side[self.images.copy[side] >= 0]
        copy, identity = self.images.copy[chosen], self.images.identity[chosen]
        order = np.lexsort((identity, copy))
        copy, identity = copy[order], identity[order]
        first = np.flatnonzero(np.r_[True, (np.diff(copy) != 0) | (np.diff(identity) != 0)]) if len(copy) else copy
        return copy[first], identity[first], np.diff(np.r_[first, len(copy)])

    def _copies(self) -> int:
        """How many of the pairs are two copies, counted without listing them."""
        copy, identity, here = self.counts(self.left)
        if self.right is None:
            same = int((here * (here - 1) // 2).sum())
            total = np.bincount(copy, weights=here) if len(copy) else np.zeros(0)
            return same if self.kind == "genuine" else int((total * (total - 1) / 2).sum()) - same
        other_copy, other_identity, there = self.counts(self.right)
        width = int(max(identity.max(initial=0), other_identity.max(initial=0))) + 1
        _, i, j = np.intersect1d(copy * width + identity, other_copy * width + other_identity, return_indices=True)
        same = int((here[i] * there[j]).sum())
        if self.kind == "genuine":
            return same
        size = int(max(copy.max(initial=0), other_copy.max(initial=0))) + 1
        left, right = (np.bincount(c, weights=n, minlength=size) for c, n in ((copy, here), (other_copy, there)))
        return int((left * right).sum()) - same


def blocks_of(images: Population, kind: str, group: int, other: int, fold: int) -> list[Block]:
    """One block for each stratum of pairs: the unordered pairs of what the two images are matched by, in order."""
    if group != other:
        return [Block(images, kind, group, other, fold, images.places(group, fold), images.places(other, fold))]
    lists = [images.places(group, fold, stratum) for stratum in range(len(images.strata))]
    return [
        Block(images, kind, group, other, fold, lists[q], None if q == r else lists[r])
        for q in range(len(lists))
        for r in range(q, len(lists))
    ]
