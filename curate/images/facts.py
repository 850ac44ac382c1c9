"""The facts of a shard of images: each file is read once, and only what is asked for is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from curate.core.errors import InputError, nearest
from curate.images.decode import FINE, Views, look, read_bytes
from curate.images.hashes import SIDE, dhash_of_small, phash256_of_small, phash_of_small
from curate.images.quality import QUALITY, sharpness

#: Images of one task at most, so that what a task holds and returns stays small.
SHARD = 4096
#: The descriptor's images are handed over in groups of so many bytes of pixels at most.
_GROUP_BYTES = 64 << 20

DECODED = np.dtype([("reason", "u1"), ("width", "<i4"), ("height", "<i4")])
DESCRIPTOR = "descriptor"


class Describer(Protocol):
    """What the fact `descriptor` needs of an embedder."""

    size: int
    dtype: np.dtype

    def describe(self, images: Sequence[np.ndarray], landmarks: np.ndarray | None = None) -> np.ndarray:
        """RGB images `(H, W, 3)` uint8 -> raw descriptors `(n, size)`, each of its own image (and landmarks) alone."""
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
        Feature("phash", 2, np.dtype("<u8")),
        Feature("phash_mirror", 2, np.dtype("<u8")),
        Feature("phash256", 1, np.dtype("<u8"), (4,)),
        Feature("dhash", 1, np.dtype("<u8")),
        Feature("quality", 2, QUALITY),
        Feature("thumbnail", 2, np.dtype("u1"), (SIDE, SIDE)),
    )
})  # fmt: skip
#: What is made of the image squeezed to 32x32, and the (rows, columns) that other hashes are made of.
_OF_SMALL = ("phash", "phash_mirror", "thumbnail")
_SQUEEZED = {"phash256": (2 * SIDE, 2 * SIDE), "dhash": (8, 9)}


@dataclass(frozen=True)
class ShardTask:
    """What to compute of which files.

    root: the manifest's root. paths: at most SHARD manifest paths ("" for a row without a file). names: of FEATURES,
    and `descriptor`, which needs the embedder. landmarks: `(len(paths), 5, 2)` float32, NaN where there are
    none, for an embedder that takes them; None for others.
    """

    root: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    embedder: Describer | None = None
    landmarks: np.ndarray | None = None


def facts_of_shard(task: ShardTask) -> dict[str, np.ndarray]:
    """The facts asked for, one array `(len(paths), ...)` for each name, as FEATURES describes them.

    An image without pixels has zeros everywhere, but for `decoded`, which says why, and `content`, which is zero only
    where the bytes can't be read. Runs on one thread. Each value depends on that file's bytes alone, bit for bit.
    Raises InputError for an unknown name or too many paths.
    """
    from curate.images.kernels import small_square

    _check(task)
    _one_thread()
    names, n = frozenset(task.names), len(task.paths)
    facts = {
        name: np.zeros((n, *FEATURES[name].shape), FEATURES[name].dtype) for name in task.names if name in FEATURES
    }
    small = np.zeros((n, SIDE, SIDE), np.uint8) if names.intersection(_OF_SMALL) else None
    squeezed = {name: np.zeros((n, *size), np.uint8) for name, size in _SQUEEZED.items() if name in names}
    descriptors = _Descriptors(task.embedder, n, task.landmarks) if DESCRIPTOR in names else None
    wanted = {
        "colour": bool(names & {"pixels", DESCRIPTOR}), "grey": bool(names & {"decoded", "quality"}),
        "small": small is not None or bool(squeezed),
    }  # fmt: skip
    decoded, digests, qualities = [], [], []
    fine = np.zeros(n, bool)
    for row, path in enumerate(task.paths):
        reason, data = read_bytes(task.root, path)
        if "content" in names and reason == FINE:
            facts["content"][row] = np.frombuffer(_digest(data), "<u8")
        views = Views(reason)
        if reason == FINE and any(wanted.values()):
            views = look(data, **wanted)
        fine[row] = views.reason == FINE
        shape = (0, 0) if views.grey is None else views.grey.shape
        decoded.append((views.reason, shape[1], shape[0]))
        digests.append(bytes(16) if views.colour is None or "pixels" not in names else _digest_of(views.colour))
        qualities.append((0.0, 0) if views.grey is None else (sharpness(views.grey), views.grey.size))
        if small is not None and views.small is not None:
            small[row] = small_square(views.small, SIDE)
        for name, squares in squeezed.items() if views.small is not None else ():
            squares[row] = small_square(views.small, *_SQUEEZED[name])
        if descriptors is not None and views.colour is not None:
            descriptors.add(row, views.colour)
    facts_of_rows = {
        "decoded": np.array(decoded, DECODED), "quality": np.array(qualities, QUALITY),
        "pixels": np.frombuffer(b"".join(digests), "<u8").reshape(n, 2),
    }  # fmt: skip
    facts.update({name: value for name, value in facts_of_rows.items() if name in names})
    _facts_of_small(small, fine, facts)
    for name, squares in squeezed.items():
        if fine.any():
            facts[name][fine] = (phash256_of_small if name == "phash256" else dhash_of_small)(squares[fine])
    if descriptors is not None:
        facts[DESCRIPTOR] = descriptors.finish()
    return facts


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

    def __init__(self, embedder: Describer, n: int, landmarks: np.ndarray | None) -> None:
        self.embedder = embedder
        self.landmarks = landmarks
        self.matrix = np.zeros((n, embedder.size), embedder.dtype)
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
            given = () if self.landmarks is None else (self.landmarks[self.rows],)
            self.matrix[self.rows] = self.embedder.describe(self.images, *given)
            self.rows, self.images, self.held = [], [], 0
        return self.matrix


def _digest(data: Any, person: bytes = b"") -> bytes:
    """BLAKE2b-128."""
    return hashlib.blake2b(data, digest_size=16, person=person).digest()


def _digest_of(image: np.ndarray) -> bytes:
    """BLAKE2b-128 of an image's pixels and their shape."""
    return _digest(np.ascontiguousarray(image), b"%dx%d" % image.shape[:2])


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
