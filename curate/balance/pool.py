"""The rows that balancing works on: the originals of one split, and their labels as dense codes."""

from __future__ import annotations

import numpy as np

from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest


def split_rows(manifest: Manifest, split: str | None) -> np.ndarray:
    """Mask `(N,)` of the rows of a split, replicas included; all rows for None or where no row has a split yet.

    Raises InputError for a name that is neither a split of the manifest nor `train` or `holdout`.
    """
    if split is None or col.SPLIT not in manifest.frame:
        return np.ones(len(manifest), dtype=bool)
    known = list(manifest.frame[col.SPLIT].cat.categories)
    if split not in {*known, col.TRAIN, col.HOLDOUT}:
        raise InputError(f"no image is in the split {split!r}. {nearest(split, {*known, col.TRAIN, col.HOLDOUT})}")
    if not known:
        return np.ones(len(manifest), dtype=bool)
    return manifest.in_split(split)


def check_labels(manifest: Manifest, labels: tuple[str, ...]) -> None:
    """Raise InputError unless each of `labels` is the identity or a declared label, named once."""
    allowed = (col.IDENTITY, *manifest.labels)
    for name in labels:
        if name not in allowed:
            raise InputError(f"the manifest has no label {name!r}. {nearest(name, allowed)}")
    if len(set(labels)) < len(labels):
        raise InputError("a label is named twice", value=list(labels))


def dense_codes(codes: np.ndarray) -> np.ndarray:
    """Codes `(N,)` renumbered 0..K-1 over the categories present, in the same order; -1 stays: int32."""
    there = codes >= 0
    used = np.zeros(int(codes.max(initial=-1)) + 2, dtype=bool)
    used[codes[there]] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return np.where(there, number[codes], np.int32(-1)).astype(np.int32)
