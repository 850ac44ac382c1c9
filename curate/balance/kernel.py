"""The compiled kernel of iterative multi-label oversampling: one replica costs O(number of labels).

For each label the categories stand in slots in order of their counts. Categories of equal count form a bucket, a run of
slots with one value and one last slot. A count that goes up by one swaps its category with the last of its bucket
and moves that slot to the next bucket, so the order holds and the deciles are read off in four look-ups. A label of few
categories needs no buckets: the end of a run is found by looking.
"""

from __future__ import annotations

import numba
import numpy as np

#: Why the kernel returned: uniforms used up, target reached, a cap ended it, no progress for as long as was allowed.
GOING, TARGET, CAP, STALL = 0, 1, 2, 3
#: Up to so many categories a label goes without buckets.
FEW = 16
#: Columns of the slots.
CATEGORY, BUCKET, COUNT = 0, 1, 2

#: No allocation in the loop, so no counting of references either: that took most of the time.
compiled = numba.njit(cache=True, _nrt=False, inline="always")


@compiled
def _u(index):
    # An index that numba knows not to be negative: no wrap-around to look for at each access.
    return np.uint64(index)


@compiled
def lerp(a, b, t):
    """Between a and b, as numpy.quantile goes: its two branches differ in the last bit."""
    difference = np.float64(b - a)
    if t >= 0.5:
        return b - difference * (1 - t)
    return a + difference * t


@compiled
def ratio_of(label, slots, spots, weights):
    """D9 / D1 of a label from the four slots around its deciles."""
    place = _u(label)
    first = lerp(
        np.int64(slots[_u(spots[place, 0]), COUNT]), np.int64(slots[_u(spots[place, 1]), COUNT]), weights[place, 0]
    )
    ninth = lerp(
        np.int64(slots[_u(spots[place, 2]), COUNT]), np.int64(slots[_u(spots[place, 3]), COUNT]), weights[place, 1]
    )
    return ninth / first


@numba.njit(cache=True)
def fill_slots(counts, label, base, slots, slot_of, last, free, n_free):
    """Put the categories of a label in order of their counts, equals in category order, and form the buckets."""
    at = base[label]
    order = np.argsort(counts, kind="mergesort")
    bucket = -1
    for slot in range(len(order)):
        category = order[slot]
        slot_of[at + category] = at + slot
        slots[at + slot, CATEGORY] = at + category
        slots[at + slot, COUNT] = counts[category]
        if slot == 0 or counts[category] != slots[at + slot - 1, COUNT]:
            bucket += 1
        slots[at + slot, BUCKET] = at + bucket
        last[at + bucket] = at + slot
    for spare in range(bucket + 1, len(order)):
        free[at + n_free[label]] = at + spare
        n_free[label] += 1


@compiled
def raise_count(category, label, base, slots, slot_of, last, free, n_free, spots, weights, ratio):
    """Add one to the count of a category, and bring the label's ratio up to date."""
    low, high = base[_u(label)], base[_u(label + 1)]
    slot = np.int64(slot_of[_u(category)])
    few = high - low <= FEW
    if few:
        count = slots[_u(slot), COUNT]
        end = slot
        while end + 1 < high and slots[_u(end + 1), COUNT] == count:
            end += 1
    else:
        bucket = slots[_u(slot), BUCKET]
        end = np.int64(last[_u(bucket)])
    if end != slot:
        other = slots[_u(end), CATEGORY]
        slots[_u(slot), CATEGORY] = other
        slot_of[_u(other)] = slot
        slots[_u(end), CATEGORY] = category
        slot_of[_u(category)] = end
    count = slots[_u(end), COUNT] + 1
    slots[_u(end), COUNT] = count
    if few:
        ratio[_u(label)] = ratio_of(label, slots, spots, weights)
        return
    alone = end == low or slots[_u(end - 1), BUCKET] != bucket
    if end + 1 < high and slots[_u(end + 1), COUNT] == count:
        slots[_u(end), BUCKET] = slots[_u(end + 1), BUCKET]
        if alone:
            free[_u(low + n_free[_u(label)])] = bucket
            n_free[_u(label)] += 1
        else:
            last[_u(bucket)] = end - 1
    elif not alone:
        last[_u(bucket)] = end - 1
        n_free[_u(label)] -= 1
        fresh = free[_u(low + n_free[_u(label)])]
        last[_u(fresh)] = end
        slots[_u(end), BUCKET] = fresh
    place = _u(label)
    if end == spots[place, 0] or end == spots[place, 1] or end == spots[place, 2] or end == spots[place, 3]:
        ratio[place] = ratio_of(label, slots, spots, weights)


@compiled
def sort(values, start, stop):
    """Sort `values[start:stop]` where it stands: Shell, A High-Speed Sorting Procedure, 1959, with Ciura's gaps."""
    gap = 1
    while gap * 9 < (stop - start) * 4:
        gap = gap * 9 // 4 + 1
    while gap > 0:
        for at in range(start + gap, stop):
            value = values[_u(at)]
            to = at
            while to >= start + gap and values[_u(to - gap)] > value:
                values[_u(to)] = values[_u(to - gap)]
                to -= gap
            values[_u(to)] = value
        gap = gap * 4 // 9


@compiled
def rarest(label, base, slots, slot_of, last, alive, queue, ends):
    """The category of the smallest count that may still be replicated, the first in order of equals; -1 for none.

    A category is passed over only where caps let none of its rows be replicated. Counts only go up, so nothing joins
    the smallest count once it is the smallest: its categories are listed once, in order, and used up from the front.
    `ends[label]` is (first slot that is not passed over, count listed, head and end of the list in `queue`, last slot
    in which a replica is of use).
    """
    place = _u(label)
    high = base[_u(label + 1)]
    while ends[place, 0] < high:
        at = ends[place, 0]
        count = slots[_u(at), COUNT]
        if count != ends[place, 1]:
            stop = at + 1
            if high - base[place] <= FEW:
                while stop < high and slots[_u(stop), COUNT] == count:
                    stop += 1
            else:
                stop = np.int64(last[_u(slots[_u(at), BUCKET])]) + 1
            for slot in range(at, stop):
                queue[_u(slot)] = slots[_u(slot), CATEGORY]
            sort(queue, at, stop)
            ends[place, 1], ends[place, 2], ends[place, 3] = count, at, stop
        while ends[place, 2] < ends[place, 3]:
            category = np.int64(queue[_u(ends[place, 2])])
            if slots[_u(slot_of[_u(category)]), COUNT] == count and alive[_u(category)] > 0:
                return category
            ends[place, 2] += 1
        # What is left at this count, if anything, can't be replicated any more.
        while ends[place, 0] < high and slots[_u(ends[place, 0]), COUNT] == count:
            ends[place, 0] += 1
    return np.int64(-1)


@compiled
def nth_alive(tree, at, size, rank):
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


@compiled
def alive_before(tree, at, place):
    """How many members before `place` are alive."""
    total = 0
    while place > 0:
        total += tree[at + place]
        place -= place & -place
    return total


@compiled
def _retire(row, cats, alive, left, places, tree, tree_base):
    """Take a row that may have no more replicas out of the draws of all its categories."""
    left[row] = 0
    for label in range(cats.shape[1]):
        if cats[row, label] < 0:
            continue
        alive[cats[row, label]] -= 1
        at = tree_base[label] + label
        size = tree_base[label + 1] - tree_base[label]
        index = places[row, label] - tree_base[label] + 1
        while index <= size:
            tree[at + index] -= 1
            index += index & -index


@compiled
def spend(row, cats, alive, left, groups, group_left, group_start, group_rows, places, tree, tree_base):
    """Count a replica of a row against its caps, and retire the rows that reached one."""
    left[row] -= 1
    if left[row] == 0:
        _retire(row, cats, alive, left, places, tree, tree_base)
    for kind in range(groups.shape[1]):
        group = groups[row, kind]
        if group < 0:
            continue
        group_left[group] -= 1
        if group_left[group] == 0:
            for at in range(group_start[group], group_start[group + 1]):
                if left[group_rows[at]] > 0:
                    _retire(group_rows[at], cats, alive, left, places, tree, tree_base)


@compiled
def worst_label(ratio):
    """The label with the largest ratio, the first of equals."""
    worst = 0
    for label in range(1, len(ratio)):
        if ratio[_u(label)] > ratio[_u(worst)]:
            worst = label
    return worst


@compiled
def stalled(value, progress):
    """Whether the largest ratio has had no new low for too long; progress: (lowest, replicas since, limit)."""
    if value < progress[0]:
        progress[0], progress[1] = value, 0.0
        return False
    progress[1] += 1.0
    return progress[1] > progress[2]


@compiled
def asks(target, base, slots, slot_of, last, alive, queue, ends, ratio, progress):
    """Why to end, GOING for not yet; the label that asks for a replica, and its category that gives one."""
    worst = worst_label(ratio)
    value = ratio[_u(worst)]
    if value <= target:
        return TARGET, worst, np.int64(-1)
    if stalled(value, progress):
        return STALL, worst, np.int64(-1)
    category = rarest(worst, base, slots, slot_of, last, alive, queue, ends)
    if category < 0 or ends[_u(worst), 0] > ends[_u(worst), 4]:
        return CAP, worst, category
    return GOING, worst, category


@compiled
def add(row, cats, base, slots, slot_of, last, free, n_free, spots, weights, ratio):
    """Count one more sample of a row in each of its categories."""
    for label in range(cats.shape[1]):
        category = np.int64(cats[_u(row), _u(label)])
        if category >= 0:
            raise_count(category, label, base, slots, slot_of, last, free, n_free, spots, weights, ratio)


@compiled
def draw(
    uniforms, target, rows, labels, ratios,
    cats, base, start, members, slots, slot_of, last, free, n_free, queue, ends, spots, weights, ratio, progress,
    alive, left, groups, group_left, group_start, group_rows, places, tree, tree_base,
):  # fmt: skip
    """Make one replica for each of `uniforms` until the target is reached or a cap or a stall ends it.

    Writes the original's row, the label that asked for it and that label's IDR before it. Returns how many were made
    and why it ended (GOING: the uniforms are used up). The other arguments: see `curate.balance.state.State`.
    """
    capped = len(left) > 0
    for number in range(len(uniforms)):
        why, worst, category = asks(target, base, slots, slot_of, last, alive, queue, ends, ratio, progress)
        if why != GOING:
            return number, why
        size = np.int64(alive[_u(category)])
        rank = np.int64(uniforms[_u(number)] * size)
        at = start[_u(category)]
        if capped and size != start[category + 1] - at:
            tree_at = tree_base[worst] + worst
            rank += alive_before(tree, tree_at, at - tree_base[worst])
            at = tree_base[worst]
            rank = nth_alive(tree, tree_at, tree_base[worst + 1] - at, rank)
        row = np.int64(members[_u(at + rank)])
        rows[_u(number)] = row
        labels[_u(number)] = worst
        ratios[_u(number)] = ratio[_u(worst)]
        add(row, cats, base, slots, slot_of, last, free, n_free, spots, weights, ratio)
        if capped:
            spend(row, cats, alive, left, groups, group_left, group_start, group_rows, places, tree, tree_base)
    return len(uniforms), GOING
