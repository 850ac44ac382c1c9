"""Pictures to plant copies of."""

from __future__ import annotations

import cv2
import numpy as np


def face(seed: int, size: int = 112) -> np.ndarray:
    """A picture with structure at every scale, different for each seed."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(size=(size, size, 3)), (0, 0), s) * s for s in (1.5, 3, 6, 12)]
    image = sum(layers)
    return np.clip(128 + 50 * image / image.std(), 0, 255).astype(np.uint8)
