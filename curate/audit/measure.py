"""From a source of comparisons to the tables and figures of an audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from curate.audit import curves, failures, transfer
from curate.audit.fair import fairness_pack
from curate.audit.histogram import HISTOGRAM_COLUMNS, MAX_CELLS, edges_of, histogram_table
from curate.audit.rates import (
    RATE_COLUMNS,
    Cell,
    Cut,
    as_table,
    cells_of,
    cross_table,
    groupless_cells,
    rates_table,
    threshold_of,
)
from curate.audit.source import ALL, Genuine, Source, Target
from curate.audit.summary import notes_of, results_of, summary_of
from curate.core.errors import InputError, nearest
from curate.core.shapes import Figure, StrictParams

_Rate = Annotated[float, Field(gt=0, le=1)]


class MeasureParams(StrictParams):
    """What every audit is asked for."""

    far: tuple[_Rate, ...] = (1e-2, 1e-3)  # FMR targets, each with a threshold fixed on the impostors of `fix_on`
    threshold: tuple[float, ...] = ()  # thresholds that are given, for all groups
    fix_on: str | None = None  # the group whose impostors fix the thresholds; None: all impostors
    draws: Annotated[int, Field(ge=0, le=100_000)] = 1000  # of the bootstrap of the fairness measures
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5  # of FDR, IR and GARBE: the weight of false matches
    prevalence: Annotated[float, Field(gt=0, lt=1)] = 0.01  # share of genuine comparisons, for precision and recall
    max_errors: Annotated[int, Field(ge=0)] = 5_000_000  # pairs of identities kept for `curate compare`


@dataclass
class Measured:
    """Tables and figures of an audit, and what else is told; shown: the operating point of what is told at one only."""

    tables: dict[str, pd.DataFrame]
    figures: list[Figure]
    documents: dict[str, Any]
    summary: dict[str, Any]
    notes: list[str]
    examples: pd.DataFrame
    shown: Cut | None
    cells: list[Cell]
    genuine: Genuine | None


def measure(source: Source, params: MeasureParams, rng: np.random.Generator) -> Measured | None:
    """All that an audit says of a source; None where no impostor comparison can fix a threshold.

    Raises InputError for a group to fix thresholds on that is not there or has no impostors.
    """
    if not params.far and not params.threshold:
        raise InputError("no operating point is asked for", remedy="Give far targets, thresholds, or both")
    fixed = _fixed_on(source, params.fix_on)
    if not source.sides(fixed)[0].total:
        return None
    targets = [Target(fixed, rate) for rate in sorted(set(params.far), reverse=True)]
    own = transfer.transfer_targets(source, tuple(target.rate for target in targets))
    given = sorted(set(params.threshold))
    source.scan([*targets, *own], given)
    cuts = [Cut(target.rate, threshold_of(source, target)) for target in targets] + [Cut(np.nan, t) for t in given]
    moved = [(target, threshold_of(source, target)) for target in own]
    cells = cells_of(source)
    within = [cell for cell in cells if cell.pair is None or cell.pair[0] == cell.pair[1]]
    grouped = [cell for cell in within[1:] if cell.impostors.total]
    promises = [transfer.promise(grouped or within[:1], target.rate) for target in targets]
    points = [(cell, curves.points_of(cell)) for cell in within]
    told = [cut.threshold for cut in cuts] + [t for _, t in moved]
    told += [one.threshold for one in promises if one.threshold is not None]
    told += [float(threshold) for part in curves.judged(points) for threshold in part]
    others = np.concatenate([part.threshold for _, part in points] or [np.zeros(0)])
    edges = edges_of(source)
    genuine = source.genuine(np.concatenate([told, edges]), others, np.array(told))

    rates = rates_table(cells, genuine, cuts)
    shown = _shown(rates, cuts)
    tables = {
        "audit/rates": rates,
        "audit/plain": plain_table(rates),
        "audit/curves": curves.curves_table(points, genuine),
        "audit/histogram": histogram_table(cells, genuine, edges, cuts),
        "audit/points": curves.points_table(points, genuine, params.prevalence),
        "audit/promise": transfer.promise_table(promises, within, genuine, cuts),
    }
    if not cells[0].impostors.independent:  # somebody is named
        tables["audit/worst_identities"] = failures.worst_identities(cells[0], genuine, shown)
        tables["audit/worst_pairs"] = failures.worst_pairs(cells[0], shown)
    if len(cells) > len(within):
        tables["audit/cross"] = cross_table(rates, shown)
    if grouped:
        tables["audit/transfer"] = transfer.transfer_table(within, genuine, cuts, moved)
    notes = notes_of(rates)
    if len(cells) > MAX_CELLS:
        notes.append(f"The histogram holds {MAX_CELLS} of {len(cells):,} groups and pairs of groups.")
    kept = failures.errors_table([*cells[1:], *groupless_cells(source)], genuine, cuts, params.max_errors)
    if kept is None:
        notes.append(f"More than {params.max_errors:,} pairs of identities make errors: they are not kept, so that "
                     "this audit can't be compared with another (max_errors).")  # fmt: skip
    else:
        tables["audit/errors"] = kept
    pack = fairness_pack(within, genuine, cuts, rng, params.draws, params.alpha)
    documents = {"audit/fairness": pack, "audit/results": results_of(source, params, rates, tables)}
    found = failures.examples(within, genuine, shown)
    figures = _figures(tables, shown, bool(grouped), params)
    return Measured(tables, figures, documents, summary_of(rates, tables, cuts), notes, found, shown, cells, genuine)


def nothing() -> dict[str, pd.DataFrame]:
    """The tables of an audit without comparisons."""
    return {"audit/rates": as_table([], RATE_COLUMNS), "audit/curves": as_table([], curves.CURVE_COLUMNS),
            "audit/histogram": as_table([], HISTOGRAM_COLUMNS)}  # fmt: skip


def plain_table(rates: pd.DataFrame) -> pd.DataFrame:
    """For contrast: Wilson's limits of the rates if all comparisons were independent."""
    from curate.stats.intervals import wilson

    made = rates[["group_a", "group_b", "far_target", "threshold"]].copy()
    for rate, wrong, count in (("fmr", "false_matches", "impostors"), ("fnmr", "false_non_matches", "genuines")):
        limits = [wilson(k, n) if n else (np.nan, np.nan) for k, n in zip(rates[wrong], rates[count], strict=True)]
        made[rate] = rates[rate]
        made[f"{rate}_low"], made[f"{rate}_high"] = np.array(limits).reshape(-1, 2).T
    return made


def _fixed_on(source: Source, group: str | None) -> tuple[int, int] | None:
    if group is None or group == ALL:
        return None
    if group not in source.groups:
        raise InputError(f"there is no group {group!r} to fix thresholds on. {nearest(group, source.groups)}")
    at = source.groups.index(group)
    if not source.sides((at, at))[0].total:
        raise InputError(f"the group {group!r} has no impostor pairs to fix thresholds on",
                         remedy="It has images of one identity only: fix them on another group, or on all")  # fmt: skip
    return at, at


def _shown(rates: pd.DataFrame, cuts: list[Cut]) -> Cut:
    """The smallest target that the pooled comparisons support, else the first operating point."""
    pooled = rates[rates["group_a"] == ALL]
    good = pooled.loc[pooled["supported"] & pooled["far_target"].notna(), "far_target"]
    return next((cut for cut in cuts if len(good) and cut.target == good.min()), cuts[0])


def _figures(tables: dict[str, pd.DataFrame], shown: Cut, grouped: bool, params: MeasureParams) -> list[Figure]:
    fixed = "all impostor pairs" if params.fix_on is None else f"the impostor pairs of {params.fix_on}"
    at = f"threshold {shown.threshold:.4g}" if np.isnan(shown.target) else f"FMR target {shown.target:g}"
    figures = [
        Figure("det", "audit/curves", "DET curve per group: FNMR (FRR) against FMR (FAR)",
               {"x": "fmr", "y": "fnmr", "color": "group", "low": "fnmr_low", "high": "fnmr_high"}),
        Figure("lines", "audit/curves", "ROC curve per group: TAR (1 - FNMR) against FMR (FAR)",
               {"x": "fmr", "y": "tar", "color": "group", "log_x": True}),
    ]  # fmt: skip
    if grouped:
        series = "far_target" if params.far else "threshold"
        if "audit/cross" in tables:
            figures.append(Figure("heatmap", "audit/cross", f"FMR (FAR) within and between groups, {at}",
                                  {"x": "group_a", "y": "group_b", "value": "fmr", "log": True}))  # fmt: skip
        for rate, word in (("fmr", "FMR (FAR)"), ("fnmr", "FNMR (FRR)")):
            figures.append(Figure("intervals", "audit/rates", f"{word} of each group with 95% limits",
                                  {"x": rate, "y": "group_a", "color": series, "low": f"{rate}_low",
                                   "high": f"{rate}_high", "same": ["group_a", "group_b"]}))  # fmt: skip
    return [
        *figures,
        Figure("table", "audit/rates", f"FMR (FAR) and FNMR (FRR), thresholds fixed on {fixed}",
               {"columns": list(RATE_COLUMNS)}),
        Figure("table", "audit/plain", "For contrast: limits as if comparisons shared no identity", {}),
        Figure("table", "audit/points", "Equal error rate, precision and recall",
               {"formats": {"eer_threshold": ".4f", "prevalence": "percent"}}),
        *([Figure("table", "audit/transfer", "A threshold fixed on one group, used on another", {})]
          if "audit/transfer" in tables and len(tables["audit/transfer"]) else []),
        Figure("table", "audit/promise", "The threshold that keeps every group's upper limit under the target", {}),
        *(Figure("table", name, f"{title}, {at}", {}) for name, title in (
            ("audit/worst_identities", "Identities with most errors"),
            ("audit/worst_pairs", "Pairs of identities with most false matches"),
        ) if name in tables),
    ]  # fmt: skip
