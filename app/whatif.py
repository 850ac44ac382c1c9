"""What an oversampling would do to a run's real counts: the run's own kernel, nothing written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from curate.balance.draw import DEFAULT_BUDGET, Choice, draw_replicas
from curate.balance.pool import dense_codes
from curate.core import columns as col
from curate.core.shapes import seed_of
from curate.report.runs import RunFolder
from curate.stats.imbalance import effective_sample_size, measures, smallest

STEP = "oversample"


@dataclass(frozen=True)
class WhatIf:
    """rows: of the manifest `(n,)`, the originals that are balanced. picked: places in `rows`, one for each replica.

    history: replicas, label, idr, max_min. measures: label, stage and the measures of `curate.stats.imbalance`.
    counts: label, category, stage, images. ended: why it ended, see `curate.balance.draw.Draws`.
    """

    rows: np.ndarray
    picked: np.ndarray
    history: pd.DataFrame
    measures: pd.DataFrame
    counts: pd.DataFrame
    ended: str
    effective_size: float


def pool(run: RunFolder) -> np.ndarray:
    """The rows of the manifest that a balancing works on: the training originals, all where there is no split."""
    final = run.final
    mask = final["original"].to_numpy(copy=True)
    if col.SPLIT in final and final[col.SPLIT].notna().any():
        mask &= (final[col.SPLIT] == col.TRAIN).to_numpy(dtype=bool, na_value=False)
    return np.flatnonzero(mask)


def usual(run: RunFolder, size: int) -> tuple[list[str], float, int, str]:
    """Labels, target, budget and choice of the run's own oversampling of `size` images, or else its defaults."""
    labels = [col.IDENTITY, *(name for name in run.labels if name != col.IDENTITY)]
    usual_budget = DEFAULT_BUDGET * size
    for entry in run.plan.get("steps", []):
        if entry.get("name") == STEP:
            given = entry.get("params") or {}
            named = [name for name in given.get("labels") or labels if name in labels]
            target, choice = float(given.get("target", 1.5)), given.get("choice", "uniform")
            return named or labels, target, given.get("budget") or usual_budget, choice
    return labels, 1.5, usual_budget, "uniform"


def what_if(run: RunFolder, labels: list[str], target: float, budget: int, choice: Choice) -> WhatIf:
    """Balance the pool to a target IDR with at most `budget` replicas, as the step would with the run's seed."""
    rows = pool(run)
    frame = run.final
    columns = [frame[name].cat for name in labels]
    used = [dense_codes(column.codes.to_numpy()[rows]) for column in columns]
    codes = np.stack(used, axis=1) if used else np.zeros((len(rows), 0), dtype=np.int32)
    rng = np.random.Generator(np.random.PCG64(seed_of(int(run.plan.get("seed", 0)), STEP)))
    draws = draw_replicas(codes, target, budget, rng, choice=choice)
    history = draws.history.assign(label=[labels[place] for place in draws.history["label"]])
    measured, counted = [], []
    for name, column, dense in zip(labels, columns, used, strict=True):
        there = np.unique(column.codes.to_numpy()[rows])
        names = [str(column.categories[code]) for code in there[there >= 0]]
        before = np.bincount(dense[dense >= 0], minlength=len(names))
        again = dense[draws.rows]
        after = before + np.bincount(again[again >= 0], minlength=len(names))
        for stage, sizes in (("before", before), ("after", after)):
            found = measures(sizes)
            measured.append({"label": name, "stage": stage, "categories": int((sizes > 0).sum()),
                             "images": int(sizes.sum()), "idr": found["idr"], "max_min": found["max_min"],
                             "mean_ir": found["mean_ir"], "smallest": smallest(sizes)[1]})  # fmt: skip
            if name != col.IDENTITY:
                counted.append(pd.DataFrame({"label": name, "category": names, "stage": stage, "images": sizes}))
    empty = pd.DataFrame({"label": [], "category": [], "stage": [], "images": []})
    size = effective_sample_size(np.bincount(draws.rows, minlength=len(rows)) + 1) if len(rows) else float("nan")
    return WhatIf(rows, draws.rows, history, pd.DataFrame(measured),
                  pd.concat(counted, ignore_index=True) if counted else empty, draws.ended, size)  # fmt: skip


def batch(made: WhatIf, images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the manifest of one training batch before and one after, each drawn uniformly without repetition."""
    rng = np.random.default_rng(seed)
    n, replicas = len(made.rows), len(made.picked)
    before = rng.choice(n, min(images, n), replace=False) if n else np.zeros(0, dtype=np.int64)
    drawn = rng.choice(n + replicas, min(images, n + replicas), replace=False) if n else np.zeros(0, dtype=np.int64)
    after = np.where(drawn < n, drawn, made.picked[np.maximum(drawn - n, 0)] if replicas else 0)
    return made.rows[np.sort(before)], made.rows[np.sort(after)]


__all__ = ["WhatIf", "batch", "pool", "usual", "what_if"]
