"""Proposed pairs of images confirmed by their aligned pixels, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curate.core.shapes import Executor

#: Pairs of one block.
BLOCK = 8192


def correlate_pairs(
    thumbnails: np.ndarray, i: np.ndarray, j: np.ndarray, mirrored: np.ndarray, executor: Executor
) -> np.ndarray:
    """How well the small grey images of each pair agree once aligned: `(P,)` float32 in [-1, 1].

    thumbnails: `(N, S, S)` uint8, S even. i, j: `(P,)` rows. mirrored: `(P,)` bool, whether j's is mirrored first.
    Local mean and contrast are made equal over 9x9 windows, then the Pearson correlation is taken under the best
    scale per axis (1/1.5 to 1.5) and shift found, over an overlap of at least 60% of both images. The search is a
    coarse grid at half size, then a compass search (Hooke and Jeeves 1961); a pair below 0.6 after the
    grid is given up, with the grid's figure. Images of one colour have no correlation: 0.
    """
    score = list(executor.map(_scores, _blocks(thumbnails, i, j, mirrored)))
    return np.concatenate(score) if score else np.zeros(0, np.float32)


def _blocks(thumbnails: np.ndarray, i: np.ndarray, j: np.ndarray, mirrored: np.ndarray) -> Iterator[tuple]:
    """Blocks that carry the images that they need and no others."""
    for start in range(0, len(i), BLOCK):
        part = slice(start, start + BLOCK)
        rows, places = np.unique(np.concatenate([i[part], j[part]]), return_inverse=True)
        first, second = np.split(places.astype(np.int64), 2)
        yield np.ascontiguousarray(thumbnails[rows]), first, second, np.ascontiguousarray(mirrored[part])


def _scores(block: tuple) -> np.ndarray:
    from curate.search.alignment import correlations

    return correlations(*block)
