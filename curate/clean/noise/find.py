"""All three faults of names in one pass over vectors: pure arrays in, pure arrays out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curate.clean.noise.belief import Belief, Knowledge, judge, learn
from curate.clean.noise.curves import fit_curves
from curate.clean.noise.faults import Faults, State, faults_of
from curate.clean.noise.plant import trials
from curate.clean.noise.quality import strays
from curate.core.shapes import Executor
from curate.search.templates import Templates

#: Images that the model and the curves are learnt on, at most: whole identities, drawn at random.
FIT = 20_000
#: Log-odds beyond which what was believed of an image is not asked again.
_SETTLED = 8.0


def find_faults(
    vectors: np.ndarray,
    identity: np.ndarray,
    executor: Executor,
    rng: np.random.Generator,
    *,
    group: np.ndarray | None = None,
    groups: int = 0,
    detail: np.ndarray | None = None,
    fit: int = FIT,
) -> Faults | None:
    """Find mislabelled images, mixed and split identities; None where no identity has three images to learn from.

    vectors `(N, D)` of unit length, float16 or float32, perhaps memory-mapped; identity `(N,)` codes 0..K-1, each in
    use. group `(N,)`: codes of a demographic group, -1 for none. detail `(N,)`: how much there is to see in each
    image. Time is linear in N but for the search of suspects against the K identities; memory beyond the vectors is
    640 bytes an image.
    """
    n = len(identity)
    group = np.full(n, -1) if group is None else group
    if not n or (np.bincount(identity) >= 3).sum() < 2:
        return None
    rows = _sample(identity, fit, rng)
    _, names = np.unique(identity[rows], return_inverse=True)
    few = np.asarray(vectors[rows], np.float32)
    scale = np.ones(len(rows))
    known, belief, projected = learn(few, names, scale, executor)
    stray = strays(projected, names, belief, known, detail[rows]) if detail is not None else None
    if stray is not None:
        scale = stray(detail[rows])
        known, belief, projected = learn(few, names, scale, executor)
    tried = trials(few, projected, names, scale, belief, known, rng, executor)
    curves = fit_curves(projected, names, belief, known, tried, group[rows], groups, rng, executor)
    scores = _sampled_scores(projected, names, belief, known, rng)
    if len(rows) < n:
        scale = stray(detail) if stray is not None else np.ones(n)
        projected = known.model.project(vectors)
        belief, known = _believe(projected, identity, scale, known, curves.limit, executor)
    searched = float((known.temperature * belief.own / scale < curves.limit).mean()) if len(rows) < n else 1.0
    return faults_of(State(projected, identity, scale, belief, known, curves, searched, rows, scores), group, executor)


def _sampled_scores(
    projected: np.ndarray, identity: np.ndarray, belief: Belief, known: Knowledge, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Tempered ratios of each image for its own identity, and for one other drawn at random: the impostors."""
    identities = int(identity.max()) + 1
    templates = Templates.of(projected, identity, np.clip(belief.right, 1e-4, 1), identities, known.model.between)
    other = (identity + rng.integers(1, identities, len(identity))) % identities
    impostor = templates.fit_of_own(projected, other, np.zeros(len(identity)))
    return known.temperature * belief.own, known.temperature * impostor


def _sample(identity: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of whole identities drawn at random, `most` at most; evenly spaced rows where an identity is too large."""
    if len(identity) <= most:
        return np.arange(len(identity))
    count = np.bincount(identity)
    order = rng.permutation(np.flatnonzero(count <= most // 4))
    chosen = np.zeros(len(count), bool)
    chosen[order[np.cumsum(count[order]) <= most]] = True
    if (count[chosen] >= 3).sum() < 2:
        return np.linspace(0, len(identity) - 1, most).astype(np.int64)
    return np.flatnonzero(chosen[identity])


def _believe(
    projected: np.ndarray, identity: np.ndarray, scale: np.ndarray, known: Knowledge, limit: float, executor: Executor
) -> tuple[Belief, Knowledge]:
    """The belief in all names where the model was learnt on some of them: first against strangers alone."""
    right = np.full(len(identity), 1 - known.contamination)
    alone = replace(known, strangers=0.98)
    for _ in range(3):
        right = np.clip(judge(projected, identity, scale, right, alone, executor, limit=-np.inf).right, 1e-4, 1)
    belief = judge(projected, identity, scale, right, known, executor, limit=limit)
    # Comparing with every identity is what takes time: again only where it may still change the answer.
    open_ = np.abs(belief.odds) < _SETTLED
    right = np.clip(belief.right, 1e-4, 1)
    known = replace(known, contamination=belief.contamination, strangers=belief.strangers)
    again = judge(projected, identity, scale, right, known, executor, limit=np.where(open_, limit, -np.inf))
    belief = again.replaced(belief, ~open_)
    return belief, known
