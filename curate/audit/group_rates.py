"""Counts of all comparisons to tables: error rates with intervals, curves, and the cross-group matrix."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd

from curate.audit.scores import COARSE_BINS, Errors, Faces, Histograms
from curate.stats.intervals import clustered_interval, variance_from_sums
from curate.stats.rates import supported

#: The pooled row: all comparisons, also those of images without a group.
ALL = "all"
RATE_COLUMNS = (
    "group_a", "group_b", "far_target", "threshold", "impostors", "false_matches", "fmr", "fmr_low", "fmr_high",
    "genuines", "false_non_matches", "fnmr", "fnmr_low", "fnmr_high", "supported",
)  # fmt: skip
CURVE_COLUMNS = ("group", "threshold", "fmr", "fnmr")
_CURVE_POINTS = 300


class Comparisons:
    """How often the identities of two groups (or of one, or all) are compared: sums, never a list of pairs.

    identity: `(P,)` ascending codes. a, b: `(P,)` images in the first and the second group; the same array for one
    group.
    """

    def __init__(self, identity: np.ndarray, a: np.ndarray, b: np.ndarray | None = None) -> None:
        self.identity, self.a, self.b = identity, a.astype(np.float64), None if b is None else b.astype(np.float64)
        a = self.a
        if self.b is None:
            self.impostor = a * (a.sum() - a)
            self.genuine = a * (a - 1) / 2
            self.squared = ((a * a).sum() ** 2 - (a**4).sum()) / 2
        else:
            b = self.b
            self.impostor = a * (b.sum() - b) + b * (a.sum() - a)
            self.genuine = a * b
            # The pair {i, j} is compared a_i b_j + a_j b_i times: an identity may have images in both groups.
            self.squared = (a * a).sum() * (b * b).sum() + (a * b).sum() ** 2 - 2 * ((a * b) ** 2).sum()

    @property
    def impostors(self) -> int:
        """The number of impostor comparisons."""
        return round(self.impostor.sum() / 2)

    @property
    def genuines(self) -> int:
        """The number of genuine comparisons."""
        return round(self.genuine.sum())

    def of_pair(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Comparisons of the identities at places i and j."""
        return self.a[i] * self.a[j] if self.b is None else self.a[i] * self.b[j] + self.a[j] * self.b[i]


def comparisons(faces: Faces) -> dict[tuple[int, int] | None, Comparisons]:
    """Comparisons of all faces (None), of each group, and of each pair of groups, in that order."""
    count = len(faces.groups)
    identities = max(faces.identities, 1)
    per_group = []
    for group in range(count):
        per_group.append(np.unique(faces.identity[faces.group == group], return_counts=True))
    result: dict[tuple[int, int] | None, Comparisons] = {
        None: Comparisons(np.arange(identities), np.bincount(faces.identity, minlength=identities))
    }
    pairs = sorted(combinations_with_replacement(range(count), 2), key=lambda pair: (pair[0] != pair[1], pair))
    for a, b in pairs:
        if a == b:
            result[a, b] = Comparisons(*per_group[a])
            continue
        both = np.union1d(per_group[a][0], per_group[b][0])
        images = []
        for identity, number in (per_group[a], per_group[b]):
            full = np.zeros(len(both), dtype=np.int64)
            full[np.searchsorted(both, identity)] = number
            images.append(full)
        result[a, b] = Comparisons(both, *images)
    return result


def rates_table(faces: Faces, found: tuple[Errors, ...], targets: tuple[float, ...]) -> pd.DataFrame:
    """Error rates with 95% limits: one row for each pair of groups and target, columns `RATE_COLUMNS`.

    The first rows (`group_a` = `group_b` = `all`) pool all comparisons. Comparisons between groups are impostors only
    where the labels belong to the identity. A row with fewer than ten errors gives an upper bound (`*_low` 0).
    `supported`: the target is at least 3 / n_eff of the row's impostors. The limits take the threshold as given; that
    it was found on the same impostors is not part of them.
    """
    rows = []
    groups, people = len(faces.groups) + 1, max(faces.identities, 1)
    for pair, compared in comparisons(faces).items():
        if pair is not None and not compared.impostors and not compared.genuines:
            continue
        names = (ALL, ALL) if pair is None else (faces.groups[pair[0]], faces.groups[pair[1]])
        for target, errors in zip(targets, found, strict=True):
            matches, misses = errors.false_matches, errors.false_non_matches
            if pair is None:
                match_keys, match_counts = _summed(matches.keys % people**2, matches.counts)
                miss_keys, miss_counts = _summed(misses.keys % people, misses.counts)
            else:
                number = pair[0] * groups + pair[1]
                match_keys, match_counts = _slice(matches.keys, matches.counts, number, people**2)
                miss_keys, miss_counts = _slice(misses.keys, misses.counts, number, people)
            i, j = (np.searchsorted(compared.identity, keys) for keys in np.divmod(match_keys, people))
            k = np.searchsorted(compared.identity, miss_keys)
            low = _impostor_side(compared, i, j, match_counts)
            high = _genuine_side(compared, k, miss_counts)
            rows.append((
                *names, target, errors.threshold, compared.impostors, int(match_counts.sum()), *low[:3],
                compared.genuines, int(miss_counts.sum()), *high[:3], supported(target, low[3]),
            ))  # fmt: skip
    return as_table(rows, RATE_COLUMNS)


def _summed(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unique, inverse = np.unique(keys, return_inverse=True)
    total = np.zeros(len(unique), dtype=np.int64)
    np.add.at(total, inverse, counts)
    return unique, total


def _slice(keys: np.ndarray, counts: np.ndarray, number: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    start, stop = np.searchsorted(keys, [number * width, (number + 1) * width])
    return keys[start:stop] - number * width, counts[start:stop]


def _impostor_side(
    compared: Comparisons, i: np.ndarray, j: np.ndarray, counts: np.ndarray
) -> tuple[float, float, float, float]:
    wrong = np.bincount(i, weights=counts, minlength=len(compared.identity))
    wrong += np.bincount(j, weights=counts, minlength=len(compared.identity))
    variance = variance_from_sums(
        compared.impostor, wrong, counts, compared.of_pair(i, j), compared.squared, between=True
    )
    people = int(np.count_nonzero(compared.impostor))
    made = clustered_interval(int(counts.sum()), compared.impostors, variance, people)
    limits = (made.low, made.high) if compared.impostors else (np.nan, np.nan)
    return made.rate, *limits, made.n_eff


def _genuine_side(compared: Comparisons, k: np.ndarray, counts: np.ndarray) -> tuple[float, float, float, float]:
    wrong = np.bincount(k, weights=counts, minlength=len(compared.identity))
    nothing = np.zeros(0)
    variance = variance_from_sums(compared.genuine, wrong, nothing, nothing, 0.0, between=False)
    people = int(np.count_nonzero(compared.genuine))
    made = clustered_interval(int(counts.sum()), compared.genuines, variance, people)
    limits = (made.low, made.high) if compared.genuines else (np.nan, np.nan)
    return made.rate, *limits, made.n_eff


def curves_table(faces: Faces, scores: Histograms) -> pd.DataFrame:
    """FMR and FNMR at the edges of the score bins, within each group and pooled: columns `CURVE_COLUMNS`.

    The rates are exact at these thresholds. Edges at which neither rate changes are left out, then all but some 300,
    evenly spaced. A group without genuine or without impostor pairs has no curve.
    """
    nothing = np.zeros(COARSE_BINS, dtype=np.int64)
    sides = [(ALL, sum(scores.impostor.values(), nothing), sum(scores.genuine.values(), nothing))]
    for code, name in enumerate(faces.groups):
        sides.append((name, scores.impostor.get((code, code), nothing), scores.genuine.get((code, code), nothing)))
    edges = -1 + np.arange(COARSE_BINS + 1) * (2 / COARSE_BINS)
    parts = []
    for name, impostor, genuine in sides:
        if not impostor.any() or not genuine.any():
            continue
        matched = np.r_[np.cumsum(impostor[::-1])[::-1], 0]  # scores at or above each edge
        missed = np.r_[0, np.cumsum(genuine)]
        changes = np.flatnonzero(np.r_[True, (np.diff(matched) != 0) | (np.diff(missed) != 0)])
        if len(changes) > _CURVE_POINTS:
            changes = changes[np.arange(_CURVE_POINTS) * (len(changes) - 1) // (_CURVE_POINTS - 1)]
        parts += [(name, edges[at], matched[at] / matched[0], missed[at] / missed[-1]) for at in changes.tolist()]
    return as_table(parts, CURVE_COLUMNS)


def cross_table(rates: pd.DataFrame, target: float) -> pd.DataFrame:
    """The FMR of every ordered pair of groups at one target: group_a, group_b, fmr, impostors."""
    rows = rates[(rates["far_target"] == target) & (rates["group_a"] != ALL)]
    rows = rows[["group_a", "group_b", "fmr", "impostors"]]
    other = rows[rows["group_a"] != rows["group_b"]].rename(columns={"group_a": "group_b", "group_b": "group_a"})
    both = pd.concat([rows, other], ignore_index=True)[list(rows.columns)]
    return both.sort_values(["group_a", "group_b"], kind="stable", ignore_index=True)


_TYPES: dict[str, Any] = {
    "group": "str", "group_a": "str", "group_b": "str", "impostors": np.int64, "false_matches": np.int64,
    "genuines": np.int64, "false_non_matches": np.int64, "images": np.int64, "failures": np.int64, "supported": bool,
}  # fmt: skip


def as_table(rows: list[tuple], columns: tuple[str, ...]) -> pd.DataFrame:
    """A table whose columns have their type even without rows."""
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pd.DataFrame(
        {
            name: pd.Series(list(value), dtype=_TYPES.get(name, np.float64))
            for name, value in zip(columns, values, strict=True)
        }
    )
