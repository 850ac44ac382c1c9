"""The facts of a shard of images: each file is read and decoded once, whatever is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from curate.core.errors import InputError, nearest
from curate.images.decode import FINE, decode, read_bytes
from curate.images.hashes import SIDE, phash_of_small
from curate.images.quality import QUALITY, sharpness_of

#: Images of one task at most, so that what a task holds and returns stays small.
SHARD = 4096
#: The descriptor's images are handed over in groups of so many bytes of pixels at most.
_GROUP_BYTES = 64 << 20

DECODED = np.dtype([("reason", "u1"), ("width", "<i4"), ("height", "<i4")])
DESCRIPTOR = "descriptor"


class Describer(Protocol):
    """What the fact `descriptor` needs of an embedder."""

    size: int

    def describe(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """RGB images `(H, W, 3)` uint8 -> raw descriptors `(n, size)` float32, each of its own image alone."""
        ...


@dataclass(frozen=True)
class Feature:
    """One fact per image.

    version: raised whenever the same image gives another value, so that caches forget the old one. dtype, shape: of
    one image's value.
    """

    name: str
    version: int
    dtype: np.dtype
    shape: tuple[int, ...] = ()


#: Every fact but `descriptor`, whose length and version are its embedder's.
FEATURES: Mapping[str, Feature] = MappingProxyType({
    feature.name: feature
    for feature in (
        Feature("content", 1, np.dtype("<u8"), (2,)),
        Feature("pixels", 1, np.dtype("<u8"), (2,)),
        Feature("decoded", 1, DECODED),
        Feature("phash", 1, np.dtype("<u8")),
        Feature("phash_mirror", 1, np.dtype("<u8")),
        Feature("quality", 1, QUALITY),
        Feature("thumbnail", 1, np.dtype("u1"), (SIDE, SIDE)),
    )
})  # fmt: skip
_OF_SMALL = ("phash", "phash_mirror", "thumbnail")


@dataclass(frozen=True)
class ShardTask:
    """What to compute of which files.

    root: the manifest's root. paths: at most SHARD manifest paths ("" for a row without a file). names: of FEATURES,
    and `descriptor`, which needs the embedder.
    """

    root: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    embedder: Describer | None = None


def facts_of_shard(task: ShardTask) -> dict[str, np.ndarray]:
    """The facts asked for, one array `(len(paths), ...)` for each name, as FEATURES describes them.

    An image without pixels has zeros everywhere, but for `decoded`, which says why, and `content`, which is zero only
    where the bytes can't be read. Runs on one thread. Each value depends on that file's bytes alone, bit for bit.
    Raises InputError for an unknown name or too many paths.
    """
    _check(task)
    _one_thread()
    names, n = frozenset(task.names), len(task.paths)
    facts = {
        name: np.zeros((n, *FEATURES[name].shape), FEATURES[name].dtype) for name in task.names if name in FEATURES
    }
    small = np.zeros((n, SIDE, SIDE), np.uint8) if names.intersection(_OF_SMALL) else None
    descriptors = _Descriptors(task.embedder, n) if DESCRIPTOR in names else None
    measure = _measurer("pixels" in names, small, "quality" in names)
    decoded, digests, qualities = [], [], []
    for row, path in enumerate(task.paths):
        reason, data = read_bytes(task.root, path)
        if "content" in names and reason == FINE:
            facts["content"][row] = np.frombuffer(_digest(data), "<u8")
        image = None
        if reason == FINE and names != {"content"}:
            reason, image = decode(data)
        if image is None:
            decoded.append((reason, 0, 0))
            digests.append(bytes(16))
            qualities.append((0.0, 0))
            continue
        decoded.append((reason, image.shape[1], image.shape[0]))
        digest, quality = measure(image, row)
        digests.append(digest)
        qualities.append(quality)
        if descriptors is not None:
            descriptors.add(row, image)
    facts_of_rows = {
        "decoded": np.array(decoded, DECODED), "quality": np.array(qualities, QUALITY),
        "pixels": np.frombuffer(b"".join(digests), "<u8").reshape(n, 2),
    }  # fmt: skip
    facts.update({name: value for name, value in facts_of_rows.items() if name in names})
    _facts_of_small(small, facts_of_rows["decoded"]["reason"] == FINE, facts)
    if descriptors is not None:
        facts[DESCRIPTOR] = descriptors.finish()
    return facts


def _measurer(digest: bool, small: np.ndarray | None, quality: bool) -> Callable:
    """A function (image, row) -> (digest of the pixels, (sharpness, pixels)) that also fills `small`."""
    from curate.images.kernels import grey_and_spread, small_square

    def measure(image: np.ndarray, row: int) -> tuple[bytes, tuple[float, int]]:
        image = np.ascontiguousarray(image)
        digest_of_image = _digest(image, image.shape) if digest else bytes(16)
        if small is None and not quality:
            return digest_of_image, (0.0, 0)
        grey, edges, variance = grey_and_spread(image)
        if small is not None:
            small[row] = small_square(grey, SIDE)
        return digest_of_image, (sharpness_of(edges, variance), grey.size)

    return measure


def _facts_of_small(small: np.ndarray | None, fine: np.ndarray, facts: dict[str, Any]) -> None:
    if small is None:
        return
    for name in ("phash", "phash_mirror"):
        if name in facts and fine.any():
            facts[name][fine] = phash_of_small(small[fine], mirrored=name == "phash_mirror")
    if "thumbnail" in facts:
        facts["thumbnail"] = small


class _Descriptors:
    """Hands images to the embedder in groups, so that no more than a few are held at once."""

    def __init__(self, embedder: Describer, n: int) -> None:
        self.embedder = embedder
        self.matrix = np.zeros((n, embedder.size), np.float32)
        self.rows: list[int] = []
        self.images: list[np.ndarray] = []
        self.held = 0

    def add(self, row: int, image: np.ndarray) -> None:
        self.rows.append(row)
        self.images.append(image)
        self.held += image.nbytes
        if self.held >= _GROUP_BYTES:
            self.finish()

    def finish(self) -> np.ndarray:
        if self.rows:
            self.matrix[self.rows] = self.embedder.describe(self.images)
            self.rows, self.images, self.held = [], [], 0
        return self.matrix


def _digest(data: Any, shape: tuple[int, ...] | None = None) -> bytes:
    """BLAKE2b-128 of bytes, or of pixels and their shape."""
    if shape is None:
        return hashlib.blake2b(data, digest_size=16).digest()
    person = b"%dx%d" % shape[:2]
    return hashlib.blake2b(np.ascontiguousarray(data), digest_size=16, person=person).digest()


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(0)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a bad file is reported as a reason


def _check(task: ShardTask) -> None:
    for name in task.names:
        if name not in FEATURES and name != DESCRIPTOR:
            raise InputError(f"unknown feature {name!r}. {nearest(name, (*FEATURES, DESCRIPTOR))}")
    if DESCRIPTOR in task.names and task.embedder is None:
        raise InputError("the feature 'descriptor' needs an embedder")
    if len(task.paths) > SHARD:
        raise InputError("too many images in one task", value=len(task.paths), allowed=f"at most {SHARD}")
