"""Error rates at any threshold, from the curves that an audit keeps."""

from __future__ import annotations

import numpy as np
import pandas as pd


def at_threshold(curves: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """For each group what its curve says at a threshold: group, fmr, fmr_least, fnmr, fnmr_least.

    curves: group, threshold, fmr, fnmr. FMR falls and FNMR rises with the threshold; between two points of a curve a
    rate lies between theirs, and the larger of the two is given, with the smaller as `_least`. A score equal to the
    threshold is a match. Beyond the last point nothing is known to match: the last point's rates bound what is.
    """
    rows = []
    for group, part in curves.groupby("group", sort=False, observed=True):
        part = part.sort_values("threshold", kind="stable")
        places = part["threshold"].to_numpy(dtype=np.float64)
        fmr, fnmr = (part[name].to_numpy(dtype=np.float64) for name in ("fmr", "fnmr"))
        below = max(int(np.searchsorted(places, threshold, side="right")) - 1, 0)
        above = min(int(np.searchsorted(places, threshold, side="left")), len(places) - 1)
        rows.append({
            "group": str(group), "fmr": fmr[below], "fmr_least": min(fmr[above], fmr[below]),
            "fnmr": fnmr[above], "fnmr_least": min(fnmr[below], fnmr[above]),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["group", "fmr", "fmr_least", "fnmr", "fnmr_least"])


def threshold_for(curves: pd.DataFrame, group: str, target: float) -> float | None:
    """The lowest threshold on a group's curve whose FMR is at most `target`; None where its curve has none."""
    part = curves[(curves["group"].astype("str") == group).to_numpy(bool)]
    fine = part["threshold"][(part["fmr"] <= target).to_numpy(bool)]
    return float(fine.min()) if len(fine) else None


__all__ = ["at_threshold", "threshold_for"]
