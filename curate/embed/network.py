"""What embedders of a user's own network share: faces in batches of one size, vectors of length 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from curate.core.errors import InputError
from curate.core.files import json_digest
from curate.core.vectors import unit
from curate.embed.card import find_card
from curate.embed.faces import check_align, crops
from curate.embed.params import NetworkParams

_VERSION = 1


class NetworkEmbedder:
    """A network's vectors, cut to unit length and kept as float16; nothing is fitted.

    Batches always have the same number of faces, the last filled up with black ones, so that a vector does not depend
    on how many images there are. An image without a face has a zero row. A subclass says its `kind`, and how to `run`.
    """

    kind: str
    name: str
    size: int
    fingerprint: str
    device: str
    dtype = np.dtype(np.float16)

    def __init__(self, settings: NetworkParams, model: Path, parts: Sequence[object]) -> None:
        """model: the file that the card lies beside. parts: what else identifies the vectors."""
        self.settings = settings
        self.name = model.stem
        self.detector = settings.detector.expanduser().resolve() if settings.detector else None
        self.card = find_card(model, settings.card)
        #: Whether `describe` is to be given the manifest's landmarks.
        self.takes_landmarks = settings.align == "landmarks"
        detector = check_align(settings.align, self.detector)
        found = self.run(np.zeros((settings.batch, self.card.size, self.card.size, 3), np.uint8))
        if found.ndim != 2 or len(found) != settings.batch:
            raise InputError("the model's output is no vector for each face of a batch", file=model,
                             value=list(found.shape), allowed=f"({settings.batch}, D)",
                             remedy="Name the vector's output in the card, or the batch it wants")  # fmt: skip
        self.size = found.shape[1]
        self.fingerprint = json_digest([
            self.kind, _VERSION, self.card.model_dump(), settings.align, settings.batch, self.device, detector, *parts,
        ])  # fmt: skip

    def run(self, faces: np.ndarray) -> np.ndarray:
        """The network's output `(batch, D)` float32 for faces `(batch, size, size, 3)` uint8 RGB."""
        raise NotImplementedError

    def describe(self, images: Sequence[np.ndarray], landmarks: np.ndarray | None = None) -> np.ndarray:
        """Unit vectors `(n, D)` float16; see Embedder.describe. landmarks: `(n, 5, 2)`, for `align: landmarks`."""
        batch, size = self.settings.batch, self.card.size
        result = np.zeros((len(images), self.size), self.dtype)
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            points = None if landmarks is None else landmarks[start : start + batch]
            faces, found = crops(part, batch, size, self.settings.align, points, self.detector)
            if found.any():
                vectors = unit(self.run(faces)[: len(part)])
                vectors[~(found & np.isfinite(vectors).all(axis=1))] = 0
                result[start : start + len(part)] = vectors
        return result

    def fit(self, descriptors: np.ndarray) -> dict[str, np.ndarray]:
        """Nothing is fitted: an empty state."""
        return {}

    def project(self, descriptors: np.ndarray, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """See Embedder.project."""
        return unit(descriptors)
