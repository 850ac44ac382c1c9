"""Local descriptors, and one vector of all of an image's: VLAD. Cropped and shifted copies keep most of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.core.vectors import unit

#: Local descriptors kept of an image: the strongest.
STRONGEST = 64
LENGTH = 128
#: Images are at least so large, smaller side in pixels, before descriptors are sought, and at most so large.
_SMALLEST, _LARGEST = 112, 320
#: A component of a RootSIFT descriptor is at most 1 and seldom above 0.5; stored as bytes.
_SCALE = 510.0
_CONTRAST = 0.015  # of SIFT's detector: lower than usual, since faces are smooth
_TILE = 1024  # images encoded and projected at once; fixed, so that a vector does not depend on how many there are


def local_descriptors(image: np.ndarray) -> np.ndarray:
    """RootSIFT descriptors of the strongest keypoints: image `(H, W, 3)` or `(H, W)` uint8 -> `(64, 128)` uint8.

    OpenCV's SIFT (Lowe 2004), each descriptor divided by its sum, square roots of the shares (Arandjelovic and
    Zisserman 2012, section 2), times 510. In order of strength, then place; rows of zeros where there are fewer.
    """
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    side = min(grey.shape)
    factor = max(_SMALLEST / side, 1.0) if side < _SMALLEST else min(_LARGEST / side, 1.0)
    result = np.zeros((STRONGEST, LENGTH), np.uint8)
    if max(grey.shape) * factor > 64 * _SMALLEST:  # a line of pixels
        return result
    if factor != 1.0:
        size = (max(round(grey.shape[1] * factor), 1), max(round(grey.shape[0] * factor), 1))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    points, found = cv2.SIFT_create(contrastThreshold=_CONTRAST).detectAndCompute(grey, None)
    if found is None or not len(found):
        return result
    places = np.array([(-point.response, *point.pt, point.size, point.angle) for point in points])
    found = found[np.lexsort(places.T[::-1])[:STRONGEST]]
    total = found.sum(axis=1, keepdims=True)
    root = np.sqrt(found / np.where(total > 0, total, 1))
    result[: len(found)] = np.minimum(np.rint(root * _SCALE), 255)
    return result


def mirrored(descriptors: np.ndarray) -> np.ndarray:
    """What the descriptors `(..., 128)` would be of the mirror image: rows reversed, angles turned round."""
    cells = descriptors.reshape(*descriptors.shape[:-1], 4, 4, 8)
    return cells[..., ::-1, :, :][..., (-np.arange(8)) % 8].reshape(descriptors.shape)


def codebook(descriptors: np.ndarray, words: int, *, max_descriptors: int = 100_000) -> np.ndarray:
    """Centres of k-means: local descriptors `(n, 128)`, zero rows left out, -> `(words or fewer, 128)` float32.

    Mini-batch k-means (Sculley 2010) with a fixed seed on one thread; of more descriptors evenly spaced ones are used.
    An empty codebook where there is no descriptor.
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    rows = np.flatnonzero(descriptors.any(axis=1))
    if len(rows) > max_descriptors:
        rows = rows[np.arange(max_descriptors) * len(rows) // max_descriptors]
    if not len(rows):
        return np.zeros((0, LENGTH), np.float32)
    sample = descriptors[rows].astype(np.float32)
    words = min(words, len(np.unique(sample, axis=0)))
    with threadpool_limits(1):
        model = MiniBatchKMeans(words, batch_size=4096, n_init=1, max_iter=30, random_state=0).fit(sample)
    return model.cluster_centers_.astype(np.float32)


def words_of(descriptors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The nearest centre of each local descriptor: `(n, M, 128)` uint8, `(W, 128)` -> `(n, M)` int32, -1 for zeros."""
    words = np.full(descriptors.shape[:2], -1, np.int32)
    present = descriptors.any(axis=2)
    if not len(centres):
        return words
    from threadpoolctl import threadpool_limits

    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    with threadpool_limits(1):
        for image in range(len(descriptors)):
            # One image at a time: a BLAS may order the sums of another number of rows otherwise.
            words[image] = (descriptors[image].astype(np.float32) @ centres.T - half).argmax(axis=1)
    words[~present] = -1
    return words


def vlad(descriptors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """VLAD of each image: `(n, M, 128)` uint8, `(W, 128)` float32 -> `(n, W * 128)` float32, of unit length.

    The sum of the differences to the nearest centre, centre by centre (Jegou et al. 2010), each centre's sum then
    brought to unit length (intra-normalisation: Arandjelovic and Zisserman 2013, section 3.1), and the whole. As the
    faces of Parkhi et al. 2015, section 3, were compared to find copies. An image without descriptors stays zero.
    """
    words = words_of(descriptors, centres)
    result = np.zeros((len(descriptors), len(centres), LENGTH), np.float32)
    for image, (mine, own) in enumerate(zip(words, descriptors, strict=True)):
        here = mine >= 0
        np.add.at(result[image], mine[here], own[here] - centres[mine[here]])
    length = np.sqrt(np.einsum("ijk,ijk->ij", result, result))[:, :, None]
    result /= np.where(length > 0, length, 1)
    return unit(result.reshape(len(descriptors), -1))


@dataclass(frozen=True)
class VladModel:
    """What VLAD learns of a set: codebook `(W, 128)`, mean `(W * 128,)` and principal axes `(D, W * 128)`, float32.

    An empty codebook, where no image had a local descriptor, makes every vector zero.
    """

    centres: np.ndarray
    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, local: np.ndarray, *, words: int = 32, dimensions: int = 128) -> VladModel:
        """Fitted on local descriptors `(n, 64, 128)` uint8, on one thread; images without any are left out."""
        from threadpoolctl import threadpool_limits

        local = local[local.any(axis=(1, 2))]
        centres = codebook(local.reshape(-1, LENGTH), words)
        if not len(centres):
            return cls(centres, np.zeros(0, np.float32), np.zeros((1, 0), np.float32))
        with threadpool_limits(1):
            return cls(centres, *_axes(vlad(local, centres), dimensions))

    def project(self, local: np.ndarray) -> np.ndarray:
        """Vectors `(n, D)` float32 of unit length, zero where there is no descriptor; each of its image alone."""
        from threadpoolctl import threadpool_limits

        result = np.zeros((len(local), self.axes.shape[0]), np.float32)
        if not len(self.centres):
            return result
        with threadpool_limits(1):
            for start in range(0, len(local), _TILE):
                tile = np.asarray(local[start : start + _TILE])
                full = np.zeros((_TILE, self.axes.shape[1]), np.float32)
                full[: len(tile)] = vlad(tile, self.centres)
                found = unit((full - self.mean) @ self.axes.T)[: len(tile)]
                result[start : start + len(tile)] = np.where(tile.any(axis=(1, 2))[:, None], found, 0)
        return result


def _axes(vectors: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and principal axes, at most a third as many as vectors, without whitening."""
    from sklearn.decomposition import PCA

    wanted = max(min(dimensions, len(vectors) // 3, vectors.shape[1]), 1)
    if len(vectors) < 2:
        return np.zeros(vectors.shape[1], np.float32), np.eye(1, vectors.shape[1], dtype=np.float32)
    model = PCA(wanted, svd_solver="randomized", random_state=0).fit(vectors)
    return model.mean_.astype(np.float32), model.components_.astype(np.float32)
