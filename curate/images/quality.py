"""How much there is to see in an image: sharpness and size."""

from __future__ import annotations

import numpy as np

#: Added to the variance of the grey values: below it, contrast is no more than coding noise (grey levels squared).
_NOISE = 4.0

QUALITY = np.dtype([("sharpness", "<f4"), ("pixels", "<i4")])


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian over the variance of the grey values; 0 for one colour: `(H, W)` uint8 -> float >= 0.

    The variance of the Laplacian is the focus measure LAPV (Pech-Pacheco et al. 2000, section 2; Pertuz et al. 2013).
    It grows with contrast squared, so that a brighter copy of the same photograph looks sharper; the quotient does
    not. It is about 0.01 for a blurred face, 0.1 to 1 for a sharp one, 20 for pure noise. Images
    with a side below 3 pixels have 0.
    """
    from curate.images.kernels import spread

    edges, variance = spread(grey)
    return edges / (variance + _NOISE)


def detail(quality: np.ndarray) -> np.ndarray:
    """What ranks copies of one photograph: sharpness times pixels squared, `(N,)` float64, from the feature `quality`.

    Enlarging by f, which adds nothing to see, divides the sharpness by f to the power of 4 and multiplies the pixels by
    f squared: the product stays (within about 15%), as the scale-normalised Laplacian does (Lindeberg 1998, section
    4). Reducing, blurring and strong compression take away from it, so that the original ranks before such copies.
    """
    return quality["sharpness"].astype(np.float64) * quality["pixels"].astype(np.float64) ** 2
