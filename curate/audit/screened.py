"""All impostor comparisons: screened in few bits into histograms, and decided in float64 where it matters.

The score of two images is the cosine of their stored vectors in float64 (`curate.search.directions.cosines`). A screen
sees each score within `screen_error` and rounds the sum to a neighbouring bfloat16 number, so that no score of a bin is
above `Screen.highest`. Every comparison whose score may reach the thresholds is scored again in float64: the tail is
exact. The histograms below it are not, by as much along the axis of scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from curate.audit.faces import Faces, directions_of, measured
from curate.core.errors import InputError
from curate.core.shapes import Executor
from curate.core.vectors import StoredVectors
from curate.search.cosine import FEW
from curate.search.directions import cosines
from curate.search.screen import BLOCK, TILE, Matcher, Screened, halves_pay, screen_error

#: bfloat16 codes of 2**-10 and of 2: scores nearer to zero share a bin, and none is larger.
_SMALL, _LARGE = 0x3A80, 0x4000
_HALF = _LARGE - _SMALL
BINS = 2 * _HALF + 1
#: Impostors that are scored again at most.
MAX_TAIL = 40_000_000


class Scan(NamedTuple):
    """What one pass found.

    counts: `(G + 1, G + 1, BINS)` int64, impostors per pair of groups (upper triangle) and bin of the screened score.
    left, right: `(T,)` places in the faces; score: float64. floor: all impostors of at least this score are there.
    """

    counts: np.ndarray
    left: np.ndarray
    right: np.ndarray
    score: np.ndarray
    floor: float


class Screen(NamedTuple):
    """How the faces are screened.

    halves: by bfloat16 products, else float32. error: how far a product can be from the cosine. scale: `(M,)`, one over
    the length of each vector.
    """

    halves: bool
    error: float
    scale: np.ndarray

    @classmethod
    def of(cls, faces: Faces, halves: bool | None = None) -> Screen:
        """In bfloat16 where that pays, unless told; the error is measured on these vectors."""
        if halves is None:
            halves = len(faces) * (len(faces) - 1) // 2 >= FEW and halves_pay()
        scale, off = measured(faces.vectors, halves)
        return cls(halves, screen_error(off, faces.vectors.matrix.shape[1]), scale)

    def highest(self, bin: int) -> float:
        """No score of this bin is higher."""
        return min(1.0, float(_reach()[1][bin]) + self.error)

    def least(self, score: float) -> int:
        """The lowest bin that can hold a score of at least this."""
        return int(np.searchsorted(_reach()[1] + self.error, score)) if score <= 1 else BINS

    def starts(self) -> np.ndarray:
        """The screened scores at which bins begin, ascending `(BINS,)`."""
        value = _values()
        before = np.concatenate([[-2.0], value[:-1]])
        return (before + value) / 2 if self.halves else np.where(np.arange(BINS) > _HALF, value, before)


def scan(faces: Faces, screen: Screen, least: int, executor: Executor) -> Scan:
    """Compare all faces once; score again every impostor whose bin is at least `least`.

    Raises InputError where there are more of them than `MAX_TAIL`.
    """
    groups = len(faces.groups) + 1
    counts = np.zeros((groups, groups, BINS), np.int64)
    parts, total = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))], 0
    for top, across, where, found, left, right, score in executor.map(
        partial(_scan_block, halves=screen.halves, least=least), _Blocks(faces, screen)
    ):
        counts[where[:, 0], where[:, 1], where[:, 2]] += found
        total += len(score)
        if total > MAX_TAIL:
            raise InputError(
                f"more than {MAX_TAIL:,} impostor pairs reach the lowest threshold", value=total,
                remedy="Ask for a smaller FAR, or audit fewer images: a FAR that large needs no such number of pairs",
            )  # fmt: skip
        if len(score):
            parts.append((left + top, right + across, score))
    left, right, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    floor = -1.0 if least <= 0 else float(np.nextafter(screen.highest(least - 1), 2.0))
    keep = np.flatnonzero(score >= floor)
    order = keep[np.lexsort((right[keep], left[keep], -score[keep]))]
    return Scan(counts, left[order], right[order], score[order], floor)


@lru_cache(maxsize=1)
def _values() -> np.ndarray:
    """The number that the codes of each bin stand for, the one furthest from zero: ascending `(BINS,)`."""
    positive = (np.arange(_SMALL, _LARGE + 1, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.concatenate([-positive[:0:-1], positive])


@lru_cache(maxsize=1)
def _reach() -> tuple[np.ndarray, np.ndarray]:
    """Between which numbers a sum lies that was rounded to a code of each bin, to the nearest or any other way."""
    value = _values()
    above = np.concatenate([value[1:], [np.inf]])
    return -above[::-1], above


@lru_cache(maxsize=1)
def _bin_of() -> np.ndarray:
    """The bin of each bfloat16 code: uint16 `(65536,)`."""
    codes = np.arange(65536)
    size = np.clip((codes & 0x7FFF) - _SMALL, 0, _HALF)
    return np.where(codes < 0x8000, _HALF + size, _HALF - size).astype(np.uint16)


@dataclass(frozen=True)
class _Blocks:
    """The blocks of all comparisons, each made when its turn comes; their number is known, so that progress is seen."""

    faces: Faces
    screen: Screen

    def __len__(self) -> int:
        rows = -(-len(self.faces) // BLOCK)
        return rows * (rows + 1) // 2

    def __iter__(self) -> Iterator[tuple]:
        size = len(self.faces)
        for top in range(0, size, BLOCK):
            left = self._side(slice(top, top + BLOCK))
            for across in range(top, size, BLOCK):
                yield top, across, left, None if across == top else self._side(slice(across, across + BLOCK))

    def _side(self, part: slice) -> tuple[StoredVectors, np.ndarray, np.ndarray, np.ndarray]:
        return self.faces.vectors.take(part), self.screen.scale[part], self.faces.identity[part], self.faces.group[part]


def _scan_block(task: tuple, *, halves: bool, least: int) -> tuple:
    """Sparse counts of a block, and its impostors of at least the bin `least`, scored in float64."""
    from curate.audit.kernels import count_codes, drop_genuine
    from curate.search.cosine_kernels import passed_codes

    top, across, rows, columns = task
    diagonal = columns is None
    (*one, identity, group), (*two, other_identity, other_group) = rows, rows if diagonal else columns
    one = directions_of(*one)
    two = one if diagonal else directions_of(*two)
    seen = Screened.of(one, halves).rows
    matcher = Matcher.of(seen, seen if diagonal else Screened.of(two, halves).rows)
    names, row_group = np.unique(group, return_inverse=True)
    other_names, starts = np.unique(other_group, return_index=True)
    starts = np.append(starts, len(other_group))
    counts = np.zeros((len(names), len(other_names), BINS), np.int64)
    scratch, bin_of = np.zeros((2, 65536), np.int32), _bin_of()
    # In the order of codes: that of a negative number of size m is -1 - m.
    bound = np.int16(least - _HALF + _SMALL if least > _HALF else max(-32768, least - _HALF - _SMALL - 1))
    bound = np.int16(-32768) if least <= 0 else bound
    found, at = np.empty((1 << 16, 2), np.uint16), 0
    for down in range(0, len(identity), TILE):
        for right in range(down if diagonal else 0, len(other_identity), TILE):
            tile, corner = _codes(matcher.scores(down, right)), diagonal and down == right
            count_codes(tile, down, right, corner, row_group, starts, bin_of, counts, scratch)
            drop_genuine(
                tile, down, right, corner, row_group, identity, starts, other_identity, bin_of, counts
            )  # fmt: skip
            before = at
            at = passed_codes(tile, bound, down, right, corner, found, at)
            if at > len(found):
                found = np.concatenate([found[:before], np.empty((at + (1 << 16), 2), np.uint16)])
                at = passed_codes(tile, bound, down, right, corner, found, before)
    i, j = found[:at, 0].astype(np.int64), found[:at, 1].astype(np.int64)
    impostor = identity[i] != other_identity[j]
    i, j = i[impostor], j[impostor]
    filled = np.nonzero(counts)
    where = np.stack([names[filled[0]], other_names[filled[1]], filled[2]], axis=1)
    return top, across, where, counts[filled], i, j, cosines(one, two, i, j)


def _codes(tile: np.ndarray) -> np.ndarray:
    """bfloat16 codes as int16: a float32 score is rounded towards zero."""
    return tile if tile.dtype == np.int16 else (tile.view(np.uint32) >> np.uint32(16)).astype(np.uint16).view(np.int16)
