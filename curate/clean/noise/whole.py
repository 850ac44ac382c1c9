"""Faults of whole identities: two persons under one name, one person under two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.core.shapes import Executor
from curate.search.clusters import two_persons
from curate.search.templates import Templates, similar_templates
from curate.stats.two_covariance import evidence, same_person

#: A second person shows itself in at least so many images; one alone is a mislabelled image.
MIN_PART = 2


@dataclass(frozen=True)
class Partings:
    """Identities that may hold two persons: `who` `(M,)` codes; `score` `(M,)`, the log-odds of two persons against
    one; part `(N,)` int8, 1 for the images of the smaller person (0 for those that take no part).
    """

    who: np.ndarray
    score: np.ndarray
    part: np.ndarray


def part_identities(
    projected: np.ndarray, identity: np.ndarray, stays: np.ndarray, between: np.ndarray, temperature: float
) -> Partings:
    """Part each identity in two, over its images that don't belong to another identity anyway.

    projected `(N, d)`, identity `(N,)` codes, stays `(N,)` bool. The score is the tempered log-likelihood of two
    persons minus that of one, less what searching for the best parting gains by chance: the log of the number of
    partings, if every size of the smaller set is as likely, and every set of a size. The likelihood ratio is that of
    the smaller set being one person rather than strangers to each other, if that is less: two mislabelled
    images of two persons part well from the rest, and are no second person. Identities whose smaller part has fewer
    than 2 images are left out.
    """
    from scipy.special import gammaln

    part = np.zeros(len(identity), np.int8)
    found, ratio = two_persons(projected[stays], identity[stays], between)
    part[stays] = found
    small = np.bincount(identity, part, len(ratio))[: len(ratio)]
    who = np.flatnonzero((small >= MIN_PART) & np.isfinite(ratio))
    part[~np.isin(identity, who)] = 0
    rows = np.flatnonzero(part)
    smaller = Templates.of(projected[rows], identity[rows], np.ones(len(rows)), len(ratio), between)
    alone = np.bincount(identity[rows], evidence(np.ones(len(rows)), projected[rows], between), len(ratio))
    one_person = evidence(smaller.count[who], smaller.sums[who], between) - alone[who]
    n, k = np.bincount(identity[stays], minlength=len(ratio))[who], small[who]
    partings = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + np.log(n // 2)
    return Partings(who, temperature * np.minimum(ratio[who], one_person) - partings, part)


def planted_partings(
    projected: np.ndarray, identity: np.ndarray, pairs: np.ndarray, between: np.ndarray, temperature: float
) -> np.ndarray:
    """The scores of identities that are merged two by two, as far as a parting is found at all: `(m,)`.

    pairs `(M, 2)` of codes, each code in one pair at most.
    """
    code = np.full(int(identity.max(initial=-1)) + 1, -1, np.int64)
    code[pairs[:, 0]] = code[pairs[:, 1]] = np.arange(len(pairs))
    rows = np.flatnonzero(code[identity] >= 0)
    if not len(rows):
        return np.zeros(0)
    return part_identities(projected[rows], code[identity[rows]], np.ones(len(rows), bool), between, temperature).score


def planted_splits(
    projected: np.ndarray, identity: np.ndarray, chosen: np.ndarray, between: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The ratios of one person rather than two for identities `chosen` `(M,)` that are split at random: `(M,)`.

    The smaller side has between one image and half of them, each size as likely.
    """
    place = np.full(int(identity.max(initial=-1)) + 1, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(place[identity] >= 0)
    who = place[identity[rows]]
    rank = np.empty(len(rows), np.int64)
    order = np.lexsort((rng.random(len(rows)), who))
    count = np.bincount(who, minlength=len(chosen))
    first = np.cumsum(count) - count
    rank[order] = np.arange(len(rows)) - first[who[order]]
    small = 1 + np.floor(rng.random(len(chosen)) * (count // 2)).astype(np.int64)
    side = (rank < small[who]).astype(np.float64)
    one = Templates.of(projected[rows], who, side, len(chosen), between)
    two = Templates.of(projected[rows], who, 1 - side, len(chosen), between)
    return same_person(one.count, one.sums, two.count, two.sums, between)


def pairs_of_identities(templates: Templates, executor: Executor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of identities that may be one person, (a, b, ratio): see `similar_templates`; empty ones take no part."""
    return similar_templates(templates, np.flatnonzero(templates.count >= 0.5), executor)


def join(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray], least: float, templates: Templates, size: np.ndarray
) -> np.ndarray:
    """Put identities together, the surest pair first, as long as the whole groups still look like one person.

    least: the ratio from which two groups are joined. size `(K,)`: images of each identity. Returns for every
    identity the one that it joins, the largest of its group (a tie: the lowest code), itself where none: `(K,)`. So a
    chain of look-alikes does not become one person: a group is asked as a whole.
    """
    a, b, ratio = pairs
    group = np.arange(len(templates.count))
    count, sums = templates.count.copy(), dict[int, np.ndarray]()
    members: dict[int, list[int]] = {}
    for at in np.lexsort((b, a, -ratio)):
        if ratio[at] < least:
            break
        into, other = sorted((int(group[a[at]]), int(group[b[at]])))
        if into == other:
            continue
        left, right = (sums.get(code, templates.sums[code]) for code in (into, other))
        now = same_person(count[[into]], left[None], count[[other]], right[None], templates.between)[0]
        if now < least:
            continue
        sums[into], count[into] = left + right, count[into] + count[other]
        joining = members.pop(other, [other])
        members.setdefault(into, [into]).extend(joining)
        group[joining] = into
    root = np.arange(len(group))
    for codes in members.values():
        root[codes] = min(codes, key=lambda code: (-size[code], code))
    return root
