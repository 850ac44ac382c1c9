"""The weight of two names, as `curate.search.names.score` defines it, in plain Python: slow and obvious."""

from __future__ import annotations

from itertools import pairwise
from math import log

from curate.search.names.fold import skeleton, sound
from curate.search.names.parse import PARTICLES, Form
from curate.search.names.score import MODEL


def edits(a: str, b: str) -> int:
    """Optimal string alignment: letters left out, added, changed, or two neighbours swapped, each part once."""
    d = [[max(i, j) if not min(i, j) else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i][j] = min(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i][j] = min(d[i][j], d[i - 2][j - 2] + 1)
    return d[-1][-1]


def spelling(a: str, b: str) -> tuple[int, int]:
    """(3: one sound, 2: other vowels, 1: wrong letters, 0: another word; letters wrong)."""
    shorter = min(len(a), len(b))
    if shorter < 4 or abs(len(a) - len(b)) > 3:
        return 0, 0
    ending = int(a[-1] != b[-1] and bool({a[-1], b[-1]} & set("aeio")))
    wrong, heard = edits(a, b), edits(sound(a), sound(b))
    if heard == 0:
        return 3, wrong + ending
    if skeleton(a) == skeleton(b) and heard <= 2 and heard + ending <= (2 if shorter >= 7 else 1) and shorter >= 5:
        return 2, wrong + ending
    return (1, wrong + ending) if wrong + ending <= (2 if shorter >= 8 else 1) else (0, 0)


def weight(left: Form, right: Form, names: set[tuple[str, ...]]) -> float:
    """The log likelihood ratio of two forms; names: the distinct token lists of all lists."""

    def rarity(token: str, off: int) -> float:
        count = sum(token in tokens for tokens in names)
        return -log(max((max(count - off, 0) + 0.1) / (len(names) + 2000), 1e-5))

    one, two = left.tokens, right.tokens
    off = 1 if one == two else 2
    pairs: dict[int, int] = {}
    value, matched = 0.0, 0

    def free(x: int) -> list[int]:
        return [] if x in pairs else [y for y in range(len(two)) if y not in pairs.values()]

    for x, token in enumerate(one):
        for y in free(x):
            if token == two[y]:
                pairs[x] = y
                if token in PARTICLES:
                    value += MODEL["particle"]
                else:
                    matched += len(token) > 1
                    value += log(MODEL["same"]) + rarity(token, off)
                break
    for x, token in enumerate(one):
        if len(token) < 2:
            continue
        kinds = [(y, *spelling(token, two[y])) for y in free(x)]
        kinds = [found for found in kinds if found[1]]
        if kinds:
            y, kind, wrong = min(kinds, key=lambda found: (-found[1], found[2], found[0]))
            pairs[x] = y
            matched += 1
            value += max(rarity(token, 1), rarity(two[y], 1))
            value += {3: log(MODEL["variant"]), 2: log(MODEL["vowels"]), 1: log(MODEL["edit"]) * wrong}[kind]
    for x, token in enumerate(one):
        for y in free(x):
            if (len(token) > 1) != (len(two[y]) > 1) and token[0] == two[y][0]:
                pairs[x] = y
                value += MODEL["initial"]
                break
    rests = [[x for x in range(len(one)) if x not in pairs], [y for y in range(len(two)) if y not in pairs.values()]]
    value += MODEL["particle_missing"] * sum(side[x] in PARTICLES for side, rest in zip((one, two), rests, strict=True) for x in rest)  # fmt: skip  # noqa: E501
    rests = [[x for x in rest if side[x] not in PARTICLES] for side, rest in zip((one, two), rests, strict=True)]
    ends = sum(x in (0, len(side) - 1) for side, rest in zip((one, two), rests, strict=True) for x in rest)
    initials = sum(len(side[x]) < 2 for side, rest in zip((one, two), rests, strict=True) for x in rest)
    both = min(map(len, rests))
    missing = max(map(len, rests)) - both
    if both:
        value += MODEL["contradiction"] * (both + (ends > 1))
    if missing:
        if ends and not both:
            value += MODEL["missing_end"] if matched > 1 else MODEL["contradiction"]
        value += MODEL["missing"] * (missing - 0.5 * min(initials, missing))
    order = [pairs[x] for x in range(len(one)) if x in pairs and one[x] not in PARTICLES]
    falls = sum(b < a for a, b in pairwise(order))
    if falls:
        value += MODEL["swapped"] * (1 if falls == 1 and order[-1] < order[0] else 2)
    if (both or missing) and "".join(one) == "".join(two):
        fewer = one if len(one) < len(two) else two
        value = log(MODEL["variant"]) + sum(rarity(token, 1) for token in fewer)
    if left.suffix != right.suffix:
        value += MODEL["suffix"] * (1 if 0 in (left.suffix, right.suffix) else 2)
    return value
