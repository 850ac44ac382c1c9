"""The report `imbalance`: how uneven each label is, before oversampling and after."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from curate.balance.announced import UNEVEN
from curate.balance.draw import Quantile
from curate.balance.pool import chosen_cells, chosen_labels, dense_codes, empty_cells, label_column, split_rows
from curate.core import columns as col
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report
from curate.stats import imbalance as measure

BEFORE, AFTER = "before", "after"
_LEVEL_IDR = 1.5
_POINTS = 200


class ImbalanceParams(StrictParams):
    """Which labels, which intersection, which split."""

    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # default: the identity, then each label
    cells: tuple[str, ...] | None = None  # labels of the intersection; default: the identity-level ones
    split: str | None = col.TRAIN  # None: all images; where no image has a split yet: all images too
    quantile: Quantile = "linear"  # method of numpy.quantile for the deciles


@report("imbalance", needs=("evidence",), version=3)
def imbalance(manifest: Manifest, features: Features, params: ImbalanceParams, rng: np.random.Generator) -> Report:
    """Measure how unevenly images spread over identities, labels and cells, before and after oversampling.

    `before` counts originals, `after` replicas too; without a replica there is no `after`. Tables: `imbalance/labels`
    (label, stage, categories, images, missing, the measures of `curate.stats.imbalance`, scumble: its mean over the
    images with a value, smallest, smallest_images), the label of the cells among them; `imbalance/categories`
    (label, stage, category, images, irlbl, scumble; the identity is left to the next), `imbalance/identities` (stage,
    group, rank, images; thinned), `imbalance/cells` (cell, stage, images, identities, irlbl, scumble, effective_size:
    (sum n)^2 / sum n^2 over how often each original is used), and after an `oversample` its `imbalance/history`
    (replicas, label, idr, max_min). SCUMBLE looks at all the labels asked for together.
    Raises InputError for an unknown label or split.
    """
    labels, crossed = chosen_labels(manifest, params.labels), chosen_cells(manifest, params.cells)
    here = split_rows(manifest, params.split)
    stages = {BEFORE: here & manifest.originals()}
    if (here & ~manifest.originals()).any():
        stages[AFTER] = here
    cell = cells(manifest, crossed)
    mixed = {stage: _scumble(manifest, labels, mask) for stage, mask in stages.items()}
    joint = "/".join(crossed)
    measured = labels if joint in ("", *labels) else (*labels, joint)
    table = _labels(manifest, measured, stages, mixed, params.quantile)
    tables = {
        "imbalance/labels": table,
        "imbalance/categories": _categories(manifest, [name for name in labels if name != col.IDENTITY], stages, mixed),
        "imbalance/cells": _cells(manifest, cell, stages, mixed),
        "imbalance/identities": _identities(manifest, cell, stages),
    }
    history = features["evidence"].get("oversample")
    if history is not None and len(history):
        tables["imbalance/history"] = history
    notes = _notes(table, stages, params.split)
    empty = empty_cells(manifest, measured, np.flatnonzero(stages[BEFORE]))
    notes += tuple(f"{label}: no image is in {listed}." for label, listed in empty.items())
    summary = _summary(table)
    if AFTER in stages:
        size = measure.effective_sample_size(_uses(manifest, here))
        summary["effective sample size"] = f"{size:,.0f} of {int(stages[BEFORE].sum()):,}"
    figures = _figures(crossed, labels)
    if "imbalance/history" in tables:
        figures += _history_figures()
    return Report(tables, figures, summary, notes)


def _uses(manifest: Manifest, mask: np.ndarray) -> np.ndarray:
    """How often each row is used, itself and its replicas, over the rows of `mask`: `(N,)`; 0 for a replica."""
    uses = (mask & manifest.originals()).astype(np.int64)
    if col.PARENT_ID in manifest.frame:
        parents = manifest.rows_of(manifest.frame[col.PARENT_ID][mask & ~manifest.originals()])
        uses += np.bincount(parents[parents >= 0], minlength=len(uses))
    return uses


def _scumble(manifest: Manifest, labels: tuple[str, ...], mask: np.ndarray) -> np.ndarray:
    """SCUMBLE of each row over all labels together, counted over the rows of `mask`: `(N,)`."""
    memberships, counts = [], [np.zeros(0, dtype=np.int64)]
    for label in labels:
        codes = dense_codes(np.where(mask, label_column(manifest, label).codes, -1))
        memberships.append(np.where(codes >= 0, codes + sum(map(len, counts)), -1))
        counts.append(np.bincount(codes[codes >= 0]))
    return measure.scumble(np.concatenate(counts), memberships)


def _mean_by(values: np.ndarray, codes: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    """The mean of `values` over the rows of each code, NaN where there is none."""
    known = mask & (codes >= 0)
    total = np.bincount(codes[known], weights=values[known], minlength=size)
    number = np.bincount(codes[known], minlength=size)
    return np.divide(total, number, out=np.full(size, np.nan), where=number > 0)


def _counts(codes: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(codes[mask & (codes >= 0)], minlength=size)


def _labels(
    manifest: Manifest, labels: tuple[str, ...], stages: dict[str, np.ndarray], mixed: dict[str, np.ndarray],
    quantile: Quantile,
) -> pd.DataFrame:  # fmt: skip
    rows = []
    for label in labels:
        column = label_column(manifest, label)
        codes, names = column.codes, column.categories
        for stage, mask in stages.items():
            counts = _counts(codes, mask, len(names))
            place, fewest = measure.smallest(counts)
            known = mask & (codes >= 0)
            rows.append(
                {
                    "label": label,
                    "stage": stage,
                    "categories": int((counts > 0).sum()),
                    "images": int(counts.sum()),
                    "missing": int(mask.sum() - counts.sum()),
                    **measure.measures(counts, quantile),
                    "scumble": float(mixed[stage][known].mean()) if known.any() else np.nan,
                    "smallest": names[place] if place >= 0 else None,
                    "smallest_images": fewest,
                }
            )
    return pd.DataFrame(rows).astype({"smallest": "str"})


def _categories(
    manifest: Manifest, labels: list[str], stages: dict[str, np.ndarray], mixed: dict[str, np.ndarray]
) -> pd.DataFrame:
    parts = [_empty({"label": "str", "stage": "str", "category": "str", "images": np.int64, "irlbl": np.float64,
                     "scumble": np.float64})]  # fmt: skip
    for label in labels:
        column = label_column(manifest, label)
        codes, names = column.codes, column.categories
        for stage, mask in stages.items():
            counts = _counts(codes, mask, len(names))
            parts.append(pd.DataFrame({"label": label, "stage": stage, "category": names, "images": counts,
                                       "irlbl": measure.irlbl(counts),
                                       "scumble": _mean_by(mixed[stage], codes, mask, len(names))}))  # fmt: skip
    return _stack(parts)


def _cells(
    manifest: Manifest, cell: pd.Categorical, stages: dict[str, np.ndarray], mixed: dict[str, np.ndarray]
) -> pd.DataFrame:
    names, codes = cell.categories, cell.codes.astype(np.int64)
    identity = manifest.codes(col.IDENTITY)
    size = max(len(manifest.frame[col.IDENTITY].cat.categories), 1)
    parts = [_empty({"cell": "str", "stage": "str", "images": np.int64, "identities": np.int64, "irlbl": np.float64,
                     "scumble": np.float64, "effective_size": np.float64})]  # fmt: skip
    for stage, mask in stages.items():
        known = mask & (identity >= 0) & (codes >= 0)
        persons = np.bincount(np.unique(codes[known] * size + identity[known]) // size, minlength=len(names))
        images = _counts(codes, mask, len(names))
        uses, there = _uses(manifest, mask), codes >= 0
        once, twice = (
            np.bincount(codes[there], weights=uses[there] ** power, minlength=len(names)) for power in (1, 2)
        )
        part = {"cell": names, "stage": stage, "images": images, "identities": persons,
                "irlbl": measure.irlbl(images), "scumble": _mean_by(mixed[stage], codes, mask, len(names)),
                "effective_size": once**2 / np.maximum(twice, 1)}  # fmt: skip
        parts.append(pd.DataFrame(part))
    return _stack(parts)


def _identities(manifest: Manifest, cell: pd.Categorical, stages: dict[str, np.ndarray]) -> pd.DataFrame:
    """Images of each identity, largest first, in each cell and stage; some ranks only, evenly on a logarithmic axis.

    An identity with images in several cells stands in each of them with its images there.
    """
    identity = manifest.codes(col.IDENTITY).astype(np.int64)
    size = max(len(manifest.frame[col.IDENTITY].cat.categories), 1)
    kinds = {"group": "str", "stage": "str", "rank": np.int64, "images": np.int64}
    parts = [_empty(kinds)]
    for stage, mask in stages.items():
        known = mask & (identity >= 0) & (cell.codes >= 0)
        pairs, images = np.unique(cell.codes[known].astype(np.int64) * size + identity[known], return_counts=True)
        group = pairs // size
        for code, name in enumerate(cell.categories):
            ranked = np.sort(images[group == code])[::-1]
            if len(ranked):
                kept = np.unique(np.geomspace(1, len(ranked), _POINTS).round().astype(np.int64))
                parts.append(pd.DataFrame({"group": name, "stage": stage, "rank": kept, "images": ranked[kept - 1]}))
    return _stack(parts)


def _empty(kinds: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in kinds.items()})


def _stack(parts: list[pd.DataFrame]) -> pd.DataFrame:
    kinds = parts[0].dtypes.to_dict()
    return pd.concat([part.astype(kinds) for part in parts], ignore_index=True)


def _figures(crossed: tuple[str, ...], labels: tuple[str, ...]) -> tuple[Figure, ...]:
    over = " x ".join(crossed) if crossed else "all images"
    figures = [
        Figure("bars", "imbalance/cells", f"Images of each cell ({over})",
               {"x": "cell", "y": "images", "color": "stage", "unit": "images"}),
        Figure("lines", "imbalance/identities", "Images of each identity, largest first",
               {"x": "rank", "y": "images", "color": "group", "dash": "stage", "log_x": True, "log_y": True}),
    ]  # fmt: skip
    if any(name != col.IDENTITY for name in labels):
        figures.insert(0, Figure("bars", "imbalance/categories", "Images of each category",
                                 {"x": "category", "y": "images", "color": "stage", "facet": "label",
                                  "unit": "images"}))  # fmt: skip
    formats = {"idr": ".2f", "max_min": ".2f", "mean_ir": ".2f", "cvir": ".2f", "scumble": ".3f", "gini": ".3f",
               "normalised_entropy": ".3f",
               "effective_number": ".1f"}  # fmt: skip
    return (*figures, Figure("table", "imbalance/labels", "Imbalance of each label", {"formats": formats}))


def _history_figures() -> tuple[Figure, ...]:
    options = {"x": "replicas", "color": "label", "log_y": True}
    return (
        Figure("lines", "imbalance/history", "IDR of each label against replicas added", {**options, "y": "idr"}),
        Figure("lines", "imbalance/history", "Largest over smallest category against replicas added",
               {**options, "y": "max_min"}),
    )  # fmt: skip


def _summary(table: pd.DataFrame) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for label, rows in table.groupby("label", sort=False):
        figures = [f"{value:.2f}" if np.isfinite(value) else "none" for value in rows["idr"]]
        summary[f"IDR {label}"] = " -> ".join(figures)
    return summary


def _notes(table: pd.DataFrame, stages: dict[str, np.ndarray], split: str | None) -> tuple[str, ...]:
    notes = []
    final = table[table["stage"] == list(stages)[-1]]
    for row in final.itertuples():
        if row.categories == 0:
            notes.append(f"{row.label}: no image has a value, so nothing can be said of its balance.")
        elif row.categories == 1:
            notes.append(f"{row.label}: one category only ({row.smallest}); its IDR is 1 by definition.")
        elif row.idr <= _LEVEL_IDR and row.max_min > UNEVEN:
            notes.append(f"{row.label}: the deciles look level (IDR {row.idr:.2f}), but the largest category has "
                         f"{row.max_min:.1f} times the images of the smallest ({row.smallest}: "
                         f"{row.smallest_images:,}).")  # fmt: skip
        elif row.categories == 2 and row.max_min > UNEVEN:
            notes.append(f"{row.label}: with two categories the IDR never passes 9; max/min is {row.max_min:.1f}.")
        if row.missing:
            notes.append(f"{row.label}: {row.missing:,} images have no value; they count in no category.")
    if AFTER not in stages:
        notes.append("There are no replicas: the figures are those of the images that are left.")
    if split is not None and not stages[BEFORE].any():
        notes.append(f"No image is in the split {split!r}.")
    return tuple(notes)
