"""One vector for each identity, and which identities of two sets may be one person."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curate.core.shapes import Executor
from curate.core.vectors import unit
from curate.search.cosine import similar_between
from curate.search.identity_model import IdentityModel, Templates

#: Pairs of templates at the top of the scores that are looked at: so many for each template, and at least so many.
TOP_EACH, TOP_LEAST = 5, 5_000
_SAMPLE = 2_000  # templates of either side, to learn how high the top begins
_NO_RIVAL = 1e6  # the margin of a pair without another


class Nearest(NamedTuple):
    """The top of all pairs of templates of two sets, in order of (i, j).

    score: log likelihood ratio; cosine: of the weighted means. mutual: each is the other's best. margin: by how much
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


def templates(points: np.ndarray, identity: np.ndarray, *, rounds: int = 3) -> Templates:
    """A robust mean of each identity's points, which scatter with variance 1 (`IdentityModel.project`).

    points: `(N, K)`; rows of code -1 take part in nothing. Reweighted least trimmed squares (Rousseeuw and Van Driessen
    2006): three steps that each average the better half (of two both), then the mean of all points whose
    distance to that is not beyond what one in a hundred would have. So up to half of an identity's images may be of
    somebody else.
    """
    from scipy.stats import chi2

    usable = np.flatnonzero(identity >= 0)
    order = usable[np.argsort(identity[usable], kind="stable")]
    codes, starts, sizes = np.unique(identity[order], return_index=True, return_counts=True)
    mine = points[order].astype(np.float64)
    if not len(codes):
        return Templates(codes.astype(np.int64), np.zeros((0, points.shape[1])), sizes)
    of = np.repeat(np.arange(len(codes)), sizes)
    half = np.maximum((sizes + 1) // 2, np.minimum(sizes, 2))
    centre = np.add.reduceat(mine, starts, axis=0) / sizes[:, None]
    for _ in range(rounds):
        gap = mine - centre[of]
        far = np.einsum("nk,nk->n", gap, gap)
        by_distance = np.lexsort((np.arange(len(of)), far, of))
        rank = np.empty(len(of), np.int64)
        rank[by_distance] = np.arange(len(of)) - starts[of]
        centre = _mean_of(mine, rank < half[of], starts)[0]
    gap = mine - centre[of]
    limit = chi2.ppf(0.99, mine.shape[1]) * (1 + 2 / half)
    inside = (np.einsum("nk,nk->n", gap, gap) <= limit[of]) | (rank < half[of])
    return Templates(codes.astype(np.int64), *_mean_of(mine, inside, starts))


def _mean_of(points: np.ndarray, inside: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = np.add.reduceat(inside.astype(np.int64), starts)
    return np.add.reduceat(np.where(inside[:, None], points, 0), starts, axis=0) / count[:, None], count


def nearest(
    left: Templates,
    right: Templates,
    model: IdentityModel,
    executor: Executor,
    rng: np.random.Generator,
    *,
    far: float | None = None,
) -> Nearest:
    """Pairs of templates at the top of the scores, with the threshold at a wanted false-match rate.

    far: the wanted rate; None: 0.01 / (templates of left), so that one of right, compared with all of left, is falsely
    matched once in a hundred times. The threshold is that of `curate.stats.rates.threshold_at` over the pairs between
    the two sets, those of mutual best pairs left out: there the matches are, if there are any. (So the impostors lack
    their own mutual best pairs, and the threshold is a little low: what passes it is sure only if it is mutual and
    probable besides.) The score is `IdentityModel.log_ratio`; it is taken of the pairs with the highest cosines of
    weighted means, some five for
    each template, found exactly by `similar_between`.
    """
    n, m = len(left.identity), len(right.identity)
    if not n or not m:
        none = np.zeros(0, np.int64)
        return Nearest(none, none, np.zeros(0), np.zeros(0), np.zeros(0, bool), np.zeros(0), np.inf, 0)
    allowed = int((0.01 / n if far is None else far) * n * m)
    one, two = (model.directions(side.means, float(np.median(side.images))) for side in (left, right))
    wanted = max(TOP_EACH * (n + m), TOP_LEAST, 4 * allowed)
    i, j, cosine = similar_between(one, two, _floor(one, two, wanted, rng), executor)
    score = model.log_ratio(left, right, i, j)
    mutual, margin = _nearness(i, j, score, n, m)
    rest = np.sort(score[~mutual])[::-1]
    threshold = float(np.nextafter(rest[allowed], np.inf)) if len(rest) > allowed else -np.inf
    return Nearest(i, j, score, cosine, mutual, margin, threshold, n * m - int(mutual.sum()))


def _floor(left: np.ndarray, right: np.ndarray, wanted: int, rng: np.random.Generator) -> float:
    """A score that about `wanted` of all pairs reach, by a sample of both sides."""
    n, m = len(left), len(right)
    if wanted >= n * m:
        return -1.0
    one, two = (unit(side[np.sort(rng.permutation(len(side))[:_SAMPLE])]) for side in (left, right))
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
