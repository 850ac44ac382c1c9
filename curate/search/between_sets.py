"""Which identities of two sets may be one person, by templates that stand though some images are of somebody else."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from curate.core.errors import InputError
from curate.core.shapes import Executor
from curate.search.cosine import similar_between
from curate.search.templates import Templates
from curate.stats.two_covariance import TwoCovariance, fit_two_covariance, sums_of

#: Identities with two images or more that a model is learned from, at the least.
MIN_IDENTITIES = 20
#: Axes are kept on which persons differ at least by this share of what images of one person differ (variances).
MIN_RATIO = 0.5
SHRINKAGE = 0.05
_ROUNDS = 3
_TILE = 65_536
#: Pairs of templates at the top of the scores that are looked at: so many for each template, and at least so many.
TOP_EACH, TOP_LEAST = 5, 5_000
_SAMPLE = 2_000  # templates of either side, to learn how high the top begins
_NO_RIVAL = 1e6  # the margin of a pair without another


class Nearest(NamedTuple):
    """The top of all pairs of identities of two sets, in order of (i, j): rows of the templates.

    score: log-likelihood ratio; cosine: of the mean persons. mutual: each is the other's best. margin: by how much
    the score exceeds that of the best other pair of either; negative where another is better. threshold: of the score,
    see `nearest`. impostors: pairs that the threshold speaks of.
    """

    i: np.ndarray
    j: np.ndarray
    score: np.ndarray
    cosine: np.ndarray
    mutual: np.ndarray
    margin: np.ndarray
    threshold: float
    impostors: int


def learn(vectors: np.ndarray, identity: np.ndarray, *, rounds: int = _ROUNDS) -> tuple[TwoCovariance, np.ndarray]:
    """Learn what tells persons apart from labelled vectors `(N, D)`; images far from their identity are left out.

    identity: codes `(N,)`; rows of code -1 take part in nothing. Each round fits the two-covariance model to the
    images that are trusted (`trusted`), at first to all. Returns the model, on the axes that tell persons apart, no
    more than one for four identities (a covariance of few means is mostly chance), and the trusted images, a mask.
    Raises InputError where fewer than 20 identities have two images.
    """
    usable = identity >= 0
    several = int((np.bincount(identity[usable]) > 1).sum())
    if several < MIN_IDENTITIES:
        raise InputError("too few identities have two images with vectors", value=several,
                         allowed=f"{MIN_IDENTITIES} or more",
                         remedy="Compare by name and image, or bring more images")  # fmt: skip
    most, codes, inside = max(1, several // 4), np.maximum(identity, 0), usable
    for _ in range(rounds):
        model = fit_two_covariance(vectors, codes, inside.astype(float), shrinkage=SHRINKAGE, dimensions=most)
        kept = max(1, int((model.between >= MIN_RATIO).sum()))
        model = replace(model, basis=model.basis[:, :kept], between=model.between[:kept])
        inside = trusted(model.project(vectors), identity)
    return model, inside


def trusted(points: np.ndarray, identity: np.ndarray, *, steps: int = 3) -> np.ndarray:
    """Which images show the person that most of their identity's do: a mask `(N,)`, false for rows of code -1.

    points: `(N, d)`, projected, so that images of one person scatter with variance 1. Reweighted least trimmed squares
    (Rousseeuw and Van Driessen 2006): three steps that each average the better half (of two both), then all
    points whose distance to that is not beyond what one in a hundred would have. So up to half of an identity's
    images may be of somebody else.
    """
    from scipy.stats import chi2

    usable = np.flatnonzero(identity >= 0)
    order = usable[np.argsort(identity[usable], kind="stable")]
    result = np.zeros(len(identity), dtype=bool)
    if not len(order):
        return result
    _, starts, sizes = np.unique(identity[order], return_index=True, return_counts=True)
    of = np.repeat(np.arange(len(sizes)), sizes)
    mine = points[order]
    half = np.maximum((sizes + 1) // 2, np.minimum(sizes, 2))
    far = _distances(mine, np.ones(len(of)), of, starts)
    for _ in range(steps):
        rank = np.empty(len(of), np.int64)
        rank[np.lexsort((np.arange(len(of)), far, of))] = np.arange(len(of)) - starts[of]
        far = _distances(mine, rank < half[of], of, starts)
    limit = chi2.ppf(0.99, mine.shape[1]) * (1 + 2 / half)
    result[order] = (far <= limit[of]) | (rank < half[of])
    return result


def _distances(points: np.ndarray, inside: np.ndarray, of: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Squared distance of each point from the mean of those of its group that are inside: float64 `(N,)`."""
    count = np.add.reduceat(np.asarray(inside, np.float64), starts)
    result = np.empty(len(points))
    centre = sums_of(points, of, inside, len(starts)) / count[:, None]
    for start in range(0, len(points), _TILE):
        here = slice(start, start + _TILE)
        gap = points[here] - centre[of[here]]
        result[here] = np.einsum("nk,nk->n", gap, gap)
    return result


def nearest(
    templates: Templates,
    left: np.ndarray,
    right: np.ndarray,
    executor: Executor,
    rng: np.random.Generator,
    *,
    far: float | None = None,
) -> Nearest:
    """Pairs of identities at the top of the scores, with the threshold at a wanted false-match rate.

    left, right: the rows of the two sets. far: the wanted rate; None: 0.01 / (identities of left), so that one of
    right, compared with all of left, is falsely
    matched once in a hundred times. The threshold is that of `curate.stats.rates.threshold_at` over the pairs between
    the two sets, those of mutual best pairs left out: there the matches are, if there are any. (So the impostors lack
    their own mutual best pairs, and the threshold is a little low: what passes it is sure only if it is mutual and
    probable besides.) The score is `Templates.same_person`; it is taken of the pairs with the highest cosines of
    mean persons, some five for each identity, found exactly by `similar_between`.
    """
    n, m = len(left), len(right)
    if not n or not m:
        none = np.zeros(0, np.int64)
        return Nearest(none, none, np.zeros(0), np.zeros(0), np.zeros(0, bool), np.zeros(0), np.inf, 0)
    allowed = int((0.01 / n if far is None else far) * n * m)
    one, two = templates.directions(left), templates.directions(right)
    wanted = max(TOP_EACH * (n + m), TOP_LEAST, 4 * allowed)
    i, j, cosine = similar_between(one, two, _floor(one, two, wanted, rng), executor)
    score = templates.same_person(left[i], right[j])
    mutual, margin = _nearness(i, j, score, n, m)
    rest = np.sort(score[~mutual])[::-1]
    threshold = float(np.nextafter(rest[allowed], np.inf)) if len(rest) > allowed else -np.inf
    return Nearest(left[i], right[j], score, cosine, mutual, margin, threshold, n * m - int(mutual.sum()))


def _floor(left: np.ndarray, right: np.ndarray, wanted: int, rng: np.random.Generator) -> float:
    """A score that about `wanted` of all pairs reach, by a sample of both sides."""
    n, m = len(left), len(right)
    if wanted >= n * m:
        return -1.0
    one, two = (side[np.sort(rng.permutation(len(side))[:_SAMPLE])] for side in (left, right))
    return max(-1.0, float(np.quantile(one @ two.T, 1 - wanted / (n * m))))


def _nearness(i: np.ndarray, j: np.ndarray, score: np.ndarray, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each pair: whether each is the other's best (ties: the first), and its margin over the best rival."""
    place = np.arange(len(i))
    best_other = np.full(len(i), -np.inf)
    mutual = np.ones(len(i), bool)
    for side, size in ((i, n), (j, m)):
        order = np.lexsort((place, -score, side))
        starts = np.flatnonzero(np.append(True, side[order][1:] != side[order][:-1])[: len(i)])
        first, second = np.full(size, -1, np.int64), np.full(size, -np.inf)
        first[side[order[starts]]] = order[starts]
        next_one = order[np.minimum(starts + 1, len(i) - 1)] if len(i) else starts
        real = (starts + 1 < len(i)) & (side[next_one] == side[order[starts]]) if len(i) else starts > 0
        second[side[order[starts]][real]] = score[next_one[real]]
        is_first = first[side] == place
        mutual &= is_first
        best_other = np.maximum(best_other, np.where(is_first, second[side], score[first[side]]))
    return mutual, np.minimum(score - best_other, _NO_RIVAL)
