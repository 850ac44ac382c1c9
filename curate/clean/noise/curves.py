"""What is chosen on planted faults: what a score is worth as a probability."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curate.clean.noise.belief import Belief, Knowledge
from curate.clean.noise.plant import Trials
from curate.clean.noise.whole import pairs_of_identities, part_identities, planted_partings, planted_splits
from curate.core.shapes import Executor
from curate.search.templates import Templates
from curate.stats.contaminated import Curve, fit_curve

#: Identities that are merged or split for the curve of a kind, at most.
_WHOLE = 300
#: Images that an identity must have, to be split or merged with another.
_SPLITTABLE, _MERGEABLE = 2, 2
#: An image is alone under its name where fewer others of that name than this are believed.
ALONE = 0.5
#: Up to this score it matters how well such an image fits another name.
_REACH = 50.0


@dataclass(frozen=True)
class Curves:
    """The curve of each kind of fault, and the score below which an image is compared with other identities."""

    mislabelled: Curve
    alone: Curve
    mixed: Curve
    split: Curve
    limit: float
    screen_recall: float

    def mislabelled_score(self, belief: Belief) -> np.ndarray:
        """The log-likelihood ratio of a wrong name of each image, on the scale of the curve `mislabelled`: `(N,)`.

        That of an image alone under its name is what the curve `alone` makes of it.
        """
        alone = (self.alone.ratio(belief.wrongness) - self.mislabelled.intercept) / self.mislabelled.slope
        return np.where(belief.support < ALONE, alone, belief.wrongness)


def fit_curves(
    projected: np.ndarray,
    identity: np.ndarray,
    belief: Belief,
    knowledge: Knowledge,
    tried: Trials,
    group: np.ndarray,
    groups: int,
    rng: np.random.Generator,
    executor: Executor,
) -> Curves:
    """Hold each kind's scores of planted faults against those of the set: see `fit_curve`.

    group `(N,)`: codes of a demographic group, -1 for none; each has its own shift in the curve of mislabelled images.
    """
    alone, of = tried.support < ALONE, group[tried.rows]
    wrong, right = tried.wrong & ~alone, ~tried.wrong & ~alone
    mislabelled = fit_curve(tried.score[wrong], tried.score[right], of[wrong], of[right], groups)
    single = _alone(tried, alone)
    wrong, tempered = tried.wrong, knowledge.temperature * tried.own
    limit = np.quantile(tempered[~wrong & (tried.score < 0)], 0.05)
    if wrong.any():
        limit = max(limit, np.quantile(tempered[wrong], 0.999) + 1)
    recall = float((tempered[wrong] < limit).mean()) if wrong.any() else np.nan
    mixed, split = _whole(projected, identity, belief, knowledge, rng, executor)
    return Curves(mislabelled, single, mixed, split, float(limit), recall)


def _alone(tried: Trials, alone: np.ndarray) -> Curve:
    """The curve of images that hardly another one under their name speaks for or against.

    What they say hangs on how alike persons of different names are, and on how often a name has lost its person: being
    alone is evidence too.
    """
    wrong, right = tried.wrong & alone, ~tried.wrong & alone
    curve = fit_curve(tried.score[wrong], tried.score[right], reach=_REACH, pure=True)
    seen = [(part.sum() + 1) / (whole.sum() + 2) for part, whole in ((wrong, tried.wrong), (right, ~tried.wrong))]
    return replace(curve, intercept=curve.intercept + float(np.log(seen[0] / seen[1])))


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
