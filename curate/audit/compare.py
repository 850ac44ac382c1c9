"""Two audits side by side: the same people or comparisons, before and after, or one model against another."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from curate.audit.fair import measures, rates_of
from curate.audit.rates import as_table
from curate.audit.sides import Crossed, Errors, Listed, Side, Within, summed
from curate.audit.source import ALL
from curate.core.errors import InputError
from curate.core.files import read_json, read_table
from curate.stats.bootstrap import identity_weights, percentile_interval, weighted_sum

COLUMNS = (
    "measure", "group_a", "group_b", "far_target", "threshold", "threshold_of_b", "first", "second", "difference",
    "difference_low", "difference_high", "ratio", "ratio_low", "ratio_high",
)  # fmt: skip


class Comparison(NamedTuple):
    """The table, columns `COLUMNS`, and what a reader must know."""

    table: pd.DataFrame
    notes: tuple[str, ...]


class _Kept:
    """What a run folder keeps of an audit."""

    def __init__(self, run: Path) -> None:
        folder = run / "audit"
        if not (folder / "rates.parquet").is_file():
            raise InputError("the run holds no audit (no audit/rates.parquet)", file=run,
                             remedy="Give run folders of `curate audit`, or of a recipe with an audit")  # fmt: skip
        if not (folder / "errors.parquet").is_file():
            raise InputError("the audit did not keep its errors, so that it can't be paired with another", file=run,
                             remedy="Run it again with a larger max_errors, or with smaller FARs")  # fmt: skip
        self.rates = read_table(folder / "rates.parquet")
        self.errors = read_table(folder / "errors.parquet")
        listed = folder / "comparisons.parquet"
        self.listed = read_table(listed) if listed.is_file() else None
        self.images = None if self.listed is not None else read_table(folder / "identities.parquet")
        self.alpha = next((entry["alpha"] for entry in read_json(folder / "fairness.json")), 0.5)

    @property
    def identities(self) -> set[str]:
        """The names of all who are compared."""
        if self.images is not None:
            return set(self.images["identity"])
        return set(self.listed["identity_a"]) | set(self.listed["identity_b"])

    def encode(self, names: pd.Index) -> None:
        """Names of identities to codes that both audits share."""
        self.people = len(names)
        for frame in (self.errors, self.listed, self.images):
            for column in ("identity", "identity_a", "identity_b"):
                if frame is not None and column in frame:
                    frame[column] = names.get_indexer(frame[column])

    def side(self, kind: str, pair: tuple[str, str]) -> Side:
        """The comparisons of one kind."""
        if self.listed is not None:
            rows = self.listed[_of(self.listed, kind, pair)]
            return Listed(rows["identity_a"].to_numpy(), rows["identity_b"].to_numpy(), self.people, False)
        counts = [
            np.bincount(rows["identity"], rows["images"], self.people)
            for rows in (self.images if group == ALL else self.images[self.images["group"] == group] for group in pair)
        ]
        if pair[0] == pair[1]:
            return Crossed(counts[0]) if kind == "impostor" else Within(counts[0] * (counts[0] - 1) / 2)
        return Crossed(*counts) if kind == "impostor" else Within(counts[0] * counts[1])

    def made(self, kind: str, pair: tuple[str, str], threshold: float) -> Errors:
        """The errors at a threshold."""
        rows = self.errors[_of(self.errors, kind, pair) & (self.errors["threshold"] == threshold).to_numpy()]
        first, second = rows["identity_a"].to_numpy(), rows["identity_b"].to_numpy()
        return summed(first, second, self.people, rows["errors"].to_numpy())


def _of(frame: pd.DataFrame, kind: str, pair: tuple[str, str]) -> np.ndarray:
    here = frame["kind"] == kind
    if pair != (ALL, ALL):
        here &= (frame["group_a"] == pair[0]) & (frame["group_b"] == pair[1])
    return here.fillna(False).to_numpy(bool)


def compare(first: Path, second: Path, *, draws: int = 1000, seed: int = 0) -> Comparison:
    """The error rates and fairness measures of two audits, their differences and ratios, with paired intervals.

    Rows are matched by groups and FAR target (or threshold). Intervals are the middle 95% of two-way bootstrap draws
    of the identities, the same draw for both audits, thresholds held fixed: what both share cancels out. They are
    conservative at low rates (see `identity_weights`), and [0, 0] where neither made an error. Tables of scores
    without ids are paired row by row. Raises InputError for a folder without an audit, and for two without a row in
    common.
    """
    one, two = _Kept(first), _Kept(second)
    shared = one.identities & two.identities
    names = pd.Index(sorted(one.identities | two.identities))
    for kept in (one, two):
        kept.encode(names)
    rows = _matched(one.rates, two.rates)
    if not len(rows):
        raise InputError("the two audits have no targets in common", file=second,
                         value=sorted(set(two.rates["far_target"])), allowed=sorted(set(one.rates["far_target"])),
                         )  # fmt: skip
    share = len(shared) / max(len(names), 1)
    notes = [f"{len(shared):,} of {len(names):,} identities stand in both audits: "
             + ("differences are paired." if share == 1 else "only they are paired." if shared else
                "differences are those of two independent samples.")]  # fmt: skip
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = list(identity_weights(len(names), draws, rng))
    table = []
    for _, here in rows.groupby("cut", sort=False):
        counts = [[_counted(kept, pair, threshold, weights) for pair, threshold in zip(
            zip(here["group_a"], here["group_b"], strict=True), here[column], strict=True)]
            for kept, column in ((one, "threshold"), (two, "threshold_of_b"))]  # fmt: skip
        ends = [here[column].iloc[0] for column in ("far_target", "threshold", "threshold_of_b")]
        for at, row in enumerate(here.itertuples()):
            values = [_rates(kept[at]) for kept in counts]
            for k, name in enumerate(("fmr", "fnmr")):
                table.append((name, row.group_a, row.group_b, *ends, *_apart(values[0][k], values[1][k])))
        within = [at for at, row in enumerate(here.itertuples()) if row.group_a == row.group_b != ALL]
        if len(within) > 1:
            made = [rates_of([kept[at] for at in within]) for kept in counts]
            for name, (measure, _) in measures(one.alpha).items():
                table.append((name, None, None, *ends, *_apart(*(measure(rates) for rates in made))))
    return Comparison(as_table(table, COLUMNS), tuple(notes))


def _matched(one: pd.DataFrame, two: pd.DataFrame) -> pd.DataFrame:
    """The rows that both have, with the thresholds of both."""
    keyed = []
    for rates in (one, two):
        cut = np.where(
            rates["far_target"].isna(), "t" + rates["threshold"].astype(str), rates["far_target"].astype(str)
        )
        keyed.append(rates[["group_a", "group_b", "far_target", "threshold"]].assign(cut=cut))
    other = keyed[1].drop(columns="far_target").rename(columns={"threshold": "threshold_of_b"})
    return keyed[0].merge(other, on=["group_a", "group_b", "cut"], how="inner")


def _counted(kept: _Kept, pair: tuple[str, str], threshold: float, weights: list[np.ndarray]) -> list[np.ndarray]:
    """(false matches, impostors, false non-matches, genuines), each the true value and then one of each draw."""
    parts = []
    for kind in ("impostor", "genuine"):
        errors, side = kept.made(kind, pair, threshold), kept.side(kind, pair)
        parts.append(np.concatenate([[errors.total], *(weighted_sum(*errors, part) for part in weights)]))
        parts.append(np.concatenate([[side.total], *(side.drawn(part) for part in weights)]))
    return parts


def _rates(counts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts[0] / counts[1], counts[2] / counts[3]


def _apart(first: np.ndarray, second: np.ndarray) -> tuple[float, ...]:
    """Both values, second - first and second / first, each with its limits; NaN where a number is not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = second - first, second / first
    told = [float(first[0]), float(second[0])]
    for change in changes:
        told += [float(change[0]), *map(float, percentile_interval(change[1:]))]
    return tuple(value if np.isfinite(value) else float("nan") for value in told)
