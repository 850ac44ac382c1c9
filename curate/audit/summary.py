"""An audit in few words, and in a form that machines read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from curate.audit.source import ALL, Source

if TYPE_CHECKING:
    from curate.audit.measure import MeasureParams
    from curate.audit.rates import Cut


def summary_of(rates: pd.DataFrame, tables: dict[str, pd.DataFrame], cuts: list[Cut]) -> dict[str, Any]:
    """A few plain figures to print."""
    pooled = rates[rates["group_a"] == ALL].head(1)
    summary: dict[str, Any] = {
        "impostors": int(pooled["impostors"].sum()),
        "genuines": int(pooled["genuines"].sum()),
        "EER": {
            row.group: _number(row.eer) for row in tables["audit/points"].itertuples()
        },
    }  # fmt: skip
    within = rates[(rates["group_a"] == rates["group_b"]).to_numpy(bool)]
    for cut in cuts:
        here = within[within["threshold"] == cut.threshold].drop_duplicates("group_a")
        at = f"threshold {cut.threshold:.6g}" if np.isnan(cut.target) else f"{cut.target:g}"
        for name, column in (("FMR (FAR)", "fmr"), ("FNMR (FRR)", "fnmr")):
            summary[f"{name} at {at}"] = {
                group: _number(value) for group, value in zip(here["group_a"], here[column], strict=True)
            }
    return summary


def notes_of(rates: pd.DataFrame) -> list[str]:
    """What a reader of the rates must not miss."""
    notes = []
    weak = rates[~rates["supported"]]
    if len(weak):
        named = [
            f"{row.group_a if row.group_a == row.group_b else f'{row.group_a} x {row.group_b}'} at "
            f"{row.threshold if np.isnan(row.far_target) else row.far_target:g}"
            for row in weak.itertuples()
        ]
        more = f" and {len(named) - 12} more" if len(named) > 12 else ""
        notes.append("Too few independent comparisons to support the target (less than 3 / n_eff): "
                     f"{', '.join(named[:12])}{more}.")  # fmt: skip
    own = rates[(rates["group_a"] == rates["group_b"]).to_numpy(bool)]
    for column, said in (("genuines", "no genuine pair, so no FNMR"), ("impostors", "no impostor pair, so no FMR")):
        notes += [f"{group}: {said}." for group in own.loc[own[column] == 0, "group_a"].unique()]
    return notes


def results_of(
    source: Source, params: MeasureParams, rates: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    """The audit as one document, its parts named after what ISO/IEC 19795-10 asks a report of differences to hold.

    The standard's text was not at hand when this was written: the parts follow its public outline, and no claim of
    conformance is made.
    """
    points = tables["audit/points"]
    return {
        "standard_followed": "ISO/IEC 19795-10 (public outline; no claim of conformance)",
        "test_kind": "technology evaluation, verification, offline scores",
        "groups": [{
            "name": row.group, "non_mated_comparisons": int(row.impostors), "mated_comparisons": int(row.genuines),
            "equal_error_rate": _number(row.eer), "exact": bool(row.exact),
        } for row in points.itertuples()],
        "threshold_rule": {
            "fixed_on": params.fix_on or ALL, "false_match_rate_targets": list(params.far),
            "thresholds_given": list(params.threshold),
            "rule": "the lowest threshold whose false match rate does not exceed the target; never the nearest",
        },
        "uncertainty": {
            "method": "Wilson's interval at n_eff = p (1 - p) / V, V the dyadic cluster variance over identities; an "
                      "upper bound under ten errors; independent comparisons where nobody is named",
            "confidence": 0.95, "thresholds": "held fixed", "identities": int(source.people),
        },
        "error_rates": [{
            "group_a": row.group_a, "group_b": row.group_b, "false_match_rate_target": _number(row.far_target),
            "threshold": _number(row.threshold), "supported": bool(row.supported),
            "false_match_rate": _rate(row, "fmr", row.false_matches, row.impostors),
            "false_non_match_rate": _rate(row, "fnmr", row.false_non_matches, row.genuines),
        } for row in rates.itertuples()],
        "differentials": "audit/fairness.json",
    }  # fmt: skip


def _rate(row: Any, name: str, errors: int, comparisons: int) -> dict[str, Any]:
    values = {key: _number(getattr(row, f"{name}{key}")) for key in ("", "_low", "_high")}
    return {"value": values[""], "low": values["_low"], "high": values["_high"], "errors": int(errors),
            "comparisons": int(comparisons)}  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
