"""Figures of a verification test that are no point of the DET curve: precision, recall, and accuracy over folds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curate.core.errors import InputError
from curate.stats.rates import Curve, det_curve, fnmr, threshold_at


class AtThreshold(NamedTuple):
    """A figure in [0, 1] and the threshold where it is reached; NaN and +inf where no threshold reaches it."""

    value: float
    threshold: float


class FoldAccuracy(NamedTuple):
    """Accuracy of each fold `(F,)`, its mean, its standard error (standard deviation (n - 1) / sqrt(F)), thresholds."""

    folds: np.ndarray
    mean: float
    standard_error: float
    thresholds: np.ndarray


def tar_at_far(genuine_scores: np.ndarray, impostor_scores: np.ndarray, target: float) -> AtThreshold:
    """TAR (1 - FNMR) at the lowest threshold whose FMR is at most the target; never the nearest rate.

    genuine_scores `(G,)`, impostor_scores `(N,)`, target in [0, 1]. Raises InputError as `threshold_at` does.
    """
    threshold = threshold_at(impostor_scores, target)
    return AtThreshold(1 - fnmr(genuine_scores, threshold), threshold)


def precision_of(curve: Curve, prevalence: float) -> np.ndarray:
    """Precision at every point of a curve, were `prevalence` of all comparisons genuine; NaN where nothing matches."""
    if not 0 < prevalence < 1:
        raise InputError("the prevalence is not a share", value=prevalence, allowed="above 0, below 1")
    hits, wrong = prevalence * (1 - curve.fnmr), (1 - prevalence) * curve.fmr
    with np.errstate(invalid="ignore"):
        return hits / (hits + wrong)


def precision_at_recall(curve: Curve, recall: float, prevalence: float) -> AtThreshold:
    """The precision at the highest threshold whose recall (1 - FNMR) is at least `recall`, at this prevalence."""
    at = int(np.argmax(1 - curve.fnmr >= recall))  # the curve ends with everything matching
    return AtThreshold(float(precision_of(curve, prevalence)[at]), float(curve.threshold[at]))


def recall_at_precision(curve: Curve, precision: float, prevalence: float) -> AtThreshold:
    """The largest recall among the thresholds whose precision is at least `precision`, at this prevalence.

    NaN where no threshold is that precise.
    """
    good = np.nan_to_num(precision_of(curve, prevalence), nan=-1.0) >= precision
    if not good.any():
        return AtThreshold(float("nan"), float("inf"))
    at = len(good) - 1 - int(good[::-1].argmax())  # recall only grows along the curve
    return AtThreshold(float(1 - curve.fnmr[at]), float(curve.threshold[at]))


def best_threshold(genuine_scores: np.ndarray, impostor_scores: np.ndarray) -> float:
    """The threshold that decides most comparisons rightly; of several, the highest."""
    curve = det_curve(genuine_scores, impostor_scores)
    right = (1 - curve.fnmr) * len(genuine_scores) + (1 - curve.fmr) * len(impostor_scores)
    return float(curve.threshold[int(np.round(right).argmax())])


def fold_accuracy(scores: np.ndarray, genuine: np.ndarray, fold: np.ndarray) -> FoldAccuracy:
    """Accuracy of each fold at the threshold that is best for all the others (Huang et al. 2007, LFW, view 2).

    scores `(N,)` similarities, genuine `(N,)` bool, fold `(N,)`. Raises InputError for fewer than two folds, and where
    the others of a fold lack genuine or impostor comparisons.
    """
    names = np.unique(fold)
    if len(names) < 2:
        raise InputError("accuracy over folds needs at least two", column="fold", value=names.tolist())
    accuracies, thresholds = [], []
    for name in names:
        rest, here = fold != name, fold == name
        threshold = best_threshold(scores[rest & genuine], scores[rest & ~genuine])
        accuracies.append(float(((scores[here] >= threshold) == genuine[here]).mean()))
        thresholds.append(threshold)
    folds = np.array(accuracies)
    return FoldAccuracy(
        folds, float(folds.mean()), float(folds.std(ddof=1) / np.sqrt(len(folds))), np.array(thresholds)
    )


__all__ = [
    "AtThreshold", "FoldAccuracy", "best_threshold", "fold_accuracy", "precision_at_recall", "precision_of",
    "recall_at_precision", "tar_at_far",
]  # fmt: skip
