"""What an embedder must offer, and what all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

#: Rows that are projected at once; fixed, so that a row's vector does not depend on how many there are.
TILE = 4096


@runtime_checkable
class Embedder(Protocol):
    """Images to unit vectors, in two halves: a pure map of each image, and what is fitted on all of them.

    name: of the model. fingerprint: changes whenever a vector could (version, settings, model file). size: K, the
    length of the raw descriptor; dtype: what it is kept as. One whose attribute `takes_landmarks` is true is given the
    manifest's landmarks `(n, 5, 2)` beside the images. Embedders are picklable.
    """

    name: str
    fingerprint: str
    size: int
    dtype: np.dtype

    def describe(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Raw descriptors `(n, K)` float32 of images `(H, W, 3)` uint8 RGB; each depends on its image alone."""
        ...

    def fit(self, descriptors: np.ndarray) -> dict[str, np.ndarray]:
        """What is learnt from descriptors `(n, K)` (zero rows are left out); empty where nothing is."""
        ...

    def project(self, descriptors: np.ndarray, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """Unit vectors `(n, D)` float32 of descriptors `(n, K)`; a zero row stays zero."""
        ...


def tiles(matrix: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of a matrix `(n, K)` in tiles of 4,096 float32 rows, the last filled up with zeros.

    All tiles have one shape, because a BLAS may choose another order of sums for another shape.
    """
    for start in range(0, len(matrix), TILE):
        part = np.asarray(matrix[start : start + TILE], dtype=np.float32)
        place = slice(start, start + len(part))
        if len(part) < TILE:
            full = np.zeros((TILE, matrix.shape[1]), dtype=np.float32)
            full[: len(part)] = part
            part = full
        yield place, part
