"""How likely each image shows the person of its name: a two-covariance model that is learnt despite wrong names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curate.core.shapes import Executor
from curate.search.templates import Templates, best_other
from curate.stats.two_covariance import TwoCovariance, fit_two_covariance

#: Axes that are kept, those that tell persons apart best.
DIMENSIONS = 160
#: Of both covariances: with 0.2 or 0.6 the figures of docs/noise.md hardly change.
SHRINKAGE = 0.4
#: What the share of wrong names, and of strangers among them, is estimated from besides the images: pseudo-counts.
_PRIOR_STRANGERS, _PRIOR_WEIGHT = 0.2, 10.0
_LEAST, _MOST = 0.002, 0.6
_FEW = 4096
#: One right image in a thousand resembles its person no more than a stranger (a mask, a profile, a ruined picture).
#: The set itself can't say: such an image looks like one of a stranger.
_UNRECOGNISABLE = 1e-3


@dataclass(frozen=True)
class Knowledge:
    """What was learnt.

    model: of the vectors. temperature in (0, 1]: the share of a log-likelihood ratio that is believed (see `_slope`).
    contamination: the share of wrong names; strangers: the share of them whose person has no name in the set.
    """

    model: TwoCovariance
    temperature: float
    contamination: float
    strangers: float


@dataclass(frozen=True)
class Belief:
    """Of N images: `odds` `(N,)`, the log-odds that the name is right; `own` `(N,)`, the log-likelihood ratio of its
    identity against a stranger; `other`, `runner_up` `(N,)` int64, the best other identities (-1: not sought) with
    `other_ratio`; `moved` `(N,)`, the log-odds of the best other identity against the name and a stranger together;
    `support` `(N,)`, how many other images of its identity are believed. contamination, strangers: estimated from
    these odds; assumed: the contamination that they hold already.
    """

    odds: np.ndarray
    own: np.ndarray
    other: np.ndarray
    runner_up: np.ndarray
    other_ratio: np.ndarray
    moved: np.ndarray
    support: np.ndarray
    assumed: float
    contamination: float
    strangers: float

    def replaced(self, other: Belief, rows: np.ndarray) -> Belief:
        """This belief with that of another for some rows, a mask `(N,)`."""
        columns = ("odds", "own", "other", "runner_up", "other_ratio", "moved", "support")
        return replace(self, **{name: np.where(rows, getattr(other, name), getattr(self, name)) for name in columns})

    @property
    def wrongness(self) -> np.ndarray:
        """The log-likelihood ratio of a wrong name against a right one, `(N,)`: the score of a mislabelled image."""
        return np.log((1 - self.assumed) / self.assumed) - self.odds

    @property
    def right(self) -> np.ndarray:
        """The probability that the name is right: `(N,)`."""
        return _sigmoid(self.odds)


def learn(
    vectors: np.ndarray, identity: np.ndarray, scale: np.ndarray, executor: Executor, rounds: int = 6
) -> tuple[Knowledge, Belief, np.ndarray]:
    """Learn the model and the belief in each name together, by expectation maximisation.

    vectors `(N, D)`, identity `(N,)` codes from 0, scale `(N,)`: how far images of this quality stray, 1 where as
    usual. Each round fits the model to the images as far as their names are believed, and then asks of each image
    whether its own identity (itself left out), another one or a stranger explains it best. Returns what was learnt,
    the last belief and the projected vectors `(N, d)`.
    """
    right = first_belief(vectors, identity)
    temperature, contamination, strangers = 0.3, 0.1, _PRIOR_STRANGERS
    for _ in range(rounds):
        model = fit_two_covariance(vectors, identity, right / scale, shrinkage=SHRINKAGE, dimensions=DIMENSIONS)
        projected = model.project(vectors)
        knowledge = Knowledge(model, temperature, contamination, strangers)
        belief = judge(projected, identity, scale, right, knowledge, executor)
        right, contamination, strangers = np.clip(belief.right, 1e-4, 1), belief.contamination, belief.strangers
        temperature = _slope(belief, temperature)
    return Knowledge(model, temperature, contamination, strangers), belief, projected


def _slope(belief: Belief, before: float) -> float:
    """What one unit of a log-likelihood ratio is worth: vectors of faces are no normal draws, their axes not
    independent, and ratios too sure of themselves.

    Fisher's slope between two classes, 2 (m1 - m0) / (v1 + v0), of medians and half the spread between the 16% and the
    84% point: ratios of believed images for their own identity and
    for the best other one, the impostors that an image can be mistaken for. A ratio that tells the truth has slope 1.
    """
    sure = (belief.odds > 0) & np.isfinite(belief.other_ratio)
    if sure.sum() < 10:
        return before
    low, middle, high = np.quantile([belief.own[sure], belief.other_ratio[sure]], (0.16, 0.5, 0.84), axis=1)
    variance = ((high - low) / 2) ** 2
    return float(np.clip(2 * (middle[0] - middle[1]) / max(variance.sum(), 1e-9), 0.1, 1.0))


def judge(
    projected: np.ndarray,
    identity: np.ndarray,
    scale: np.ndarray,
    right: np.ndarray,
    knowledge: Knowledge,
    executor: Executor,
    *,
    limit: float | np.ndarray = np.inf,
) -> Belief:
    """One round of belief: how each image fits its own identity, the others, and nobody.

    projected `(N, d)`, right `(N,)`: what was believed so far, the weights of the templates. limit, one for all
    or `(N,)`: only images whose tempered ratio for their own identity lies below it are compared with the others.
    """
    identities = int(identity.max(initial=-1)) + 1
    weight = right / scale
    templates = Templates.of(projected, identity, weight, identities, knowledge.model.between)
    own = templates.fit_of_own(projected, identity, weight)
    temperature = knowledge.temperature / scale
    suspects = np.flatnonzero(temperature * own < limit)
    n = len(identity)
    who = np.full((n, 2), -1, np.int64)
    ratio, total = np.full(n, -np.inf), np.full(n, -np.inf)
    if identities > 1 and len(suspects):
        others = best_other(projected[suspects], identity[suspects], temperature[suspects], templates, executor)
        who[suspects], ratio[suspects], total[suspects] = others.who, others.ratio[:, 0], others.total
    eps, strangers = knowledge.contamination, knowledge.strangers
    named = np.log(eps * (1 - strangers) / max(identities - 1, 1))
    nobody = np.log(eps * strangers)
    right_now = np.log(1 - eps) + np.logaddexp(np.log1p(-_UNRECOGNISABLE) + temperature * own, np.log(_UNRECOGNISABLE))
    wrong = np.logaddexp(named + total, nobody)
    odds = np.clip(right_now - wrong, -50, 50)
    best = named + temperature * np.where(np.isfinite(ratio), ratio, 0)
    moved = np.where(np.isfinite(ratio), np.clip(best - np.logaddexp(right_now, nobody), -50, 50), -50.0)
    doubt = 1 - _sigmoid(odds)
    new_eps = float(np.clip((doubt.sum() + _LEAST) / (n + 1), _LEAST, _MOST)) if n else _LEAST
    stranger = (doubt * np.exp(nobody - wrong)).sum()
    new_strangers = (stranger + _PRIOR_WEIGHT * _PRIOR_STRANGERS) / (doubt.sum() + _PRIOR_WEIGHT)
    new_strangers = float(np.clip(new_strangers, 0.005, 0.98))
    support = templates.count[identity] - weight
    return Belief(odds, own, who[:, 0], who[:, 1], ratio, moved, support, eps, new_eps, new_strangers)


def first_belief(vectors: np.ndarray, identity: np.ndarray, rounds: int = 5) -> np.ndarray:
    """Belief in each name before there is a model, `(N,)` in (0, 1]: cosines to the weighted mean of the other images.

    What counts as close is read off the set itself: half way between the median of those cosines and the 95% point of
    cosines to the mean of some other identity.
    """
    identities = int(identity.max(initial=-1)) + 1
    weight = np.ones(len(identity))
    stranger = (identity + 1 + np.arange(len(identity)) % max(identities - 1, 1)) % max(identities, 1)
    for _ in range(rounds):
        sums = _sums(vectors, identity, weight, identities)
        own = _cosine(vectors, sums, identity, weight)
        impostor = _cosine(vectors, sums, stranger, np.zeros(len(weight)))
        low, high = np.quantile(impostor, 0.95), np.median(own)
        step = max(high - low, 0.02)
        weight = np.clip(_sigmoid(8 * (own - (low + high) / 2) / step), 0.02, 1)
    return weight


def _sums(vectors: np.ndarray, identity: np.ndarray, weight: np.ndarray, identities: int) -> np.ndarray:
    from curate.stats.two_covariance import sums_of

    return sums_of(vectors, identity, weight, identities)


def _cosine(vectors: np.ndarray, sums: np.ndarray, identity: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cosine of each vector and the rest of its identity's sum, its own part taken out; see v.s and s.s as two sums."""
    own = np.einsum("ij,ij->i", vectors, vectors)
    length = np.einsum("ij,ij->i", sums, sums)[identity]
    sums, product = sums.astype(vectors.dtype), np.empty(len(vectors))
    for start in range(0, len(vectors), _FEW):
        here = slice(start, start + _FEW)
        product[here] = np.einsum("ij,ij->i", vectors[here], sums[identity[here]])
    rest = length - 2 * weight * product + weight**2 * own
    return (product - weight * own) / np.sqrt(np.maximum(rest, 1e-9))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))
