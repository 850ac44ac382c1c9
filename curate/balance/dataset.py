"""A manifest as a torch dataset: pixels, identity, labels, mask and weight of each row, replicas drawn on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.balance.augment import Augmenter, resized
from curate.balance.weights import targets
from curate.core import columns as col
from curate.core.errors import InputError, MissingExtra
from curate.core.groups import cells
from curate.core.manifest import Manifest, text_array
from curate.images.decode import decode
from curate.images.files import read_bytes
from curate.images.reasons import REASONS

try:
    import torch
    from torch.utils.data import Dataset
except ImportError:
    raise MissingExtra("torch", "train", "ManifestDataset") from None


class Sample(NamedTuple):
    """One row, or a batch of rows with one more dimension in front.

    image: `(3, S, S)` uint8, or what the dataset's transform makes of it. identity: code, -1 where missing. labels:
    `(L,)` int64 codes, 0 where the mask is False. mask: `(L,)` bool. weight: float32.
    """

    image: Any
    identity: Any
    labels: Any
    mask: Any
    weight: Any


class ManifestDataset(Dataset):
    """The rows of a split of a manifest, for `torch.utils.data.DataLoader`.

    labels: those to return codes of; default: all of the manifest but the identity. augment: a preset, a file, a
        mapping or an Augmenter, for replicas; None: a replica is its parent's picture. size: pixels of a side; None:
        as the files have it. transform: `(S, S, 3)` uint8 -> anything, called last. split: None for all rows.
        categories: of identity and labels, as `.categories` of the training set, so that codes agree.
    Files may stand alone or in containers (`faces.rec#OFFSET`, `shard.tar#NAME`: `curate.images.containers`), which
    each process opens on first need. A replica's picture follows from its parent's pixels and its `augment_seed`
    alone: the same in every epoch, worker and process. A file that can't be read gives a black picture with identity
    -1, an empty mask and weight 0, and `problems()` counts what a process has seen of them.
    Raises InputError without pixels, for an unknown label, or for replicas without `augment_seed`.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        labels: Sequence[str] | None = None,
        augment: str | Path | dict | Augmenter | None = None,
        size: int | None = 112,
        transform: Callable[[np.ndarray], Any] | None = None,
        split: str | None = col.TRAIN,
        categories: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        from curate.balance.pool import split_rows

        if manifest.root is None or col.PATH not in manifest.frame:
            raise InputError("the manifest says nothing of pixels", remedy="Give it a root, and a column `path`")
        manifest = manifest.take(split_rows(manifest, split))
        others = tuple(name for name in manifest.labels if name != col.IDENTITY)
        self.labels = tuple(labels) if labels is not None else others
        names = (col.IDENTITY, *self.labels)
        made = targets(manifest, names, tuple(categories[name] for name in names) if categories else None)
        self.manifest = manifest
        #: The values behind the codes of the identity and of each label.
        self.categories = dict(zip(names, made.categories, strict=True))
        self.identity = np.where(made.mask[:, 0], made.codes[:, 0], -1)
        self.codes, self.mask = np.ascontiguousarray(made.codes[:, 1:]), np.ascontiguousarray(made.mask[:, 1:])
        frame = manifest.frame
        weights = frame[col.WEIGHT].to_numpy(np.float32) if col.WEIGHT in frame else np.ones(len(frame), np.float32)
        self.weight = weights
        replicas = ~manifest.originals()
        if replicas.any() and col.AUGMENT_SEED not in frame:
            raise InputError("the manifest has replicas without augment_seed", column=col.AUGMENT_SEED)
        seeds = frame[col.AUGMENT_SEED].to_numpy() if replicas.any() else np.zeros(len(frame), np.uint64)
        self._seed = np.where(replicas, seeds, np.uint64(0))
        # Arrow text, not a list: workers share its pages instead of copying ten million Python strings.
        self._paths: pa.Array = text_array(frame[col.PATH])
        self._root, self._size, self._transform = str(manifest.root), size, transform
        self._augment = augment if augment is None or isinstance(augment, Augmenter) else Augmenter(augment)
        self._problems: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.identity)

    def cells(self, labels: Sequence[str]) -> np.ndarray:
        """The cell of each row `(N,)`, -1 where a label is missing: what the samplers balance."""
        return cells(self.manifest, tuple(labels)).codes.astype(np.int64)

    def problems(self) -> dict[str, int]:
        """How many pictures this process could not read, by reason."""
        return dict(self._problems)

    def pixels(self, index: int) -> np.ndarray | None:
        """The picture of a row `(S, S, 3)` uint8 RGB, or None where it can't be read."""
        path = self._paths[index].as_py()
        reason, data = read_bytes(self._root, path)
        found = decode(data) if not reason else None
        if found is None or found.pixels is None:
            self._count(reason or (found.reason if found else 0))
            return None
        picture = resized(found.pixels, self._size)
        seed = int(self._seed[index])
        return self._augment(picture, seed) if seed and self._augment is not None else picture

    def __getitem__(self, index: int) -> Sample:
        index = int(index)
        picture = self.pixels(index)
        there = picture is not None
        if picture is None:
            side = self._size or 112
            picture = np.zeros((side, side, 3), dtype=np.uint8)
        if self._transform is not None:
            image = self._transform(picture)
        else:
            image = torch.from_numpy(picture).permute(2, 0, 1)  # a view: the batch copies it anyway
        return Sample(
            image,
            int(self.identity[index]) if there else -1,
            torch.from_numpy(self.codes[index]),
            torch.from_numpy(self.mask[index] if there else np.zeros(len(self.labels), dtype=bool)),
            self.weight[index] if there else np.float32(0),
        )

    def _count(self, reason: int) -> None:
        self._problems[REASONS[reason]] = self._problems.get(REASONS[reason], 0) + 1
