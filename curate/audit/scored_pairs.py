"""The report on a table of scores that some system made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from curate.audit.measure import MeasureParams, measure, nothing
from curate.audit.rates import as_table
from curate.audit.read_scores import Columns, read_scores
from curate.audit.score_table import ScoreTable
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, report
from curate.stats.verification import fold_accuracy


class AuditScoresParams(MeasureParams):
    """Where the scores are, and which column says what; see `Columns`."""

    scores: Path | None = None
    score: str | None = None
    label: str | None = None
    group: str | None = None
    group_b: str | None = None  # of the second image, where it may differ
    id_a: str | None = None  # of who or what is compared: identities, or images
    id_b: str | None = None
    fold: str | None = None
    distance: bool = False  # smaller is more alike: scores and thresholds are told with the sign changed


@report("audit_scores", needs=(), version=2)
def audit_scores(manifest: Manifest, features: Features, params: AuditScoresParams, rng: np.random.Generator) -> Report:
    """Report FMR and FNMR per group, with intervals and fairness measures, from a table of scored comparisons.

    Tables and documents are those of `audit`; with a fold column also `audit/folds`, the accuracy of each fold at the
    threshold that is best for the others. Raises InputError as `read_scores` does.
    """
    if params.scores is None:
        return Report(nothing(), notes=("No table of scores is named (scores): there is nothing to audit.",))
    columns = Columns(*(getattr(params, name) for name in Columns._fields))
    source = read_scores(params.scores, columns, distance=params.distance)
    made = measure(source, params, rng)
    assert made is not None  # a table without impostors was refused
    made.tables["audit/comparisons"] = _comparisons(source)
    if source.independent:
        made.notes.insert(0, "No ids are given: comparisons are treated as independent, so that the intervals are too "
                             "narrow wherever they share persons.")  # fmt: skip
    if params.distance:
        made.notes.insert(0, "The scores are distances: scores and thresholds are told with the sign changed.")
    nobody = int((source.group_a == len(source.groups)).sum()) if source.groups else 0
    if nobody:
        made.notes.append(f"{nobody:,} comparisons have no group: in the pooled figures only.")
    if source.fold is not None:
        folds = fold_accuracy(source.score, source.genuine_rows, source.fold)
        rows = list(zip(np.unique(source.fold), folds.folds, folds.thresholds, strict=True))
        made.tables["audit/folds"] = as_table(rows, ("fold", "accuracy", "threshold"))
        made.summary["accuracy over folds"] = folds.mean
        made.summary["its standard error"] = folds.standard_error
        made.figures.append(Figure("table", "audit/folds", "Accuracy of each fold at the others' best threshold", {}))
    return Report(made.tables, tuple(made.figures), made.summary, tuple(made.notes), made.documents)


def _comparisons(source: ScoreTable) -> pd.DataFrame:
    """Who was compared with whom, for `curate compare`: kind, group_a, group_b, identity_a, identity_b."""
    known = np.array([*source.groups, None], dtype=object)
    low, high = np.minimum(source.group_a, source.group_b), np.maximum(source.group_a, source.group_b)
    return pd.DataFrame(
        {
            "kind": pd.Series(np.where(source.genuine_rows, "genuine", "impostor"), dtype="str"),
            "group_a": pd.Series(known[low], dtype="str"),
            "group_b": pd.Series(known[high], dtype="str"),
            "identity_a": pd.Series(source.identity_names(source.first), dtype="str"),
            "identity_b": pd.Series(source.identity_names(source.second), dtype="str"),
        }
    )
