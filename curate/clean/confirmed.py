"""Copies of one photograph among many: proposed by hashes, confirmed by pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from curate.core.shapes import Executor, StrictParams
from curate.images.hashes import WINDOWS, window_hashes
from curate.search.confirm import Windows, correlate_pairs
from curate.search.hamming import pairs_within

#: Bits where `max_distance` is left open, and up to how many images: chance proposals grow with the images' square.
DISTANCES = ((12, 5_000), (10, 50_000), (8, 500_000), (6, 5_000_000), (4, None))
#: Proposals that are held at once; more are confirmed in several goes.
_HELD = 20_000_000
_BLOCK = 4096

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class ConfirmParams(StrictParams):
    """What counts as a copy."""

    max_distance: Annotated[int, Field(ge=0, le=32)] | None = (
        None  # bits of a 64-bit pHash; null: 12, fewer for many images
    )
    min_correlation: Annotated[float, Field(gt=0, le=1)] = 0.945  # agreement of the aligned small pixels: confirms
    mirrored: bool = True  # whether a mirrored copy counts
    crops: bool = True  # whether hashes are also compared with those of 49 windows of the other image


def distance_for(max_distance: int | None, images: int) -> int:
    """The bits within which a set of so many images is searched: those asked for, else by DISTANCES."""
    if max_distance is not None:
        return max_distance
    return next(bits for bits, most in DISTANCES if most is None or images <= most)


def textured(thumbnails: np.ndarray, *, min_spread: float = 3.0) -> np.ndarray:
    """Mask `(N,)` of small grey images `(N, S, S)` uint8 whose standard deviation is at least so many grey levels."""
    result = np.empty(len(thumbnails), dtype=bool)
    for start in range(0, len(thumbnails), 65_536):
        tile = thumbnails[start : start + 65_536]
        result[start : start + len(tile)] = tile.std(axis=(1, 2), dtype=np.float32) >= min_spread
    return result


def confirmed_pairs(
    phash: np.ndarray,
    phash_mirror: np.ndarray | None,
    thumbnails: np.ndarray,
    params: ConfirmParams,
    executor: Executor,
    *,
    new: np.ndarray | None = None,
    between: bool = False,
) -> Pairs:
    """Pairs (i, j, distance, agreement) with i < j, in order of (i, j), proposed by hashes and confirmed by pixels.

    A pair is proposed where the hash of one image lies within `max_distance` of that of the other or, with `crops`, of
    one of the 49 windows of the other; distance is the smallest. Mirrored copies are proposed only with
    `phash_mirror`. Of a pair confirmed both ways the higher agreement counts. new: mask of the images of which a pair
    has at least one, or with `between` exactly one; None: all pairs.
    """
    mirror = phash if phash_mirror is None else phash_mirror
    parts = np.concatenate([*executor.map(window_hashes, _cut(thumbnails)), np.zeros((0, len(WINDOWS)), np.uint64)])
    windows = Windows(phash, mirror, parts, WINDOWS)
    reach = distance_for(params.max_distance, len(phash))
    found = [_nothing()]
    for turned in (False,) if phash_mirror is None else (False, True):
        for i, j, distance in _proposals(windows, turned, params.crops, reach, executor, new):
            if new is not None and between:
                across = new[i] != new[j]
                i, j, distance = i[across], j[across], distance[across]
            score = correlate_pairs(thumbnails, i, j, np.full(len(i), turned), executor, windows=windows)
            good = score >= np.float32(params.min_correlation)
            found.append((i[good], j[good], distance[good], score[good].astype(np.float64)))
    i, j, distance, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((distance, -score, j, i))
    i, j, distance, score = i[order], j[order], distance[order], score[order]
    first = _first(i, j)
    return i[first], j[first], distance[first], score[first]


def _proposals(
    windows: Windows, turned: bool, crops: bool, reach: int, executor: Executor, new: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs (i, j, distance) in order, each once in a go, but perhaps in several goes."""
    held: list[tuple[np.ndarray, ...]] = []
    hashes = windows.mirror if turned else windows.plain
    held.append(pairs_within(windows.plain, reach, executor, others=hashes if turned else None, new=new))
    for window in range(1, windows.parts.shape[1] if crops else 1):
        others = np.ascontiguousarray(windows.parts[:, window])
        held.append(pairs_within(hashes, reach, executor, others=others, new=new))
        if sum(len(part[0]) for part in held) > _HELD:
            yield _once(held)
            held = []
    if held:
        yield _once(held)


def _once(held: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    i, j, distance = (np.concatenate(parts) for parts in zip(*held, strict=True))
    order = np.lexsort((distance, j, i))
    i, j, distance = i[order], j[order], distance[order]
    first = _first(i, j)
    return i[first], j[first], distance[first]


def _first(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Mask of the rows that differ from the one before."""
    return np.append(True, (i[1:] != i[:-1]) | (j[1:] != j[:-1]))[: len(i)]


def _nothing() -> Pairs:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0)


def _cut(thumbnails: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(thumbnails), _BLOCK):
        yield thumbnails[start : start + _BLOCK]
