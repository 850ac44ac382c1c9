"""The choice `lookahead`: of the rows that the definition allows, the one that helps the other labels.

The definition leaves open which of equally rare categories is replicated, and by which of its rows. Rows alike in all
labels are one kind. The label with most categories (for most tables the identity) is the long one; kinds alike in the
others form a combination, in which the kinds stand in a heap by the count of their category of the long label. So the
best kind is found among the tops of the heaps: one replica costs O(labels x combinations of the other labels).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.balance import kernel
from curate.balance.kernel import COUNT, GOING, _u, compiled
from curate.balance.state import State

#: What a kind costs for each time that the replicas of its rows have doubled; a label that needs the replica is worth
#: about 1. Without it a few rows would serve for all; more of it spreads them wider and needs more replicas.
WORN = 0.15


@dataclass(frozen=True)
class Kinds:
    """Rows alike in all labels, by combination.

    kind_rows: rows of each kind, in random order, kind k at `kind_start[k]:kind_start[k + 1]`; kind_next: the place of
    the row that is next. long_cat: the kind's category of the long label, -1 missing. combo_cats: `(G, L)` categories
    of each combination, -1 missing or the long label. heap: the kinds of combination g from `combo_start[g]` on,
    `combo_size[g]` of them still in use; heap_key: the count of each when it was last looked at.
    common: the same kinds, most common first; common_at: the place of the one that is next.
    uses: replicas of each kind.
    """

    long: np.ndarray
    kind_rows: np.ndarray
    kind_start: np.ndarray
    kind_next: np.ndarray
    long_cat: np.ndarray
    combo_cats: np.ndarray
    combo_start: np.ndarray
    combo_size: np.ndarray
    heap: np.ndarray
    heap_key: np.ndarray
    common: np.ndarray
    common_at: np.ndarray
    uses: np.ndarray

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order that the kernel takes them."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)


def make_kinds(state: State, rng: np.random.Generator) -> Kinds:
    """Sort the rows of a fresh state into kinds and combinations; `rng` orders the rows of a kind, and equals."""
    cats = state.cats
    n, labels = cats.shape
    sizes = np.diff(state.base)
    long = int(sizes.argmax())
    combo = np.zeros(n, dtype=np.int64)
    for label in range(labels):
        # A row without a value of the long label is no equal of those that have one.
        column = cats[:, label].astype(np.int64) - state.base[label] + 1 if label != long else cats[:, long] < 0
        combo = np.unique(combo * (int(sizes[label]) + 1) + np.maximum(column, 0), return_inverse=True)[1]
    kind = combo * (int(sizes[long]) + 1) + np.maximum(cats[:, long] - state.base[long], -1) + 1
    kind = np.unique(kind, return_inverse=True)[1]
    rank = rng.permutation(n)
    rows = np.lexsort((rank, kind))
    start = np.concatenate([[0], np.bincount(kind).cumsum()])
    one = rows[start[:-1]]  # a row of each kind
    of_kind, long_cat = combo[one], cats[one, long]
    key = np.where(long_cat >= 0, state.slots[state.slot_of[long_cat], COUNT], 1)
    heap = np.lexsort((rank[one], key, of_kind))
    combos = int(of_kind.max()) + 1
    combo_cats = np.empty((combos, labels), dtype=np.int32)
    combo_cats[of_kind] = cats[one]
    combo_cats[:, long] = -1
    sizes_of = np.bincount(of_kind, minlength=combos)
    return Kinds(
        np.array([long]), rows.astype(np.int32), start.astype(np.int64), start[:-1].astype(np.int64),
        long_cat.astype(np.int32), combo_cats, np.concatenate([[0], sizes_of.cumsum()]).astype(np.int64),
        sizes_of.astype(np.int64), heap.astype(np.int32), key[heap].astype(np.int32),
        np.lexsort((rank[one], -key, of_kind)).astype(np.int32), (sizes_of.cumsum() - sizes_of).astype(np.int64),
        np.zeros(len(one)),
    )  # fmt: skip


@compiled
def _sink(at, low, size, heap, heap_key):
    """Put the entry at the top of a heap where its key belongs; equals stay in place."""
    entry, key = heap[_u(low + at)], heap_key[_u(low + at)]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap_key[_u(low + child + 1)] < heap_key[_u(low + child)]:
            child += 1
        if heap_key[_u(low + child)] >= key:
            break
        heap[_u(low + at)], heap_key[_u(low + at)] = heap[_u(low + child)], heap_key[_u(low + child)]
        at = child
    heap[_u(low + at)], heap_key[_u(low + at)] = entry, key


@compiled
def _alive(kind, left, kind_rows, kind_start, kind_next):
    """Whether a row of the kind may still be replicated; makes the first such row the next."""
    begin, end = kind_start[_u(kind)], kind_start[_u(kind + 1)]
    for _ in range(end - begin):
        if left[_u(kind_rows[_u(kind_next[_u(kind)])])] > 0:
            return True
        kind_next[_u(kind)] += 1
        if kind_next[_u(kind)] == end:
            kind_next[_u(kind)] = begin
    return False


@compiled
def _top(combo, slots, slot_of, left, kind_rows, kind_start, kind_next, long_cat, combo_start, combo_size, heap,
         heap_key):  # fmt: skip
    """The kind of a combination whose category of the long label is rarest; -1 where caps stop all of them."""
    low = combo_start[_u(combo)]
    while combo_size[_u(combo)] > 0:
        size = combo_size[_u(combo)]
        kind = np.int64(heap[_u(low)])
        fresh = True
        if len(left) and not _alive(kind, left, kind_rows, kind_start, kind_next):
            combo_size[_u(combo)] = size - 1
            heap[_u(low)], heap_key[_u(low)] = heap[_u(low + size - 1)], heap_key[_u(low + size - 1)]
            _sink(0, low, size - 1, heap, heap_key)
            fresh = False
        if fresh and long_cat[_u(kind)] >= 0:
            count = slots[_u(slot_of[_u(long_cat[_u(kind)])]), COUNT]
            if count != heap_key[_u(low)]:
                heap_key[_u(low)] = count
                _sink(0, low, size, heap, heap_key)
                fresh = False
        if fresh:
            return kind
    return np.int64(-1)


@compiled
def _free(combo, slots, slot_of, left, above, kind_rows, kind_start, kind_next, long_cat, combo_start, common,
          common_at):  # fmt: skip
    """The next kind of a combination whose category of the long label has a count over `above`; -1 for none.

    They are looked for from the most common on, one after the other, so that each has its turn.
    """
    low, high = combo_start[_u(combo)], combo_start[_u(combo + 1)]
    for _ in range(2):
        at = common_at[_u(combo)]
        while at < high:
            kind = np.int64(common[_u(at)])
            category = np.int64(long_cat[_u(kind)])
            if category < 0 or slots[_u(slot_of[_u(category)]), COUNT] <= above:
                break
            at += 1
            if not len(left) or _alive(kind, left, kind_rows, kind_start, kind_next):
                common_at[_u(combo)] = at
                return kind
        if common_at[_u(combo)] == low:
            break
        common_at[_u(combo)] = low
    return np.int64(-1)


@compiled
def _cost(category, label, slots, slot_of, base, spots, weights, target):
    """What a replica in a category costs its label: about -1 where it is one that is needed anyway."""
    place = _u(label)
    slot = np.int64(slot_of[_u(category)])
    count = np.float64(slots[_u(slot), COUNT])
    below, above = np.float64(slots[_u(spots[place, 2]), COUNT]), np.float64(slots[_u(spots[place, 3]), COUNT])
    wanted = kernel.lerp(below, above, weights[place, 1]) / target
    if count < wanted:
        return -1.0 + 0.05 * count / wanted
    if base[_u(label + 1)] - base[place] > kernel.FEW:
        return 0.5 if count <= above else 0.0
    # With few categories D9 hangs on the largest counts: raised by one, they raise what each rare category needs.
    weight = 0.0
    if slot == spots[place, 3]:
        weight = weights[place, 1]
    elif slot == spots[place, 2]:
        weight = 1 - weights[place, 1]
    if weight == 0.0:
        return 0.0
    needy = 0
    for at in range(base[place], base[_u(label + 1)]):
        if slots[_u(at), COUNT] < wanted:
            needy += 1
    return weight * needy / target


@compiled
def _price(kind, combo, worst, target, base, slots, slot_of, spots, weights, long, kind_start, long_cat, combo_cats,
           uses):  # fmt: skip
    """What a replica of a kind costs the labels that did not ask for it, and what its wear costs."""
    # Each replica of the same rows is worth less: without this a few rows would serve for all.
    cost = WORN * np.log2(1 + uses[_u(kind)] / (kind_start[_u(kind + 1)] - kind_start[_u(kind)]))
    for label in range(combo_cats.shape[1]):
        if label != worst:
            category = np.int64(long_cat[_u(kind)] if label == long[0] else combo_cats[_u(combo), _u(label)])
            if category >= 0:
                cost += _cost(category, label, slots, slot_of, base, spots, weights, target)
    return cost


@compiled
def _best(
    worst, level, target, base, slots, slot_of, spots, weights, left, long, kind_rows, kind_start, kind_next, long_cat,
    combo_cats, combo_start, combo_size, heap, heap_key, common, common_at, uses,
):  # fmt: skip
    """The cheapest kind that the definition allows: its category of the label that asks has the count `level`."""
    best, best_cost = np.int64(-1), np.inf
    above = slots[_u(spots[_u(long[0]), 3]), COUNT]
    for combo in range(len(combo_size)):
        if combo_size[_u(combo)] == 0:
            continue
        if worst != long[0]:
            other = combo_cats[_u(combo), _u(worst)]
            if other < 0 or slots[_u(slot_of[_u(other)]), COUNT] != level:
                continue
        # Two of a combination stand for all: the one rarest in the long label, and one that is common there anyway.
        for turn in range(1 if worst == long[0] else 2):
            if turn == 0:
                kind = _top(combo, slots, slot_of, left, kind_rows, kind_start, kind_next, long_cat, combo_start,
                            combo_size, heap, heap_key)  # fmt: skip
            else:
                kind = _free(combo, slots, slot_of, left, above, kind_rows, kind_start, kind_next, long_cat,
                             combo_start, common, common_at)  # fmt: skip
            if kind < 0:
                break
            category = np.int64(long_cat[_u(kind)])
            if worst == long[0] and (category < 0 or slots[_u(slot_of[_u(category)]), COUNT] != level):
                break
            cost = _price(kind, combo, worst, target, base, slots, slot_of, spots, weights, long, kind_start, long_cat,
                          combo_cats, uses)  # fmt: skip
            if cost < best_cost:
                best, best_cost = kind, cost
    return best


@compiled
def draw(
    uniforms, target, rows, labels, ratios,
    cats, base, start, members, slots, slot_of, last, free, n_free, queue, ends, spots, weights, ratio, progress,
    alive, left, groups, group_left, group_start, group_rows, places, tree, tree_base,
    long, kind_rows, kind_start, kind_next, long_cat, combo_cats, combo_start, combo_size, heap, heap_key,
    common, common_at, uses,
):  # fmt: skip
    """Like `curate.balance.kernel.draw`, with the best row that the definition allows; the uniforms only count."""
    for number in range(len(uniforms)):
        why, worst, category = kernel.asks(target, base, slots, slot_of, last, alive, queue, ends, ratio, progress)
        if why != GOING:
            return number, why
        best = _best(
            worst, slots[_u(slot_of[_u(category)]), COUNT], target, base, slots, slot_of, spots, weights, left, long,
            kind_rows, kind_start, kind_next, long_cat, combo_cats, combo_start, combo_size, heap, heap_key, common,
            common_at, uses,
        )  # fmt: skip
        at = kind_next[_u(best)]
        row = np.int64(kind_rows[_u(at)])
        kind_next[_u(best)] = at + 1 if at + 1 < kind_start[_u(best + 1)] else kind_start[_u(best)]
        uses[_u(best)] += 1
        rows[_u(number)], labels[_u(number)], ratios[_u(number)] = row, worst, ratio[_u(worst)]
        kernel.add(row, cats, base, slots, slot_of, last, free, n_free, spots, weights, ratio)
        if len(left):
            kernel.spend(row, cats, alive, left, groups, group_left, group_start, group_rows, places, tree, tree_base)
    return len(uniforms), GOING
