"""What is chosen on planted faults: what a score is worth as a probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.clean.noise.belief import Belief, Knowledge
from curate.clean.noise.plant import Planted
from curate.clean.noise.whole import pairs_of_identities, part_identities, planted_partings, planted_splits
from curate.core.shapes import Executor
from curate.search.templates import Templates
from curate.stats.contaminated import Curve, fit_curve

#: Identities that are merged or split for the curve of a kind, at most.
_WHOLE = 300
#: Images that an identity must have, to be split or merged with another.
_SPLITTABLE, _MERGEABLE = 2, 2


@dataclass(frozen=True)
class Curves:
    """The curve of each kind of fault, and the score below which an image is compared with other identities."""

    mislabelled: Curve
    mixed: Curve
    split: Curve
    limit: float
    screen_recall: float


def fit_curves(
    projected: np.ndarray,
    identity: np.ndarray,
    belief: Belief,
    knowledge: Knowledge,
    planted: Planted,
    planted_belief: Belief,
    group: np.ndarray,
    groups: int,
    rng: np.random.Generator,
    executor: Executor,
) -> Curves:
    """Hold each kind's scores of planted faults against those of the set: see `fit_curve`.

    group `(N,)`: codes of a demographic group, -1 for none; each has its own shift in the curve of mislabelled images.
    """
    score = planted_belief.wrongness
    wrong, of = planted.wrong, group[planted.rows]
    mislabelled = fit_curve(score[wrong], score[~wrong], of[wrong], of[~wrong], groups)
    tempered = knowledge.temperature * planted_belief.own
    limit = np.quantile(tempered[~wrong & (planted_belief.odds > 0)], 0.05)
    if wrong.any():
        limit = max(limit, np.quantile(tempered[wrong], 0.999) + 1)
    recall = float((tempered[wrong] < limit).mean()) if wrong.any() else np.nan
    mixed, split = _whole(projected, identity, belief, knowledge, rng, executor)
    return Curves(mislabelled, mixed, split, float(limit), recall)


def _whole(
    projected: np.ndarray,
    identity: np.ndarray,
    belief: Belief,
    knowledge: Knowledge,
    rng: np.random.Generator,
    executor: Executor,
) -> tuple[Curve, Curve]:
    temperature, between = knowledge.temperature, knowledge.model.between
    stays = belief.moved < 0
    found = part_identities(projected, identity, stays, between, temperature)
    rows = np.flatnonzero(stays & (belief.right > 0.5))
    count = np.bincount(identity[rows], minlength=int(identity.max(initial=-1)) + 1)
    suspicious = np.zeros(len(count), bool)
    suspicious[found.who[found.score > 0]] = True
    clean = rng.permutation(np.flatnonzero((count >= _MERGEABLE) & ~suspicious))
    pairs = clean[: 2 * min(_WHOLE, len(clean) // 2)].reshape(-1, 2)
    planted = planted_partings(projected[rows], identity[rows], pairs, between, temperature)
    mixed = fit_curve(planted, found.score)
    chosen = rng.permutation(np.flatnonzero((count >= 2 * _SPLITTABLE) & ~suspicious))[:_WHOLE]
    halves = planted_splits(projected[rows], identity[rows], np.sort(chosen), between, rng)
    weight = np.clip(belief.right, 1e-4, 1)
    templates = Templates.of(projected, identity, weight, len(count), between)
    _, _, ratio = pairs_of_identities(templates, executor)
    return mixed, fit_curve(temperature * halves, temperature * ratio)
