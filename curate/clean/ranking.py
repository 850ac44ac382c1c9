"""Images of an identity, ranked by a classifier that tells it from others; the best are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step
from curate.core.vectors import unit
from curate.stats.two_covariance import TwoCovariance, fit_two_covariance

#: Images of one task, about.
_TILE = 2048
#: Images at most that say how those of one person differ: whole identities, drawn.
_FIT = 20_000
#: Axes kept, those that tell persons apart best, and the share of the covariances that is replaced by a ball. Both were
#: chosen on drawn faces of other seeds than the ones measured (docs/sources.md); half or twice of them differ little.
_DIMENSIONS, _SHRINKAGE = 128, 0.2


class RankingParams(StrictParams):
    """Parameters of `ranking`."""

    keep: Annotated[int, Field(ge=1)] = 1000  # best images of each identity; the rest is dropped
    min_images: Annotated[int, Field(ge=2)] = 3  # an identity with fewer has nothing to be judged by: not ranked
    folds: Annotated[int, Field(ge=2)] = 5  # each image is scored by a classifier that has not seen it
    negatives: Annotated[int, Field(ge=1)] = 512  # images of others, drawn once for all identities
    c: Annotated[float, Field(gt=0)] = 1.0  # of the logistic regression: smaller is smoother


@step("ranking", needs=("embedding",), version=2, before=("holdout", "oversample"))
def ranking(manifest: Manifest, features: Features, params: RankingParams, rng: np.random.Generator) -> Decisions:
    """Rank the images of each identity by a classifier of it against others, and keep the best.

    As in VGG Face (Parkhi, Vedaldi and Zisserman 2015, stage 3), with three differences: the classifier is a logistic
    regression with balanced classes; its folds are cross-validated, so that no classifier scores what it has seen; and
    it sees the vectors on axes on which the images of one person differ equally in all directions (within-class
    covariance normalisation, Hatch, Kajarekar and Stolcke 2006), cut to length 1 there. The score is the log-odds of
    the identity. Images from rank `keep` + 1 on are dropped as `ranked_low`, threshold = the score
    of the last one kept. Evidence: identity, score, rank (1 is the best) and the number of ranked images, for every
    image. Images without a vector or an identity, replicas, and identities of fewer than `min_images` are not ranked.
    """
    vectors = features["embedding"]
    identity = manifest.codes(col.IDENTITY).astype(np.int64)
    usable = np.flatnonzero((identity >= 0) & manifest.originals() & vectors.any(axis=1))
    # Drawn for every row in order, whatever is ranked: a random order within identities, and the negatives.
    chance = rng.random(len(manifest))
    pool = np.sort(usable[np.argsort(chance[usable], kind="stable")[: params.negatives]])
    rows = usable[np.lexsort((chance[usable], identity[usable]))]
    size = np.bincount(identity[rows], minlength=identity.max(initial=-1) + 1)
    rows = rows[size[identity[rows]] >= params.min_images]
    if not len(rows) or not (identity[pool] != identity[rows[0]]).any():
        return Decisions.empty()
    score = np.full(len(manifest), np.nan)
    tiles = _tiles(vectors, identity, rows, pool, _axes(vectors, identity, usable, chance), params)
    score[rows] = np.concatenate(list(features.executor.map(score_tile, tiles)))
    order = rows[np.lexsort((rows, -score[rows], identity[rows]))]
    first = np.searchsorted(identity[order], identity[order])
    rank = np.arange(len(order)) - first + 1
    evidence = pd.DataFrame({
        col.IMAGE_ID: pd.array(manifest.ids.take(order), dtype="str"),
        col.IDENTITY: manifest.frame[col.IDENTITY].take(order).reset_index(drop=True),
        "score": score[order], "rank": rank.astype(np.int32), "images": size[identity[order]].astype(np.int32),
    })  # fmt: skip
    gone = np.flatnonzero(rank > params.keep)
    last = order[first[gone] + params.keep - 1]
    decisions = Decisions.of(
        manifest.ids.take(order[gone]), col.DROP, "ranked_low", score=score[order[gone]], threshold=score[last]
    )
    return decisions.with_evidence(evidence)


class Tile(NamedTuple):
    """Some identities' vectors `(n, D)` and codes `(n,)`, in order of identity; those of the negatives `(m, ...)`."""

    vectors: np.ndarray
    identity: np.ndarray
    others: np.ndarray
    others_identity: np.ndarray
    model: TwoCovariance
    folds: int
    c: float


def _axes(vectors: np.ndarray, identity: np.ndarray, usable: np.ndarray, chance: np.ndarray) -> TwoCovariance:
    """The axes, from whole identities in a drawn order: of each the luckiest image says when it is its turn."""
    turn = np.full(identity.max() + 1, np.inf)
    np.minimum.at(turn, identity[usable], chance[usable])
    rows = np.sort(usable[np.lexsort((usable, turn[identity[usable]]))[:_FIT]])
    codes = np.unique(identity[rows], return_inverse=True)[1]
    return fit_two_covariance(vectors[rows], codes, np.ones(len(rows)), shrinkage=_SHRINKAGE, dimensions=_DIMENSIONS)


def _tiles(
    vectors: np.ndarray, identity: np.ndarray, rows: np.ndarray, pool: np.ndarray, model: TwoCovariance,
    params: RankingParams,
) -> Iterator[Tile]:  # fmt: skip
    starts = np.flatnonzero(np.diff(identity[rows], prepend=-1))
    # Whole identities, cut where another _TILE images are full.
    cuts = starts[np.flatnonzero(np.diff(starts // _TILE, prepend=-1))]
    for at, start in enumerate(cuts):
        part = rows[start : cuts[at + 1] if at + 1 < len(cuts) else len(rows)]
        yield Tile(
            np.asarray(vectors[part], np.float32), identity[part], np.asarray(vectors[pool], np.float32),
            identity[pool], model, params.folds, params.c,
        )  # fmt: skip


def score_tile(tile: Tile) -> np.ndarray:
    """The cross-validated log-odds `(n,)` of each image of a tile; NaN where nobody else is in the pool."""
    from sklearn.linear_model import LogisticRegression

    score = np.full(len(tile.identity), np.nan)
    mine, all_others = unit(tile.model.project(tile.vectors)), unit(tile.model.project(tile.others))
    starts = np.flatnonzero(np.diff(tile.identity, prepend=-1))
    for at, start in enumerate(starts):
        rows = np.arange(start, starts[at + 1] if at + 1 < len(starts) else len(tile.identity))
        others = all_others[tile.others_identity != tile.identity[start]]
        if not len(others):
            continue
        # Rows stand in random order already, so that every fold is a random part.
        fold = np.arange(len(rows)) % min(tile.folds, len(rows))
        for number in range(fold.max() + 1):
            seen, held = rows[fold != number], rows[fold == number]
            model = LogisticRegression(C=tile.c, class_weight="balanced", max_iter=200)
            model.fit(np.concatenate([mine[seen], others]), np.repeat([1, 0], [len(seen), len(others)]))
            score[held] = model.decision_function(mine[held])
    return score
