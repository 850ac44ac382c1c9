"""What is believed of images, turned into faults: which kind, how sure, and what would fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from curate.clean.noise.belief import Belief, Knowledge, judge
from curate.clean.noise.curves import Curves
from curate.clean.noise.whole import Partings, join, pairs_of_identities, part_identities
from curate.core.shapes import Executor
from curate.search.templates import Templates

#: From this probability on a fault is taken for real; below the other it is not worth a look.
REAL, SEEN = 0.5, 0.1
#: At least so many names are taken to be wrong.
LEAST_SHARE = 5e-4


@dataclass(frozen=True)
class Faults:
    """What was found among N images of K identities (codes).

    table: one row for each image and fault that is worth a look: kind (mislabelled, mixed, split), row, score (a
    log-likelihood ratio), confidence, the calibrated probability of the fault, suggested and runner_up, codes of the
    identities that fit (-1: none; K + j: the second person of the j-th mixed identity). Of a mixed identity the rows
    are those of the smaller person, of a split one those of the name that goes.
    shares: of each kind, how frequent it was found to be. searched: the share of images that were compared with all
    identities. genuine, impostor `(M,)`: the tempered ratios of sampled images, those at rows `sampled`, for their own
    identity and for another one drawn at random.
    """

    table: pd.DataFrame
    shares: dict[str, float]
    curves: Curves
    known: Knowledge
    belief: Belief
    searched: float
    genuine: np.ndarray
    impostor: np.ndarray
    sampled: np.ndarray


@dataclass(frozen=True)
class State:
    """What is believed of N images: vectors on the model's axes, names, strays, and what they were learnt with."""

    projected: np.ndarray
    identity: np.ndarray
    scale: np.ndarray
    belief: Belief
    known: Knowledge
    curves: Curves
    searched: float
    sampled: np.ndarray
    scores: tuple[np.ndarray, np.ndarray]


def faults_of(state: State, group: np.ndarray, executor: Executor) -> Faults:
    """Put together what the belief, the partings and the pairs say: see Faults."""
    known, curves, identity = state.known, state.curves, state.identity
    identities, temperature = int(identity.max()) + 1, known.temperature
    found = part_identities(state.projected, identity, state.belief.moved < 0, known.model.between, temperature)
    chance, mixed_share = curves.mixed.probability(found.score)
    persons = _second_persons(state, found, chance >= REAL, executor)
    belief = persons.belief
    pairs = _pairs(state, persons, executor)
    odds = temperature * pairs.ratio
    sure, split_share = curves.split.probability(odds)
    least = curves.split.score_at(REAL, split_share) / temperature
    home, home_chance = _homes(pairs, sure, identities, len(persons.host))
    size = np.bincount(identity, minlength=identities)
    root = _roots(pairs, least, size)

    score = curves.mislabelled_score(belief)
    _, share = curves.mislabelled.probability(score, group)
    # In a set without a wrong name, an image that fits nobody should still be looked at.
    confidence, share = curves.mislabelled.probability(score, group, max(share, LEAST_SHARE))
    suggested = np.where(belief.moved > 0, persons.host[belief.other], -1)
    sibling = (belief.other >= 0) & (persons.host[belief.other] == identity)
    runner_up = np.where((suggested < 0) & ~sibling, np.where(belief.other < 0, -1, persons.host[belief.other]),
                         np.where(belief.runner_up < 0, -1, persons.host[belief.runner_up]))  # fmt: skip
    strayed = home[persons.code] >= 0
    confidence = np.where(strayed, np.maximum(confidence, home_chance[persons.code]), np.where(sibling, 0, confidence))
    suggested = np.where(strayed, persons.host[home[persons.code]], np.where(sibling, -1, suggested))
    # An image that fits the name which its own name joins has no wrong name of its own.
    same = (suggested >= 0) & (root[identity] == root[suggested])
    confidence = np.where(same, 0, confidence)
    tables = [
        _rows("mislabelled", np.arange(len(identity)), score, confidence, suggested, runner_up),
        _mixed_rows(identity, found, chance, persons, ~strayed),
        _split_rows(identity, pairs, odds, sure, root, size),
    ]
    shares = {"mislabelled": share, "mixed": mixed_share, "split": split_share}
    return Faults(pd.concat(tables, ignore_index=True), shares, curves, known, belief, state.searched, *state.scores,
                  state.sampled)  # fmt: skip


@dataclass(frozen=True)
class _Persons:
    """Images `code` `(N,)` of identities and second persons; `host` `(K + J,)`, the identity that each stands under."""

    code: np.ndarray
    host: np.ndarray
    belief: Belief
    right: np.ndarray


def _second_persons(state: State, found: Partings, real: np.ndarray, executor: Executor) -> _Persons:
    """Give the second persons that are taken for real a code of their own, and judge those identities again."""
    identity, belief = state.identity, state.belief
    identities = int(identity.max()) + 1
    who = found.who[real]
    second = np.full(identities, -1)
    second[who] = identities + np.arange(len(who))
    code = np.where((found.part == 1) & (second[identity] >= 0), second[identity], identity)
    right = np.clip(belief.right, 1e-4, 1)
    if len(who):
        # What was doubted may have been the other person: all start with some trust again.
        theirs = np.isin(identity, who)
        right[theirs & (belief.moved < 0)] = 0.9
        limit = np.where(theirs, state.curves.limit, -np.inf)
        for _ in range(2):
            again = judge(state.projected, code, state.scale, right, state.known, executor, limit=limit)
            belief = belief.replaced(again, theirs)
            right = np.clip(belief.right, 1e-4, 1)
    return _Persons(code, np.concatenate([np.arange(identities), who]), belief, right)


@dataclass(frozen=True)
class _Pairs:
    a: np.ndarray
    b: np.ndarray
    ratio: np.ndarray
    templates: Templates


def _pairs(state: State, persons: _Persons, executor: Executor) -> _Pairs:
    """Pairs of persons under different names that may be one.

    Where more than two of three images under a name fit one and the same other name better, it is the name that is in
    question and not the images: they speak for it.
    """
    code, belief = persons.code, persons.belief
    moves = np.flatnonzero(belief.moved > 0)
    pair, times = np.unique(code[moves] * len(persons.host) + persons.host[belief.other[moves]], return_counts=True)
    most = np.zeros(len(persons.host), np.int64)
    np.maximum.at(most, pair // len(persons.host), times)
    emptied = 3 * most > 2 * np.bincount(code, minlength=len(persons.host))
    weight = np.where(emptied[code], np.maximum(persons.right, 0.9), persons.right) / state.scale
    templates = Templates.of(
        state.projected, persons.code, weight, len(persons.host), state.known.model.between
    )  # fmt: skip
    a, b, ratio = pairs_of_identities(templates, executor)
    apart = persons.host[a] != persons.host[b]
    return _Pairs(a[apart], b[apart], ratio[apart], templates)


def _homes(pairs: _Pairs, sure: np.ndarray, identities: int, persons: int) -> tuple[np.ndarray, np.ndarray]:
    """The identity in which each second person is at home, -1 for none: its images are mislabelled, and no identity is
    mixed. Returns `(K + J,)` codes and probabilities.
    """
    home, chance = np.full(persons, -1), np.zeros(persons)
    for at in np.argsort(sure, kind="stable"):
        for stray, other in ((pairs.a[at], pairs.b[at]), (pairs.b[at], pairs.a[at])):
            if stray >= identities and sure[at] >= REAL:
                home[stray], chance[stray] = other, sure[at]
    return home, chance


def _rows(kind: str, row: np.ndarray, score: Any, confidence: Any, suggested: Any, runner_up: Any) -> pd.DataFrame:
    table = pd.DataFrame({"kind": kind, "row": row, "score": score, "confidence": confidence, "suggested": suggested,
                          "runner_up": runner_up})  # fmt: skip
    return table[table["confidence"] >= SEEN]


def _mixed_rows(
    identity: np.ndarray, found: Partings, chance: np.ndarray, persons: _Persons, free: np.ndarray
) -> pd.DataFrame:
    place = np.full(int(identity.max()) + 1, -1)
    place[found.who] = np.arange(len(found.who))
    rows = np.flatnonzero((found.part == 1) & (place[identity] >= 0) & free)
    at = place[identity[rows]]
    suggested = np.where(persons.code[rows] != identity[rows], persons.code[rows], -1)
    return _rows("mixed", rows, found.score[at], chance[at], suggested, -1)


def _roots(pairs: _Pairs, least: float, size: np.ndarray) -> np.ndarray:
    """The identity that each identity joins, itself for none: `(K,)`."""
    plain = (pairs.a < len(size)) & (pairs.b < len(size))
    held = np.zeros(len(pairs.templates.count), np.int64)
    held[: len(size)] = size
    return join((pairs.a[plain], pairs.b[plain], pairs.ratio[plain]), least, pairs.templates, held)[: len(size)]


def _split_rows(
    identity: np.ndarray, pairs: _Pairs, odds: np.ndarray, sure: np.ndarray, root: np.ndarray, size: np.ndarray
) -> pd.DataFrame:
    identities = len(size)
    plain = (pairs.a < identities) & (pairs.b < identities)
    best, second = _best_partners(pairs.a[plain], pairs.b[plain], odds[plain], identities)
    partner = np.where(best >= 0, np.append(pairs.a[plain] + pairs.b[plain], 0)[best] - np.arange(identities), -1)
    runner = np.where(second >= 0, np.append(pairs.a[plain] + pairs.b[plain], 0)[second] - np.arange(identities), -1)
    score, chance = np.append(odds[plain], np.nan)[best], np.append(sure[plain], 0.0)[best]
    codes = np.arange(identities)
    # A pair that is only looked at is named at its smaller side.
    smaller = (partner >= 0) & ((size[codes] < size[partner]) | ((size[codes] == size[partner]) & (codes > partner)))
    joined = root != codes
    alone = ~joined & smaller & (chance < REAL)
    suggested = np.where(joined, root, np.where(alone, partner, -1))
    runner = np.where(suggested == partner, runner, partner)
    rows = np.flatnonzero(suggested[identity] >= 0)
    who = identity[rows]
    return _rows("split", rows, score[who], chance[who], suggested[who], runner[who])


def _best_partners(a: np.ndarray, b: np.ndarray, score: np.ndarray, identities: int) -> tuple[np.ndarray, np.ndarray]:
    """The pair with the highest and the one with the second highest score of each identity, -1 for none."""
    one, pair = np.concatenate([a, b]), np.tile(np.arange(len(a)), 2)
    order = np.lexsort((pair, -score[pair], one))
    one, pair = one[order], pair[order]
    result = np.full((2, identities), -1)
    first = np.flatnonzero(np.append(True, one[1:] != one[:-1])) if len(one) else np.zeros(0, np.int64)
    result[0, one[first]] = pair[first]
    next_ = first + 1
    next_ = next_[(next_ < len(one))]
    next_ = next_[one[next_] == one[next_ - 1]]
    result[1, one[next_]] = pair[next_]
    return result[0], result[1]
