"""Errors that are likely the label's, not the system's: handed on as decisions that flag."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from curate.audit.faces import Faces, directions_of
from curate.audit.rates import Cell
from curate.audit.source import Genuine
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.search.directions import cosines

#: Images that are looked at, at most, for each reason.
MOST = 2000
_OTHER, _NONE = "matches_another_identity", "matches_none_of_its_own"


def suspects(
    faces: Faces, pooled: Cell, genuine: Genuine, threshold: float, name: Callable[[np.ndarray], pd.Series]
) -> pd.DataFrame:
    """Images whose label is likely wrong, as `flag` decisions: columns of Decisions.

    `matches_another_identity`: it matches most images of another identity and fewer than half of its own; score is the
    share of the other's images that match, related_id the most similar of them. `matches_none_of_its_own`: none of two
    or more other images, looked for among those with the lowest genuine scores; score is its highest own score.
    threshold: of the scores.
    """
    order = np.argsort(faces.identity, kind="stable")
    starts = np.concatenate([[0], np.cumsum(faces.per_identity(None))])

    def own_scores(image: int) -> np.ndarray:
        who = faces.identity[image]
        own = order[starts[who] : starts[who + 1]]
        own = own[own != image]
        directions = directions_of(faces.vectors.take(np.concatenate([[image], own])))
        return cosines(directions, directions, np.zeros(len(own), np.int64), np.arange(1, len(own) + 1))

    rows = []
    for image, other, share in _towards_others(faces, pooled, threshold):
        if (own_scores(image) >= threshold).mean() < min(0.5, share):
            rows.append((image, _OTHER, share, other))
    lowest = [part for _, left, right in genuine.lowest.values() for part in (left, right)]
    for image in np.unique(np.concatenate(lowest or [np.zeros(0, np.int64)]))[:MOST].tolist():
        own = own_scores(image)
        if len(own) > 1 and own.max() < threshold:
            rows.append((image, _NONE, float(own.max()), -1))
    if not rows:
        return Decisions.empty().frame
    who, reasons, scores, related = (list(part) for part in zip(*rows, strict=True))
    frame = pd.DataFrame({col.IMAGE_ID: name(who), "action": col.FLAG, "reason": reasons, "score": scores,
                          "threshold": threshold, "related_id": name(np.maximum(related, 0))})  # fmt: skip
    frame["related_id"] = frame["related_id"].where(np.array(related) >= 0)
    return Decisions.from_frame(frame).frame


def _towards_others(faces: Faces, pooled: Cell, threshold: float) -> list[tuple[int, int, float]]:
    """(image, the most similar image, share) where an image matches more than half of another identity's images."""
    tail = pooled.tail.take(np.arange(pooled.tail.count(threshold)))
    image, match = np.concatenate([tail.left, tail.right]), np.concatenate([tail.right, tail.left])
    other = np.concatenate([tail.second, tail.first])
    order = np.argsort(-np.concatenate([tail.score, tail.score]), kind="stable")
    keys, first, matched = np.unique(image[order] * np.int64(faces.people) + other[order], return_index=True,
                                     return_counts=True)  # fmt: skip
    image, other = np.divmod(keys, faces.people)
    sizes = faces.per_identity(None)
    share = matched / sizes[other]
    here = np.flatnonzero((share > 0.5) & (sizes[faces.identity[image]] > 1))
    here = here[np.lexsort((other[here], image[here], -matched[here]))][:MOST]
    return [(int(image[at]), int(match[order[first[at]]]), float(share[at])) for at in here]
