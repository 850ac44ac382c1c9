"""All comparisons of a set of faces, tile by tile: counts that do not depend on who computes which tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from curate.core.errors import InputError
from curate.core.shapes import Executor
from curate.stats.rates import allowed_matches, next_above

#: Score bins over [-1, 1]: fine ones find thresholds, coarse ones draw curves.
FINE_BINS, COARSE_BINS = 65_536, 2048
_PENDING = 2_000_000  # sparse counts that may wait before they are added up


@dataclass(frozen=True)
class Faces:
    """The images compared, in order of (group, identity, image_id).

    vectors: `(M, D)` float32 unit rows. identity: `(M,)` int64 codes from 0. group: `(M,)` int64, `len(groups)` for an
    image of no group. groups: names.
    """

    vectors: np.ndarray
    identity: np.ndarray
    group: np.ndarray
    groups: tuple[str, ...]

    @classmethod
    def of(cls, vectors: np.ndarray, identity: np.ndarray, group: np.ndarray, groups: tuple[str, ...]) -> Faces:
        """Put in order; group -1 means no group. Identities are renumbered 0, 1, ... in order of their codes."""
        group = np.where(group < 0, len(groups), group).astype(np.int64)
        _, identity = np.unique(identity, return_inverse=True)
        order = np.lexsort((np.arange(len(group)), identity, group))
        return cls(np.ascontiguousarray(vectors[order], np.float32), identity[order], group[order], tuple(groups))

    @property
    def identities(self) -> int:
        """How many identities there are."""
        return int(self.identity.max(initial=-1)) + 1


@dataclass(frozen=True)
class Tile:
    """Two runs of faces, each of the first compared with each of the second; `right` None: with those after it."""

    left: np.ndarray
    right: np.ndarray | None
    left_identity: np.ndarray
    right_identity: np.ndarray
    left_group: np.ndarray
    right_group: np.ndarray

    def scores(self) -> np.ndarray:
        """Cosine similarities `(L, R)` float32, one BLAS thread: the same bits wherever the tile is computed."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="blas"):
            return self.left @ (self.left if self.right is None else self.right).T


def cut(faces: Faces, size: int) -> Iterator[Tile]:
    """The tiles in which every unordered pair of faces stands once; `size` faces a side, fewer at the end."""
    starts = range(0, len(faces.identity), size)
    for a in starts:
        left = slice(a, a + size)
        for b in starts[a // size :]:
            right = slice(b, b + size)
            yield Tile(
                faces.vectors[left], None if a == b else faces.vectors[right], faces.identity[left],
                faces.identity[right], faces.group[left], faces.group[right],
            )  # fmt: skip


def place(executor: Executor, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """`executor.map` over a few items at a time, since an executor may read all items before it starts."""
    waiting = iter(items)
    while wave := list(islice(waiting, 4 * max(1, executor.workers))):
        yield from executor.map(function, wave)


@dataclass
class SparseCounts:
    """Counts by integer key, added up as they come."""

    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _parts: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _waiting: int = 0

    def add(self, keys: np.ndarray, counts: np.ndarray) -> None:
        """Add counts `(P,)` to those of the keys `(P,)`."""
        if len(keys):
            self._parts.append((keys, counts))
            self._waiting += len(keys)
            if self._waiting > max(_PENDING, len(self.keys)):
                self.settle()

    def settle(self) -> SparseCounts:
        """Add up what waits; keys are then unique and ascending."""
        keys = np.concatenate([self.keys, *(part[0] for part in self._parts)])
        counts = np.concatenate([self.counts, *(part[1] for part in self._parts)])
        self.keys, inverse = np.unique(keys, return_inverse=True)
        self.counts = np.zeros(len(self.keys), dtype=np.int64)
        np.add.at(self.counts, inverse, counts)
        self._parts, self._waiting = [], 0
        return self


@dataclass(frozen=True)
class Histograms:
    """How often each score occurs.

    impostor, genuine: (group a, group b) with a <= b -> `(COARSE_BINS,)` int64. fine: all impostors,
    `(FINE_BINS,)` int64. Bin i of n holds the scores from -1 + 2 i / n up to the next edge; the outer bins hold what
    rounding puts beyond -1 and 1.
    """

    impostor: dict[tuple[int, int], np.ndarray]
    genuine: dict[tuple[int, int], np.ndarray]
    fine: np.ndarray


@dataclass(frozen=True)
class Errors:
    """The errors at one threshold.

    false_matches: key ((group a * (G + 1) + group b) * I + identity) * I + larger identity. false_non_matches: key
    (group a * (G + 1) + group b) * I + identity, for G groups and I identities.
    """

    threshold: float
    false_matches: SparseCounts
    false_non_matches: SparseCounts


def histograms(faces: Faces, executor: Executor, size: int) -> Histograms:
    """First pass: histograms of all scores, per pair of groups."""
    made = Histograms({}, {}, np.zeros(FINE_BINS, dtype=np.int64))
    for left, right, impostor, genuine, bins, counts in place(executor, _histograms_of_tile, cut(faces, size)):
        made.fine[bins] += counts
        for i, a in enumerate(left.tolist()):
            for j, b in enumerate(right.tolist()):
                for store, values in ((made.impostor, impostor[i, j]), (made.genuine, genuine[i, j])):
                    if values.any():
                        store.setdefault((a, b), np.zeros(COARSE_BINS, dtype=np.int64))[:] += values
    return made


def thresholds(
    faces: Faces, fine: np.ndarray, targets: tuple[float, ...], executor: Executor, size: int
) -> tuple[float, ...]:
    """Second pass: for each target rate the threshold of `curate.stats.rates.threshold_at` over all impostor scores.

    Only the scores of the bins that hold the thresholds are gathered. Without impostors every threshold is NaN.
    """
    impostors = int(fine.sum())
    above = np.concatenate([np.cumsum(fine[::-1])[::-1], [0]])  # impostors in this bin and those above
    wanted: dict[float, tuple[int, int]] = {}
    for target in targets:
        matches = allowed_matches(impostors, target)
        if matches < impostors:
            at = int(np.flatnonzero(above[:-1] > matches)[-1])
            wanted[target] = (at, matches - int(above[at + 1]))  # bin, rank from its top
    values: dict[int, SparseCounts] = {at: SparseCounts() for at, _ in wanted.values()}
    if wanted:
        bins = np.zeros(FINE_BINS, dtype=np.uint8)
        bins[list(values)] = 1
        for scores, counts in place(executor, partial(_values_of_tile, bins), cut(faces, size)):
            owner = bin_of(scores)
            for at, store in values.items():
                here = owner == at
                store.add(_ordered_bits(scores[here]), counts[here])
    result = []
    for target in targets:
        if target in wanted:
            at, rank = wanted[target]
            store = values[at].settle()
            cumulated = np.cumsum(store.counts[::-1])
            key = store.keys[::-1][int(np.searchsorted(cumulated, rank, side="right"))]
            result.append(next_above(_from_ordered_bits(key)))
        else:
            result.append(float("-inf") if impostors else float("nan"))
    return tuple(result)


def errors(faces: Faces, cuts: tuple[float, ...], executor: Executor, size: int) -> tuple[Errors, ...]:
    """Third pass: who is falsely matched with whom, and who is missed, at each threshold."""
    if ((len(faces.groups) + 1) * faces.identities) ** 2 >= 2**63:
        raise InputError("too many groups and identities to count", value=(len(faces.groups), faces.identities),
                         remedy="Group by fewer labels")  # fmt: skip
    made = tuple(Errors(cut_at, SparseCounts(), SparseCounts()) for cut_at in cuts)
    function = partial(_errors_of_tile, cuts, len(faces.groups) + 1, faces.identities)
    for found in place(executor, function, cut(faces, size)):
        for one, (match_keys, matches, miss_keys, misses) in zip(made, found, strict=True):
            one.false_matches.add(match_keys, matches)
            one.false_non_matches.add(miss_keys, misses)
    for one in made:
        one.false_matches.settle()
        one.false_non_matches.settle()
    return made


def bin_of(scores: np.ndarray) -> np.ndarray:
    """The fine bin of each score; the arithmetic is exact, so an edge belongs to the bin above it."""
    half = FINE_BINS // 2
    return np.clip(np.floor(scores.astype(np.float64) * half) + half, 0, FINE_BINS - 1).astype(np.int64)


def _ordered_bits(scores: np.ndarray) -> np.ndarray:
    """Integers in the order of the float32 scores; 0.0 and -0.0 are one."""
    bits = (np.ascontiguousarray(scores, dtype=np.float32) + np.float32(0)).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _from_ordered_bits(key: np.integer) -> np.float32:
    bits = np.array(abs(int(key)), dtype=np.int32).view(np.float32)
    return np.float32(-bits if key < 0 else bits)


def _histograms_of_tile(tile: Tile) -> tuple[np.ndarray, ...]:
    from curate.audit.kernels import fill_histograms

    left, left_group = np.unique(tile.left_group, return_inverse=True)
    right, right_group = np.unique(tile.right_group, return_inverse=True)
    impostor = np.zeros((len(left), len(right), COARSE_BINS), dtype=np.int64)
    genuine, fine = np.zeros_like(impostor), np.zeros(FINE_BINS, dtype=np.int64)
    fill_histograms(
        tile.scores(), tile.left_identity, tile.right_identity, left_group, right_group, tile.right is None,
        impostor, genuine, fine,
    )  # fmt: skip
    bins = np.flatnonzero(fine)
    return left, right, impostor, genuine, bins, fine[bins]


def _values_of_tile(bins: np.ndarray, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    from curate.audit.kernels import collect_impostors

    found = collect_impostors(tile.scores(), tile.left_identity, tile.right_identity, tile.right is None, bins)
    return np.unique(found, return_counts=True)


def _errors_of_tile(
    cuts: tuple[float, ...], groups: int, identities: int, tile: Tile
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    from curate.audit.kernels import collect_errors

    a, b, score = collect_errors(
        tile.scores(), tile.left_identity, tile.right_identity, tile.right is None, min(cuts), max(cuts)
    )
    first, second = tile.left_identity[a], tile.right_identity[b]
    pair = tile.left_group[a] * groups + tile.right_group[b]
    genuine = first == second
    match_key = (pair * identities + np.minimum(first, second)) * identities + np.maximum(first, second)
    miss_key = pair * identities + first
    result = []
    for threshold in cuts:
        matched = score >= np.float64(threshold)
        matches = np.unique(match_key[~genuine & matched], return_counts=True)
        misses = np.unique(miss_key[genuine & ~matched], return_counts=True)
        result.append((*matches, *misses))
    return result
