"""One kind of comparisons within one group or between two: how many there are, and of whom. Sums, never all pairs."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from curate.stats.bootstrap import weighted_sum
from curate.stats.intervals import Interval, Variance, clustered_interval, design_effect, variance_from_sums


class Errors(NamedTuple):
    """The wrong decisions of one side at a threshold: codes of both identities and a count, `(P,)` each, unique."""

    first: np.ndarray
    second: np.ndarray
    counts: np.ndarray

    @property
    def total(self) -> int:
        """How many there are."""
        return int(self.counts.sum())


class Side(Protocol):
    """Comparisons of one kind (genuine or impostor).

    total: how many. per_identity: `(people,)` float64, those of each identity. squared: the sum over pairs of
    identities of their number squared. between: whether a comparison has two identities (else one). independent:
    whether no identity is known to be shared, so that every comparison stands for itself.
    """

    total: int
    per_identity: np.ndarray
    squared: float
    between: bool
    independent: bool

    def of_pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Comparisons of two identities, `(P,)`."""
        ...

    def drawn(self, weights: np.ndarray) -> np.ndarray:
        """Comparisons in each draw of `curate.stats.bootstrap.identity_weights`: `(draws,)`."""
        ...


class Crossed:
    """Impostors among all images: each of one identity with each of another.

    a, b: `(people,)` images in the first and in the second group; b None: one group.
    """

    between, independent = True, False

    def __init__(self, a: np.ndarray, b: np.ndarray | None = None) -> None:
        self.a, self.b = a.astype(np.float64), None if b is None else b.astype(np.float64)
        a = self.a
        if self.b is None:
            self.per_identity = a * (a.sum() - a)
            self.squared = float(((a * a).sum() ** 2 - (a**4).sum()) / 2)
        else:
            b = self.b
            self.per_identity = a * (b.sum() - b) + b * (a.sum() - a)
            # The pair {i, j} is compared a_i b_j + a_j b_i times: an identity may have images in both groups.
            self.squared = float((a * a).sum() * (b * b).sum() + (a * b).sum() ** 2 - 2 * ((a * b) ** 2).sum())
        self.total = round(self.per_identity.sum() / 2)

    def of_pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See Side."""
        if self.b is None:
            return self.a[first] * self.a[second]
        return self.a[first] * self.b[second] + self.a[second] * self.b[first]

    def drawn(self, weights: np.ndarray) -> np.ndarray:
        """See Side."""
        w = weights.astype(np.float64)
        if self.b is None:
            return ((self.a @ w) ** 2 - (self.a**2) @ (w * w)) / 2
        return (self.a @ w) * (self.b @ w) - (self.a * self.b) @ (w * w)


class Within:
    """Genuine comparisons among all images: each with each other of its identity. counts: `(people,)`."""

    between, independent = False, False

    def __init__(self, counts: np.ndarray) -> None:
        self.per_identity = counts.astype(np.float64)
        self.squared = float(self.per_identity @ self.per_identity)
        self.total = round(self.per_identity.sum())

    def of_pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See Side."""
        return self.per_identity[first]

    def drawn(self, weights: np.ndarray) -> np.ndarray:
        """See Side."""
        return self.per_identity @ weights.astype(np.float64)


class Listed:
    """Comparisons given one by one.

    first, second: `(C,)` codes below `people`. independent: codes are of rows, not of identities or images.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, people: int, independent: bool) -> None:
        self.independent = independent
        self.between = bool((first != second).any())
        self.total = len(first)
        self._people = people
        self.errors = summed(first, second, people)
        self.per_identity = np.bincount(self.errors.first, self.errors.counts, people)
        if self.between:
            self.per_identity = self.per_identity + np.bincount(self.errors.second, self.errors.counts, people)
        self.squared = float((self.errors.counts.astype(np.float64) ** 2).sum())
        self._keys = self.errors.first * people + self.errors.second

    def of_pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See Side."""
        return self.errors.counts[np.searchsorted(self._keys, first * self._people + second)].astype(np.float64)

    def drawn(self, weights: np.ndarray) -> np.ndarray:
        """See Side."""
        return weighted_sum(*self.errors, weights)


def summed(first: np.ndarray, second: np.ndarray, people: int, counts: np.ndarray | None = None) -> Errors:
    """Rows of the same unordered pair of identities added up, in order of (smaller, larger)."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
    keys, inverse = np.unique(low * people + high, return_inverse=True)
    total = np.zeros(len(keys), np.int64)
    np.add.at(total, inverse, 1 if counts is None else counts)
    return Errors(keys // max(people, 1), keys % max(people, 1), total)


def variance(side: Side, errors: Errors) -> Variance:
    """The dyadic variance of the error rate; 0 where comparisons are independent."""
    if side.independent:
        return Variance(0.0, 0.0)
    people = len(side.per_identity)
    wrong = np.bincount(errors.first, errors.counts, people).astype(np.float64)
    if side.between:
        wrong += np.bincount(errors.second, errors.counts, people)
    of = side.of_pair(errors.first, errors.second)
    return variance_from_sums(side.per_identity, wrong, errors.counts, of, side.squared, side.between)


def effect(side: Side, errors: Errors) -> float:
    """The design effect at a threshold, NaN where it makes too few errors."""
    return 1.0 if side.independent else design_effect(errors.total, side.total, variance(side, errors))


def interval(side: Side, errors: Errors, borrowed: float) -> Interval:
    """The error rate with its 95% limits; borrowed: an `effect` at a threshold with more errors."""
    people = int(np.count_nonzero(side.per_identity))
    return clustered_interval(errors.total, side.total, variance(side, errors), people, effect=borrowed)
