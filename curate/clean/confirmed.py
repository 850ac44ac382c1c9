"""Copies of one photograph among many: proposed by one of several methods, confirmed by pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from curate.clean.proposals import METHODS, MethodName, Search, check_method, first_of_each, windows_of
from curate.core.errors import InputError
from curate.core.shapes import Executor, StrictParams
from curate.search.confirm import correlate_pairs

#: What confirming needs, whatever proposes.
PIXELS = ("phash", "phash_mirror", "thumbnail")

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class ConfirmParams(StrictParams):
    """What counts as a copy."""

    method: MethodName = "phash"  # what proposes pairs
    max_distance: Annotated[int, Field(ge=0, le=128)] | None = None  # bits, of hashes; null: fewer for many images
    min_similarity: Annotated[float, Field(gt=0, le=1)] | None = None  # cosine of vlad, embedding; Jaccard of minhash
    approximate: bool = False  # vlad, embedding: by faiss, with its recall measured on a sample
    min_correlation: Annotated[float, Field(gt=0, le=1)] = 0.945  # agreement of the aligned small pixels: confirms
    mirrored: bool = True  # whether a mirrored copy counts
    crops: bool = True  # whether pHash is also compared with that of 49 windows of the other image

    @model_validator(mode="after")
    def _fits(self) -> ConfirmParams:
        try:
            check_method(self.method, self.max_distance, self.min_similarity, self.approximate)
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    def within(self, images: int) -> float:
        """Up to which bits, or from which similarity on, a set of so many images has pairs proposed."""
        given = self.min_similarity if METHODS[self.method].most is None else self.max_distance
        return METHODS[self.method].default(images) if given is None else given


def needs_of(params: Any) -> tuple[str, ...]:
    """The facts that the method of these parameters and the confirmation need."""
    return tuple(dict.fromkeys((*PIXELS, *METHODS[params.method].needs)))


def textured(thumbnails: np.ndarray, *, min_spread: float = 3.0) -> np.ndarray:
    """Mask `(N,)` of small grey images `(N, S, S)` uint8 whose standard deviation is at least so many grey levels."""
    result = np.empty(len(thumbnails), dtype=bool)
    for start in range(0, len(thumbnails), 65_536):
        tile = thumbnails[start : start + 65_536]
        result[start : start + len(tile)] = tile.std(axis=(1, 2), dtype=np.float32) >= min_spread
    return result


def confirmed_pairs(
    facts: Mapping[str, Any],
    params: ConfirmParams,
    executor: Executor,
    *,
    new: np.ndarray | None = None,
    between: bool = False,
    rng: np.random.Generator | None = None,
) -> Pairs:
    """Pairs (i, j, measure, agreement) with i < j, in order of (i, j), proposed by a method and confirmed by pixels.

    facts: arrays `(N, ...)` of `needs_of(params)`. measure: the smallest distance of hashes (of the whole images or,
    with `crops`, of one image and one of 49 windows of the other), or the largest similarity. Of a pair confirmed both
    mirrored and not the higher agreement counts. new: mask of the images of which a pair has at least one, or with
    `between` exactly one; None: all pairs. rng: for the approximate search.
    """
    n = len(facts["thumbnail"])
    windows = windows_of(facts, executor)
    search = Search(facts, windows, params.within(n), params.mirrored, params.crops, params.approximate, executor, new,
                    rng or np.random.default_rng(0))  # fmt: skip
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))]
    for turned, i, j, measure in METHODS[params.method].propose(search):
        if new is not None and between:
            across = new[i] != new[j]
            i, j, measure = i[across], j[across], measure[across]
        for mirror in (False, True) if turned is None else (turned,):
            flags = np.full(len(i), mirror)
            score = correlate_pairs(facts["thumbnail"], i, j, flags, executor, windows=windows)
            good = score >= np.float32(params.min_correlation)
            found.append((i[good], j[good], measure[good].astype(np.float64), score[good].astype(np.float64)))
    i, j, measure, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((measure if METHODS[params.method].most else -measure, -score, j, i))
    first = order[first_of_each(i[order], j[order])]
    return i[first], j[first], measure[first], score[first]


def as_evidence(params: ConfirmParams, measure: np.ndarray) -> np.ndarray:
    """The distance of the table of pairs: bits, or one minus the similarity that proposed the pair."""
    return measure if METHODS[params.method].most else 1 - measure


__all__ = ["ConfirmParams", "Pairs", "as_evidence", "confirmed_pairs", "needs_of", "textured"]
