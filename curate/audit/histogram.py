"""How the scores are spread: the counts that the error rates at any other threshold are made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from curate.audit.rates import Cell, Cut, as_table
from curate.audit.sides import Errors, interval
from curate.audit.source import Genuine, Source
from curate.stats.intervals import Interval

HISTOGRAM_COLUMNS = (
    "group_a", "group_b", "threshold", "impostors", "genuines", "exact", "fmr_n_eff", "fmr_degrees", "fnmr_n_eff",
    "fnmr_degrees",
)  # fmt: skip
#: Edges of bins: as many as this, but for so many identities that counting the misses of each at each edge would be
#: much work, and never fewer than `_FEWEST`.
_EDGES, _FEWEST, _COUNTED = 256, 32, 5_000_000
MAX_CELLS = 300  # all, then groups, then pairs of groups: more are left out
_LIMITED = 1_000_000  # false matches up to which an edge has limits, if no operating point has more


def edges_of(source: Source) -> np.ndarray:
    """Round numbers at even steps, ascending: from the lowest impostor score to just above the highest one."""
    scores, (more, _) = source.tail.score, source.coarse(None)
    if not len(scores):
        return np.zeros(0)
    low, high = float(more[-1] if len(more) else scores[-1]), float(scores[0])
    wanted = min(max(_COUNTED // max(source.counted, 1), _FEWEST), _EDGES)
    span = max(high - low, 1e-6 * max(abs(high), 1e-6))
    step = _round_step(span / (wanted - 2))
    digits = int(max(0, 1 - np.floor(np.log10(step))))
    return np.round(np.arange(np.floor(low / step), np.floor(high / step) + 2) * step, digits)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least this."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9)))


def histogram_table(cells: list[Cell], genuine: Genuine, edges: np.ndarray, cuts: list[Cut]) -> pd.DataFrame:
    """Scores of each two groups in bins: columns `HISTOGRAM_COLUMNS`.

    A row counts the scores from `threshold` up to the next row's; the first row of two groups, of threshold -inf, those
    below all edges. So what matches at an edge is the sum of its row and those after. `exact`: the impostors that match
    at the edge are counted from float64 scores; else from screened ones. `fmr_n_eff` and the like: what
    `curate.stats.intervals.limits` needs for the rates at the edge as a threshold; NaN below the scores that are kept.
    edges: `edges_of`, at which misses of each identity were told.
    """
    rows = []
    lowest = min((cut.threshold for cut in cuts), default=np.inf)
    for cell in cells[:MAX_CELLS]:
        matched, exact = _matched(cell, edges)
        alike = cell.genuines.total - _missed(cell, genuine, edges)
        match = _match_limits(cell, edges, exact, max(_LIMITED, cell.tail.count(lowest)))
        miss = [cell.fnmr(genuine, edge) if cell.genuines.total else _UNKNOWN for edge in edges.tolist()]
        spread = [_UNKNOWN, *match], [_UNKNOWN, *miss]
        counts = (-np.diff(np.concatenate([[total], part, [0]])) for total, part in (
            (cell.impostors.total, matched), (cell.genuines.total, alike),
        ))  # fmt: skip
        for threshold, impostors, genuines, sure, fmr, fnmr in zip(
            [-np.inf, *edges.tolist()], *counts, [False, *exact.tolist()], *spread, strict=True
        ):
            rows.append((*cell.names, threshold, int(impostors), int(genuines), bool(sure), fmr.n_eff, fmr.degrees,
                         fnmr.n_eff, fnmr.degrees))  # fmt: skip
    return as_table(rows, HISTOGRAM_COLUMNS)


_UNKNOWN = Interval(np.nan, np.nan, np.nan, np.nan, False, np.nan)


def _matched(cell: Cell, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many impostors score at least each edge, and whether that is from float64 scores."""
    exact = edges >= cell.tail.floor
    matched = np.searchsorted(-cell.tail.score, -edges, side="right")
    starts, more = cell.source.coarse(cell.pair)
    if len(starts):
        # The bin that an edge lies in counts as matching: the rate is rather too high than too low.
        at = np.searchsorted(-starts, -edges, side="left")
        below = np.where(at < len(starts), more[np.minimum(at, len(starts) - 1)], cell.impostors.total)
        matched = np.where(exact, matched, below)
    return matched, exact


def _missed(cell: Cell, genuine: Genuine, edges: np.ndarray) -> np.ndarray:
    """How many genuine comparisons score less than each edge."""
    at = np.searchsorted(genuine.thresholds, edges)
    mine = (below[at] for pair, below in genuine.below.items() if cell.pair in (None, pair))
    return sum(mine, np.zeros(len(edges), np.int64))


def _match_limits(cell: Cell, edges: np.ndarray, exact: np.ndarray, most: int) -> list[Interval]:
    """`cell.fmr` at each edge that is exact and has at most so many matches."""
    counts = [cell.tail.count(edge) if sure else most + 1 for edge, sure in zip(edges, exact, strict=True)]
    found = {count: interval(cell.impostors, errors, cell.effect)
             for count, errors in _growing(cell, sorted({count for count in counts if count <= most}))}  # fmt: skip
    return [found.get(count, _UNKNOWN) if cell.impostors.total else _UNKNOWN for count in counts]


def _growing(cell: Cell, counts: list[int]) -> Iterator[tuple[int, Errors]]:
    """The false matches among the first of the tail, for each count: as `false_matches`, but sorted only once."""
    people, most = max(cell.source.people, 1), counts[-1] if counts else 0
    first, second = (part[:most].astype(np.int64) for part in (cell.tail.first, cell.tail.second))
    keys, inverse = np.unique(np.minimum(first, second) * people + np.maximum(first, second), return_inverse=True)
    made, before = np.zeros(len(keys), np.int64), 0
    for count in counts:
        new, more = np.unique(inverse[before:count], return_counts=True)
        made[new] += more
        seen = np.flatnonzero(made)
        yield count, Errors(keys[seen] // people, keys[seen] % people, made[seen])
        before = count


__all__ = ["HISTOGRAM_COLUMNS", "edges_of", "histogram_table"]
