"""The audit: every comparison of the held-out images, and what goes wrong in which group."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from curate.audit.group_rates import (
    ALL,
    CURVE_COLUMNS,
    RATE_COLUMNS,
    as_table,
    cross_table,
    curves_table,
    rates_table,
)
from curate.audit.scores import Faces, errors, histograms, thresholds
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report

_ACQUIRED = ("group", "images", "failures", "fta")


class AuditParams(StrictParams):
    """What is compared, and at which target rates."""

    group_by: tuple[str, ...] = ()  # labels whose cells are the groups; none: pooled figures only
    far: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (1e-2, 1e-3)  # FMR targets
    split: str | None = col.HOLDOUT  # None: every row
    tile: Annotated[int, Field(ge=16, le=8192)] = 2048  # images a side; scores of a tile: 4 bytes each


@report("audit", needs=("embedding",))
def audit(manifest: Manifest, features: Features, params: AuditParams, rng: np.random.Generator) -> Report:
    """Compare all held-out images with each other and report FMR and FNMR per group at thresholds fixed on all of them.

    Compared are the originals of the split with an identity and a vector; an image without a vector is a failure to
    acquire (FTA). A threshold is fixed on all impostor scores, whatever their group. Tables: `audit/rates`,
    `audit/curves`, `audit/acquisition`, and with groups `audit/cross`.
    Raises InputError where a vector is not finite.
    """
    targets = tuple(sorted(set(params.far), reverse=True))
    faces, acquired, notes = _faces(manifest, features["embedding"], params)
    rates, curves = as_table([], RATE_COLUMNS), as_table([], CURVE_COLUMNS)
    if len(faces.identity) > 1:
        counted = histograms(faces, features.executor, params.tile)
        curves = curves_table(faces, counted)
        if counted.fine.any():
            cuts = thresholds(faces, counted.fine, targets, features.executor, params.tile)
            rates = rates_table(faces, errors(faces, cuts, features.executor, params.tile), targets)
        else:
            notes.append("All images are of one identity: there is no impostor pair to fix a threshold on.")
    tables = {"audit/rates": rates, "audit/curves": curves, "audit/acquisition": acquired}
    figures = [
        Figure("det", "audit/curves", "DET curve per group: FNMR (FRR) against FMR (FAR)",
               {"x": "fmr", "y": "fnmr", "color": "group"}),
        Figure("table", "audit/rates", "FMR (FAR) and FNMR (FRR) per group, thresholds fixed on all impostor pairs",
               {"columns": list(RATE_COLUMNS)}),
        Figure("table", "audit/acquisition", "Failures to acquire (FTA) per group; FAR = FMR x (1 - FTA)",
               {"columns": list(_ACQUIRED)}),
    ]  # fmt: skip
    if params.group_by and len(rates):
        target = _shown(rates, targets)
        tables["audit/cross"] = cross_table(rates, target)
        title = f"FMR (FAR) between groups at the threshold whose pooled FMR is at most {target:g}"
        figures.insert(1, Figure("heatmap", "audit/cross", title,
                                 {"x": "group_a", "y": "group_b", "value": "fmr", "log": True}))  # fmt: skip
    notes += _notes(rates)
    return Report(tables, tuple(figures), _summary(rates, acquired, targets), tuple(notes))


def _faces(manifest: Manifest, embedding: Any, params: AuditParams) -> tuple[Faces, pd.DataFrame, list[str]]:
    """The faces to compare, the table of failures to acquire, and notes on rows that were left out."""
    cell = cells(manifest, params.group_by)
    group = cell.codes.astype(np.int64)
    names = tuple(map(str, cell.categories)) if params.group_by else ()
    if not params.group_by:
        group = np.full(len(manifest), -1, dtype=np.int64)
    if ALL in names:
        raise InputError(f"a group is called {ALL!r}, the name of the pooled figures", column=params.group_by[0],
                         remedy="Rename that value")  # fmt: skip
    asked = manifest.in_split(params.split) & manifest.originals()
    identity = manifest.codes(col.IDENTITY).astype(np.int64)
    rows = np.flatnonzero(asked)
    vectors = np.asarray(embedding[rows], dtype=np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        image = manifest.frame[col.IMAGE_ID][int(rows[finite.argmin()])]
        raise InputError("the vector is not finite", column="embedding", value=image,
                         remedy="Recompute it, or give a zero vector where no face was found")  # fmt: skip
    present = vectors.any(axis=1)
    notes = []
    if len(rows) < 2:
        where = f"in the split {params.split!r}" if params.split is not None else "in the manifest"
        notes.append(f"{len(rows)} original images {where}: nothing to compare.")
    nameless, groupless = int((identity[rows] < 0).sum()), int((group[rows] < 0).sum())
    if nameless:
        notes.append(f"{nameless:,} images have no identity: not compared.")
    if groupless and params.group_by:
        notes.append(f"{groupless:,} images have no value of a label asked for: in the pooled figures only.")
    kept = present & (identity[rows] >= 0)
    faces = Faces.of(vectors[kept], identity[rows][kept], group[rows][kept], names)
    return faces, _acquisition(names, group[rows], present), notes


def _acquisition(names: tuple[str, ...], group: np.ndarray, present: np.ndarray) -> pd.DataFrame:
    rows = []
    for name, mask in ((ALL, np.ones(len(group), dtype=bool)), *((n, group == i) for i, n in enumerate(names))):
        images, failures = int(mask.sum()), int((mask & ~present).sum())
        rows.append((name, images, failures, failures / images if images else np.nan))
    return as_table(rows, _ACQUIRED)


def _shown(rates: pd.DataFrame, targets: tuple[float, ...]) -> float:
    """The smallest target that the pooled comparisons support, else the largest."""
    pooled = rates[rates["group_a"] == ALL]
    good = pooled.loc[pooled["supported"], "far_target"]
    return float(good.min()) if len(good) else targets[0]


def _summary(rates: pd.DataFrame, acquired: pd.DataFrame, targets: tuple[float, ...]) -> dict[str, Any]:
    pooled = rates[rates["group_a"] == ALL].head(1)
    summary: dict[str, Any] = {
        "images": int(acquired["images"].iloc[0]),
        "failures_to_acquire": int(acquired["failures"].iloc[0]),
        "impostors": int(pooled["impostors"].sum()),
        "genuines": int(pooled["genuines"].sum()),
    }
    within = rates[(rates["group_a"] == rates["group_b"]).to_numpy()]
    for target in targets if len(rates) else ():
        here = within[within["far_target"] == target]
        for name, column in (("FMR (FAR)", "fmr"), ("FNMR (FRR)", "fnmr")):
            summary[f"{name} at {target:g}"] = {
                group: None if np.isnan(value) else float(value)
                for group, value in zip(here["group_a"], here[column], strict=True)
            }
    return summary


def _notes(rates: pd.DataFrame) -> list[str]:
    notes = []
    weak = rates[~rates["supported"]]
    if len(weak):
        named = [
            f"{row.group_a} at {row.far_target:g}" if row.group_a == row.group_b
            else f"{row.group_a} x {row.group_b} at {row.far_target:g}"
            for row in weak.itertuples()
        ]  # fmt: skip
        more = f" and {len(named) - 12} more" if len(named) > 12 else ""
        notes.append("Too few independent comparisons to support the target (less than 3 / n_eff): "
                     f"{', '.join(named[:12])}{more}.")  # fmt: skip
    within = rates[(rates["group_a"] == rates["group_b"]) & (rates["genuines"] == 0)]
    for group in within["group_a"].unique():
        notes.append(f"{group}: no genuine pair, so no FNMR.")
    return notes
