"""Features: per-image facts, computed once per content and cached for all runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from curate.recipe.cache import KeyedCache

#: Images in one piece of work, whatever the number of workers.
SHARD = 4096
_TILE = 65_536
EMBEDDING = "embedding"
DESCRIPTOR = "descriptor"
CONTENT = "content"
DECISIONS = "decisions"
TRUTH = "truth"
STEPS_RUN = "steps"
EVIDENCE = "evidence"
VECTORS = "vectors"
STORED = "stored_vectors"
SOURCE = "source"

#: Needs that the run itself knows: earlier decisions, earlier steps with their parameters, evidence of earlier steps
#: by name, and the manifest as it was before the first step.
OF_THE_RUN = (DECISIONS, STEPS_RUN, EVIDENCE, SOURCE)

Progress = Callable[[str, int, int], None]


def default_cache() -> Path:
    """The folder of cached features: CURATE_CACHE, else `curate` in the user's cache folder."""
    base = os.environ.get("CURATE_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "curate"


def pixel_features() -> tuple[str, ...]:
    """The names of the features that come from pixels alone."""
    from curate.images.facts import FEATURES

    return tuple(FEATURES)


def known_features() -> tuple[str, ...]:
    """Every name that a step may need."""
    return (*pixel_features(), EMBEDDING, STORED, VECTORS, *OF_THE_RUN, TRUTH)


@dataclass(frozen=True)
class Pending:
    """Work not in the cache: how many images, and about how many seconds on the executor's workers."""

    images: int
    seconds: float


class FeatureStore:
    """Features of one source's images, by the content of their files.

    cache: a folder shared by runs. A file's content is known by path, size and modification time; every other
    feature is found by content, so that a renamed or copied image costs nothing.
    """

    def __init__(
        self, source: Manifest, cache: Path, executor: Executor, embedder_params: Any, progress: Progress | None = None
    ) -> None:
        self._source = source
        self._cache = cache
        self._executor = executor
        self._params = embedder_params
        self._progress = progress or (lambda *_: None)
        self._embedder: Any = None
        self._content: np.ndarray | None = None
        self._stat_keys: np.ndarray | None = None
        self._fit_cache: tuple[str, np.ndarray] | None = None
        columns = [name for name in (col.IMAGE_ID, col.IDENTITY, col.PATH, col.LANDMARKS) if name in source.frame]
        self._landmark_rows: np.ndarray | None = None
        self._own = (
            Manifest.from_frame(source.frame.loc[source.originals(), columns], levels={}) if self.has_pixels else None
        )
        #: Images looked at in this run, so that an unreadable one is not read again for every feature.
        self._looked = np.zeros(len(self._own) if self._own is not None else 0, dtype=bool)

    @property
    def source(self) -> Manifest:
        """All images, as they were before the first step."""
        return self._source

    @property
    def has_pixels(self) -> bool:
        """Whether the source says where its pixels are."""
        return self._source.root is not None and col.PATH in self._source.frame

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

    # ---- what is known and what it would cost -------------------------------------------------------------------

    def pending(self, names: Sequence[str]) -> Pending:
        """Images whose features are not cached, with the cost estimated by timing a few of them."""
        names = self._pixel_names(names)
        if not names or not self.has_pixels or not len(self._source):
            return Pending(0, 0.0)
        content = self._contents()
        missing = (content == 0).all(axis=1)
        for name in names:
            if name != CONTENT:
                missing |= ~self._cache_of(name).known(self._keys(name, content))
        count = int(missing.sum())
        if not count:
            return Pending(0, 0.0)
        rows = np.flatnonzero(missing)
        sample = rows[np.linspace(0, len(rows) - 1, min(32, len(rows))).astype(int)]
        self._compute(sample[:1], names)  # the first call also loads libraries
        start = time.perf_counter()
        self._compute(sample, names)
        each = (time.perf_counter() - start) / len(sample)
        return Pending(count, count * each / self._executor.workers)

    def key(self, name: str, manifest: Manifest) -> str:
        """What a feature's values depend on, as a digest; two manifests with the same key have the same values."""
        if name == VECTORS and self._params.kind != "vectors":
            return json_digest([name, None])
        if name in (EMBEDDING, STORED, VECTORS):
            if self._params.kind == "vectors":
                return json_digest([name, load_vectors(self._params.path, self._params.ids).fingerprint])
            train = _training_rows(manifest)
            parts = [name, self.embedder.fingerprint, self._digest(manifest, train), self._digest(manifest)]
            if (points := self._landmarks()) is not None:
                parts.append(hashlib.sha256(points[self._rows(manifest)].tobytes()).hexdigest())
            return json_digest(parts)
        if name == TRUTH:
            return json_digest([name, hashlib.sha256(self._truth_path().read_bytes()).hexdigest()])
        return json_digest([name, _version(name), self._digest(manifest)])

    # ---- values ---------------------------------------------------------------------------------------------------

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
        self.prepare([name], manifest)
        rows = self._rows(manifest)
        rows = rows if order is None else rows[order]
        if name == CONTENT:
            return self._content[rows]
        hit, values = self._cache_of(name).lookup(self._keys(name, self._content, rows), *self._layout(name))
        if not hit.all():
            # Unreadable files have no content to be found by; they cost little to look at again.
            wanted = np.unique(rows[~hit])
            fresh = self._compute(wanted, [name])[name]
            values[~hit] = fresh[np.searchsorted(wanted, rows[~hit])]
        return values

    def cached(self, name: str, manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
        """What the cache has of a pixel feature, without opening a file: a mask `(n,)`, and values, zeros elsewhere."""
        content = self._contents()[self._rows(manifest)]
        return self._cache_of(name).lookup(content, *self._layout(name))

    def prepare(self, names: Sequence[str], manifest: Manifest | None = None) -> None:
        """Compute what the cache lacks of some pixel features, one decode per image, for a manifest or the source."""
        names = self._pixel_names(names)
        if not names:
            return
        if not self.has_pixels:
            raise CurateError(f"{', '.join(names)} need pixels, and the source has none: give source.root")
        wanted = np.ones(len(self._own), dtype=bool)
        if manifest is not None:
            wanted[:] = False
            wanted[self._rows(manifest)] = True
        content = self._contents()
        readable = (content != 0).any(axis=1)
        missing = wanted & ~readable & ~self._looked
        for name in names:
            if name != CONTENT:
                known = wanted & readable
                missing[known] |= ~self._cache_of(name).known(self._keys(name, content, np.flatnonzero(known)))
        self._run(missing, names, content)

    def _run(self, missing: np.ndarray, names: list[str], content: np.ndarray) -> None:
        shards = []
        for start in range(0, len(missing), SHARD):
            rows = start + np.flatnonzero(missing[start : start + SHARD])
            if len(rows):
                shards.append(rows)
        total = int(missing.sum())
        done = 0
        label = ", ".join(name for name in names if name != CONTENT) or CONTENT
        results = self._executor.map(_facts, (self._task(rows, names) for rows in shards))
        for rows, facts in zip(shards, results, strict=True):
            content[rows] = facts[CONTENT]
            self._looked[rows] = True
            for name in names:
                if name != CONTENT:
                    self._cache_of(name).save(self._keys(name, content, rows), facts[name])
            # Last, so that a content is known only when its facts are. An unreadable file has none.
            readable = facts[CONTENT].any(axis=1)
            self._content_cache().save(self._stats()[rows][readable], facts[CONTENT][readable])
            done += len(rows)
            self._progress(label, done, total)

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

    # ---- the cache ------------------------------------------------------------------------------------------------

    def _pixel_names(self, names: Sequence[str]) -> list[str]:
        wanted = {name for name in names if name in pixel_features() or name == DESCRIPTOR}
        if {EMBEDDING, STORED} & set(names) and self._params.kind != "vectors":
            wanted.add(CONTENT)
        return sorted(wanted | {CONTENT}) if wanted else []

    def _task(self, rows: np.ndarray, names: Sequence[str]) -> Any:
        from curate.images.facts import ShardTask

        paths = tuple(self._own.frame[col.PATH].iloc[rows].tolist())
        embedder = self.embedder if DESCRIPTOR in names else None
        points = self._landmarks() if embedder is not None else None
        return ShardTask(
            str(self._source.root), paths, tuple(names), embedder, None if points is None else points[rows]
        )

    def _compute(self, rows: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        parts = [rows[start : start + SHARD] for start in range(0, len(rows), SHARD)]
        with threadpool_limits(1):
            results = [_facts(self._task(part, names)) for part in parts]
        return {name: np.concatenate([result[name] for result in results]) for name in names}

    def _rows(self, manifest: Manifest) -> np.ndarray:
        """Row in the source of each row of a manifest; a replica has its parent's."""
        ids = manifest.frame[col.IMAGE_ID]
        if col.PARENT_ID in manifest.frame:
            ids = manifest.frame[col.PARENT_ID].fillna(ids)
        rows = self._own.rows_of(ids)
        if (rows < 0).any():
            raise CurateError(f"image {ids[int((rows < 0).argmax())]!r} does not come from the source")
        return rows

    def _digest(self, manifest: Manifest, mask: np.ndarray | None = None) -> str:
        self.prepare([CONTENT], manifest)
        content = self._contents()[self._rows(manifest)]
        chosen = content if mask is None else content[mask]
        return hashlib.sha256(np.ascontiguousarray(chosen).tobytes()).hexdigest()

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

    def _cache_of(self, name: str) -> KeyedCache:
        version = _version(name, self.embedder if name == DESCRIPTOR else None)
        return KeyedCache(self._cache / "features" / f"{name}-{version}")

    def _layout(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        if name == DESCRIPTOR:
            return (self.embedder.size,), np.dtype(self.embedder.dtype)
        from curate.images.facts import FEATURES

        return tuple(FEATURES[name].shape), np.dtype(FEATURES[name].dtype)

    def _landmarks(self) -> np.ndarray | None:
        """The source's landmarks `(n, 5, 2)`, NaN where missing, for an embedder that takes them; else None."""
        if not getattr(self.embedder, "takes_landmarks", False):
            return None
        if self._landmark_rows is None:
            from curate.images.align import numbers_of

            if col.LANDMARKS not in self._own.frame:
                raise CurateError("align: landmarks, but the source has no column 'landmarks': ten numbers a row, "
                                  "x and y of both eyes, the nose and the corners of the mouth")  # fmt: skip
            found = numbers_of(self._own.frame[col.LANDMARKS], 10, name=col.LANDMARKS)
            self._landmark_rows = found.reshape(-1, 5, 2)
        return self._landmark_rows

    def _keys(self, name: str, content: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """What a feature of these rows is found by: the content, and the landmarks where it depends on them."""
        keys = content if rows is None else content[rows]
        points = self._landmarks() if name == DESCRIPTOR else None
        if points is None:
            return keys
        points = points if rows is None else points[rows]
        marks = [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in points]
        mixed = keys ^ np.frombuffer(b"".join(marks), np.uint64).reshape(-1, 2)
        return np.where(keys.any(axis=1)[:, None], mixed, 0)

    def _content_cache(self) -> KeyedCache:
        root = os.path.realpath(self._source.root)
        return KeyedCache(self._cache / "content" / hashlib.blake2b(os.fsencode(root), digest_size=12).hexdigest())

    def _contents(self) -> np.ndarray:
        """The content of each of the source's images as far as known; zeros where it is not."""
        if self._content is None:
            self._content = self._content_cache().lookup(self._stats(), (2,), np.dtype(np.uint64))[1]
        return self._content

    def _stats(self) -> np.ndarray:
        """A key of (path, size, modification time) for each image of the source, zero where it is missing."""
        if self._stat_keys is None:
            from curate.images.files import stat_path

            root = os.path.realpath(self._source.root)
            self._stat_keys = np.zeros((len(self._own), 2), dtype=np.uint64)
            for row, path in enumerate(self._own.frame[col.PATH]):
                with contextlib.suppress(OSError, InputError, TypeError):
                    found = stat_path(root, path)
                    text = f"{path}\0{found.st_size}\0{found.st_mtime_ns}".encode("utf-8", "surrogateescape")
                    digest = hashlib.blake2b(text, digest_size=16).digest()
                    self._stat_keys[row] = np.frombuffer(digest, dtype=np.uint64)
        return self._stat_keys


def _facts(task: Any) -> dict[str, np.ndarray]:
    from curate.images.facts import facts_of_shard

    return facts_of_shard(task)


def _version(name: str, embedder: Any = None) -> str:
    if embedder is not None:
        return embedder.fingerprint[:24]
    from curate.images.facts import FEATURES

    return f"v{FEATURES[name].version}" if name in FEATURES else "v0"


def _training_rows(manifest: Manifest) -> np.ndarray:
    """The rows that a fit may see: the training originals, or all originals before there is a split."""
    mask = manifest.originals()
    if col.SPLIT in manifest.frame and manifest.frame[col.SPLIT].notna().any():
        mask = mask & manifest.in_split(col.TRAIN)
    return mask
