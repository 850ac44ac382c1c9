"""Identities with too few images to learn from or to compare."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step


class SmallIdentitiesParams(StrictParams):
    """Parameters of `small_identities`."""

    min_images: Annotated[int, Field(ge=1)] = 2  # original images; an identity must have at least so many


@step("small_identities")
def small_identities(
    manifest: Manifest, features: Features, params: SmallIdentitiesParams, rng: np.random.Generator
) -> Decisions:
    """Drop all images of identities with too few images.

    Only originals count. Replicas go with their identity or their parent. score = the identity's images,
    threshold = `min_images`. Images without an identity belong to no small one: they stay.
    """
    identity = manifest.codes(col.IDENTITY).astype(np.int64)
    originals = manifest.originals()
    known = identity >= 0
    count = np.bincount(identity[known & originals], minlength=identity.max(initial=-1) + 1)
    of_row = np.where(known, np.append(count, 0)[identity], params.min_images)
    dropped = of_row < params.min_images
    if not originals.all():
        # A replica may have been moved to another identity than its parent's; without its parent it can't be made.
        replicas = np.flatnonzero(~originals)
        parents = manifest.rows_of(manifest.frame[col.PARENT_ID].take(replicas))
        orphaned = (parents >= 0) & dropped[parents]
        of_row[replicas[orphaned]] = of_row[parents[orphaned]]
        dropped[replicas[orphaned]] = True
    rows = np.flatnonzero(dropped)
    if not len(rows):
        return Decisions.empty()
    return Decisions.of(
        manifest.ids.take(rows), "drop", "small_identity", score=of_row[rows], threshold=params.min_images
    )
