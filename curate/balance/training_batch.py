"""The report `training_batch`: what a trainer is handed, before balancing and after."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from curate.balance.pool import chosen_cells, split_rows
from curate.balance.samplers import BalancedSampler, IdentityBatchSampler
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report

TABLE, COUNTS = "training/batch", "training/cells"


class TrainingBatchParams(StrictParams):
    """Which batch, and how its pictures are drawn."""

    cells: tuple[str, ...] | None = None  # labels of the cells; default: the identity-level ones
    images: Annotated[int, Field(ge=1, le=256)] = 32  # of the batch
    draw: Literal["uniform", "weights", "cells", "identities"] = "uniform"  # how the batch after balancing is drawn
    images_per_identity: Annotated[int, Field(ge=1)] = 4  # of a batch drawn by `identities`
    augment: str | None = "light"  # preset or file for the replicas' pictures; None: the parent's picture
    split: str | None = col.TRAIN  # None: all images; where no image has a split yet: all images too


@report("training_batch", needs=())
def training_batch(
    manifest: Manifest, features: Features, params: TrainingBatchParams, rng: np.random.Generator
) -> Report:
    """Draw a batch of the photographs as they were and a batch as a trainer gets it now.

    `before` is drawn uniformly from the originals of the split; `after` from its rows, replicas included: uniformly, by
    weight, evenly over the cells, or as identities with several images each. Tables: `training/batch` (stage, place,
    image_id, parent_id, identity, cell, augment_seed), `training/cells` (cell, stage, images).
    Raises InputError for an unknown label or split, or a cell with too few identities for `identities`.
    """
    crossed = chosen_cells(manifest, params.cells)
    if params.augment is not None:
        from curate.balance.augment import read_pipeline

        read_pipeline(params.augment)  # a misspelt name is refused here, not when the page is drawn
    cell = cells(manifest, crossed)
    here = split_rows(manifest, params.split)
    seed = int(rng.integers(2**63))
    before = _uniform(np.flatnonzero(here & manifest.originals()), params.images, seed)
    after = _after(manifest, np.flatnonzero(here), cell.codes.astype(np.int64), params, seed)
    table = pd.concat([_rows(manifest, cell, before, "before"), _rows(manifest, cell, after, "after")])
    table = table.reset_index(drop=True)
    known = table[table["cell"].notna()]
    counts = known.groupby(["cell", "stage"], observed=True, sort=False).size().rename("images").reset_index()
    counts = counts.sort_values(["stage", "cell"], ascending=[False, True], ignore_index=True)
    over = " x ".join(crossed) if crossed else "all images"
    figures = (
        Figure("contact_sheet", TABLE, "A training batch before and after",
               {"group": "stage", "say": "cell", "augment": params.augment}),
        Figure("bars", COUNTS, f"Images of each cell in the batch ({over})",
               {"x": "cell", "y": "images", "color": "stage", "unit": "images"}),
    )  # fmt: skip
    replicas = int(table["parent_id"].notna().sum())
    return Report({TABLE: table, COUNTS: counts.astype({"cell": "str", "stage": "str"})}, figures if len(table) else (),
                  {"images": len(after), "replicas": replicas})  # fmt: skip


def _uniform(rows: np.ndarray, images: int, seed: int) -> np.ndarray:
    if not len(rows):
        return rows
    return rows[BalancedSampler(np.ones(len(rows)), num_samples=min(images, len(rows)), seed=seed).rows()]


def _after(
    manifest: Manifest, rows: np.ndarray, cell: np.ndarray, params: TrainingBatchParams, seed: int
) -> np.ndarray:
    if not len(rows) or params.draw == "uniform":
        return _uniform(rows, params.images, seed + 1)
    count = min(params.images, len(rows))
    if params.draw == "weights":
        if col.WEIGHT not in manifest.frame:
            raise InputError("no image has a weight", remedy="Put the step `weight` before the report")
        weights = manifest.frame[col.WEIGHT].to_numpy()[rows]
        return rows[BalancedSampler(weights, num_samples=count, seed=seed).rows()]
    if params.draw == "cells":
        return rows[BalancedSampler(groups=cell[rows], num_samples=count, seed=seed).rows()]
    several = min(params.images_per_identity, count)
    sampler = IdentityBatchSampler(
        manifest.codes(col.IDENTITY)[rows], cell[rows], identities=max(count // several, 1), images=several,
        min_images=1, batches=1, seed=seed,
    )  # fmt: skip
    return rows[next(iter(sampler))]


def _rows(manifest: Manifest, cell: pd.Categorical, rows: np.ndarray, stage: str) -> pd.DataFrame:
    frame = manifest.frame.take(rows)
    n = len(rows)
    nothing = pd.array(pa.nulls(n, pa.large_string()), "str")
    return pd.DataFrame(
        {
            "stage": np.full(n, stage),
            "place": np.arange(n, dtype=np.int32),
            col.IMAGE_ID: frame[col.IMAGE_ID].array,
            col.PARENT_ID: frame[col.PARENT_ID].array if col.PARENT_ID in frame else nothing,
            col.IDENTITY: frame[col.IDENTITY].astype("str").array,
            "cell": cell[rows].astype("str"),
            col.AUGMENT_SEED: frame[col.AUGMENT_SEED].to_numpy() if col.AUGMENT_SEED in frame else np.uint64(0),
        }
    ).astype({"stage": "str", "cell": "str", col.AUGMENT_SEED: np.uint64})
