"""All pairs of one kind, numbered, so that any of them can be had without listing the others."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Space(Protocol):
    """Numbered pairs of places.

    size: how many there are. unit: `(U,)` how many each identity (of genuine pairs) or each pair of identities (of
    impostor pairs; None: too many to list, see `units`) has, in the order of the numbers.
    """

    size: int

    def pairs(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two places of the pairs of these numbers, 0 to (size - 1)."""
        ...


def runs(identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First place of each identity among codes `(n,)` in order, and the number of its places."""
    start = np.flatnonzero(np.r_[True, np.diff(identity) != 0]) if len(identity) else np.zeros(0, dtype=np.int64)
    return start, np.diff(np.r_[start, len(identity)])


def _before(count: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(count)])


def triangle(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a < b of the pair numbered t = b (b - 1) / 2 + a."""
    b = ((1 + np.sqrt(8.0 * number + 1)) / 2).astype(np.int64)
    b -= b * (b - 1) // 2 > number  # the root of a large number may be off by one
    b += b * (b + 1) // 2 <= number
    return number - b * (b - 1) // 2, b


class Genuine:
    """Pairs of places of one identity, within one list: identity codes `(n,)` in order.

    Numbered identity by identity; within one, as `triangle`.
    """

    def __init__(self, identity: np.ndarray) -> None:
        self._start, count = runs(identity)
        self.units = count * (count - 1) // 2
        self._before = _before(self.units)
        self.size = int(self._before[-1])

    def pairs(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Space."""
        who = np.searchsorted(self._before, number, side="right") - 1
        a, b = triangle(number - self._before[who])
        return self._start[who] + a, self._start[who] + b


class GenuineBetween:
    """Pairs of one place of each of two lists that belong to one identity: codes `(n,)` and `(m,)`, each in order."""

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        (start_left, count_left), (start_right, count_right) = runs(left), runs(right)
        _, i, j = np.intersect1d(left[start_left], right[start_right], assume_unique=True, return_indices=True)
        self._left, self._right, self._wide = start_left[i], start_right[j], count_right[j]
        self.units = count_left[i] * self._wide
        self._before = _before(self.units)
        self.size = int(self._before[-1])

    def pairs(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Space."""
        who = np.searchsorted(self._before, number, side="right") - 1
        a, b = np.divmod(number - self._before[who], self._wide[who])
        return self._left[who] + a, self._right[who] + b


class Impostor:
    """Pairs of places of two identities, within one list: each place with all places of later identities."""

    def __init__(self, identity: np.ndarray) -> None:
        start, count = runs(identity)
        self._end = np.repeat(start + count, count)
        self._before = _before(len(identity) - self._end)
        self.size = int(self._before[-1])

    def pairs(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Space."""
        a = np.searchsorted(self._before, number, side="right") - 1
        return a, self._end[a] + number - self._before[a]


class ImpostorBetween:
    """Pairs of one place of each of two lists that belong to two identities: codes `(n,)` and `(m,)`, in order."""

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self._skip = np.searchsorted(right, left, side="left")
        self._own = np.searchsorted(right, left, side="right") - self._skip
        self._before = _before(len(right) - self._own)
        self.size = int(self._before[-1])

    def pairs(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Space."""
        a = np.searchsorted(self._before, number, side="right") - 1
        b = number - self._before[a]
        return a, b + np.where(b >= self._skip[a], self._own[a], 0)


class IdentityPairs:
    """Pairs of two identities of one list, or of one identity of each of two; a unit is a pair of identities.

    Only for draws in which each pair of identities counts alike: unit u has `size_of(u)` pairs of places.
    """

    def __init__(self, left: np.ndarray, right: np.ndarray | None) -> None:
        self._start_left, self._count_left = runs(left)
        within = right is None
        self._start_right, self._count_right = runs(left if within else right)
        n = len(self._start_left)
        self._names = left[self._start_left], (left if within else right)[self._start_right]
        self._within = within
        self.units = n * (n - 1) // 2 if within else n * len(self._start_right)

    def identities(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the two identities of a unit, in the order of each list."""
        if self._within:
            return triangle(unit)
        first, second = np.divmod(unit, max(len(self._start_right), 1))
        return first, second

    def size_of(self, unit: np.ndarray) -> np.ndarray:
        """How many pairs of places there are; none where both are one identity."""
        i, j = self.identities(unit)
        differ = self._names[0][i] != self._names[1][j]
        return self._count_left[i] * self._count_right[j] * differ

    def pairs_of(self, unit: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of the pairs of these numbers, 0 to (size_of(unit) - 1), of these units."""
        i, j = self.identities(unit)
        a, b = np.divmod(number, self._count_right[j])
        return self._start_left[i] + a, self._start_right[j] + b
