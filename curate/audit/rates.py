"""Error rates at thresholds, with intervals: one row for each two groups and threshold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from curate.audit.sides import Errors, Side, effect, interval
from curate.audit.source import (
    ALL,
    Genuine,
    Pair,
    Source,
    Tail,
    Target,
    false_matches,
    false_non_matches,
    pairs_of,
    tail_of,
)  # fmt: skip
from curate.stats.intervals import MIN_ERRORS, Interval
from curate.stats.rates import allowed_matches, next_above, supported

RATE_COLUMNS = (
    "group_a", "group_b", "far_target", "threshold", "impostors", "false_matches", "fmr", "fmr_low", "fmr_high",
    "genuines", "false_non_matches", "fnmr", "fnmr_low", "fnmr_high", "supported",
)  # fmt: skip
#: Of these many highest impostor scores, the design effect is that of thresholds with too few errors to have one.
_BORROWED = 100

_TYPES: dict[str, Any] = {
    "impostors": np.int64, "false_matches": np.int64, "genuines": np.int64, "false_non_matches": np.int64,
    "images": np.int64, "failures": np.int64, "supported": bool, "exact": bool, "comparisons": np.int64,
    "matched_identities": np.int64, "gallery": np.int64, "extrapolated": bool, "errors": np.int64, "kept": bool,
    **dict.fromkeys(("group", "group_a", "group_b", "fixed_on", "identity", "identity_a", "identity_b", "kind",
                     "image_id_a", "image_id_b", "measure", "rate_name", "reason", "source", "fold"), "str"),
}  # fmt: skip


class Cut(NamedTuple):
    """An operating point: the target that a threshold was fixed for (NaN: it was given), and the threshold."""

    target: float
    threshold: float


def as_table(rows: list[tuple], columns: tuple[str, ...]) -> pd.DataFrame:
    """A table whose columns have their type even without rows."""
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pd.DataFrame(
        {
            name: pd.Series(list(value), dtype=_TYPES.get(name, np.float64))
            for name, value in zip(columns, values, strict=True)
        }
    )


def threshold_of(source: Source, target: Target) -> float:
    """The threshold of DESIGN's rule (`curate.stats.rates.threshold_at`) over the impostors of the target's pair.

    NaN without impostors.
    """
    tail, count = tail_of(source, target.pair), source.sides(target.pair)[0].total
    matches = allowed_matches(count, target.rate)
    if matches >= count:
        return float("-inf") if count else float("nan")
    return next_above(np.float64(tail.score[matches]))


class Cell:
    """All that is known of one group, of two, or of all: its comparisons and its tail."""

    def __init__(self, source: Source, pair: Pair) -> None:
        self.source, self.pair = source, pair
        self.impostors, self.genuines = source.sides(pair)
        self.tail: Tail = tail_of(source, pair)
        self._effect: float | None = None
        self._lent: dict[float, float] = {}

    @property
    def names(self) -> tuple[str | None, str | None]:
        """Of its two groups; None for images of no group."""
        if self.pair is None:
            return ALL, ALL
        known = [*self.source.groups, None]
        return known[self.pair[0]], known[self.pair[1]]

    @property
    def effect(self) -> float:
        """The design effect of its highest impostor scores, NaN where they are too few."""
        if self._effect is None:
            scores = self.tail.score
            count = self.tail.count(scores[min(_BORROWED, len(scores)) - 1]) if len(scores) else 0  # ties come along
            self._effect = effect(self.impostors, false_matches(self.source, self.tail, count))
        return self._effect

    def matches(self, threshold: float) -> Errors:
        """False matches at a threshold that the tail reaches."""
        return false_matches(self.source, self.tail, self.tail.count(threshold))

    def fmr(self, threshold: float) -> Interval:
        """FMR with its limits."""
        return interval(self.impostors, self.matches(threshold), self.effect)

    def fnmr(self, genuine: Genuine, threshold: float) -> Interval:
        """FNMR with its limits, at a threshold of `genuine.told`."""
        made = false_non_matches(self.source, genuine, self.pair, threshold)
        return interval(self.genuines, made, self._miss_effect(genuine, made))

    def _miss_effect(self, genuine: Genuine, made: Errors) -> float:
        """The design effect at the next threshold up that misses enough, for one that does not."""
        if made.total >= MIN_ERRORS:
            return float("nan")
        for threshold in genuine.lenders.tolist():
            if threshold not in self._lent:
                more = false_non_matches(self.source, genuine, self.pair, threshold)
                self._lent[threshold] = effect(self.genuines, more) if more.total >= MIN_ERRORS else float("nan")
            if not np.isnan(self._lent[threshold]):
                return self._lent[threshold]
        return float("nan")


def cells_of(source: Source, *, within: bool = False) -> list[Cell]:
    """The cells with comparisons: all, each group, and each two groups unless `within`."""
    pairs: list[Pair] = [None, *(pair for pair in pairs_of(source.groups) if not within or pair[0] == pair[1])]
    made = (Cell(source, pair) for pair in pairs)
    return [cell for cell in made if cell.impostors.total or cell.genuines.total]


def groupless_cells(source: Source) -> list[Cell]:
    """The comparisons that only the pooled figures count: of images without a group."""
    none = len(source.groups)
    made = (Cell(source, (a, none)) for a in range(none + 1))
    return [cell for cell in made if cell.impostors.total or cell.genuines.total]


def rates_table(cells: list[Cell], genuine: Genuine, cuts: list[Cut]) -> pd.DataFrame:
    """Error rates with 95% limits, columns `RATE_COLUMNS`.

    The first rows (`group_a` = `group_b` = `all`) pool all comparisons. Comparisons between groups are impostors only
    where the labels belong to the identity. Fewer than ten errors give an upper bound (`*_low` 0). `supported`: the
    target is at least 3 / n_eff of the row's impostors. The limits take the threshold as given; that it was found on
    the same impostors is not part of them.
    """
    rows = []
    for cell in cells:
        for cut in cuts:
            match, miss = cell.fmr(cut.threshold), cell.fnmr(genuine, cut.threshold)
            rows.append((
                *cell.names, cut.target, cut.threshold, *_side(cell.impostors, match), *_side(cell.genuines, miss),
                supported(match.rate if np.isnan(cut.target) else cut.target, match.n_eff),
            ))  # fmt: skip
    return as_table(rows, RATE_COLUMNS)


def _side(side: Side, made: Interval) -> tuple[int, int, float, float, float]:
    if not side.total:
        return 0, 0, np.nan, np.nan, np.nan
    return side.total, round(made.rate * side.total), made.rate, made.low, made.high


def cross_table(rates: pd.DataFrame, cut: Cut) -> pd.DataFrame:
    """The FMR of every ordered pair of groups at one threshold: group_a, group_b, fmr, its limits, impostors."""
    columns = ["group_a", "group_b", "fmr", "fmr_low", "fmr_high", "impostors"]
    rows = rates.loc[(rates["threshold"] == cut.threshold) & (rates["group_a"] != ALL), columns]
    rows = rows.drop_duplicates(["group_a", "group_b"])
    other = rows[rows["group_a"] != rows["group_b"]].rename(columns={"group_a": "group_b", "group_b": "group_a"})
    both = pd.concat([rows, other], ignore_index=True)[columns]
    return both.sort_values(["group_a", "group_b"], kind="stable", ignore_index=True)
