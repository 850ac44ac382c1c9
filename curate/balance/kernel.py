"""The compiled kernel of iterative multi-label oversampling: one replica costs O(number of labels).

For each label the categories stand in slots in order of their counts. Categories of equal count form a bucket, a run of
slots with one value and one last slot. A count that goes up by one swaps its category with the last of its bucket
and moves that slot to the next bucket, so the order holds and the deciles are read off in four look-ups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

#: Why the kernel returned.
GOING, TARGET, CAP = 0, 1, 2


@dataclass(frozen=True)
class State:
    """What the kernel keeps between blocks of draws; flat arrays over all labels, label l at `base[l]:base[l + 1]`.

    codes: `(N, L)` int32, -1 missing. members: rows of each category in row order, category k at
    `start[k]:start[k + 1]`.
    slot_of, category_at, count_at, bucket_of: category -> slot; slot -> category, count and bucket.
    place: `(N, L)` where each row stands in `members` (only under a cap).
    last: slot of each bucket; free, n_free: buckets not in use. level, queue, head: for each label the categories
    that had its smallest count when that count was reached, and how far they are used up.
    low, high: `(L, 2)` the slots around D1 and D9, with the weight of the upper one. ratio: `(L,)` the IDR now.
    left: `(N,)` replicas that each row may still have (empty: no cap). alive: rows of each category below the cap.
    tree: Fenwick trees over the members of each label, to find the n-th row that is below the cap.
    """

    codes: np.ndarray
    base: np.ndarray
    start: np.ndarray
    members: np.ndarray
    place: np.ndarray
    slot_of: np.ndarray
    category_at: np.ndarray
    count_at: np.ndarray
    bucket_of: np.ndarray
    last: np.ndarray
    free: np.ndarray
    n_free: np.ndarray
    level: np.ndarray
    queue: np.ndarray
    head: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_weight: np.ndarray
    high_weight: np.ndarray
    ratio: np.ndarray
    left: np.ndarray
    alive: np.ndarray
    tree: np.ndarray
    tree_base: np.ndarray

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order that the kernel takes them."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def counts(self, label: int) -> np.ndarray:
        """The count of each category of a label now, replicas included: int64."""
        return self.count_at[self.slot_of[self.base[label] : self.base[label + 1]]]


def make_state(codes: np.ndarray, cap: int | None = None) -> State:
    """Lay out the counts of `codes` `(N, L)`; codes of label l run over 0..K_l - 1, each in use, -1 missing.

    cap: replicas that one row may have at most; None: any number. Raises ValueError where a code is not in use.
    """
    codes = np.ascontiguousarray(codes, dtype=np.int32)
    n, labels = codes.shape
    sizes = [int(codes[:, label].max(initial=-1)) + 1 for label in range(labels)]
    base = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    total = int(base[-1])
    counts = np.concatenate(
        [np.bincount(codes[:, i][codes[:, i] >= 0], minlength=k) for i, k in enumerate(sizes)] or [np.zeros(0)]
    ).astype(np.int64)
    if (counts == 0).any():
        raise ValueError("codes must run over 0..K-1 with each in use: see curate.balance.pool.dense_codes")
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    members, place, tree_base = _members(codes, base, start, cap is not None)
    slot_of, category_at, bucket_of = (np.zeros(total, dtype=np.int32) for _ in range(3))
    last, free = np.zeros(total, dtype=np.int32), np.zeros(total, dtype=np.int32)
    count_at, n_free = np.zeros(total, dtype=np.int64), np.zeros(labels, dtype=np.int64)
    for label in range(labels):
        lo, hi = base[label], base[label + 1]
        _fill_slots(counts[lo:hi], lo, slot_of, category_at, count_at, bucket_of, last, free, n_free, label)
    low, high = np.zeros((labels, 2), dtype=np.int64), np.zeros((labels, 2), dtype=np.int64)
    low_weight, high_weight = np.zeros(labels), np.zeros(labels)
    for label, size in enumerate(sizes):
        low[label], low_weight[label] = _position(size, 0.1, base[label])
        high[label], high_weight[label] = _position(size, 0.9, base[label])
    capped = cap is not None
    state = State(
        codes, base, start, members, place, slot_of, category_at, count_at, bucket_of, last, free, n_free,
        level=np.full(labels, -1, dtype=np.int64), queue=np.zeros(total, dtype=np.int32),
        head=np.zeros(labels, dtype=np.int64), low=low, high=high, low_weight=low_weight,
        high_weight=high_weight, ratio=np.ones(labels),
        left=np.full(n if capped else 0, cap or 0, dtype=np.int32), alive=counts.copy(),
        tree=_full_tree(tree_base) if capped else np.zeros(0, dtype=np.int32), tree_base=tree_base,
    )  # fmt: skip
    for label in range(labels):
        state.ratio[label] = _ratio(label, base, count_at, low, high, low_weight, high_weight)
    return state


def _members(codes: np.ndarray, base: np.ndarray, start: np.ndarray, capped: bool) -> tuple[np.ndarray, ...]:
    """Rows by category, in row order; where each row stands there (only under a cap); where each label's rows begin."""
    n, labels = codes.shape
    members = np.empty(start[-1], dtype=np.int32)
    place = np.full((n if capped else 0, labels), -1, dtype=np.int64)
    tree_base = np.zeros(labels + 1, dtype=np.int64)
    for label in range(labels):
        known = np.flatnonzero(codes[:, label] >= 0)
        ordered = known[np.argsort(codes[known, label], kind="stable")]
        at = start[base[label]]
        members[at : at + len(ordered)] = ordered
        tree_base[label + 1] = at + len(ordered)
        if capped:
            place[ordered, label] = np.arange(at, at + len(ordered))
    return members, place, tree_base


def _position(size: int, quantile: float, at: int) -> tuple[tuple[int, int], float]:
    """The two slots between which a decile lies and its weight, as numpy.quantile finds them."""
    virtual = (size - 1) * np.float64(quantile)
    below = int(np.floor(virtual))
    if virtual >= size - 1:
        return (at, at), 0.0
    return (at + below, at + below + 1), float(virtual - below)


def _full_tree(tree_base: np.ndarray) -> np.ndarray:
    """Fenwick trees, one for each label, in which every member counts 1."""
    tree = np.zeros(int(tree_base[-1]) + len(tree_base), dtype=np.int32)
    for label in range(len(tree_base) - 1):
        index = np.arange(1, tree_base[label + 1] - tree_base[label] + 1)
        at = tree_base[label] + label
        tree[at + index] = index & -index
    return tree


@numba.njit(cache=True)
def _fill_slots(counts, at, slot_of, category_at, count_at, bucket_of, last, free, n_free, label):
    order = np.argsort(counts, kind="mergesort")
    bucket = -1
    for slot in range(len(order)):
        category = order[slot]
        slot_of[at + category] = at + slot
        category_at[at + slot] = at + category
        count_at[at + slot] = counts[category]
        if slot == 0 or counts[category] != count_at[at + slot - 1]:
            bucket += 1
        bucket_of[at + slot] = at + bucket
        last[at + bucket] = at + slot
    for spare in range(bucket + 1, len(order)):
        free[at + n_free[label]] = at + spare
        n_free[label] += 1


@numba.njit(cache=True, inline="always")
def _lerp(a, b, t):
    # The two branches of numpy's own: they differ in the last bit.
    difference = b - a
    if t >= 0.5:
        return b - difference * (1 - t)
    return a + difference * t


@numba.njit(cache=True, inline="always")
def _ratio(label, base, count_at, low, high, low_weight, high_weight):
    if base[label + 1] == base[label]:
        return 1.0
    first = _lerp(count_at[low[label, 0]], count_at[low[label, 1]], low_weight[label])
    ninth = _lerp(count_at[high[label, 0]], count_at[high[label, 1]], high_weight[label])
    return ninth / first


@numba.njit(cache=True, inline="always")
def _raise(category, label, base, slot_of, category_at, count_at, bucket_of, last, free, n_free):
    """Add one to the count of a category; returns the slot whose count went up."""
    slot = slot_of[category]
    bucket = bucket_of[slot]
    end = last[bucket]
    other = category_at[end]
    category_at[slot] = other
    slot_of[other] = slot
    category_at[end] = category
    slot_of[category] = end
    count = count_at[end] + 1
    count_at[end] = count
    alone = end == base[label] or bucket_of[end - 1] != bucket
    if end + 1 < base[label + 1] and count_at[end + 1] == count:
        bucket_of[end] = bucket_of[end + 1]
        if alone:
            free[base[label] + n_free[label]] = bucket
            n_free[label] += 1
        else:
            last[bucket] = end - 1
    elif not alone:
        last[bucket] = end - 1
        n_free[label] -= 1
        fresh = free[base[label] + n_free[label]]
        last[fresh] = end
        bucket_of[end] = fresh
    return end


@numba.njit(cache=True)
def _rarest(label, base, slot_of, category_at, count_at, bucket_of, last, level, queue, head):
    """The category of the smallest count, the first in order of equals.

    Counts only go up, so nothing joins the smallest count once it is the smallest: its categories are listed once, in
    order, and used up from the front.
    """
    at = base[label]
    if count_at[at] != level[label]:
        size = last[bucket_of[at]] - at + 1
        if size <= 16:
            # A label of few categories comes to a new smallest count with each replica: no allocation here.
            for slot in range(at, at + size):
                category = category_at[slot]
                place = slot
                while place > at and queue[place - 1] > category:
                    queue[place] = queue[place - 1]
                    place -= 1
                queue[place] = category
        else:
            queue[at : at + size] = np.sort(category_at[at : at + size])
        level[label] = count_at[at]
        head[label] = at
    while True:
        category = queue[head[label]]
        if count_at[slot_of[category]] == level[label]:
            return category
        head[label] += 1


@numba.njit(cache=True)
def _nth_alive(tree, at, size, rank):
    """The place (0-based) of the alive member number `rank` (0-based) in the Fenwick tree of `size` at `at`."""
    step = 1
    while step * 2 <= size:
        step *= 2
    place = 0
    rest = rank + 1
    while step > 0:
        if place + step <= size and tree[at + place + step] < rest:
            place += step
            rest -= tree[at + place]
        step //= 2
    return place


@numba.njit(cache=True)
def _alive_before(tree, at, place):
    total = 0
    while place > 0:
        total += tree[at + place]
        place -= place & -place
    return total


@numba.njit(cache=True)
def _retire(row, codes, base, start, place, alive, tree, tree_base):
    """Take a row that reached its cap out of the draws of all its categories."""
    for label in range(codes.shape[1]):
        if codes[row, label] < 0:
            continue
        alive[base[label] + codes[row, label]] -= 1
        at = tree_base[label] + label
        size = tree_base[label + 1] - tree_base[label]
        index = place[row, label] - tree_base[label] + 1
        while index <= size:
            tree[at + index] -= 1
            index += index & -index


@numba.njit(cache=True)
def draw(
    uniforms, target, rows, labels, ratios,
    codes, base, start, members, place, slot_of, category_at, count_at, bucket_of, last, free, n_free, level,
    queue, head, low, high, low_weight, high_weight, ratio, left, alive, tree, tree_base,
):  # fmt: skip
    """Make one replica for each of `uniforms` until the target is reached or a cap ends it.

    Writes the original's row, the label that asked for it and that label's IDR before it. Returns how many were made
    and why it ended (GOING: the uniforms are used up).
    """
    n_labels = codes.shape[1]
    for number in range(len(uniforms)):
        worst = 0
        for label in range(1, n_labels):
            if ratio[label] > ratio[worst]:
                worst = label
        if ratio[worst] <= target:
            return number, TARGET
        category = _rarest(worst, base, slot_of, category_at, count_at, bucket_of, last, level, queue, head)
        size = alive[category]
        if size == 0:
            return number, CAP
        rank = int(uniforms[number] * size)
        at = start[category]
        if size == start[category + 1] - at:
            row = members[at + rank]
        else:
            tree_at = tree_base[worst] + worst
            rank += _alive_before(tree, tree_at, at - tree_base[worst])
            row = members[tree_base[worst] + _nth_alive(tree, tree_at, tree_base[worst + 1] - tree_base[worst], rank)]
        rows[number] = row
        labels[number] = worst
        ratios[number] = ratio[worst]
        for label in range(n_labels):
            code = codes[row, label]
            if code >= 0:
                category = base[label] + code
                slot = _raise(category, label, base, slot_of, category_at, count_at, bucket_of, last, free, n_free)
                if slot == low[label, 0] or slot == low[label, 1] or slot == high[label, 0] or slot == high[label, 1]:
                    ratio[label] = _ratio(label, base, count_at, low, high, low_weight, high_weight)
        if len(left):
            left[row] -= 1
            if left[row] == 0:
                _retire(row, codes, base, start, place, alive, tree, tree_base)
    return len(uniforms), GOING
