"""Faces turned, scaled and cut by five landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.core.errors import InputError

#: Left eye, right eye, nose, left and right corner of the mouth (as the viewer sees them), x and y in pixels of a
#: 112x112 crop: the template that ArcFace's training sets were cut by (Deng et al. 2019; InsightFace, `face_align.py`).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
SIDE = 112


def similarity(points: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
    """The rotation, scale and shift `(2, 3)` that bring points `(k, 2)` closest to targets `(k, 2)`; no mirroring.

    Least squares (Umeyama 1991); in the plane, with points as complex numbers, it is one regression. None where a
    point is not finite, or all are one.
    """
    if not np.isfinite(points).all():
        return None
    z, w = points @ [1, 1j], targets @ [1, 1j]
    centred = z - z.mean()
    spread = float((centred * centred.conj()).real.sum())
    if spread <= 1e-9:
        return None
    turn = (centred.conj() * (w - w.mean())).sum() / spread
    shift = w.mean() - turn * z.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def aligned(image: np.ndarray, points: np.ndarray, side: int = SIDE) -> np.ndarray | None:
    """The face `(side, side, 3)` uint8 whose landmarks `(5, 2)` come to the template; None for unusable landmarks.

    Two landmarks `(2, 2)` are taken for the eyes. What lies outside of the image is black.
    """
    import cv2

    matrix = similarity(points, TEMPLATE[: len(points)] * (side / SIDE))
    if matrix is None:
        return None
    return cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))


def numbers_of(column: Any, size: int, *, name: str) -> np.ndarray:
    """A column of `size` numbers in each row (a list, or text such as `1 2.5 3 4`) as `(N, size)` float32.

    A missing row is NaN. Raises InputError for a row of another form.
    """
    values = pa.array(column, from_pandas=True) if not isinstance(column, pa.Array | pa.ChunkedArray) else column
    found = np.full((len(values), size), np.nan, dtype=np.float32)
    for row, value in enumerate(values.to_pylist()):
        if value is None:
            continue
        try:
            parts = value.translate(_SEPARATORS).split() if isinstance(value, str) else np.ravel(value)
            found[row] = np.array(parts, dtype=np.float32).reshape(size)
        except (TypeError, ValueError) as error:
            raise InputError(f"not {size} numbers", row=row + 1, column=name, value=value,
                             allowed=f"{size} numbers, in a list or apart by spaces") from error  # fmt: skip
    return found


_SEPARATORS = str.maketrans("[](),;", "      ")
