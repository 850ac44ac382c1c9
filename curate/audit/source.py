"""What an audit measures: the same questions for all pairs of images and for a table of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from curate.audit.sides import Errors, Side, summed

#: The pooled row: all comparisons, also those of images without a group.
ALL = "all"
#: Codes of two groups, the smaller first; None: all comparisons.
Pair = tuple[int, int] | None


class Target(NamedTuple):
    """A threshold to be found: the lowest whose FMR, over the impostors of `pair`, is at most `rate`."""

    pair: Pair
    rate: float


@dataclass(frozen=True)
class Tail:
    """The impostor comparisons of at least a score, in descending order of it: `(T,)` arrays.

    score: float64. first, second: identity codes. pair: group a * (G + 1) + group b for G groups, a <= b, G for none.
    left, right: rows of the images (-1: not known). floor: no impostor of this score or more is missing.
    """

    score: np.ndarray
    first: np.ndarray
    second: np.ndarray
    pair: np.ndarray
    left: np.ndarray
    right: np.ndarray
    floor: float

    def take(self, rows: np.ndarray) -> Tail:
        """Some of them, in their order."""
        return Tail(self.score[rows], self.first[rows], self.second[rows], self.pair[rows], self.left[rows],
                    self.right[rows], self.floor)  # fmt: skip

    def count(self, threshold: float) -> int:
        """How many have at least this score."""
        return int(np.searchsorted(-self.score, -threshold, side="right"))


@dataclass(frozen=True)
class Genuine:
    """What the genuine scores tell at thresholds (ascending, unique).

    below: for each pair of groups with genuine comparisons, `(thresholds,)` how many score less. misses: for each,
    identity codes first and second `(K,)` and `(K, told)` how many of theirs score less than each threshold of `told`
    (ascending). lowest: for each, the lowest scores, ascending, with the rows (left, right) of their images. scores:
    for each, all scores, where they are few; else None. lenders: thresholds of `told` whose misses say how much those
    of others, with too few, depend on each other.
    """

    thresholds: np.ndarray
    told: np.ndarray
    below: dict[tuple[int, int], np.ndarray]
    misses: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]
    lowest: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]
    scores: dict[tuple[int, int], np.ndarray] | None
    lenders: np.ndarray


class Source(Protocol):
    """Comparisons to audit.

    groups: names. people: how many identities. counted: of how many rows misses are told at each threshold. tail:
    impostors, complete down to what `scan` was asked for.
    """

    groups: tuple[str, ...]
    people: int
    counted: int
    tail: Tail

    def sides(self, pair: Pair) -> tuple[Side, Side]:
        """(impostors, genuines) within a group or between two."""
        ...

    def scan(self, targets: Sequence[Target], thresholds: Sequence[float]) -> None:
        """Compare the impostors: fill `tail` far enough for these targets and thresholds."""
        ...

    def coarse(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Thresholds below the tail, descending, and about how many impostors score at least each."""
        ...

    def genuine(self, by_identity: np.ndarray, others: np.ndarray, lenders: np.ndarray) -> Genuine:
        """Compare the genuine pairs. by_identity: thresholds at which misses of each identity are told.

        others: more thresholds. lenders: some of by_identity, see `Genuine`.
        """
        ...

    def identity_names(self, codes: np.ndarray) -> list[str]:
        """Names of identities."""
        ...


def pairs_of(groups: Sequence[str]) -> list[tuple[int, int]]:
    """Every pair of groups: first each with itself, then those between two."""
    count = range(len(groups))
    return [(a, a) for a in count] + [(a, b) for a in count for b in count if a < b]


def code_of(pair: tuple[int, int], groups: int) -> int:
    """The code of a pair of groups in `Tail.pair`."""
    return pair[0] * (groups + 1) + pair[1]


def tail_of(source: Source, pair: Pair) -> Tail:
    """The tail within a group or between two."""
    if pair is None:
        return source.tail
    return source.tail.take(np.flatnonzero(source.tail.pair == code_of(pair, len(source.groups))))


def false_matches(source: Source, tail: Tail, count: int) -> Errors:
    """The first `count` of a tail, added up by pairs of identities."""
    return summed(tail.first[:count], tail.second[:count], source.people)


def false_non_matches(source: Source, genuine: Genuine, pair: Pair, threshold: float) -> Errors:
    """Genuine comparisons below one of the thresholds that were told by identity."""
    told = genuine.misses if pair is None else {pair: genuine.misses[pair]} if pair in genuine.misses else {}
    at = int(np.searchsorted(genuine.told, threshold))
    first, second, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for one, two, below in told.values():
        here = np.flatnonzero(below[:, at])
        first.append(one[here])
        second.append(two[here])
        counts.append(below[here, at].astype(np.int64))
    return summed(np.concatenate(first), np.concatenate(second), source.people, np.concatenate(counts))
