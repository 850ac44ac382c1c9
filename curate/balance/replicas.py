"""Replicas as decisions: which to add, and which of those that are there to drop because they are not drawn again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest


def replica_decisions(
    manifest: Manifest, parents: np.ndarray, reasons: Any, seed: int, stale: np.ndarray, *,
    score: Any = np.nan, threshold: Any = np.nan,
) -> Decisions:  # fmt: skip
    """`add` for each row of `parents` `(R,)`, in ascending order; `drop` for `stale` replicas not drawn again.

    reasons: one text, or a categorical `(R,)`. seed: of the step, from which each replica's augment seed follows.
    stale: mask `(N,)` of the replicas that are there. Raises InputError where an original bears a replica's name.
    """
    from curate.balance.seeds import augment_seeds

    ids = manifest.ids
    parent_ids = ids.take(pa.array(parents))
    number = _running_number(parents)
    seeds = augment_seeds(ids, parents, number, seed)
    new_ids = pc.binary_join_element_wise(
        parent_ids, pc.cast(pa.array(number), pa.large_string()), pa.scalar("~r", pa.large_string())
    )
    there = manifest.rows_of(new_ids)
    clash = (there >= 0) & manifest.originals()[there]
    if clash.any():
        at = int(there[clash][0])
        raise InputError("an image bears the name of a replica", row=at + 1, column=col.IMAGE_ID, value=ids[at].as_py(),
                         allowed="ids that do not end in ~r and a number", remedy="Rename the image")  # fmt: skip
    added = Decisions.of(new_ids, col.ADD, reasons, score=score, threshold=threshold,
                         related_id=parent_ids, new_value=pc.cast(pa.array(seeds), pa.large_string()))  # fmt: skip
    if not stale.any():
        return added
    if col.AUGMENT_SEED in manifest.frame:
        same = there >= 0
        same[same] = manifest.frame[col.AUGMENT_SEED].to_numpy()[there[same]] == seeds[same]
        stale = stale.copy()
        stale[there[same]] = False
    dropped = Decisions.of(ids.take(pa.array(np.flatnonzero(stale))), col.DROP, "stale_replica")
    return Decisions.concat([added, dropped])


def _running_number(parents: np.ndarray) -> np.ndarray:
    """1, 2, ... within each run of equal, sorted `parents`: int64."""
    place = np.arange(len(parents))
    first = np.ones(len(parents), dtype=bool)
    first[1:] = parents[1:] != parents[:-1]
    return place - np.maximum.accumulate(np.where(first, place, 0)) + 1
