"""Iterative multi-label oversampling until the inter-decile ratio of every label is at most a target.

The label with the largest IDR asks; its rarest category gives; one of its photographs, drawn uniformly, is replicated,
and every label of that photograph gains one. See `curate.balance.kernel` for how one replica costs O(labels).
"""

from __future__ import annotations

import warnings
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from curate.balance.announced import announced_draws
from curate.balance.draw import DEFAULT_BUDGET, Choice, Quantile
from curate.balance.pool import chosen_cells, chosen_labels, dense_codes, empty_cells, label_codes, split_rows
from curate.balance.replicas import replica_decisions
from curate.balance.state import Cap
from curate.core import columns as col
from curate.core.decisions import Decisions
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


@step("oversample", needs=(), version=3)
def oversample(manifest: Manifest, features: Features, params: OversampleParams, rng: np.random.Generator) -> Decisions:
    """Add replicas of images of rare categories until the inter-decile ratio of every label is at most the target.

    A label `gender/ethnicity` is a joint one: its categories are the cells. Replicas that are there already are no
    photographs and take no part; those of the split that this seed draws again stay, the others are dropped
    (`stale_replica`), so that applying the step again changes nothing. The reason of a replica is the label that asked
    for it, the score that label's IDR before it, the threshold the target. A category that caps let nothing be added to
    is passed over, as long as one at or below D1 is left; else the caps end it.
    The evidence is the history: replicas made, label, idr, max_min; some hundred points.
    Raises InputError for an unknown label or split. Warns where the target is proven out of reach or not reached, where
    nothing can be balanced, and where the deciles of a label are level but its categories are far apart or a cell is
    empty.
    """
    labels = chosen_labels(manifest, params.labels)
    in_split = split_rows(manifest, params.split)
    rows = np.flatnonzero(in_split & manifest.originals())
    stale = in_split & ~manifest.originals()
    codes = label_codes(manifest, labels, rows)
    for label, column in zip(labels, codes.T, strict=True):
        if len(rows) and column.max() < 0:
            warnings.warn(f"the label {label!r} has no value among the images: it takes no part", stacklevel=2)
    if not len(rows) and len(manifest):
        warnings.warn(f"no image is in the split {params.split!r}: nothing to balance", stacklevel=2)
    seed = int(rng.bit_generator.jumped().random_raw()) if len(rows) else 0  # without a draw from the stream
    budget = params.budget or DEFAULT_BUDGET * len(rows)
    _, draws = announced_draws(
        codes, labels, params.target, budget, rng, params.max_replicas_per_image, caps=caps_of(manifest, rows, params),
        choice=params.choice, quantile=params.quantile, stall=params.stall,
    )  # fmt: skip
    for label, listed in empty_cells(manifest, labels, rows).items():
        warnings.warn(f"{label}: no image is in {listed}", stacklevel=2)
    order = np.argsort(draws.rows, kind="stable")
    reasons = pd.Categorical.from_codes(
        draws.labels[order].astype(np.int16), categories=pd.Index([f"rare_{label}" for label in labels], dtype="str")
    )
    made = replica_decisions(manifest, rows[draws.rows[order]], reasons, seed, stale, score=draws.ratios[order],
                             threshold=params.target)  # fmt: skip
    names = pd.array([labels[place] for place in draws.history["label"]], dtype="str")
    return made.with_evidence(draws.history.assign(label=names))


def caps_of(manifest: Manifest, rows: np.ndarray, params: OversampleParams) -> list[Cap]:
    """The caps on identities and cells that the parameters ask for, over these rows."""
    caps = []
    if params.max_replicas_per_identity is not None:
        caps.append(Cap(dense_codes(manifest.codes(col.IDENTITY)[rows]), params.max_replicas_per_identity))
    cell = chosen_cells(manifest, params.cell)
    if params.max_replicas_per_cell is not None:
        caps.append(Cap(dense_codes(cells(manifest, cell).codes[rows]), params.max_replicas_per_cell))
    return caps
