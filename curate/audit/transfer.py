"""Thresholds that move: fixed on one group and used on another, and the one that keeps a promise to all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from curate.audit.rates import Cell, Cut, as_table, threshold_of
from curate.audit.source import Genuine, Source, Target
from curate.stats.rates import allowed_matches, next_above

TRANSFER_COLUMNS = (
    "fixed_on", "group", "far_target", "threshold", "fmr", "fmr_low", "fmr_high", "fnmr", "fnmr_low", "fnmr_high",
)  # fmt: skip
PROMISE_COLUMNS = (
    "far_target", "kept", "threshold", "group", "fmr", "fmr_high", "fnmr", "fnmr_low", "fnmr_high", "fnmr_before",
    "reason",
)  # fmt: skip


class Promise(NamedTuple):
    """The threshold that keeps every group's upper bound under a target; None, and why, where none does."""

    target: float
    threshold: float | None
    reason: str


def transfer_targets(source: Source, rates: tuple[float, ...]) -> list[Target]:
    """Each group's own threshold at each target that allows it three errors or more."""
    if len(source.groups) < 2:
        return []
    counts = [source.sides((g, g))[0].total for g in range(len(source.groups))]
    return [Target((g, g), rate) for g, count in enumerate(counts) for rate in rates if count * rate >= 3]


def transfer_table(
    cells: list[Cell], genuine: Genuine, pooled: list[Cut], own: list[tuple[Target, float]]
) -> pd.DataFrame:
    """What a threshold that was fixed on one group (or on the pooled impostors) realises on each.

    own: (target, threshold) of the groups. Columns `TRANSFER_COLUMNS`.
    """
    named = {cell.pair: cell.names[0] for cell in cells}
    used = [(cells[0].names[0], cut.target, cut.threshold) for cut in pooled if not np.isnan(cut.target)]
    used += [(named[target.pair], target.rate, threshold) for target, threshold in own]
    rows = []
    for fixed_on, target, threshold in used:
        for cell in cells[1:]:
            match, miss = cell.fmr(threshold), cell.fnmr(genuine, threshold)
            rows.append((fixed_on, cell.names[0], target, threshold, *match[:3], *miss[:3]))
    return as_table(rows, TRANSFER_COLUMNS)


def promise(cells: list[Cell], target: float) -> Promise:
    """The lowest threshold found at which the upper 95% limit of every group's FMR is at most the target.

    cells: of single groups, whose tails reach down to their own thresholds. For each group the number of false matches
    allowed is found by bisection; the highest of the groups' thresholds is then checked in all, and raised while a
    limit is above the target.
    """
    allowed = {}
    for cell in cells:
        most = _most(cell, target)
        if most is None:
            return Promise(target, None, f"{cell.names[0]}: {cell.impostors.total:,} impostor pairs can't show an FMR "
                                         f"under {target:g}, even without a false match")  # fmt: skip
        allowed[cell] = most
    if not allowed:
        return Promise(target, None, "no group has impostor pairs")
    while True:
        threshold = max(_threshold(cell, most) for cell, most in allowed.items())
        failing = [cell for cell in allowed if cell.fmr(threshold).high > target]
        if not failing:
            return Promise(target, threshold, "")
        for cell in failing:
            here = min(allowed[cell], cell.tail.count(threshold))
            if not here:
                return Promise(target, None, f"{cell.names[0]}: no threshold keeps its limit under {target:g}")
            allowed[cell] = here - max(1, here // 50)


def _threshold(cell: Cell, matches: int) -> float:
    """The lowest threshold with at most so many false matches in the cell."""
    if matches < len(cell.tail.score):
        return next_above(np.float64(cell.tail.score[matches]))
    return threshold_of(cell.source, Target(cell.pair, 1.0)) if matches >= cell.impostors.total else cell.tail.floor


def _most(cell: Cell, target: float) -> int | None:
    """How many false matches a group may have for its limit to stay under the target; None where not even none."""
    good = None
    low, high = 0, min(allowed_matches(cell.impostors.total, target), len(cell.tail.score))
    while low <= high:
        middle = (low + high) // 2
        if cell.fmr(_threshold(cell, middle)).high <= target:
            good, low = middle, middle + 1
        else:
            high = middle - 1
    return good


def promise_table(made: list[Promise], cells: list[Cell], genuine: Genuine, pooled: list[Cut]) -> pd.DataFrame:
    """What each promise costs: the FNMR of each group (`cells[0]`: all) at its threshold, and before it.

    `fnmr_before` is at the threshold fixed on all impostors for the same target. Columns `PROMISE_COLUMNS`.
    """
    before = {cut.target: cut.threshold for cut in pooled}
    rows = []
    for one in made:
        if one.threshold is None:
            rows.append((one.target, False, *[np.nan], cells[0].names[0], *[np.nan] * 6, one.reason))
            continue
        for cell in cells:
            match, miss = cell.fmr(one.threshold), cell.fnmr(genuine, one.threshold)
            earlier = cell.fnmr(genuine, before[one.target]).rate
            rows.append(
                (one.target, True, one.threshold, cell.names[0], match.rate, match.high, *miss[:3], earlier, "")
            )
    return as_table(rows, PROMISE_COLUMNS)
