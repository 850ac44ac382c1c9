"""Probabilities from known positives and a pool that holds unknown ones: presence-only logistic regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROUNDS = 25
#: Standard deviations of what the curve is held near: slope 1, intercept 0, no difference between groups.
_SLOPE, _INTERCEPT, _GROUP = 0.25, 0.5, 0.5
#: Where it is known which are positive, that is a looser hold.
_LOOSER = 10.0
_REACH = 20.0
_LEAST = 1e-4
#: One score in 2,000 is taken to say nothing: else a single planted fault that nobody could find, say an
#: image of a twin, would flatten the curve.
_LAPSE = 0.0005


@dataclass(frozen=True)
class Curve:
    """P(positive) = logistic(intercept + slope * score + group[g] + logit of the share of positives).

    A score is already a log-likelihood ratio as far as a model can tell: intercept 0 and slope 1 mean that it told
    the truth. Scores beyond +-reach count as reach.
    No probability is above 1 - 1 / (examples + 2), the rule of succession (Laplace): so much is known from so many
    positives.
    """

    intercept: float
    slope: float
    group: np.ndarray
    examples: int
    reach: float = _REACH

    @property
    def highest(self) -> float:
        """The highest probability that this curve gives."""
        return 1 - 1 / (self.examples + 2)

    def ratio(self, score: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
        """The mended log-likelihood ratio of each score `(N,)`; group `(N,)` codes, -1 for none."""
        shift = 0.0 if group is None else np.append(self.group, 0.0)[group]
        return self.intercept + self.slope * np.clip(score, -self.reach, self.reach) + shift

    def score_at(self, probability: float, share: float, group: int = -1) -> float:
        """The score at which the probability is reached where `share` of the pool is positive; inf for never."""
        if probability > self.highest:
            return float("inf")
        shift = float(np.append(self.group, 0.0)[group])
        return float((_logit(probability) - _logit(share) - self.intercept - shift) / self.slope)

    def probability(
        self, score: np.ndarray, group: np.ndarray | None = None, share: float | None = None
    ) -> tuple[np.ndarray, float]:
        """P(positive) of each score of a pool, and the pool's share of positives, by EM (Saerens et al. 2002).

        share: where known, it is used as it is.
        """
        ratio = self.ratio(score, group)
        if share is not None or not len(ratio):
            share = _LEAST if share is None else share
            return np.minimum(_sigmoid(ratio + _logit(share)), self.highest), share
        share = 0.05
        for _ in range(200):
            before, share = share, float(np.clip(_sigmoid(ratio + _logit(share)).mean(), _LEAST, 0.9))
            if abs(share - before) < 1e-7:
                break
        return np.minimum(_sigmoid(ratio + _logit(share)), self.highest), share


def fit_curve(
    planted: np.ndarray,
    pool: np.ndarray,
    planted_group: np.ndarray | None = None,
    pool_group: np.ndarray | None = None,
    groups: int = 0,
    reach: float = _REACH,
    pure: bool = False,
) -> Curve:
    """Fit the curve to scores of known positives, `(P,)`, and of a pool in which some are positive too, `(N,)`.

    The pool's positives are unknown, and so is their share: EM for presence-only data (Ward et al. 2009, sections 3
    and 4) over Platt's logistic curve (1999), held near a score that tells the truth, with a rate of lapses
    (Wichmann and Hill 2001). Scores beyond +-reach count as reach.
    groups: how many groups have a shift of their own. pure: the pool holds no positive (Platt's curve as it is).
    """
    from scipy.optimize import minimize

    if not len(planted) or not len(pool):
        return Curve(0.0, 1.0, np.zeros(groups), len(planted), reach)
    x = np.clip(np.concatenate([planted, pool, pool]), -reach, reach)
    if groups:
        where = np.concatenate([planted_group, pool_group, pool_group])
    n, m = len(planted), len(pool)
    target = np.concatenate([np.ones(n + m), np.zeros(m)])
    centre = np.concatenate([[0.0, 1.0], np.zeros(groups)])
    spread = np.concatenate([[_INTERCEPT, _SLOPE], np.full(groups, _GROUP)]) * (_LOOSER if pure else 1)
    at = centre
    chance = np.zeros(m)
    if not pure:
        chance, _ = Curve(0.0, 1.0, np.zeros(groups), n, reach).probability(pool, pool_group if groups else None)
    for _ in range(_ROUNDS):
        weight = np.concatenate([np.ones(n), chance, 1 - chance])
        offset = np.log((n + chance.sum()) / max(m - chance.sum(), 1e-9))

        def loss(theta: np.ndarray, weight: np.ndarray = weight, offset: float = offset) -> tuple[float, np.ndarray]:
            eta = theta[0] + theta[1] * x + offset
            if groups:
                eta = eta + np.append(theta[2:], 0.0)[where]
            chance = _sigmoid(eta)
            held_off = _LAPSE / 2 + (1 - _LAPSE) * chance
            value = -weight @ (target * np.log(held_off) + (1 - target) * np.log1p(-held_off))
            slope = weight * (1 - _LAPSE) * chance * (1 - chance) * (held_off - target) / (held_off * (1 - held_off))
            gradient = np.concatenate([[slope.sum(), slope @ x], np.zeros(groups)])
            if groups:
                gradient[2:] = np.bincount(where[where >= 0], slope[where >= 0], groups)
            held = (theta - centre) / spread
            return value + 0.5 * held @ held, gradient + held / spread

        bounds = [(-8, 8), (0.05, 4), *[(-4, 4)] * groups]
        new = minimize(loss, at, jac=True, method="L-BFGS-B", bounds=bounds).x
        moved, at = np.abs(new - at).max(), new
        curve = Curve(float(at[0]), float(at[1]), at[2:].copy(), n, reach)
        if pure or moved < 1e-4:
            break
        chance, _ = curve.probability(pool, pool_group if groups else None)
    return curve


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))
