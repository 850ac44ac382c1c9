"""Searching a gallery: rank 1 and TPIR at FPIR against its size, and what may be expected of larger ones."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from curate.audit.faces import Faces, directions_of
from curate.audit.rates import Cell, as_table
from curate.core.shapes import StrictParams
from curate.stats.bootstrap import percentile_interval
from curate.stats.rates import threshold_at

COLUMNS = ("measure", "gallery", "fpir_target", "rate", "rate_low", "rate_high", "draws", "source", "extrapolated")
_TILE = 2048
_NONE = -1.0  # no FPIR: a closed search


class IdentificationParams(StrictParams):
    """Galleries to search."""

    galleries: tuple[Annotated[int, Field(ge=1)], ...] = ()  # sizes; none: a quarter, half, and all that is possible
    beyond: tuple[Annotated[int, Field(ge=1)], ...] = (1_000_000, 10_000_000, 100_000_000)  # extrapolated sizes
    fpir: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.1, 0.01)
    draws: Annotated[int, Field(ge=2, le=1000)] = 20  # galleries drawn of each size
    probes: Annotated[int, Field(ge=1)] = 5000  # of each kind, at most, in a draw


def identification(faces: Faces, pooled: Cell, params: IdentificationParams, rng: np.random.Generator) -> pd.DataFrame:
    """Closed and open-set identification with one image per identity enrolled. Columns `COLUMNS`.

    In each draw the identities are put in random order; the first n are enrolled with a random image each, other
    images of theirs are mated probes, images of the last third of the identities, never enrolled, are non-mated ones.
    Galleries of one draw are nested. Rank 1: the share of mated probes whose own entry is more similar than any other.
    TPIR: of those that also reach the threshold whose FPIR, over the non-mated probes, is at most the target.
    Intervals are the middle 95% of the draws: they show what the choice of people in a gallery does, within this set.
    Scores are float32 cosines. Extrapolated rows take the comparisons with each entry as independent, rank 1 at N
    being the mean over mated scores of (1 - FMR(score))**(N - 1) (binomial model; Grother and Phillips 2004), FMR that
    of all impostor pairs; where it is below what the pairs can show it counts as half a false match. They are no
    measurement: dependence between entries, and twins and doubles not in the data, make real figures differ.
    """
    images = np.bincount(faces.identity, minlength=faces.people)
    largest = int(faces.people * 2 // 3)
    if largest < 2 or not (images > 1).any():
        return as_table([], COLUMNS)
    asked = params.galleries or (largest // 4, largest // 2, largest)
    sizes = sorted({min(size, largest) for size in asked if size > 1})
    found: dict[tuple[str, int, float], list[float]] = {}
    mated_scores = []
    for _ in range(params.draws):
        mated_scores.append(_draw(faces, sizes, params, rng, found))
    rows = []
    for (measure, size, fpir), values in found.items():
        low, high = percentile_interval(np.array(values))
        target = np.nan if fpir == _NONE else fpir
        rows.append((measure, size, target, float(np.mean(values)), low, high, len(values), "measured", False))
    pooled_scores = np.concatenate(mated_scores)
    if len(pooled_scores):
        rows += [
            ("rank 1", size, np.nan, _expected(pooled_scores, pooled, size), np.nan, np.nan, params.draws,
             "extrapolated", True)
            for size in sorted({*sizes, *params.beyond})
        ]  # fmt: skip
    rows.sort(key=lambda row: (row[0], row[-1], _NONE if np.isnan(row[2]) else row[2], row[1]))
    return as_table(rows, COLUMNS)


def _draw(
    faces: Faces, sizes: list[int], params: IdentificationParams, rng: np.random.Generator,
    found: dict[tuple[str, int, float], list[float]],
) -> np.ndarray:  # fmt: skip
    """One draw: its rates are appended to `found`; returns the mated scores against the largest gallery."""
    place = rng.permutation(faces.people)  # of each identity in the order of enrolment
    shuffled = rng.permutation(len(faces))
    by_identity = shuffled[np.argsort(faces.identity[shuffled], kind="stable")]
    first = np.flatnonzero(np.diff(faces.identity[by_identity], prepend=-1))
    enrolled = by_identity[first]  # one image of each identity
    entries = enrolled[np.argsort(place)][: sizes[-1]]
    rest = np.setdiff1d(np.arange(len(faces)), enrolled)
    mated = _some(rest[place[faces.identity[rest]] < sizes[-1]], params.probes, rng)
    strangers = _some(np.flatnonzero(place[faces.identity] >= faces.people * 2 // 3), params.probes, rng)
    own, best = _best(faces, mated, entries, place, sizes)
    _, other = _best(faces, strangers, entries, place, sizes)
    for at, size in enumerate(sizes):
        there = place[faces.identity[mated]] < size
        hit = own[there] > best[there, at]
        if len(hit):
            found.setdefault(("rank 1", size, _NONE), []).append(float(hit.mean()))
            for fpir in params.fpir if len(strangers) else ():
                threshold = threshold_at(other[:, at], fpir)
                found.setdefault((f"TPIR at FPIR {fpir:g}", size, fpir), []).append(
                    float((hit & (own[there] >= threshold)).mean())
                )
    return own


def _some(places: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.choice(places, most, replace=False)) if len(places) > most else places


def _best(
    faces: Faces, probes: np.ndarray, entries: np.ndarray, place: np.ndarray, sizes: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The score of each probe with its own entry (-inf: none), and the best other score among the first n entries."""
    own = np.full(len(probes), -np.inf, np.float32)
    best = np.full((len(probes), len(sizes)), -np.inf, np.float32)
    cuts = [0, *sizes]
    for start in range(0, len(probes), _TILE):
        part = slice(start, start + _TILE)
        left = _units(faces, probes[part])
        mine = place[faces.identity[probes[part]]]
        for at in range(len(sizes)):
            for low in range(cuts[at], cuts[at + 1], _TILE):
                high = min(low + _TILE, cuts[at + 1])
                score = left @ _units(faces, entries[low:high]).T
                rows = np.flatnonzero((mine >= low) & (mine < high))
                own[start + rows] = score[rows, mine[rows] - low]
                score[rows, mine[rows] - low] = -np.inf
                best[part, at] = np.maximum(best[part, at], score.max(axis=1))
    return own, np.maximum.accumulate(best, axis=1)


def _units(faces: Faces, places: np.ndarray) -> np.ndarray:
    directions = directions_of(faces.vectors.take(places))
    return (directions.vectors * directions.scale[:, None]).astype(np.float32)


def _expected(mated: np.ndarray, pooled: Cell, size: int) -> float:
    """Rank 1 in a gallery of this size under the binomial model."""
    starts, more = pooled.source.coarse(None)
    tail = pooled.tail.score
    above = np.searchsorted(-tail, -mated.astype(np.float64), side="right").astype(np.float64)
    if len(starts):  # below the tail: from the histogram
        low = mated < pooled.tail.floor
        at = np.clip(np.searchsorted(-starts, -mated[low].astype(np.float64), side="left"), 0, len(starts) - 1)
        above[low] = more[at]
    share = np.maximum(above, 0.5) / pooled.impostors.total
    return float(np.mean(np.exp((size - 1) * np.log1p(-np.minimum(share, 1 - 1e-12)))))
