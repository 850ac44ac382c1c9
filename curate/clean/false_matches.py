"""How many pairs of different photographs lie above a threshold, where some of the pairs seen may be real copies."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from curate.stats.intervals import MIN_ERRORS, upper_bound, wilson

#: Two-sided 95% of the standard normal distribution.
_Z = 1.96


class Tail(NamedTuple):
    """Of the false pairs at the loosest threshold, the share beyond each threshold `(T,)`, with 95% limits."""

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def tail_of(scores: np.ndarray, loosest: float, known: float, thresholds: np.ndarray) -> Tail:
    """The exponential tail of the scores `(P,)` of pairs that are not known as copies, from `loosest` on.

    Scores of `known` or more may be those of real copies, of which nothing says that they are false: the tail is fitted
    on the others (the exponential distribution cut off at `known`, by maximum likelihood) and carried on beyond
    (peaks over a threshold: Coles 2001, section 4.3, with shape 0, which is too many for scores that end at 1). So a
    single accident decides nothing. A share is never below that of the scores seen between its threshold and `known`.
    """
    scores = np.sort(scores[(scores >= loosest) & (scores < known)])
    thresholds = np.asarray(thresholds, dtype=np.float64)
    beyond = np.maximum(thresholds - loosest, 0.0)
    if not len(scores):
        return Tail(*(np.ones(len(thresholds)) for _ in range(3)))
    scale = _scale(float((scores - loosest).mean()), known - loosest)
    # The relative error of the scale, from the variance of a distribution that is cut off.
    cut = min((known - loosest) / scale, 700.0)
    spread = max(1 - cut * cut * math.exp(cut) / math.expm1(cut) ** 2, 1e-3)
    widened = math.exp(_Z / math.sqrt(len(scores) * spread))
    seen = (len(scores) - np.searchsorted(scores, thresholds)) / len(scores)
    share, low, high = (np.exp(-beyond / value) for value in (scale, scale / widened, scale * widened))
    return Tail(np.maximum(share, seen), low, np.maximum(high, seen))


def _scale(mean: float, width: float) -> float:
    """The scale of an exponential distribution that, cut off at `width`, has this mean; the flattest: 10 widths."""
    low, high = 1e-6, 10 * width
    for _ in range(80):
        middle = math.sqrt(low * high)
        expected = middle - width / math.expm1(min(width / middle, 700.0))
        low, high = (middle, high) if expected < mean else (low, middle)
    return math.sqrt(low * high)


def false_rate(pairs: int, affected: int, images: int, comparisons: int) -> tuple[float, float, float]:
    """The rate of false pairs and its 95% limits: those of the share of images with any, times the pairs of each."""
    each = pairs / affected if affected else 1.0
    low, high = wilson(affected, images) if affected >= MIN_ERRORS else (0.0, upper_bound(affected, images))
    scale = each * images / max(comparisons, 1)
    return pairs / max(comparisons, 1), low * scale, min(high * scale, 1.0)
