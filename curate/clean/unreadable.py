"""Files that hold no usable picture."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step
from curate.images.reasons import REASONS


class UnreadableParams(StrictParams):
    """Parameters of `unreadable`."""

    min_side: Annotated[int, Field(ge=1)] = 24  # pixels; the shorter side of an image must have at least so many


@step("unreadable", needs=("decoded",))
def unreadable(manifest: Manifest, features: Features, params: UnreadableParams, rng: np.random.Generator) -> Decisions:
    """Drop images that can't be decoded or are too small.

    Reasons: `unreadable:` and the decoder's word (`missing`, `truncated`, ... of `curate.images.decode.REASONS`), or
    `too_small` with score = the shorter side and threshold = `min_side`, pixels. A replica shares its parent's file
    and goes with it.
    """
    decoded = features["decoded"]
    ids = manifest.ids
    parts = []
    for code in np.unique(decoded["reason"]):
        if code:
            rows = np.flatnonzero(decoded["reason"] == code)
            parts.append(Decisions.of(ids.take(rows), "drop", f"unreadable:{REASONS[code]}"))
    side = np.minimum(decoded["width"], decoded["height"])
    small = np.flatnonzero((decoded["reason"] == 0) & (side < params.min_side))
    if len(small):
        parts.append(Decisions.of(ids.take(small), "drop", "too_small", score=side[small], threshold=params.min_side))
    return Decisions.concat(parts)
