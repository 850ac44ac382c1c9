"""Curves and the figures read off them: DET, EER, precision and recall."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from curate.audit.rates import Cell, as_table
from curate.audit.source import Genuine
from curate.stats.rates import Curve, EqualErrorRate, det_curve, eer_of
from curate.stats.verification import precision_at_recall, recall_at_precision

CURVE_COLUMNS = ("group", "threshold", "fmr", "fnmr", "tar", "exact", "fmr_low", "fmr_high", "fnmr_low", "fnmr_high")
POINT_COLUMNS = (
    "group", "impostors", "genuines", "eer", "eer_threshold", "precision_at_recall_95", "recall_at_precision_95",
    "prevalence", "exact",
)  # fmt: skip
_TAIL_POINTS, _COARSE_POINTS = 200, 100
#: Points of a curve that get limits, and curves that do: misses of each identity are counted at each of them.
_JUDGED, _JUDGED_CURVES = 8, 13


class Points(NamedTuple):
    """Thresholds of a curve, descending, their FMR, and whether it is exact."""

    threshold: np.ndarray
    fmr: np.ndarray
    exact: np.ndarray


def points_of(cell: Cell) -> Points:
    """Some 200 operating points of the tail, evenly spaced in log FMR and exact, and up to 100 below it.

    Below the tail the FMR is that of screened scores: exact for a threshold that is off by no more than the screen is.
    """
    scores, total = cell.tail.score, cell.impostors.total
    if not total:
        return Points(np.zeros(0), np.zeros(0), np.zeros(0, bool))
    ranks = np.unique(np.geomspace(1, max(len(scores), 1), _TAIL_POINTS).round().astype(np.int64))[: len(scores)]
    tops = np.unique(scores[ranks - 1])[::-1] if len(scores) else np.zeros(0)
    matched = np.searchsorted(-scores, -tops, side="right")
    starts, more = cell.source.coarse(cell.pair)
    if len(starts) > _COARSE_POINTS:
        wanted = np.geomspace(max(more[0], 1), max(more[-1], 1), _COARSE_POINTS)
        at = np.unique(np.clip(np.searchsorted(more, wanted), 0, len(more) - 1))
        starts, more = starts[at], more[at]
    exact = np.arange(len(tops) + len(starts)) < len(tops)
    return Points(np.concatenate([tops, starts]), np.concatenate([matched, more]) / total, exact)


def judged(points: list[tuple[Cell, Points]]) -> list[np.ndarray]:
    """For each curve the thresholds whose rates get limits: exact ones, evenly spaced in log FMR."""
    made = []
    for at, (_, one) in enumerate(points):
        exact = one.threshold[one.exact] if at < _JUDGED_CURVES else np.zeros(0)
        made.append(exact[np.unique(np.linspace(0, len(exact) - 1, _JUDGED).astype(np.int64))] if len(exact) else exact)
    return made


def curve_of(cell: Cell, points: Points, genuine: Genuine) -> Curve | None:
    """The curve through the points; None without genuine or impostor comparisons."""
    if not cell.genuines.total or not len(points.threshold):
        return None
    missed = sum(
        below[np.searchsorted(genuine.thresholds, points.threshold)]
        for pair, below in genuine.below.items()
        if cell.pair in (None, pair)
    )
    ends = (np.concatenate([[end], part]) for end, part in (
        (np.inf, points.threshold), (0.0, points.fmr), (1.0, missed / cell.genuines.total),
    ))  # fmt: skip
    return Curve(*ends)


def curves_table(cells: list[tuple[Cell, Points]], genuine: Genuine) -> pd.DataFrame:
    """The curves of each group and of all: columns `CURVE_COLUMNS`, `tar` being 1 - FNMR; limits at `judged` points."""
    parts = []
    for (cell, points), limited in zip(cells, judged(cells), strict=True):
        curve = curve_of(cell, points, genuine)
        if curve is None:
            continue
        for at, threshold in enumerate(points.threshold.tolist()):
            fmr, fnmr = float(curve.fmr[at + 1]), float(curve.fnmr[at + 1])
            limits = [np.nan] * 4
            if points.exact[at] and threshold in limited:
                match, miss = cell.fmr(threshold), cell.fnmr(genuine, threshold)
                limits = [match.low, match.high, miss.low, miss.high]
            parts.append((cell.names[0], threshold, fmr, fnmr, 1 - fnmr, bool(points.exact[at]), *limits))
    return as_table(parts, CURVE_COLUMNS)


def points_table(cells: list[tuple[Cell, Points]], genuine: Genuine, prevalence: float) -> pd.DataFrame:
    """EER (linear between neighbouring points), precision at recall 0.95, and recall at precision 0.95.

    `exact`: they are those of all scores; else they are read off the points of the curve.
    """
    rows = []
    for cell, points in cells:
        whole = _whole(cell, genuine)
        curve = whole if whole is not None else curve_of(cell, points, genuine)
        made = [np.nan] * 4
        if curve is not None:
            equal: EqualErrorRate = eer_of(curve)
            made = [*equal, precision_at_recall(curve, 0.95, prevalence).value,
                    recall_at_precision(curve, 0.95, prevalence).value]  # fmt: skip
        rows.append((cell.names[0], cell.impostors.total, cell.genuines.total, *made, prevalence, whole is not None))
    return as_table(rows, POINT_COLUMNS)


def _whole(cell: Cell, genuine: Genuine) -> Curve | None:
    """The curve at every score, where all are known."""
    if genuine.scores is None or not len(cell.tail.score) or len(cell.tail.score) < cell.impostors.total:
        return None
    parts = [scores for pair, scores in genuine.scores.items() if cell.pair in (None, pair)]
    return det_curve(np.concatenate(parts), cell.tail.score) if parts else None
