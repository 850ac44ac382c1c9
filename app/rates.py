"""Error rates at any threshold, from the histograms of scores that an audit keeps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.stats.intervals import limits

COLUMNS = frozenset((
    "group_a", "group_b", "threshold", "impostors", "genuines", "exact", "fmr_n_eff", "fmr_degrees", "fnmr_n_eff",
    "fnmr_degrees",
))  # fmt: skip


def edges_of(histogram: pd.DataFrame) -> np.ndarray:
    """The thresholds at which the rates are known, ascending."""
    edges = np.unique(histogram["threshold"].to_numpy(dtype=np.float64))
    return edges[np.isfinite(edges)]


def rates_at(histogram: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """FMR and FNMR of each two groups at the edge nearest to a threshold, with 95% limits.

    histogram: `audit/histogram`. A score equal to the threshold is a match. Columns: group_a, group_b, impostors,
    false_matches, fmr, fmr_low, fmr_high, genuines, false_non_matches, fnmr, fnmr_low, fnmr_high, exact. A rate without
    comparisons is NaN, limits that the audit could not say are NaN.
    """
    edges = edges_of(histogram)
    edge = edges[np.abs(edges - threshold).argmin()]
    rows = []
    for names, part in histogram.groupby(["group_a", "group_b"], sort=False, observed=True):
        here, above = part[part["threshold"] == edge].iloc[0], part["threshold"] >= edge
        impostors, genuines = int(part["impostors"].sum()), int(part["genuines"].sum())
        matched, missed = int(part.loc[above, "impostors"].sum()), int(part.loc[~above, "genuines"].sum())
        rows.append((
            *names, impostors, matched, *_rate(matched, impostors, here["fmr_n_eff"], here["fmr_degrees"]),
            genuines, missed, *_rate(missed, genuines, here["fnmr_n_eff"], here["fnmr_degrees"]), bool(here["exact"]),
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=[
        "group_a", "group_b", "impostors", "false_matches", "fmr", "fmr_low", "fmr_high", "genuines",
        "false_non_matches", "fnmr", "fnmr_low", "fnmr_high", "exact",
    ])  # fmt: skip


def _rate(errors: int, comparisons: int, n_eff: float, degrees: float) -> tuple[float, float, float]:
    if not comparisons:
        return np.nan, np.nan, np.nan
    if np.isnan(n_eff):
        return errors / comparisons, np.nan, np.nan
    made = limits(errors, comparisons, float(n_eff), float(degrees))
    return made.rate, made.low, made.high


def edge_for(histogram: pd.DataFrame, target: float) -> float:
    """The lowest edge at which the FMR over all comparisons is at most `target`; the highest where none is."""
    first = histogram[["group_a", "group_b"]].iloc[0]
    pooled = histogram[((histogram["group_a"] == first["group_a"]) & (histogram["group_b"] == first["group_b"]))]
    pooled = pooled.sort_values("threshold")
    matched = pooled["impostors"].to_numpy()[::-1].cumsum()[::-1]
    fine = np.flatnonzero((matched <= target * matched[0]) & np.isfinite(pooled["threshold"].to_numpy()))
    return float(pooled["threshold"].iloc[fine[0] if len(fine) else -1])


__all__ = ["COLUMNS", "edge_for", "edges_of", "rates_at"]
