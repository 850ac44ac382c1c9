"""Iterative multi-label oversampling until the inter-decile ratio of every label is at most a target.

The label with the largest IDR asks; its rarest category gives; one of its photographs, drawn uniformly, is replicated,
and every label of that photograph gains one. See `curate.balance.kernel` for how one replica costs O(labels).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.balance.bound import bounds
from curate.balance.draw import (
    DEFAULT_BUDGET,
    UNEVEN,
    Choice,
    Draws,
    Quantile,
    draw_replicas,
    ended_early,
    still_uneven,
)  # fmt: skip
from curate.balance.pool import check_labels, dense_codes, empty_cells, label_column, split_rows
from curate.balance.state import Cap
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step


class OversampleParams(StrictParams):
    """What to balance, how far and by how much work."""

    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # default: the identity, then each label
    target: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5  # IDR of each label at most
    budget: Annotated[int, Field(ge=1)] | None = None  # replicas; default: 3 for each image of the split
    choice: Choice = "uniform"  # lookahead: the image that helps the other labels, among those of the rarest category
    max_replicas_per_image: Annotated[int, Field(ge=1)] | None = None  # default: any number
    max_replicas_per_identity: Annotated[int, Field(ge=1)] | None = None  # default: any number
    max_replicas_per_cell: Annotated[int, Field(ge=1)] | None = None  # default: any number
    cell: tuple[str, ...] | None = None  # labels of the cell; default: the identity-level ones
    quantile: Quantile = "linear"  # method of numpy.quantile for the deciles
    stall: Annotated[int, Field(ge=1)] | None = None  # replicas without a new low of the largest IDR; default: any
    split: str | None = col.TRAIN  # None: all images; where no image has a split yet: all images too


@step("oversample", needs=(), version=2)
def oversample(manifest: Manifest, features: Features, params: OversampleParams, rng: np.random.Generator) -> Decisions:
    """Add replicas of images of rare categories until the inter-decile ratio of every label is at most the target.

    A label `gender/ethnicity` is a joint one: its categories are the cells. Replicas that are there already are no
    photographs and take no part; those of the split that this seed draws again stay, the others are dropped
    (`stale_replica`), so that applying the step again changes nothing. The reason of a replica is the label that asked
    for it, the score that label's IDR before it, the threshold the target. A category that caps let nothing be added to
    is passed over, as long as one at or below D1 is left; else the caps end it.
    Raises InputError for an unknown label or split. Warns where the target is proven out of reach or not reached, where
    nothing can be balanced, and where the deciles of a label are level but its categories are far apart or a cell is
    empty.
    """
    labels = params.labels or (col.IDENTITY, *(name for name in manifest.labels if name != col.IDENTITY))
    check_labels(manifest, labels)
    in_split = split_rows(manifest, params.split)
    rows = np.flatnonzero(in_split & manifest.originals())
    stale = in_split & ~manifest.originals()
    codes = np.empty((len(rows), len(labels)), dtype=np.int32)
    for place, label in enumerate(labels):
        codes[:, place] = dense_codes(label_column(manifest, label).codes[rows])
        if len(rows) and codes[:, place].max() < 0:
            warnings.warn(f"the label {label!r} has no value among the images: it takes no part", stacklevel=2)
    if not len(rows) and len(manifest):
        warnings.warn(f"no image is in the split {params.split!r}: nothing to balance", stacklevel=2)
    seed = int(rng.bit_generator.jumped().random_raw()) if len(rows) else 0  # without a draw from the stream
    budget = params.budget or DEFAULT_BUDGET * len(rows)
    caps, per_image = _caps(manifest, rows, params), params.max_replicas_per_image
    bound = bounds(codes, labels, params.target, budget=budget, max_per_image=per_image, caps=caps,
                   quantile=params.quantile)  # fmt: skip
    if bound.unreachable:
        warnings.warn(f"the target IDR of {params.target:g} can't be reached: {bound.unreachable}", stacklevel=2)
    draws = draw_replicas(codes, params.target, budget, rng, per_image, caps=caps, choice=params.choice,
                          quantile=params.quantile, stall=params.stall)  # fmt: skip
    early = ended_early(draws, labels, params.target, budget, bound)
    said = [early] if early else []
    said += still_uneven(draws, labels, params.target, UNEVEN)
    said += [f"{label}: no image is in {listed}" for label, listed in empty_cells(manifest, labels, rows).items()]
    for sentence in said:
        warnings.warn(sentence, stacklevel=2)
    return _replica_decisions(manifest, rows, draws, labels, seed, params.target, stale)


def _caps(manifest: Manifest, rows: np.ndarray, params: OversampleParams) -> list[Cap]:
    caps = []
    if params.max_replicas_per_identity is not None:
        caps.append(Cap(dense_codes(manifest.codes(col.IDENTITY)[rows]), params.max_replicas_per_identity))
    cell = params.cell
    if cell is None:
        cell = tuple(name for name in manifest.labels if manifest.levels[name] == "identity")
    check_labels(manifest, cell)
    if params.max_replicas_per_cell is not None:
        caps.append(Cap(dense_codes(cells(manifest, cell).codes[rows]), params.max_replicas_per_cell))
    return caps


def _replica_decisions(
    manifest: Manifest, rows: np.ndarray, draws: Draws, labels: Sequence[str], seed: int, target: float,
    stale: np.ndarray,
) -> Decisions:  # fmt: skip
    """`add` for each draw, `drop` for the replicas that are there and were not drawn again."""
    from curate.balance.seeds import augment_seeds

    parents = rows[draws.rows]
    order = np.argsort(parents, kind="stable")
    parents = parents[order]
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
    reasons = pd.Categorical.from_codes(
        draws.labels[order].astype(np.int16), categories=pd.Index([f"rare_{label}" for label in labels], dtype="str")
    )
    added = Decisions.of(new_ids, col.ADD, reasons, score=draws.ratios[order], threshold=target,
                         related_id=parent_ids, new_value=pc.cast(pa.array(seeds), pa.large_string()))  # fmt: skip
    if not stale.any():
        return added
    if col.AUGMENT_SEED in manifest.frame:
        same = there >= 0
        same[same] = manifest.frame[col.AUGMENT_SEED].to_numpy()[there[same]] == seeds[same]
        stale = stale.copy()
        stale[there[same]] = False
    gone = np.flatnonzero(stale)
    dropped = Decisions.of(ids.take(pa.array(gone)), col.DROP, "stale_replica")
    return Decisions.concat([added, dropped])


def _running_number(parents: np.ndarray) -> np.ndarray:
    """1, 2, ... within each run of equal, sorted `parents`: int64."""
    place = np.arange(len(parents))
    first = np.ones(len(parents), dtype=bool)
    first[1:] = parents[1:] != parents[:-1]
    return place - np.maximum.accumulate(np.where(first, place, 0)) + 1
