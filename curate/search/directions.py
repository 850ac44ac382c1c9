"""Vectors as directions: checked, brought to length one, and their cosines in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curate.core.errors import InputError

#: What two ways to add up one float64 cosine may differ by: cosines so close below a threshold count as ties.
TIE = 1e-12
#: Vectors, or pairs of them, taken at a time.
_PART = 8192


@dataclass(frozen=True)
class Directions:
    """Vectors `(N, D)` float16, float32 or float64, and one over the length of each: float64 `(N,)`."""

    vectors: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> Directions:
        """Raises InputError for another array, and for a vector that is not finite or of length zero, by its row."""
        from curate.search.cosine_kernels import squares

        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or vectors.dtype not in (np.float16, np.float32, np.float64) or not vectors.shape[1]:
            raise InputError("not a matrix of vectors", value=f"{vectors.shape} {vectors.dtype}",
                             allowed="(N, D) float16, float32 or float64, D at least 1")  # fmt: skip
        square = np.empty(len(vectors))
        for part, rows in parts_of(vectors):
            square[part] = squares(rows)
            bad = ~((square[part] > 1e-290) & (square[part] < 1e290))
            if bad.any():
                row = part.start + int(bad.argmax())
                problem = "the vector is of length zero" if square[row] <= 1e-290 else "the vector is not finite"
                raise InputError(problem, row=row + 1, value=float(np.sqrt(square[row])),
                                 allowed="length 1e-145 to 1e145",
                                 remedy="Leave out images that have no vector")  # fmt: skip
        return cls(vectors, 1 / np.sqrt(square))

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: np.ndarray) -> Directions:
        """Those rows only."""
        return Directions(self.vectors[rows], self.scale[rows])


def check_similarity(min_similarity: float) -> None:
    """Raise InputError unless it is a cosine."""
    if not -1 <= min_similarity <= 1:
        raise InputError("min_similarity is out of range", value=min_similarity, allowed="-1 to 1")


def cosines(left: Directions, right: Directions, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Cosine of row i[p] of left and row j[p] of right, float64 `(P,)` in [-1, 1], whatever the other pairs.

    The unit vectors are float64, and so are their products and sums, in an order that no machine changes.
    """
    from curate.search.cosine_kernels import scaled_products

    i, j = np.asarray(i, np.int64), np.asarray(j, np.int64)
    if left.vectors.dtype != np.float16 and right.vectors.dtype != np.float16:
        one, two = (np.ascontiguousarray(side.vectors) for side in (left, right))
        return scaled_products(one, left.scale, two, right.scale, i, j)
    result = np.empty(len(i))
    for start in range(0, len(i), _PART):
        part = slice(start, start + _PART)
        rows, i_at = np.unique(i[part], return_inverse=True)
        columns, j_at = np.unique(j[part], return_inverse=True)
        one, two = (
            side.vectors[at].astype(np.promote_types(side.vectors.dtype, np.float32))
            for side, at in ((left, rows), (right, columns))
        )
        result[part] = scaled_products(one, left.scale[rows], two, right.scale[columns], i_at, j_at)
    return result


def parts_of(vectors: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Consecutive rows, as float32 or float64 arrays that compiled loops take."""
    kind = np.float64 if vectors.dtype == np.float64 else np.float32
    for start in range(0, len(vectors), _PART):
        part = slice(start, start + _PART)
        yield part, np.ascontiguousarray(vectors[part], dtype=kind)
