"""The report `imbalance`: how uneven each label is, before oversampling and after."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from curate.balance.pool import check_labels, split_rows
from curate.core import columns as col
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report
from curate.stats import imbalance as measure

BEFORE, AFTER = "before", "after"
#: Above this max/min a label is uneven, whatever its deciles say.
UNEVEN = 3.0
_LEVEL_IDR = 1.5
_POINTS = 200


class ImbalanceParams(StrictParams):
    """Which labels, which intersection, which split."""

    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # default: the identity, then each label
    cells: tuple[str, ...] | None = None  # labels of the intersection; default: the identity-level ones
    split: str | None = col.TRAIN  # None: all images; where no image has a split yet: all images too


@report("imbalance", needs=())
def imbalance(manifest: Manifest, features: Features, params: ImbalanceParams, rng: np.random.Generator) -> Report:
    """Measure how unevenly images spread over identities, labels and cells, before and after oversampling.

    `before` counts originals, `after` replicas too; without a replica there is no `after`. Tables: `imbalance/labels`
    (label, stage, categories, images, missing, the measures of `curate.stats.imbalance`, smallest, smallest_images),
    `imbalance/categories` (label, stage, category, images; the identity is left to the next), `imbalance/identities`
    (stage, group, rank, images; thinned), `imbalance/cells` (cell, stage, images, identities).
    Raises InputError for an unknown label or split.
    """
    others = tuple(name for name in manifest.labels if name != col.IDENTITY)
    labels = params.labels or (col.IDENTITY, *others)
    crossed = params.cells
    if crossed is None:
        crossed = tuple(name for name in others if manifest.levels[name] == "identity")
    check_labels(manifest, labels)
    check_labels(manifest, crossed)
    here = split_rows(manifest, params.split)
    stages = {BEFORE: here & manifest.originals()}
    if (here & ~manifest.originals()).any():
        stages[AFTER] = here
    cell = cells(manifest, crossed)
    table = _labels(manifest, labels, stages)
    categories = _categories(manifest, [name for name in labels if name != col.IDENTITY], stages)
    tables = {
        "imbalance/labels": table,
        "imbalance/categories": categories,
        "imbalance/cells": _cells(manifest, cell, stages),
        "imbalance/identities": _identities(manifest, cell, stages),
    }
    return Report(tables, _figures(crossed, labels), _summary(table), _notes(table, stages, params.split))


def _counts(codes: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(codes[mask & (codes >= 0)], minlength=size)


def _labels(manifest: Manifest, labels: tuple[str, ...], stages: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = []
    for label in labels:
        codes, names = manifest.codes(label), manifest.frame[label].cat.categories
        for stage, mask in stages.items():
            counts = _counts(codes, mask, len(names))
            place, fewest = measure.smallest(counts)
            rows.append(
                {
                    "label": label,
                    "stage": stage,
                    "categories": int((counts > 0).sum()),
                    "images": int(counts.sum()),
                    "missing": int(mask.sum() - counts.sum()),
                    **measure.measures(counts),
                    "smallest": names[place] if place >= 0 else None,
                    "smallest_images": fewest,
                }
            )
    return pd.DataFrame(rows).astype({"smallest": "str"})


def _categories(manifest: Manifest, labels: list[str], stages: dict[str, np.ndarray]) -> pd.DataFrame:
    parts = [_empty({"label": "str", "stage": "str", "category": "str", "images": np.int64})]
    for label in labels:
        codes, names = manifest.codes(label), manifest.frame[label].cat.categories
        for stage, mask in stages.items():
            counts = _counts(codes, mask, len(names))
            parts.append(pd.DataFrame({"label": label, "stage": stage, "category": names, "images": counts}))
    return _stack(parts)


def _cells(manifest: Manifest, cell: pd.Categorical, stages: dict[str, np.ndarray]) -> pd.DataFrame:
    names = cell.categories
    identity = manifest.codes(col.IDENTITY)
    size = len(manifest.frame[col.IDENTITY].cat.categories)
    parts = [_empty({"cell": "str", "stage": "str", "images": np.int64, "identities": np.int64})]
    for stage, mask in stages.items():
        known = mask & (identity >= 0) & (cell.codes >= 0)
        pairs = np.unique(cell.codes[known].astype(np.int64) * max(size, 1) + identity[known])
        persons = np.bincount(pairs // max(size, 1), minlength=len(names))
        images = _counts(cell.codes, mask, len(names))
        parts.append(pd.DataFrame({"cell": names, "stage": stage, "images": images, "identities": persons}))
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
    formats = {"idr": ".2f", "max_min": ".2f", "mean_ir": ".2f", "gini": ".3f", "normalised_entropy": ".3f",
               "effective_number": ".1f"}  # fmt: skip
    return (*figures, Figure("table", "imbalance/labels", "Imbalance of each label", {"formats": formats}))


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
        notes.append("There are no replicas: the figures are those before oversampling.")
    if split is not None and not stages[BEFORE].any():
        notes.append(f"No image is in the split {split!r}.")
    return tuple(notes)
