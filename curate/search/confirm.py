"""Proposed pairs of images confirmed by their aligned pixels, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from curate.core.shapes import Executor

#: Pairs of one block.
BLOCK = 8192
#: Places where the search starts when nothing is known: top, bottom, left, right of a part, as shares of the sides.
_PLACES = np.array([(edge, 1 - edge, side, 1 - side) for edge in (0, 0.06, 0.12) for side in (0, 0.06, 0.12)])


class Windows(NamedTuple):
    """Hashes of the parts of each image, which say where a copy may lie over its original.

    plain, mirror: `(N,)` uint64, of the whole image and its mirror image. parts: `(N, K)` uint64. places: `(K, 4)`,
    top, bottom, left and right of each part, as shares of the sides; the same for all images.
    """

    plain: np.ndarray
    mirror: np.ndarray
    parts: np.ndarray
    places: np.ndarray


def correlate_pairs(
    thumbnails: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    mirrored: np.ndarray,
    executor: Executor,
    *,
    windows: Windows | None = None,
) -> np.ndarray:
    """How well the small grey images of each pair agree once aligned: `(P,)` float32 in [-1, 1].

    thumbnails: `(N, 32, 32)` uint8. i, j: `(P,)` rows. mirrored: `(P,)` bool, whether j's is mirrored first.
    windows: of the same N rows; without them only parts about the centre are tried first.

    Aligning: local mean and contrast are made equal over 9x9 windows; at half size the whole image and the likeliest
    parts (those of the nearest hashes) are laid over one another, then shifted; a compass search (Hooke and Jeeves
    1961) over scale per axis (1/1.6 to 1.6) and shift takes the place of the highest Pearson correlation, over an
    overlap of at least half of both images. A pair that stays low on the way is given up, with the correlation
    reached (below 0.7); one that then scores below 0.97 is tried again with the second image turned by 3 degrees,
    either way, which brings copies turned by up to about 5 degrees near enough, at a handicap of 0.012.
    Scoring: the mean over 8x8 blocks of the structure term of SSIM (Wang et al. 2004, section III.B) of the plain grey
    values, times their correlation over the whole overlap under the best tone curve of second degree; pixels too dark
    or too bright to be trusted do not count. The first sees a block that differs, a closed eye, which a correlation
    over the whole image hardly feels; the second another background or light. Images of one colour score 0.
    """
    score = list(executor.map(_scores, _blocks(thumbnails, i, j, mirrored, windows)))
    return np.concatenate(score) if score else np.zeros(0, np.float32)


def _blocks(
    thumbnails: np.ndarray, i: np.ndarray, j: np.ndarray, mirrored: np.ndarray, windows: Windows | None
) -> Iterator[tuple]:
    """Blocks that carry the images that they need and no others."""
    for start in range(0, len(i), BLOCK):
        part = slice(start, start + BLOCK)
        rows, at = np.unique(np.concatenate([i[part], j[part]]), return_inverse=True)
        first, second = np.split(at.astype(np.int64), 2)
        if windows is None:
            zeros = np.zeros(len(rows), np.uint64)
            given = (zeros, zeros, np.zeros((len(rows), len(_PLACES)), np.uint64), _PLACES)
        else:
            given = (windows.plain[rows], windows.mirror[rows], windows.parts[rows], windows.places)
        small = np.ascontiguousarray(thumbnails[rows])
        yield small, *map(np.ascontiguousarray, given), first, second, np.ascontiguousarray(mirrored[part])


def _scores(block: tuple) -> np.ndarray:
    from curate.search.alignment import agreements

    return agreements(*block)
