"""The step `resample`: any rival method, with the limits it obeys, as decisions."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from curate.balance.draw import DEFAULT_BUDGET
from curate.balance.exemplars import BY_VECTORS
from curate.balance.pool import chosen_cells, chosen_labels, dense_codes, label_codes, split_rows
from curate.balance.replicas import replica_decisions
from curate.balance.rivals import BY_LABELS, Limits, Method, Pool
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step

#: Every rival, by name.
METHODS: dict[str, Method] = BY_LABELS | BY_VECTORS


class LimitParams(StrictParams):
    """What every method is told; each obeys those limits that are its own."""

    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # default: the identity, then each label
    cells: tuple[str, ...] | None = None  # labels of the cells; default: the identity-level ones
    budget: Annotated[int, Field(ge=1)] | None = None  # replicas; default: 3 for each image of the split
    keep: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the images that thinning leaves at most
    images: Annotated[int, Field(ge=1)] = 20  # of an identity: at most (cap, herding, k_center) or exactly (quota)
    identities: Annotated[int, Field(ge=1)] | None = None  # of each cell (quota); default: as the poorest cell has
    split: str | None = col.TRAIN  # None: all images; where no image has a split yet: all images too


class ResampleParams(LimitParams):
    """Which method, and its limits."""

    method: Literal[
        "random_over", "random_under", "ml_ros", "lp_ros", "ml_rus", "cap", "wider", "quota", "herding", "k_center"
    ] = "wider"


def needs_of_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """What a step needs that applies these methods."""
    return ("embedding",) if BY_VECTORS.keys() & set(methods) else ()


@step("resample", needs=lambda params: needs_of_methods([params.method]), version=2)
def resample(manifest: Manifest, features: Features, params: ResampleParams, rng: np.random.Generator) -> Decisions:
    """Balance by a rival of the oversampling: leave images out, or add replicas of them, as one method decides.

    Images left out are dropped with the method as the reason. Replicas of the split that this seed draws again stay,
    the others are dropped. Raises InputError for an unknown label or split, or a quota that a cell can't fill.
    """
    vectors = features["embedding"] if needs_of_methods([params.method]) else None
    rows, pool = make_pool(manifest, params, vectors)
    if not len(rows):
        if len(manifest):
            warnings.warn(f"no image is in the split {params.split!r}: nothing to balance", stacklevel=2)
        return Decisions.empty()
    seed = int(rng.bit_generator.jumped().random_raw())  # without a draw from the stream
    times = METHODS[params.method](pool, limits_of(params, len(rows)), rng)
    gone = Decisions.of(manifest.ids.take(pa.array(rows[times == 0])), col.DROP, params.method)
    stale = split_rows(manifest, params.split) & ~manifest.originals()
    parents = np.repeat(rows, np.maximum(times - 1, 0))
    reason = pd.Categorical.from_codes(np.zeros(len(parents), dtype=np.int8), pd.Index([params.method], dtype="str"))
    return Decisions.concat([gone, replica_decisions(manifest, parents, reason, seed, stale)])


def make_pool(manifest: Manifest, params: LimitParams, vectors: np.ndarray | None) -> tuple[np.ndarray, Pool]:
    """The rows `(N,)` of the originals of the split, and what a method sees of them."""
    labels, crossed = chosen_labels(manifest, params.labels), chosen_cells(manifest, params.cells)
    rows = np.flatnonzero(split_rows(manifest, params.split) & manifest.originals())
    codes = label_codes(manifest, labels, rows)
    identity = dense_codes(manifest.codes(col.IDENTITY)[rows])
    whole = cells(manifest, crossed)
    here = whole.codes.astype(np.int64)[rows]
    names = tuple(str(whole.categories[code]) for code in np.unique(here[here >= 0]).tolist())
    return rows, Pool(codes, identity, dense_codes(here), None if vectors is None else vectors[rows], names)


def limits_of(params: LimitParams, rows: int) -> Limits:
    """The limits for so many rows."""
    return Limits(params.budget or DEFAULT_BUDGET * rows, params.keep, params.images, params.identities)
