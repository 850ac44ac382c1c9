"""Facts of pixels: one decode per image, cached by the content of its file for all runs."""

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
from threadpoolctl import threadpool_limits

from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Executor
from curate.recipe.cache import KeyedCache
from curate.recipe.needs import CONTENT, DESCRIPTOR

#: Images in one piece of work, whatever the number of workers.
SHARD = 4096

#: Told of a name, how much of it is done, and of how much; None where that is not known.
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Pending:
    """Work not in the cache: how many images, and about how many seconds on the executor's workers."""

    images: int
    seconds: float


class PixelStore:
    """What a source's files show, by their content.

    cache: a folder shared by runs. A file's content is known by path, size and modification time; every other
    feature is found by content, so that a renamed or copied image costs nothing. embedder: gives the embedder whose
    descriptors are asked for, made on first use.
    """

    def __init__(self, source: Manifest, cache: Path, executor: Executor, embedder: Callable[[], Any],
                 progress: Progress | None) -> None:  # fmt: skip
        self._source = source
        self._cache = cache
        self._executor = executor
        self._embedder = embedder
        self._progress = progress or (lambda *_: None)
        self._content: np.ndarray | None = None
        self._stat_keys: np.ndarray | None = None
        columns = [name for name in (col.IMAGE_ID, col.IDENTITY, col.PATH, col.LANDMARKS) if name in source.frame]
        self._landmark_rows: np.ndarray | None = None
        self._own = (
            Manifest.from_frame(source.frame.loc[source.originals(), columns], levels={}) if self.has_pixels else None
        )
        #: Images looked at in this run, so that an unreadable one is not read again for every feature.
        self._looked = np.zeros(len(self._own) if self._own is not None else 0, dtype=bool)

    @property
    def has_pixels(self) -> bool:
        """Whether the source says where its pixels are."""
        return self._source.root is not None and col.PATH in self._source.frame

    def pending(self, names: Sequence[str]) -> Pending:
        """Images whose features are not cached, with the cost estimated by timing a few of them."""
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

    def get(self, name: str, manifest: Manifest, order: np.ndarray | None = None) -> np.ndarray:
        """A feature of each row of a manifest that descends from the source; in another order, if given."""
        self.prepare({CONTENT, name}, manifest)
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
        names = sorted(names)
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

    def digest(self, manifest: Manifest, mask: np.ndarray | None = None) -> str:
        """The content of a manifest's images, or of those in a mask `(n,)`, as one digest."""
        self.prepare([CONTENT], manifest)
        content = self._contents()[self._rows(manifest)]
        chosen = content if mask is None else content[mask]
        return hashlib.sha256(np.ascontiguousarray(chosen).tobytes()).hexdigest()

    def landmark_digest(self, manifest: Manifest) -> str | None:
        """The landmarks of a manifest's images as one digest; None where the embedder takes none."""
        points = self._landmarks()
        return None if points is None else hashlib.sha256(points[self._rows(manifest)].tobytes()).hexdigest()

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

    def _task(self, rows: np.ndarray, names: Sequence[str]) -> Any:
        from curate.images.facts import ShardTask

        paths = tuple(self._own.frame[col.PATH].iloc[rows].tolist())
        embedder = self._embedder() if DESCRIPTOR in names else None
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

    def _cache_of(self, name: str) -> KeyedCache:
        version = version_of(name, self._embedder() if name == DESCRIPTOR else None)
        return KeyedCache(self._cache / "features" / f"{name}-{version}")

    def _layout(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        if name == DESCRIPTOR:
            return (self._embedder().size,), np.dtype(self._embedder().dtype)
        from curate.images.facts import FEATURES

        return tuple(FEATURES[name].shape), np.dtype(FEATURES[name].dtype)

    def _landmarks(self) -> np.ndarray | None:
        """The source's landmarks `(n, 5, 2)`, NaN where missing, for an embedder that takes them; else None."""
        if not getattr(self._embedder(), "takes_landmarks", False):
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


def version_of(name: str, embedder: Any = None) -> str:
    if embedder is not None:
        return embedder.fingerprint[:24]
    from curate.images.facts import FEATURES

    return f"v{FEATURES[name].version}" if name in FEATURES else "v0"
