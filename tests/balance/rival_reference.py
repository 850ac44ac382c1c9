"""The slow, obvious rivals: what each method says, row by row, with the draws that the fast ones make."""

from __future__ import annotations

import numpy as np


def slow_ml_ros(codes, budget, rng):
    n = len(codes)
    counts = {(label, int(code)): int((codes[:, label] == code).sum())
              for label in range(codes.shape[1]) for code in np.unique(codes[:, label]) if code >= 0}  # fmt: skip
    times = [1] * n
    if not counts:
        return times
    top = max(counts.values())
    mean_ir = np.mean([top / count for count in counts.values()])
    bags = [name for name in counts if top / counts[name] > mean_ir]
    draws = iter(rng.random(budget))
    made = 0
    while bags and made < budget:
        for bag in list(bags):
            if made == budget:
                break
            rows = [row for row in range(n) if codes[row, bag[0]] == bag[1]]
            row = rows[int(next(draws) * len(rows))]
            times[row] += 1
            made += 1
            for label in range(codes.shape[1]):
                if codes[row, label] >= 0:
                    counts[label, int(codes[row, label])] += 1
            if max(counts.values()) / counts[bag] <= mean_ir:
                bags.remove(bag)
    return times


def slow_ml_rus(codes, keep, rng):
    n = len(codes)
    key = rng.random(codes.shape)
    there = np.ones(n, dtype=bool)

    def count(name):
        return int((codes[there, name[0]] == name[1]).sum())

    names = [(label, int(code)) for label in range(codes.shape[1]) for code in np.unique(codes[:, label]) if code >= 0]
    if not names:
        return there.astype(int)
    top = max(count(name) for name in names)
    mean_ir = np.mean([top / count(name) for name in names])
    bags = [name for name in names if top / count(name) < mean_ir]
    budget = n - int(keep * n)
    while bags and budget:
        for bag in list(bags):
            if not budget:
                break
            rows = np.flatnonzero(there & (codes[:, bag[0]] == bag[1]))
            if not len(rows):
                bags.remove(bag)
                continue
            there[rows[np.argmin(key[rows, bag[0]])]] = False
            budget -= 1
            if count(bag) == 0 or max(count(name) for name in names) / count(bag) >= mean_ir:
                bags.remove(bag)
    return there.astype(int)


def labelset_rows(codes):
    """The rows of each labelset, in sorted order of the labelset."""
    rows = {}
    for row, names in enumerate(codes.tolist()):
        if min(names) >= 0:
            rows.setdefault(tuple(names), []).append(row)
    return [rows[name] for name in sorted(rows)]


def slow_lp_ros(codes, budget, rng):
    times = [1] * len(codes)
    bags = labelset_rows(codes)
    if not bags:
        return times
    mean = sum(map(len, bags)) // len(bags)
    small = sorted((place for place in range(len(bags)) if len(bags[place]) < mean), key=lambda p: (-len(bags[p]), p))
    more = [0] * len(bags)
    for number, place in enumerate(small):
        more[place] = min(mean - len(bags[place]), budget // (len(small) - number))
        budget -= more[place]
    draws = iter(rng.random(sum(more)))
    for bag, count in zip(bags, more, strict=True):
        for _ in range(count):
            times[bag[int(next(draws) * len(bag))]] += 1
    return times


def slow_cap(identity, images, rng):
    key = rng.random(len(identity))
    times = [1] * len(identity)
    for who in set(identity.tolist()) - {-1}:
        rows = sorted(np.flatnonzero(identity == who).tolist(), key=lambda row: key[row])
        for row in rows[images:]:
            times[row] = 0
    return times


def slow_wider(identity, keep, rng):
    first, second = rng.random(len(identity)), rng.random(len(identity))
    times = [int(who < 0) for who in identity]
    rounds = {}
    for who in set(identity.tolist()) - {-1}:
        for place, row in enumerate(sorted(np.flatnonzero(identity == who).tolist(), key=lambda row: first[row])):
            rounds.setdefault(place, []).append(row)
    left = int(keep * int((identity >= 0).sum()))
    for place in sorted(rounds):
        for row in sorted(rounds[place], key=lambda row: second[row])[:left]:
            times[row] = 1
        left = max(left - len(rounds[place]), 0)
    return times


def slow_herding(vectors, rows, images):
    vectors = vectors.astype(np.float64)
    mean = vectors[rows].mean(axis=0)
    taken = []
    while len(taken) < min(images, len(rows)):
        rest = [row for row in rows if row not in taken]
        away = [np.linalg.norm(mean - vectors[[*taken, row]].mean(axis=0)) for row in rest]
        taken.append(rest[int(np.argmin(away))])
    return set(taken)


def slow_k_center(vectors, rows, images):
    vectors = vectors.astype(np.float64)
    mean = vectors[rows].mean(axis=0)
    taken = [rows[int(np.argmin(np.linalg.norm(vectors[rows] - mean, axis=1)))]]
    while len(taken) < min(images, len(rows)):
        rest = [row for row in rows if row not in taken]
        away = [min(np.linalg.norm(vectors[row] - vectors[other]) for other in taken) for row in rest]
        taken.append(rest[int(np.argmax(away))])
    return set(taken)


def slow_random_over(codes, budget, rng):
    """Replicas one by one to the smallest labelset, as many as keep whole levels; which: imbalanced-learn's draws."""
    times = [1] * len(codes)
    bags = labelset_rows(codes)
    sizes = [len(bag) for bag in bags]
    level = 0
    while sizes and level < max(sizes) and sum(max(level + 1 - size, 0) for size in sizes) <= budget:
        level += 1
    if len(bags) < 2 or min(sizes) >= level:
        return times
    drawn = np.random.RandomState(int(rng.integers(2**31 - 1)))
    for bag in bags:
        for place in drawn.randint(0, len(bag), size=level - len(bag)) if len(bag) < level else ():
            times[bag[place]] += 1
    return times


def slow_random_under(codes, keep, rng):
    times = [1] * len(codes)
    bags = labelset_rows(codes)
    sizes = [len(bag) for bag in bags]
    level = max(sizes, default=1)
    while level > 1 and sum(min(level, size) for size in sizes) > int(keep * len(codes)):
        level -= 1
    if len(bags) < 2 or max(sizes) <= level:
        return times
    drawn = np.random.RandomState(int(rng.integers(2**31 - 1)))
    for bag in bags:
        if len(bag) > level:
            stay = set(drawn.choice(len(bag), size=level, replace=False).tolist())
            for place, row in enumerate(bag):
                times[row] = int(place in stay)
    return times


def slow_quota(identity, cell, images, identities, rng):
    """The rows that stay; None where a cell has too few identities."""
    known = [row for row in range(len(identity)) if identity[row] >= 0 and cell[row] >= 0]
    if not known:
        return [0] * len(identity)
    home = {}
    for who in sorted({int(identity[row]) for row in known}):
        where = [int(cell[row]) for row in known if identity[row] == who]
        best = max(sorted(set(where)), key=where.count)
        if where.count(best) >= images:
            home[who] = best
    cells = range(int(max(cell)) + 1)
    have = {name: [who for who in home if home[who] == name] for name in cells}
    wanted = min(map(len, have.values())) if identities is None else identities
    if any(len(there) < max(wanted, 1) for there in have.values()):
        return None
    key = dict(zip(home, rng.random(len(home)), strict=True))
    chosen = {who for there in have.values() for who in sorted(there, key=key.get)[:wanted]}
    inside = [row for row in known if int(identity[row]) in chosen and home[int(identity[row])] == cell[row]]
    key = dict(zip(inside, rng.random(len(inside)), strict=True))
    times = [0] * len(identity)
    for who in chosen:
        for row in sorted((row for row in inside if identity[row] == who), key=key.get)[:images]:
            times[row] = 1
    return times
