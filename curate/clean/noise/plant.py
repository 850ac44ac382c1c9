"""Wrong names planted into the user's own set: known faults of these very images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.clean.noise.belief import Belief, Knowledge
from curate.search.templates import Templates
from curate.stats.two_covariance import TwoCovariance

#: Names that a wrong label is drawn from, for the share of look-alikes.
NEAREST = 5
#: How much the shares of strangers and of look-alikes are held to a fifth and to a half: pseudo-counts.
_HELD = 10.0
_RATE = 0.04
_FEWEST = 40


@dataclass(frozen=True)
class Planted:
    """rows `(M,)`: rows of the set that are used. identity `(M,)`: their names now, codes from 0. wrong `(M,)` bool:
    whether the name was planted. doubt `(M,)`: the probability, before planting, that the name was wrong already.
    """

    rows: np.ndarray
    identity: np.ndarray
    wrong: np.ndarray
    doubt: np.ndarray


def plant(
    projected: np.ndarray, identity: np.ndarray, belief: Belief, knowledge: Knowledge, rng: np.random.Generator
) -> Planted:
    """Rename some of the images whose names are believed: one in 25, at least 40.

    As many of them are strangers, whose own identity is taken away, as were found among the wrong names of the set,
    and as many of the others are called one of the five identities most alike; the rest is called anything.
    """
    n, identities = len(identity), int(identity.max(initial=-1)) + 1
    right = belief.right
    count = np.bincount(identity, minlength=identities)
    wanted = max(_FEWEST, round(_RATE * n))
    gone = _taken_away(count, wanted * belief.strangers, rng)
    new, wrong = identity.copy(), np.zeros(n, bool)
    away = gone[identity]
    named = round(wanted * (1 - belief.strangers))
    pool = rng.permutation(np.flatnonzero((right > 0.9) & (count[identity] >= 3) & ~away))[: min(named, n // 3)]
    home = np.flatnonzero(~gone)
    if len(home) > 1:
        near = _nearest(projected, identity, right, knowledge.model, home)
        place = np.full(identities, -1)
        place[home] = np.arange(len(home))
        alike = round(len(pool) * _share_alike(identity, belief, near, place))
        one, two = pool[alike:], pool[:alike]
        step = rng.integers(1, len(home), len(one))
        new[one] = home[(place[identity[one]] + step) % len(home)]
        new[two] = near[place[identity[two]], rng.integers(0, near.shape[1], len(two))]
        strangers = rng.permutation(np.flatnonzero(away & (right > 0.5)))[: wanted - named]
        new[strangers] = home[rng.integers(0, len(home), len(strangers))]
        wrong[pool] = wrong[strangers] = True
        away = away & ~wrong
    rows = np.flatnonzero(~away)
    _, codes = np.unique(new[rows], return_inverse=True)
    return Planted(rows, codes, wrong[rows], (1 - right)[rows])


def _share_alike(identity: np.ndarray, belief: Belief, near: np.ndarray, place: np.ndarray) -> float:
    """Of the wrong names found, the share whose name is among the five most like the right one."""
    moves = np.flatnonzero((belief.moved > 0) & (place[identity] >= 0))
    moves = moves[place[belief.other[moves]] >= 0]
    among = (near[place[belief.other[moves]]] == identity[moves][:, None]).any(axis=1).sum()
    return float((among + 0.5 * _HELD) / (len(moves) + _HELD))


def _taken_away(count: np.ndarray, images: float, rng: np.random.Generator) -> np.ndarray:
    """Whole identities, at most one in ten, that hold about so many images: their persons become strangers."""
    order = rng.permutation(len(count))[: len(count) // 10]
    held = np.cumsum(count[order])
    gone = np.zeros(len(count), bool)
    gone[order[: int(np.searchsorted(held, images)) + 1]] = True
    return gone


def _nearest(
    projected: np.ndarray, identity: np.ndarray, right: np.ndarray, model: TwoCovariance, home: np.ndarray
) -> np.ndarray:
    """The identities of `home` most alike each of them, `(len(home), up to 5)`."""
    templates = Templates.of(projected, identity, right, int(identity.max()) + 1, model.between)
    person = templates.sums[home] / (templates.count[home][:, None] + 1 / model.between)
    person /= np.maximum(np.linalg.norm(person, axis=1, keepdims=True), 1e-12)
    score = person @ person.T
    np.fill_diagonal(score, -np.inf)
    return home[np.argsort(-score, axis=1, kind="stable")[:, : min(NEAREST, len(home) - 1)]]
