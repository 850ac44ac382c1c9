"""Caps: an identity, or an image, takes part in so many pairs of a kind and no more."""

from __future__ import annotations

import numpy as np

from curate.protocol.blocks import Block
from curate.protocol.params import ProtocolParams
from curate.protocol.population import Population


class Caps:
    """What has been used of the caps so far; impostor pairs within and across groups count together."""

    #: Candidates at most that one block is tried with.
    MOST = 20_000_000

    def __init__(self, images: Population, params: ProtocolParams) -> None:
        far = np.iinfo(np.int64).max
        self._each = params.max_per_identity or far
        self._image = params.max_per_image or far
        size = int(images.identity.max(initial=-1)) + 1
        self._used = {
            same: (np.zeros(size, dtype=np.int64), np.zeros(len(images.row), dtype=np.int64)) for same in (True, False)
        }

    def try_on(self, block: Block, a: np.ndarray, b: np.ndarray, most: int) -> np.ndarray:
        """Which of these pairs of places are taken, `(len(a),)`, in their order, each if the caps still allow it."""
        from curate.protocol.kernels import accept

        people, photos = (used.copy() for used in self._used[block.kind == "genuine"])
        identity = block.images.identity
        return accept(a, b, identity[a], identity[b], people, photos, self._each, self._image, most)

    def take(self, block: Block, a: np.ndarray, b: np.ndarray) -> None:
        """Count these pairs."""
        people, photos = self._used[block.kind == "genuine"]
        identity = block.images.identity
        np.add.at(people, identity[a], 1)
        if block.kind != "genuine":
            np.add.at(people, identity[b], 1)
        np.add.at(photos, a, 1)
        np.add.at(photos, b, 1)
