"""What the kernel of oversampling keeps between blocks of draws, and how it is laid out from label codes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.balance import kernel
from curate.balance.draw import Quantile
from curate.core.errors import InputError

_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Cap:
    """At most `limit` replicas for each group of rows; groups: `(N,)` codes, -1: no group, no cap."""

    groups: np.ndarray
    limit: int


@dataclass(frozen=True)
class State:
    """Flat arrays over all labels: the categories of label l are `base[l]..base[l + 1] - 1`.

    cats: `(N, L)` int32, the category of each row, -1 missing. members: rows of each category in row order, category k
    at `start[k]:start[k + 1]`. slots: `(K, 3)` int32 (category, bucket, count) in order of count within each label;
    slot_of: category -> slot; last: last slot of each bucket; free, n_free: buckets not in use.
    queue, ends: the list of rarest categories (`kernel.rarest`), and the last slot in which a replica is of use.
    spots: `(L, 4)` the slots below and above D1 and D9;
    weights: `(L, 2)` of the upper ones. ratio: `(L,)` the IDR now. progress: (lowest largest IDR so far, replicas since
    then, how many are allowed). alive: rows of each category that no cap stops. left: `(N,)` replicas that each row may
    still have (empty: no cap at all), 0 for a row that is stopped. groups: `(N, G)` the capped groups of each row, -1
    none; group_left: replicas that each may still have; its rows are `group_rows[group_start[g]:group_start[g + 1]]`.
    places: `(N, L)` where each row stands in `members`. tree: Fenwick trees over the members of each label, to find the
    n-th that no cap stops.
    """

    cats: np.ndarray
    base: np.ndarray
    start: np.ndarray
    members: np.ndarray
    slots: np.ndarray
    slot_of: np.ndarray
    last: np.ndarray
    free: np.ndarray
    n_free: np.ndarray
    queue: np.ndarray
    ends: np.ndarray
    spots: np.ndarray
    weights: np.ndarray
    ratio: np.ndarray
    progress: np.ndarray
    alive: np.ndarray
    left: np.ndarray
    groups: np.ndarray
    group_left: np.ndarray
    group_start: np.ndarray
    group_rows: np.ndarray
    places: np.ndarray
    tree: np.ndarray
    tree_base: np.ndarray

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order that the kernel takes them."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def counts(self, label: int) -> np.ndarray:
        """The count of each category of a label now, replicas included: int64."""
        of_label = self.slot_of[self.base[label] : self.base[label + 1]]
        return self.slots[of_label, kernel.COUNT].astype(np.int64)


def make_state(
    codes: np.ndarray,
    *,
    per_row: int | None = None,
    caps: Sequence[Cap] = (),
    quantile: Quantile = "linear",
    stall: int | None = None,
    budget: int = 0,
) -> State:
    """Lay out the counts of `codes` `(N, L)`; codes of label l run over 0..K_l - 1, each in use, -1 missing.

    per_row, caps: replicas that one row, and each group of rows, may have at most; None: any number. stall: replicas
    without a new low of the largest IDR that are allowed; None: any number. Raises ValueError where a code is not in
    use, InputError where counts could pass 2**31 - 1 with `budget` more or there are more than 255 labels.
    """
    codes = np.asarray(codes)
    n, labels = codes.shape
    if n + budget > _LARGEST:
        raise InputError("more images and replicas than can be counted", value=n + budget,
                         allowed=f"{_LARGEST:,}", remedy="Lower the budget")  # fmt: skip
    if labels > 255:
        raise InputError("too many labels to balance at once", value=labels, allowed="255")
    sizes = [int(codes[:, label].max(initial=-1)) + 1 for label in range(labels)]
    base = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    total = int(base[-1])
    cats = np.where(codes >= 0, codes + base[:-1], -1).astype(np.int32)
    counts = np.zeros(total, dtype=np.int64)
    for label in range(labels):
        column = cats[:, label]
        counts += np.bincount(column[column >= 0], minlength=total)
    if (counts == 0).any():
        raise ValueError("codes must run over 0..K-1 with each in use: see curate.balance.pool.dense_codes")
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    capped = per_row is not None or bool(caps)
    members, places, tree_base = _members(cats, base, start, capped)
    slots, ends = np.zeros((total, 3), dtype=np.int32), np.full((labels, 5), -1, dtype=np.int64)
    slot_of, last, free = (np.zeros(total, dtype=np.int32) for _ in range(3))
    n_free, ratio = np.zeros(labels, dtype=np.int64), np.ones(labels)
    spots, weights = np.zeros((labels, 4), dtype=np.int64), np.zeros((labels, 2))
    for label, size in enumerate(sizes):
        lo, hi = base[label], base[label + 1]
        kernel.fill_slots(counts[lo:hi], label, base, slots, slot_of, last, free, n_free)
        ends[label, 0] = lo
        if size:
            for side, share in enumerate((0.1, 0.9)):
                below, above, weights[label, side] = position(size, share, quantile)
                spots[label, 2 * side : 2 * side + 2] = lo + below, lo + above
            ends[label, 4] = _last_useful(spots[label], weights[label])
            ratio[label] = kernel.ratio_of(label, slots, spots, weights)
    groups, group_left, group_start, group_rows = _groups(n, caps)
    return State(
        cats, base, start, members, slots, slot_of, last, free, n_free, np.zeros(total, dtype=np.int32), ends, spots,
        weights, ratio, np.array([np.inf, 0.0, np.inf if stall is None else stall]), counts.astype(np.int32),
        np.full(n if capped else 0, _LARGEST if per_row is None else min(per_row, _LARGEST), dtype=np.int32),
        groups, group_left, group_start, group_rows, places,
        _full_tree(tree_base) if capped else np.zeros(0, dtype=np.int32), tree_base,
    )  # fmt: skip


def _last_useful(spots: np.ndarray, weights: np.ndarray) -> int:
    """The last slot in which one more sample lowers the ratio: the one above D1, unless it is the one above D9."""
    above_first = spots[1] if weights[0] > 0 else spots[0]
    above_ninth = spots[3] if weights[1] > 0 else spots[2]
    return int(above_first if above_first < above_ninth else spots[0])


@functools.lru_cache(maxsize=4096)
def position(size: int, share: float, quantile: Quantile) -> tuple[int, int, float]:
    """The two ranks (0-based) of `size` sorted values between which a quantile lies, and the weight of the upper one.

    Asked of numpy.quantile itself, with values that step from 0 to 1, so that every one of its definitions holds to
    the last bit. Raises ValueError for an unknown definition.
    """
    below = int(np.floor(np.quantile(np.arange(size), share, method=quantile)))
    if below == size - 1:
        return below, below, 0.0
    step = (np.arange(size) > below).astype(np.float64)
    return below, below + 1, float(np.quantile(step, share, method=quantile))


def _members(cats: np.ndarray, base: np.ndarray, start: np.ndarray, capped: bool) -> tuple[np.ndarray, ...]:
    """Rows by category, in row order; where each row stands there (only under a cap); where each label's rows begin."""
    n, labels = cats.shape
    members = np.empty(start[-1], dtype=np.int32)
    places = np.full((n if capped else 0, labels), -1, dtype=np.int64)
    tree_base = np.zeros(labels + 1, dtype=np.int64)
    for label in range(labels):
        known = np.flatnonzero(cats[:, label] >= 0)
        ordered = known[np.argsort(cats[known, label], kind="stable")]
        at = start[base[label]]
        members[at : at + len(ordered)] = ordered
        tree_base[label + 1] = at + len(ordered)
        if capped:
            places[ordered, label] = np.arange(at, at + len(ordered))
    return members, places, tree_base


def _groups(n: int, caps: Sequence[Cap]) -> tuple[np.ndarray, ...]:
    """The capped groups of all caps numbered through: of each row, what each may have, and its rows."""
    groups = np.full((n, len(caps)), -1, dtype=np.int32)
    lefts, sizes, rows, number = [], [], [], 0
    for kind, cap in enumerate(caps):
        known = np.flatnonzero(cap.groups >= 0)
        size = int(cap.groups.max(initial=-1)) + 1
        groups[known, kind] = cap.groups[known] + number
        lefts.append(np.full(size, cap.limit, dtype=np.int64))
        sizes.append(np.bincount(cap.groups[known], minlength=size))
        rows.append(known[np.argsort(cap.groups[known], kind="stable")])
        number += size
    start = np.concatenate([[0], *(np.asarray(part) for part in sizes)]).astype(np.int64).cumsum()
    none = np.zeros(0, dtype=np.int64)
    return groups, np.concatenate([none, *lefts]), start, np.concatenate([none, *rows])


def _full_tree(tree_base: np.ndarray) -> np.ndarray:
    """Fenwick trees, one for each label, in which every member counts 1."""
    tree = np.zeros(int(tree_base[-1]) + len(tree_base), dtype=np.int32)
    for label in range(len(tree_base) - 1):
        index = np.arange(1, tree_base[label + 1] - tree_base[label] + 1)
        at = tree_base[label] + label
        tree[at + index] = index & -index
    return tree
