"""Wrong names planted into the user's own set: known faults of these very images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.clean.noise.belief import Belief, Knowledge, learn
from curate.core.shapes import Executor
from curate.search.templates import Templates, nearest_templates

#: Names that a wrong label is drawn from, for the share of look-alikes.
NEAREST = 5
#: How much the shares of strangers and of look-alikes are held to a fifth and to a half: pseudo-counts.
_HELD = 10.0
_RATE = 0.04
_FEWEST = 40
#: A set is tried until so many images were looked at, so often at most.
_IMAGES, _TRIALS = 12_000, 4


@dataclass(frozen=True)
class Planted:
    """rows `(M,)`: rows of the set that are used. identity `(M,)`: their names now, codes from 0. wrong `(M,)` bool:
    whether the name was planted.
    """

    rows: np.ndarray
    identity: np.ndarray
    wrong: np.ndarray


@dataclass(frozen=True)
class Trials:
    """What became of the images of all trials, `(M,)` each: see Planted and Belief."""

    rows: np.ndarray
    wrong: np.ndarray
    score: np.ndarray
    own: np.ndarray
    support: np.ndarray


def trials(
    vectors: np.ndarray, projected: np.ndarray, identity: np.ndarray, scale: np.ndarray, belief: Belief,
    knowledge: Knowledge, rng: np.random.Generator, executor: Executor,
) -> Trials:  # fmt: skip
    """Plant wrong names and look for them as if nothing were known; a small set several times, for more of them."""
    parts = []
    for _ in range(int(np.clip(_IMAGES // max(len(identity), 1), 1, _TRIALS))):
        planted = plant(projected, identity, belief, knowledge, rng, executor)
        rows = planted.rows
        found = learn(vectors[rows], planted.identity, scale[rows], executor)[1]
        parts.append((rows, planted.wrong, found.wrongness, found.own, found.support))
    return Trials(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def plant(
    projected: np.ndarray, identity: np.ndarray, belief: Belief, knowledge: Knowledge, rng: np.random.Generator,
    executor: Executor,
) -> Planted:  # fmt: skip
    """Give every image the name that it fits; where it fits none, keep it under its own with the probability that this
    is right, and leave it out else; then rename as many as were found wrong, at least one in 25 and 40 (a parametric
    bootstrap: Efron and Tibshirani 1993, chapter 6).

    As many of them are strangers, whose own identity is taken away, as were found among the wrong names of the set,
    and as many of the others are called one of the five identities most alike; the rest is called anything. So names
    that lost their person to another one are met as often as in the set itself.
    """
    identities = int(identity.max(initial=-1)) + 1
    fixed = np.where(belief.moved > 0, belief.other, identity)
    known = np.where(belief.moved > 0, 1.0, belief.right)
    kept = rng.random(len(fixed)) < known
    count = np.bincount(fixed[kept], minlength=identities)
    wanted = max(_FEWEST, round(max(_RATE, knowledge.contamination) * int(kept.sum())))
    gone = _taken_away(count, wanted * belief.strangers, rng)
    new, wrong = fixed.copy(), np.zeros(len(fixed), bool)
    away = gone[fixed]
    named = round(wanted * (1 - belief.strangers))
    pool = rng.permutation(np.flatnonzero(kept & (known > 0.5) & ~away))[:named]
    home = np.flatnonzero(~gone & (count > 0))
    if len(home) > 1:
        templates = Templates.of(projected, fixed, known, identities, knowledge.model.between)
        near = home[nearest_templates(templates, home, executor, NEAREST)]
        place = np.full(identities, -1)
        place[home] = np.arange(len(home))
        alike = round(len(pool) * _share_alike(identity, belief, near, place))
        one, two = pool[alike:], pool[:alike]
        step = rng.integers(1, len(home), len(one))
        new[one] = home[(place[fixed[one]] + step) % len(home)]
        new[two] = near[place[fixed[two]], rng.integers(0, near.shape[1], len(two))]
        strangers = rng.permutation(np.flatnonzero(away & kept & (known > 0.5)))[: wanted - named]
        new[strangers] = home[rng.integers(0, len(home), len(strangers))]
        wrong[pool] = wrong[strangers] = True
        away = away & ~wrong
    rows = np.flatnonzero(kept & ~away)
    _, codes = np.unique(new[rows], return_inverse=True)
    return Planted(rows, codes, wrong[rows])


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
