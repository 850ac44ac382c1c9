"""A run's vectors by row of its source, and pictures of them in two dimensions."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from curate.core.errors import CurateError, MissingExtra
from curate.core.files import atomic_path, json_digest, read_json
from curate.core.vectors import Vectors, open_vectors, unit

from .images import Images

SAMPLE = 5_000  # points of a map: more can't be told apart, and a browser should not hold them
METHODS = ("pca", "umap")


@dataclass(frozen=True)
class RunVectors:
    """Vectors and which source row each belongs to. at: for each source row the row of its vector, -1 without one."""

    vectors: Vectors
    at: np.ndarray
    folder: Path

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The source rows that have a vector, and their vectors `(n, D)` float32 of unit length."""
        rows = np.asarray(rows, dtype=np.int64)
        rows = rows[self.at[rows] >= 0]
        return rows, unit(self.vectors.matrix[self.at[rows]])

    def quality(self, images: Images) -> np.ndarray | None:
        """The sharpness of each image `(N,)` float32, NaN where unknown; None where it was not measured."""
        file = self.folder / "quality.parquet"
        if not file.is_file():
            return None
        table = pq.read_table(file)
        rows = images.rows(table["image_id"])
        sharp = np.full(len(images), np.nan, dtype=np.float32)
        sharp[rows[rows >= 0]] = table["sharpness"].to_numpy()[rows >= 0]
        return sharp


def find_vectors(cache: Path, run: Path) -> tuple[Path | None, str]:
    """Where a run's vectors are, or None and why there are none; `curate app` finds or makes them as it starts."""
    digest = hashlib.blake2b(os.fsencode(os.path.realpath(run)), digest_size=12).hexdigest()
    file = cache / "runs" / f"{digest}.json"
    if not file.is_file():
        return None, "The vectors are not ready: `curate app` prepares them as it starts. Look again in a moment."
    note = read_json(file)
    place = note.get("vectors")
    if place and not Path(place).exists():
        return None, f"The vectors that were in {place} are gone. Start `curate app` again."
    return (Path(place), "") if place else (None, str(note.get("why") or "The run has no vectors."))


def load(place: Path, images: Images) -> RunVectors:
    """Open vectors for a run. Raises InputError where they can't be read, or none belongs to an image of the run."""
    vectors = open_vectors(place)
    at = vectors.rows_of(images.ids)
    if len(at) and (at < 0).all():
        raise CurateError("none of the run's images has a vector")
    return RunVectors(vectors, at, place if place.is_dir() else place.parent)


def similarities(vectors: np.ndarray) -> np.ndarray:
    """Cosine similarity of each pair of unit vectors `(n, D)`: `(n, n)` float32 in [-1, 1]."""
    return np.clip(vectors @ vectors.T, -1, 1)


def sample_rows(found: RunVectors, limit: int = SAMPLE) -> np.ndarray:
    """At most `limit` source rows that have a vector, evenly spaced."""
    rows = np.flatnonzero(found.at >= 0)
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]


def flat(found: RunVectors, method: str, cache: Path, limit: int = SAMPLE) -> pd.DataFrame:
    """The map of a run's vectors: row, x, y of at most `limit` images; computed once, then read from the cache.

    pca: the two directions of largest variance (Pearson 1901). umap: McInnes, Healy, Melville 2018, by umap-learn, on
    the cosine, seeded. Raises MissingExtra where umap-learn is not installed.
    """
    rows = sample_rows(found, limit)
    names = json_digest([method, found.vectors.fingerprint, len(found.vectors.matrix), len(found.at), limit,
                         hashlib.sha256(rows.tobytes()).hexdigest()])  # fmt: skip
    file = cache / "maps" / f"{names[:24]}.npy"
    if file.is_file():
        places = np.load(file, allow_pickle=False)
        if places.shape == (len(rows), 2):
            return pd.DataFrame({"row": rows, "x": places[:, 0], "y": places[:, 1]})
    _, matrix = found.of(rows)
    places = _umap(matrix) if method == "umap" else _pca(matrix)
    with atomic_path(file) as temporary, open(temporary, "wb") as handle:
        np.save(handle, places)
    return pd.DataFrame({"row": rows, "x": places[:, 0], "y": places[:, 1]})


def principal_axes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean `(D,)` and the two directions of largest variance `(D, 2)` of vectors `(n, D)`.

    Each axis points to where its largest loading is positive, so that the same vectors give the same map.
    """
    centre = matrix.mean(axis=0)
    centred = matrix - centre
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = axes[:, ::-1][:, :2]
    if axes.shape[1] < 2:
        axes = np.pad(axes, ((0, 0), (0, 1)))
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(2)])
    return centre, axes * np.where(signs == 0, 1, signs)


def _pca(matrix: np.ndarray) -> np.ndarray:
    """The two first principal components `(n, 2)`."""
    if len(matrix) < 2:
        return np.zeros((len(matrix), 2), dtype=np.float32)
    centre, axes = principal_axes(matrix)
    return ((matrix - centre) @ axes).astype(np.float32)


def _umap(matrix: np.ndarray) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingExtra("umap-learn", "app", "a map by UMAP") from error
    if len(matrix) < 5:
        return _pca(matrix)
    neighbours = min(15, len(matrix) - 1)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a seed costs it its threads: that is wanted
        made = UMAP(n_components=2, n_neighbors=neighbours, metric="cosine", random_state=0).fit_transform(matrix)
    return np.asarray(made, dtype=np.float32)


__all__ = [
    "METHODS", "SAMPLE", "RunVectors", "find_vectors", "flat", "load", "principal_axes", "sample_rows", "similarities",
]  # fmt: skip
