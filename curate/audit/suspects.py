"""Errors that are likely the label's, not the system's: handed on as decisions that flag."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from curate.audit.faces import Faces, directions_of
from curate.audit.rates import Cell
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.search.directions import cosines

#: Images that are looked at, at most: those with most false matches.
MOST = 2000
_REASON = "matches_another_identity"


def suspects(faces: Faces, pooled: Cell, threshold: float, name: Callable[[np.ndarray], pd.Series]) -> pd.DataFrame:
    """Images that match most images of another identity and fewer than half of their own: `flag` decisions.

    score: the share of the other identity's images that match; threshold: of the
    scores; related_id: the image of the other identity with the highest score; new_value: null. Columns of Decisions.
    """
    tail = pooled.tail.take(np.arange(pooled.tail.count(threshold)))
    image = np.concatenate([tail.left, tail.right])
    other = np.concatenate([tail.second, tail.first])
    match = np.concatenate([tail.right, tail.left])
    score = np.concatenate([tail.score, tail.score])
    keys, first, matched = np.unique(image * np.int64(max(faces.people, 1)) + other, return_index=True,
                                     return_counts=True)  # fmt: skip
    image, other = np.divmod(keys, max(faces.people, 1))
    sizes = faces.per_identity(None)
    share = matched / np.maximum(sizes[other], 1)
    here = np.flatnonzero((share > 0.5) & (sizes[faces.identity[image]] > 1))
    here = here[np.lexsort((other[here], image[here], -matched[here]))][:MOST]
    rows = []
    order = np.argsort(faces.identity, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for at in here.tolist():
        who = faces.identity[image[at]]
        own = order[starts[who] : starts[who + 1]]
        own = own[own != image[at]]
        directions = directions_of(faces.vectors.take(np.concatenate([[image[at]], own])))
        mine = cosines(directions, directions, np.zeros(len(own), np.int64), np.arange(1, len(own) + 1))
        if (mine >= threshold).mean() < min(0.5, share[at]):
            rows.append((image[at], match[first[at]], share[at], score[first[at]]))
    if not rows:
        return Decisions.empty().frame
    who, related, shares, _ = (np.array(part) for part in zip(*rows, strict=True))
    frame = pd.DataFrame({col.IMAGE_ID: name(who), "action": col.FLAG, "reason": _REASON, "score": shares,
                          "threshold": threshold, "related_id": name(related)})  # fmt: skip
    return Decisions.from_frame(frame).frame
