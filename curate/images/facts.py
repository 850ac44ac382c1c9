"""The facts of a shard of images: each file is read once, and only what is asked for is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from curate.core.errors import InputError, nearest
from curate.images.decode import Views, look
from curate.images.files import Reader
from curate.images.hashes import SIDE, dhash_of_small, lowest_waves, phash_of_waves
from curate.images.quality import QUALITY, sharpness
from curate.images.reasons import FINE
from curate.images.vlad import LENGTH, STRONGEST, local_descriptors

#: Images of one task at most, so that what a task holds and returns stays small.
SHARD = 4096
#: Images whose facts are taken together are held in groups of so many bytes of pixels at most.
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
        Feature("phash", 3, np.dtype("<u8")),
        Feature("phash_mirror", 3, np.dtype("<u8")),
        Feature("phash256", 2, np.dtype("<u8"), (4,)),
        Feature("phash256_mirror", 1, np.dtype("<u8"), (4,)),
        Feature("dhash", 1, np.dtype("<u8")),
        Feature("dhash_mirror", 1, np.dtype("<u8")),
        Feature("local", 1, np.dtype("u1"), (STRONGEST, LENGTH)),
        Feature("quality", 2, QUALITY),
        Feature("thumbnail", 2, np.dtype("u1"), (SIDE, SIDE)),
    )
})  # fmt: skip
#: Facts of pHash: bits, and whether of the mirror image. Of dHash: whether of the mirror image.
_PHASHES = {"phash": (64, False), "phash_mirror": (64, True), "phash256": (256, False), "phash256_mirror": (256, True)}
_DHASHES = {"dhash": False, "dhash_mirror": True}
#: What each view of an image is needed for.
_COLOUR = frozenset(("pixels", DESCRIPTOR))
_GREY = frozenset(("decoded", "quality", "local"))
_SMALL = frozenset(("thumbnail", *_PHASHES, *_DHASHES))


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
    descriptors = _Descriptors(task.embedder, n) if DESCRIPTOR in names else None
    waves = _Waves(facts)
    takers = [take for name, take in _TAKERS.items() if name in names]
    wanted = {"colour": bool(names & _COLOUR), "grey": bool(names & _GREY), "small": bool(names & _SMALL)}
    pixels = any(wanted.values())
    with Reader(task.root) as reader:
        for row, path in enumerate(task.paths):
            reason, data = reader.read(path)
            if "content" in names and reason == FINE:
                facts["content"][row] = np.frombuffer(_digest(data), "<u8")
            views = look(data, **wanted) if reason == FINE and pixels else Views(reason)
            if "decoded" in names:
                shape = (0, 0) if views.grey is None else views.grey.shape
                facts["decoded"][row] = views.reason, shape[1], shape[0]
            if views.reason != FINE or not pixels:
                continue
            for take in takers:
                take(facts, row, views)
            if waves.wanted:
                waves.add(row, views.small)
            if descriptors is not None:
                descriptors.add(row, views.colour)
    waves.finish()
    if descriptors is not None:
        facts[DESCRIPTOR] = descriptors.finish()
    return facts


def _take_pixels(facts: dict[str, np.ndarray], row: int, views: Views) -> None:
    facts["pixels"][row] = np.frombuffer(_digest_of(views.colour), "<u8")


def _take_quality(facts: dict[str, np.ndarray], row: int, views: Views) -> None:
    facts["quality"][row] = sharpness(views.grey), views.grey.size


def _take_local(facts: dict[str, np.ndarray], row: int, views: Views) -> None:
    facts["local"][row] = local_descriptors(views.grey)


def _take_thumbnail(facts: dict[str, np.ndarray], row: int, views: Views) -> None:
    from curate.images.kernels import small_square

    facts["thumbnail"][row] = small_square(views.small, SIDE)


def _take_dhash(facts: dict[str, np.ndarray], row: int, views: Views, name: str) -> None:
    from curate.images.kernels import small_square

    small = small_square(views.small, 8, 9)
    facts[name][row] = dhash_of_small((small[:, ::-1] if _DHASHES[name] else small)[None])[0]


#: What is taken of one image after the other, by the fact's name: (facts, row, views of the image).
_TAKERS: Mapping[str, Callable[[dict[str, np.ndarray], int, Views], None]] = MappingProxyType({
    "pixels": _take_pixels, "quality": _take_quality, "local": _take_local, "thumbnail": _take_thumbnail,
    **{name: partial(_take_dhash, name=name) for name in _DHASHES},
})  # fmt: skip


class _Waves:
    """Takes the hashes of images of one size together, as many as a few megabytes hold."""

    def __init__(self, facts: dict[str, np.ndarray]) -> None:
        self.facts = facts
        self.wanted = [name for name in _PHASHES if name in facts]
        self.images: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
        self.held = 0

    def add(self, row: int, small: np.ndarray) -> None:
        self.images.setdefault(small.shape, []).append((row, small))
        self.held += small.nbytes
        if self.held >= _GROUP_BYTES:
            self.finish()

    def finish(self) -> None:
        for held in self.images.values():
            rows, grey = [row for row, _ in held], np.stack([small for _, small in held])
            waves = {bits: lowest_waves(grey, bits) for bits in {_PHASHES[name][0] for name in self.wanted}}
            for name in self.wanted:
                bits, mirrored = _PHASHES[name]
                self.facts[name][rows] = phash_of_waves(waves[bits], mirrored=mirrored)
        self.images, self.held = {}, 0


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
