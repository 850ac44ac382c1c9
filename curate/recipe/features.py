"""Features: per-image facts, of pixels and of vectors, as the steps of a recipe ask for them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.core.files import json_digest, read_table
from curate.core.manifest import Manifest
from curate.core.shapes import Executor
from curate.core.vectors import StoredVectors, load_vectors, unit
from curate.recipe.needs import CONTENT, DESCRIPTOR, EMBEDDING, STORED, TRUTH, VECTORS, pixel_features
from curate.recipe.pixels import SHARD, Pending, PixelStore, Progress, version_of

_TILE = 65_536


class FeatureStore:
    """Features of one source's images: of pixels by content (see PixelStore), and the vectors of the recipe's embedder.

    cache: a folder shared by runs.
    """

    def __init__(
        self, source: Manifest, cache: Path, executor: Executor, embedder_params: Any, progress: Progress | None = None
    ) -> None:
        self._source = source
        self._params = embedder_params
        self._embedder: Any = None
        self._fit_cache: tuple[str, np.ndarray] | None = None
        self._pixels = PixelStore(source, cache, executor, lambda: self.embedder, progress)

    @property
    def source(self) -> Manifest:
        """All images, as they were before the first step."""
        return self._source

    @property
    def has_pixels(self) -> bool:
        """Whether the source says where its pixels are."""
        return self._pixels.has_pixels

    @property
    def embedder(self) -> Any:
        """The recipe's embedder, made on first use; None where the vectors are the user's own."""
        if self._embedder is None and self._params.kind != "vectors":
            from curate.embed import make_embedder

            self._embedder = make_embedder(self._params)
        return self._embedder

    @property
    def model(self) -> str:
        """The name of what made the vectors."""
        return load_vectors(self._params.path).model if self._params.kind == "vectors" else self.embedder.name

    def pending(self, names: Sequence[str]) -> Pending:
        """Images whose features are not cached, with the cost estimated by timing a few of them."""
        return self._pixels.pending(self._pixel_names(names))

    def prepare(self, names: Sequence[str], manifest: Manifest | None = None) -> None:
        """Compute what the cache lacks of some features, one decode per image, for a manifest or the source."""
        if wanted := self._pixel_names(names):
            self._pixels.prepare(wanted, manifest)

    def cached(self, name: str, manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
        """What the cache has of a pixel feature, without opening a file: a mask `(n,)`, and values, zeros elsewhere."""
        return self._pixels.cached(name, manifest)

    def key(self, name: str, manifest: Manifest) -> str:
        """What a feature's values depend on, as a digest; two manifests with the same key have the same values."""
        if name == VECTORS and self._params.kind != "vectors":
            return json_digest([name, None])
        if name in (EMBEDDING, STORED, VECTORS):
            if self._params.kind == "vectors":
                return json_digest([name, load_vectors(self._params.path, self._params.ids).fingerprint])
            train = _training_rows(manifest)
            parts = [
                name,
                self.embedder.fingerprint,
                self._pixels.digest(manifest, train),
                self._pixels.digest(manifest),
            ]
            if (points := self._pixels.landmark_digest(manifest)) is not None:
                parts.append(points)
            return json_digest(parts)
        if name == TRUTH:
            return json_digest([name, hashlib.sha256(self._truth_path().read_bytes()).hexdigest()])
        return json_digest([name, version_of(name), self._pixels.digest(manifest)])

    def get(self, name: str, manifest: Manifest, order: np.ndarray | None = None) -> Any:
        """A feature of each row of a manifest that descends from the source; of pixels in another order, if given."""
        if name == TRUTH:
            return self._truth()
        if name == VECTORS and self._params.kind != "vectors":
            return np.zeros((len(manifest), 0), dtype=np.float32)  # vectors of the user's own, where there are any
        if name in (EMBEDDING, VECTORS):
            return self._embedding(manifest)
        if name == STORED:
            return self._stored(manifest)
        return self._pixels.get(name, manifest, order)

    def _stored(self, manifest: Manifest) -> StoredVectors:
        """The user's own vectors where they lie, else the embedding, in which a row of zeros is no vector."""
        if self._params.kind != "vectors":
            matrix = self._embedding(manifest)
            return StoredVectors(matrix, np.where(matrix.any(axis=1), np.arange(len(matrix)), -1))
        vectors = load_vectors(self._params.path, self._params.ids)
        rows = vectors.rows_of(manifest.frame[col.IMAGE_ID])
        if len(rows) and (rows < 0).all():
            raise InputError(
                "none of the manifest's images has a vector",
                file=self._params.path,
                value=str(manifest.frame[col.IMAGE_ID][0]),
                remedy="Both need the same image_id",
            )
        return StoredVectors(vectors.matrix, rows)

    def _embedding(self, manifest: Manifest) -> np.ndarray:
        if self._params.kind == "vectors":
            stored = self._stored(manifest)
            # Tile by tile: the matrix may be larger than what is free in memory beside the result.
            found = np.zeros((len(stored), max(stored.matrix.shape[1], 1)), np.float32)
            for start in range(0, len(stored), _TILE):
                tile = stored.rows[start : start + _TILE]
                found[start : start + _TILE][tile >= 0] = unit(stored.matrix[tile[tile >= 0]])
            return found
        key = self.key(EMBEDDING, manifest)
        if self._fit_cache is None or self._fit_cache[0] != key:
            descriptors = self.get(DESCRIPTOR, manifest)
            usable = descriptors.any(axis=1)
            with threadpool_limits(1):
                state = self.embedder.fit(descriptors[usable & _training_rows(manifest)])
                size = None
                tiles = []
                for start in range(0, len(descriptors), SHARD):
                    tile = self.embedder.project(descriptors[start : start + SHARD], state)
                    size = tile.shape[1]
                    tiles.append(np.asarray(tile, dtype=np.float32))
            matrix = np.concatenate(tiles) if tiles else np.zeros((0, size or 1), dtype=np.float32)
            matrix[~usable] = 0
            self._fit_cache = (key, matrix)
        return self._fit_cache[1]

    def _pixel_names(self, names: Sequence[str]) -> list[str]:
        wanted = {name for name in names if name in pixel_features() or name == DESCRIPTOR}
        if {EMBEDDING, STORED} & set(names) and self._params.kind != "vectors":
            wanted.add(CONTENT)
        return sorted(wanted | {CONTENT}) if wanted else []

    def _truth(self) -> pd.DataFrame:
        """The truth about a synthetic source; where its training and benchmark sets are two of several sources, with
        the image_ids that they have here."""
        path = self._truth_path()
        truth = read_table(path)
        if path.parent != Path(self._source.root):
            return truth
        frame = self._source.frame
        ids = pd.Series(frame[col.IMAGE_ID].array, index=frame[col.PATH]).dropna()
        shared = truth["fault"] == "shared_identity"
        mine, related = "images/" + truth[col.IMAGE_ID], "images/" + truth["related_id"]
        related = related.mask(shared, "benchmark/" + related)
        return truth.assign(**{col.IMAGE_ID: mine.map(ids), "related_id": related.map(ids)})

    def _truth_path(self) -> Path:
        places = [Path(self._source.root).parent, Path(self._source.root)] if self._source.root else []
        path = next((place / "truth.parquet" for place in places if (place / "truth.parquet").exists()), None)
        if path is None:
            raise CurateError("the source has no truth table (truth.parquet beside its images): only synthetic sources "
                              "have one; take the step out of the recipe")  # fmt: skip
        return path


def _training_rows(manifest: Manifest) -> np.ndarray:
    """The rows that a fit may see: the training originals, or all originals before there is a split."""
    mask = manifest.originals()
    if col.SPLIT in manifest.frame and manifest.frame[col.SPLIT].notna().any():
        mask = mask & manifest.in_split(col.TRAIN)
    return mask
