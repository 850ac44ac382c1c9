"""Error rates of a comparison: thresholds, FMR, FNMR, curves and the equal error rate.

Scores are similarities; a score equal to the threshold is a match. Genuine (impostor) pairs are ISO/IEC 19795-1's mated
(non-mated) comparisons.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from curate.core.errors import InputError


class Curve(NamedTuple):
    """Every operating point, thresholds descending; each array is `(T,)` float64, rates in [0, 1].

    The first threshold is +inf (nothing matches: FMR 0, FNMR 1); the others are the distinct scores.
    """

    threshold: np.ndarray
    fmr: np.ndarray
    fnmr: np.ndarray


class EqualErrorRate(NamedTuple):
    """The rate in [0, 1] at which FMR equals FNMR, and a threshold there."""

    rate: float
    threshold: float


def _scores(values: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.ndim != 1 or not len(array):
        raise InputError(f"there are no {name} scores", value=array.shape, allowed="(N,) with N >= 1")
    if not np.isfinite(array).all():
        row = int((~np.isfinite(array)).argmax())
        raise InputError(f"a score among the {name} scores is not a finite number", row=row + 1,
                         value=float(array[row]), remedy="Leave out images without a vector")  # fmt: skip
    return array


def allowed_matches(impostors: int, target: float) -> int:
    """The largest integer k with `k / impostors <= target`, in exact arithmetic on the target as it is written.

    impostors: the number of impostor scores, >= 0. target: a rate in [0, 1]; 0.29 means 29/100, not the float below it.
    Raises InputError where the target is outside [0, 1].
    """
    if not 0 <= target <= 1:
        raise InputError("the target rate is not a rate", value=target, allowed="0 to 1")
    return int(Fraction(repr(float(target))) * int(impostors))


def threshold_at(impostor_scores: np.ndarray, target: float) -> float:
    """The lowest threshold whose FMR does not exceed the target.

    With k the largest integer with k/N <= target, that is the next float, in the scores' own dtype, above the
    (k+1)-th largest impostor score; -inf where k = N, since then everything may match.
    impostor_scores: `(N,)`, any order. target: a rate in [0, 1].
    Raises InputError where there is no score, one is not finite, or the target is not a rate.
    """
    scores = _scores(impostor_scores, "impostor")
    matches = allowed_matches(len(scores), target)
    if matches >= len(scores):
        return float("-inf")
    at = len(scores) - 1 - matches
    return next_above(np.partition(scores, at)[at])


def next_above(score: np.floating) -> float:
    """The next float above a score, in the score's own dtype."""
    return float(np.nextafter(score, np.array(np.inf, dtype=score.dtype)))


def fmr(impostor_scores: np.ndarray, threshold: float) -> float:
    """The share in [0, 1] of impostor scores `(N,)` at or above the threshold. Raises InputError without scores."""
    scores = _scores(impostor_scores, "impostor")
    return int(np.count_nonzero(scores >= np.float64(threshold))) / len(scores)


def fnmr(genuine_scores: np.ndarray, threshold: float) -> float:
    """The share in [0, 1] of genuine scores `(N,)` below the threshold. Raises InputError without scores."""
    scores = _scores(genuine_scores, "genuine")
    return int(np.count_nonzero(scores < np.float64(threshold))) / len(scores)


def det_curve(genuine_scores: np.ndarray, impostor_scores: np.ndarray) -> Curve:
    """FMR and FNMR at every distinct score.

    genuine_scores `(G,)`, impostor_scores `(N,)`; returns a Curve of 1 + (distinct scores) points.
    The points are those of the ROC curve (Fawcett 2006, algorithm 1, ties taken together) with FNMR = 1 - TPR.
    Raises InputError where either side is empty or a score is not finite.
    """
    genuine = np.sort(_scores(genuine_scores, "genuine").astype(np.float64))
    impostor = np.sort(_scores(impostor_scores, "impostor").astype(np.float64))
    distinct = np.unique(np.concatenate([genuine, impostor]))[::-1]
    false_matches = len(impostor) - np.searchsorted(impostor, distinct, side="left")
    missed = np.searchsorted(genuine, distinct, side="left")
    return Curve(
        np.concatenate([[np.inf], distinct]),
        np.concatenate([[0.0], false_matches / len(impostor)]),
        np.concatenate([[1.0], missed / len(genuine)]),
    )


def eer(
    genuine_scores: np.ndarray,
    impostor_scores: np.ndarray,
    interpolation: Literal["linear", "midpoint"] = "linear",
) -> EqualErrorRate:
    """The equal error rate.

    interpolation: `linear` is where the straight line between the two neighbouring operating points crosses
    FMR = FNMR; `midpoint` is the mean of FMR and FNMR at the operating point where they differ least (the highest
    such threshold; Maio et al. 2002, FVC2000, without its upper and lower bounds). The threshold is that of the last
    point with FMR <= FNMR (`linear`) or of the point taken (`midpoint`).
    Raises InputError where either side is empty or a score is not finite.
    """
    return eer_of(det_curve(genuine_scores, impostor_scores), interpolation)


def eer_of(curve: Curve, interpolation: Literal["linear", "midpoint"] = "linear") -> EqualErrorRate:
    """The equal error rate of a curve, see `eer`; one that ends before the rates cross has its last point's mean."""
    gap = curve.fnmr - curve.fmr  # from 1 down to -1: both rates are monotone
    if interpolation == "midpoint":
        at = int(np.abs(gap).argmin())
        return EqualErrorRate(float(curve.fmr[at] + curve.fnmr[at]) / 2, float(curve.threshold[at]))
    if interpolation != "linear":
        raise InputError("unknown interpolation", value=interpolation, allowed="linear, midpoint")
    at = int(np.count_nonzero(gap >= 0)) - 1
    if gap[at] == 0 or at + 1 == len(gap):
        return EqualErrorRate(float(curve.fmr[at] + curve.fnmr[at]) / 2, float(curve.threshold[at]))
    share = gap[at] / (gap[at] - gap[at + 1])
    return EqualErrorRate(
        float(curve.fmr[at] + share * (curve.fmr[at + 1] - curve.fmr[at])), float(curve.threshold[at])
    )


def supported(target: float, n_eff: float) -> bool:
    """Whether so many effective comparisons can show a rate of `target`: at least 3 / n_eff (the rule of three).

    n_eff: comparisons after allowing for shared identities (see `curate.stats.intervals`), >= 0.
    """
    return bool(n_eff > 0 and target * n_eff >= 3)
