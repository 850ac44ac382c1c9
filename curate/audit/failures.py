"""Where it fails: who is matched with whom, who is missed, and the images that show it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.audit.rates import Cell, Cut, as_table
from curate.audit.source import Genuine, Source, false_non_matches

IDENTITY_COLUMNS = (
    "identity", "false_matches", "matched_identities", "impostors", "fmr", "false_non_matches", "genuines", "fnmr",
)  # fmt: skip
PAIR_COLUMNS = ("identity_a", "identity_b", "false_matches", "comparisons", "share", "highest_score")
EXAMPLE_COLUMNS = ("kind", "group", "score", "left", "right")
WORST, EXAMPLES = 50, 8


def worst_identities(pooled: Cell, genuine: Genuine, cut: Cut) -> pd.DataFrame:
    """The identities with most false matches (lambs and wolves are one here: scores have no direction), then misses.

    Doddington et al. 1998 name them. Columns `IDENTITY_COLUMNS`, at most 50 rows.
    """
    source = pooled.source
    match, miss = pooled.matches(cut.threshold), false_non_matches(source, genuine, None, cut.threshold)
    columns = []
    for errors, side in ((match, pooled.impostors), (miss, pooled.genuines)):
        wrong, others = np.zeros(source.people), np.zeros(source.people, np.int64)
        for end in (errors.first, errors.second) if side.between else (errors.first,):
            wrong += np.bincount(end, errors.counts, source.people)
            others += np.bincount(end, minlength=source.people)
        columns += [wrong.astype(np.int64), others, side.per_identity.astype(np.int64)]
    wrong, others, made, missed, _, own = columns
    order = np.lexsort((np.arange(source.people), -missed, -wrong))[:WORST]
    order = order[(wrong[order] > 0) | (missed[order] > 0)]
    names = source.identity_names(order)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = [
            (name, wrong[at], others[at], made[at], wrong[at] / made[at], missed[at], own[at], missed[at] / own[at])
            for name, at in zip(names, order.tolist(), strict=True)
        ]
    return as_table(rows, IDENTITY_COLUMNS)


def worst_pairs(pooled: Cell, cut: Cut) -> pd.DataFrame:
    """The pairs of identities with the largest share of false matches. Columns `PAIR_COLUMNS`, at most 50 rows."""
    source, match = pooled.source, pooled.matches(cut.threshold)
    of = pooled.impostors.of_pair(match.first, match.second)
    count = pooled.tail.count(cut.threshold)
    low = np.minimum(pooled.tail.first[:count], pooled.tail.second[:count])
    high = np.maximum(pooled.tail.first[:count], pooled.tail.second[:count])
    _, first = np.unique(low * source.people + high, return_index=True)  # scores descend: the first is the highest
    score = pooled.tail.score[first]
    order = np.lexsort((match.second, match.first, -score, -match.counts, -match.counts / of))[:WORST]
    one, two = source.identity_names(match.first[order]), source.identity_names(match.second[order])
    share = match.counts / of
    rows = [
        (one[k], two[k], match.counts[at], int(of[at]), share[at], score[at]) for k, at in enumerate(order.tolist())
    ]
    return as_table(rows, PAIR_COLUMNS)


def examples(cells: list[Cell], genuine: Genuine, cut: Cut) -> pd.DataFrame:
    """The highest impostor scores and lowest genuine ones of each group, where they are errors at the threshold.

    left, right: rows of the images. Columns `EXAMPLE_COLUMNS`.
    """
    rows = []
    for cell in cells:
        if cell.pair is None and len(cells) > 1:
            continue
        wrong = min(EXAMPLES, cell.tail.count(cut.threshold))
        rows += [
            ("false match", cell.names[0], *row)
            for row in zip(cell.tail.score[:wrong].tolist(), cell.tail.left[:wrong].tolist(),
                           cell.tail.right[:wrong].tolist(), strict=True)
        ]  # fmt: skip
        parts = [part for pair, part in genuine.lowest.items() if cell.pair in (None, pair)]
        lowest = sorted(row for part in parts for row in zip(*(array.tolist() for array in part), strict=True))
        rows += [("false non-match", cell.names[0], *row) for row in lowest[:EXAMPLES] if row[0] < cut.threshold]
    return as_table(rows, EXAMPLE_COLUMNS).astype({"left": np.int64, "right": np.int64})


def errors_table(cells: list[Cell], genuine: Genuine, cuts: list[Cut], limit: int) -> pd.DataFrame | None:
    """The errors of each two identities at each operating point, which `curate compare` pairs; None if over `limit`.

    cells: of one or two groups each, not the pooled one.
    """
    parts, total = [], 0
    for cell in cells:
        for cut in cuts:
            for kind, made in (
                ("impostor", cell.matches(cut.threshold)),
                ("genuine", false_non_matches(cell.source, genuine, cell.pair, cut.threshold)),
            ):
                total += len(made.counts)
                if total > limit:
                    return None
                parts.append((kind, cell, cut, made))
    return pd.concat([_error_rows(*part) for part in parts] or [_error_rows("genuine", None, Cut(0, 0), None)],
                     ignore_index=True)  # fmt: skip


def _error_rows(kind: str, cell: Cell | None, cut: Cut, made) -> pd.DataFrame:
    count = 0 if made is None else len(made.counts)
    source: Source | None = cell.source if cell else None
    names = cell.names if cell else ("", "")
    return pd.DataFrame({
        "kind": pd.Series([kind] * count, dtype="str"), "far_target": np.full(count, cut.target),
        "threshold": np.full(count, cut.threshold),
        "group_a": pd.Series([names[0]] * count, dtype="str"), "group_b": pd.Series([names[1]] * count, dtype="str"),
        "identity_a": pd.Series(source.identity_names(made.first) if count else [], dtype="str"),
        "identity_b": pd.Series(source.identity_names(made.second) if count else [], dtype="str"),
        "errors": made.counts if count else np.zeros(0, np.int64),
    })  # fmt: skip
