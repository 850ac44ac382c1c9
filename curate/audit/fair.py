"""The fairness pack: every published measure at every operating point, with an interval and its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from curate.audit.rates import Cell, Cut
from curate.audit.source import Genuine, false_non_matches
from curate.stats import fairness as fair
from curate.stats.bootstrap import identity_weights, percentile_interval, weighted_sum

#: What `Rates` is given to: one number, or one of each draw.
Measure = Callable[["Rates"], np.ndarray]


class Rates(NamedTuple):
    """Rates of the groups, `(..., G)`: of impostor, genuine, and all comparisons."""

    fmr: np.ndarray
    fnmr: np.ndarray
    fmr_of_all: np.ndarray
    fnmr_of_all: np.ndarray
    accuracy: np.ndarray


_OF_RATIOS = {"max_over_min_fmr": "fmr", "max_over_min_fnmr": "fnmr", "max_over_geometric_mean_fmr": "fmr",
              "max_over_geometric_mean_fnmr": "fnmr", "inequity_rate": "both"}  # fmt: skip


def measures(alpha: float) -> dict[str, tuple[Measure, str]]:
    """Every measure by name: a function of rates, and its source."""
    howard = "Howard, Laird and Sirotin 2022"
    nistir, nistir_2 = "Grother, Ngan and Hanaoka, NISTIR 8280, 2019", "Grother, NISTIR 8429, 2022"
    return {
        "max_over_min_fmr": (lambda r: fair.max_over_min(r.fmr), nistir),
        "max_over_min_fnmr": (lambda r: fair.max_over_min(r.fnmr), nistir),
        "max_over_geometric_mean_fmr": (lambda r: fair.max_over_geometric_mean(r.fmr), nistir_2),
        "max_over_geometric_mean_fnmr": (lambda r: fair.max_over_geometric_mean(r.fnmr), nistir_2),
        "gini_fmr": (lambda r: fair.gini(r.fmr), howard),
        "gini_fnmr": (lambda r: fair.gini(r.fnmr), howard),
        "garbe": (lambda r: fair.garbe(r.fmr, r.fnmr, alpha), howard),
        "fdr": (
            lambda r: fair.fairness_discrepancy_rate(r.fmr, r.fnmr, alpha), "de Freitas Pereira and Marcel 2021"
        ),
        "fdr_of_all_pairs": (
            lambda r: fair.fairness_discrepancy_rate(r.fmr_of_all, r.fnmr_of_all, alpha),
            "de Freitas Pereira and Marcel 2021, errors divided by all comparisons of the group, as in some tables",
        ),
        "inequity_rate": (lambda r: fair.inequity_rate(r.fmr, r.fnmr, alpha), "Grother 2021, in " + howard),
        "accuracy_deviation": (lambda r: fair.accuracy_deviation(r.accuracy), "Wang and Deng 2020, STD (n - 1)"),
        "skewed_error_ratio": (lambda r: fair.skewed_error_ratio(r.accuracy), "Wang and Deng 2020, SER"),
    }  # fmt: skip


def fairness_pack(
    cells: list[Cell], genuine: Genuine, cuts: list[Cut], rng: np.random.Generator, draws: int, alpha: float
) -> list[dict[str, Any]]:
    """For each operating point the measures over the groups, a JSON value each.

    Intervals are the middle 95% of `draws` two-way bootstrap draws of the identities, thresholds held fixed. A ratio
    to a group without errors has no value (null) and `at_least`: what it is at least if that group's rate is the upper
    limit of its interval. A measure that no two groups allow is null, and says why.
    """
    groups = [cell for cell in cells if cell.pair is not None]
    pack = []
    for cut in cuts:
        errors = [
            (cell.matches(cut.threshold), false_non_matches(cell.source, genuine, cell.pair, cut.threshold))
            for cell in groups
        ]
        counts = [
            [np.array([float(value)]) for value in (
                match.total, cell.impostors.total, miss.total, cell.genuines.total)]
            for cell, (match, miss) in zip(groups, errors, strict=True)
        ]  # fmt: skip
        here, drawn = rates_of(counts), _drawn(groups, errors, rng, draws)
        highs = Rates(*_upper(groups, errors, cut, genuine), *here[2:])
        entry: dict[str, Any] = {
            "far_target": _number(cut.target), "threshold": _number(cut.threshold), "alpha": alpha,
            "groups": [cell.names[0] for cell in groups], "draws": draws, "confidence": 0.95,
            "measures": {},
        }  # fmt: skip
        for name, (measure, source) in measures(alpha).items():
            value = float(measure(here)[0])
            low, high = percentile_interval(measure(drawn)) if drawn is not None else (np.nan, np.nan)
            told = {"value": _number(value), "low": _number(low), "high": _number(high), "source": source}
            if np.isinf(value) and name in _OF_RATIOS:
                told["at_least"] = _number(float(measure(highs)[0]))
                told["note"] = "a group has no error: the ratio has no upper limit"
            elif np.isnan(value):
                told["note"] = "fewer than two groups have comparisons, or no group has an error"
            elif np.isinf(high):
                told["note"] = "in some draws a group has no error: the ratio has no upper limit"
            entry["measures"][name] = told
        pack.append(entry)
    return pack


def rates_of(counts: list[list[np.ndarray]]) -> Rates:
    """Of (false matches, impostors, false non-matches, genuines) of each group, `(draws,)` each."""
    wrong, impostors, missed, genuines = (
        np.stack([one[k] for one in counts], axis=-1) if counts else np.zeros((1, 0)) for k in range(4)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        every = impostors + genuines
        return Rates(wrong / impostors, missed / genuines, wrong / every, missed / every, 1 - (wrong + missed) / every)


def _drawn(groups: list[Cell], errors: list, rng: np.random.Generator, draws: int) -> Rates | None:
    if not draws or not groups:
        return None
    parts = []
    for weights in identity_weights(groups[0].source.people, draws, rng):
        parts.append(
            [
                [weighted_sum(*match, weights), cell.impostors.drawn(weights),
                 weighted_sum(*miss, weights), cell.genuines.drawn(weights)]
                for cell, (match, miss) in zip(groups, errors, strict=True)
            ]
        )  # fmt: skip
    return rates_of([[np.concatenate([part[g][k] for part in parts]) for k in range(4)] for g in range(len(groups))])


def _upper(groups: list[Cell], errors: list, cut: Cut, genuine: Genuine) -> tuple[np.ndarray, np.ndarray]:
    """The groups' rates `(1, G)`, those that are zero replaced by their upper limits."""
    fmr, fnmr = [], []
    for cell, (match, miss) in zip(groups, errors, strict=True):
        fmr.append(cell.fmr(cut.threshold).high if not match.total else match.total / cell.impostors.total)
        fnmr.append(cell.fnmr(genuine, cut.threshold).high if not miss.total else miss.total / cell.genuines.total)
    return np.array([fmr]), np.array([fnmr])


def _number(value: Any) -> float | None:
    """A number as JSON has it: null for what is none."""
    return float(value) if np.isfinite(value) else None
