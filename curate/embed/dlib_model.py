"""dlib's face recognition ResNet: 128 dimensions, nothing to fit."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.errors import MissingExtra
from curate.core.files import file_digest, json_digest
from curate.core.vectors import unit
from curate.embed.params import DlibParams

_VERSION = 2
_RECOGNISER = "dlib_face_recognition_resnet_model_v1.dat"
LANDMARKS = "shape_predictor_5_face_landmarks.dat"  # free for any use; the 68-point file is not


class DlibEmbedder:
    """King's metric-learning ResNet-29 (dlib, 2017), trained with a distance of 0.6 between persons.

    An image is taken as one face crop: its largest centred square is the face's rectangle (the landmark finder was
    trained on squares), five landmarks are found in it, and the face is turned and cut to 150x150 by them. Vectors are
    cut to unit length, so that similarities are cosines.
    """

    name = "dlib"
    size = 128
    dtype = np.dtype(np.float32)

    def __init__(self, settings: DlibParams | None = None) -> None:
        self.settings = settings or DlibParams()
        files = [model_file(_RECOGNISER), model_file(LANDMARKS)]
        if importlib.util.find_spec("dlib") is None:
            raise MissingExtra("dlib-bin", "dlib", "The embedder 'dlib'")
        digests = [file_digest(file) for file in files]
        self.fingerprint = json_digest([self.name, _VERSION, self.settings.model_dump(), digests])

    def describe(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """See Embedder.describe."""
        import dlib

        landmarks, recogniser = _models()
        result = np.empty((len(images), self.size), dtype=np.float32)
        for row, image in zip(result, images, strict=True):
            pixels = np.ascontiguousarray(image if image.ndim == 3 else np.stack([image] * 3, axis=-1))
            face = dlib.rectangle(*_square(*pixels.shape[:2]))
            # One face at a time: the vector can't depend on its neighbours in a batch.
            row[:] = recogniser.compute_face_descriptor(pixels, landmarks(pixels, face), 0, self.settings.padding)
        return result

    def fit(self, descriptors: np.ndarray) -> dict[str, np.ndarray]:
        """Nothing is fitted: an empty state."""
        return {}

    def project(self, descriptors: np.ndarray, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """See Embedder.project."""
        return unit(descriptors)


def _square(height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (the last pixels inside) of the largest centred square."""
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side - 1, top + side - 1


def model_file(name: str) -> Path:
    """Where a file of `face_recognition_models` lies; the package itself can't be imported without setuptools.

    Raises MissingExtra where it is not installed.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    raise MissingExtra("face_recognition_models", "dlib", "The embedder 'dlib'")


@cache
def _models() -> tuple[Any, Any]:
    """Landmark finder and recogniser, loaded once in each process."""
    import dlib

    return (
        dlib.shape_predictor(str(model_file(LANDMARKS))),
        dlib.face_recognition_model_v1(str(model_file(_RECOGNISER))),
    )
