"""The rows that balancing works on: the originals of one split, and their labels as dense codes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.groups import cells
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
    """Raise InputError unless each of `labels` is named once, and is the identity, a declared label or a joint label.

    A joint label is named by its parts, as in `gender/ethnicity`: its categories are the cells.
    """
    for name in labels:
        parts_of(manifest, name)
    if len(set(labels)) < len(labels):
        raise InputError("a label is named twice", value=list(labels))


def chosen_labels(manifest: Manifest, labels: tuple[str, ...] | None) -> tuple[str, ...]:
    """The labels to balance, checked; default: the identity, then each label."""
    chosen = labels or (col.IDENTITY, *(name for name in manifest.labels if name != col.IDENTITY))
    check_labels(manifest, chosen)
    return chosen


def chosen_cells(manifest: Manifest, labels: tuple[str, ...] | None) -> tuple[str, ...]:
    """The labels whose intersection makes the cells, checked; default: those of the person."""
    if labels is None:
        labels = tuple(name for name in manifest.labels if name != col.IDENTITY and manifest.levels[name] == "identity")
    check_labels(manifest, labels)
    return labels


def label_codes(manifest: Manifest, labels: tuple[str, ...], rows: np.ndarray) -> np.ndarray:
    """The dense codes `(len(rows), L)` int32 of some rows, one column for each label, -1 missing."""
    codes = np.empty((len(rows), len(labels)), dtype=np.int32)
    for place, label in enumerate(labels):
        codes[:, place] = dense_codes(label_column(manifest, label).codes[rows])
    return codes


def parts_of(manifest: Manifest, name: str) -> tuple[str, ...]:
    """The labels that a label's name stands for: itself, or the parts of a joint one. Raises InputError if unknown."""
    allowed = (col.IDENTITY, *manifest.labels)
    if name in allowed:
        return (name,)
    parts = tuple(name.split("/"))
    for part in parts:
        if part not in allowed:
            raise InputError(f"the manifest has no label {part!r}. {nearest(part, allowed)}")
    return parts


def label_column(manifest: Manifest, name: str) -> pd.Categorical:
    """The values `(N,)` of a label, or the cells of a joint one, as a categorical in sorted order."""
    parts = parts_of(manifest, name)
    return manifest.frame[name].array if len(parts) == 1 else cells(manifest, parts)


def empty_cells(manifest: Manifest, labels: Sequence[str], rows: np.ndarray) -> dict[str, str]:
    """For each joint label with a cell that none of `rows` is in, though they have each of its parts: those cells.

    Five are named, the others counted. Labels of more cells than images are left out: most of theirs must be empty.
    """
    found = {}
    for label in labels:
        parts = parts_of(manifest, label)
        if len(parts) < 2:
            continue
        columns = [label_column(manifest, part) for part in parts]
        there = [np.unique(column.codes[rows][column.codes[rows] >= 0]) for column in columns]
        if np.prod([len(codes) for codes in there], dtype=np.float64) > len(rows):
            continue
        known = set(label_column(manifest, label)[rows].dropna().unique())
        names = ["/".join(cell) for cell in itertools.product(*(
            column.categories[codes] for column, codes in zip(columns, there, strict=True)))]  # fmt: skip
        empty = [name for name in names if name not in known]
        if empty:
            more = f" and {len(empty) - 5:,} more" if len(empty) > 5 else ""
            found[label] = ", ".join(empty[:5]) + more
    return found


def dense_codes(codes: np.ndarray) -> np.ndarray:
    """Codes `(N,)` renumbered 0..K-1 over the categories present, in the same order; -1 stays: int32."""
    there = codes >= 0
    used = np.zeros(int(codes.max(initial=-1)) + 2, dtype=bool)
    used[codes[there]] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return np.where(there, number[codes], np.int32(-1)).astype(np.int32)


def joint_codes(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Codes `(N,)` int32 of the combinations of several labels' codes that occur, in order; -1 where one is missing."""
    joint = np.zeros(len(columns[0]), dtype=np.int64)
    missing = np.zeros(len(joint), dtype=bool)
    for column in columns:
        missing |= column < 0
        # Numbered anew at each step, so that many labels can't overflow.
        joint = np.unique(joint * (int(column.max(initial=0)) + 1) + np.maximum(column, 0), return_inverse=True)[1]
    return dense_codes(np.where(missing, -1, joint))
