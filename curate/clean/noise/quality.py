"""How far images stray from their person by how much there is to see in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from curate.clean.noise.belief import Belief, Knowledge
from curate.search.templates import Templates

#: Images are put in so many equal bins by what there is to see; fewer images than this in each: no statement.
_BINS, _FEWEST = 10, 30
_MOST = 4.0


def strays(
    projected: np.ndarray, identity: np.ndarray, belief: Belief, known: Knowledge, detail: np.ndarray
) -> Callable[[np.ndarray], np.ndarray] | None:
    """How much wider than usual images of little detail scatter around their person, as a function of detail.

    Of believed images, the mean squared distance from the rest of the identity, in units of what the model expects,
    for each of ten bins of detail; made to fall with detail (isotonic regression), divided by that of the best half,
    within 1 to 4. A ratio is divided by it: a blurred image is a weak witness, for its own name and against it.
    None where fewer than 300 images can say.
    """
    from sklearn.isotonic import IsotonicRegression

    right = np.clip(belief.right, 1e-4, 1)
    templates = Templates.of(projected, identity, right, int(identity.max()) + 1, known.model.between)
    sure = np.flatnonzero((belief.odds > 0) & (templates.count[identity] - right >= 1))
    if len(sure) < _BINS * _FEWEST:
        return None
    who, weight = identity[sure], right[sure, None]
    precision = (templates.count[who] - right[sure])[:, None] + 1 / known.model.between
    away = projected[sure] - (templates.sums[who] - weight * projected[sure]) / precision
    spread = (away**2 / (1 + 1 / precision)).mean(1)
    edges = np.quantile(detail[sure], np.linspace(0, 1, _BINS + 1)[1:-1])
    where = np.searchsorted(edges, detail[sure], side="right")
    count = np.bincount(where, minlength=_BINS)
    if not count.all():
        return None
    mean = np.bincount(where, spread, _BINS) / count
    falling = IsotonicRegression(increasing=False).fit(np.arange(_BINS), mean, count).predict(np.arange(_BINS))
    scale = np.clip(falling / falling[_BINS // 2 :].mean(), 1.0, _MOST)
    return lambda value: scale[np.searchsorted(edges, value, side="right")]
