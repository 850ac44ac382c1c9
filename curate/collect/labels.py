"""Joining a table of labels to images, by image or by identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.collect.source import counted, label_levels
from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.manifest import text_array
from curate.core.tables import Refused, read_columns

#: Columns that name the image of a row, in order of preference; without one of them `identity` is the key.
IMAGE_KEYS = (col.IMAGE_ID, col.PATH, "file")
#: Columns of a manifest, besides labels, that a label file may bring.
_PLAIN = (col.DATASET, col.SPLIT)


@dataclass(frozen=True)
class Joined:
    """The frame with its label columns, their levels, and what did not match."""

    frame: pd.DataFrame
    levels: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Match:
    """Which target (image row, or code of an identity) each row of the label file names; -1 for none."""

    targets: np.ndarray
    names: pa.Array  # of the targets
    of_images: np.ndarray  # the target of each image, -1 for none
    noun: str


def join_labels(
    frame: pd.DataFrame, path: Path, levels: Mapping[str, str] | None, columns: Mapping[str, str]
) -> Joined:
    """Add label columns from a CSV, JSON lines or Parquet file to a table of images.

    The key is the column `image_id`, `path` or `file`, else `identity`; `columns` (our name -> the file's name) may
    name another. A key is matched as it stands, then with `\\` read as `/` and without a leading `./`. Joined are the
    labels of `levels` and those that `columns` maps; with neither, `gender` and `ethnicity` if the file has them.
    Images without a row get null labels; both they and rows without an image are counted in the notes.
    Raises InputError for a missing file, an unknown column, two rows of one key with different values (a missing value
    differs from nothing), and a file of which no row matches.
    """
    refused = Refused()
    table, stored = read_columns(path, refused)
    asked = label_levels(levels, columns)
    if levels is None:
        for name in col.IDENTITY_LABELS:
            if name in table.column_names:
                asked.setdefault(name, (stored or {}).get(name, col.default_level(name)))
    key, by_image = _key(table, path, columns)
    match = _match(frame, text_array(table.column(key)), by_image)
    if table.num_rows and not (match.targets >= 0).any():
        example = text_array(table.column(key).slice(0, 1))[0].as_py()
        raise InputError(
            f"no row names {'an image' if by_image else 'an identity'} of the source",
            file=path, column=key, value=example,
            allowed=f"names such as {match.names[0].as_py()!r}" if len(match.names) else None,
            remedy="Check the source's root, or map the key column in `columns`",
        )  # fmt: skip
    frame = frame.copy(deep=False)
    plain = [name for name in columns if name in _PLAIN]
    for name in [*asked, *plain]:
        theirs = columns.get(name, name)
        if theirs not in table.column_names:
            way = f". Or map it: columns: {{{name}: YOUR_COLUMN}}" if name == theirs else ""
            raise InputError(
                f"the label file has no column {theirs!r}", file=path, remedy=nearest(theirs, table.column_names) + way
            )
        frame[name] = _column(text_array(table.column(theirs)), match, path, theirs)
    notes = [*refused.notes(path), *_notes(table, key, match, path)]
    return Joined(frame, asked, tuple(notes))


def _key(table: pa.Table, path: Path, columns: Mapping[str, str]) -> tuple[str, bool]:
    """The key column, and whether it names images (else identities)."""
    refused = sorted(set(columns) & set(col.RESERVED) - {*IMAGE_KEYS, *_PLAIN, col.IDENTITY})
    if refused:
        raise InputError(
            f"a label file can't bring the column {refused[0]!r}", allowed=f"labels, {', '.join(_PLAIN)}, and the key",
            remedy="Use a source of kind table",
        )  # fmt: skip
    mapped = [name for name in (*IMAGE_KEYS, col.IDENTITY) if name in columns]
    for ours in mapped:
        theirs = columns[ours]
        if theirs not in table.column_names:
            raise InputError(f"columns: {{{ours}: {theirs}}} names a column that is not there", file=path,
                             remedy=nearest(theirs, table.column_names))  # fmt: skip
        return theirs, ours != col.IDENTITY
    for name in (*IMAGE_KEYS, col.IDENTITY):
        if name in table.column_names:
            return name, name != col.IDENTITY
    raise InputError("no column says which image or identity a row is about", file=path, value=table.column_names,
                     allowed=", ".join((*IMAGE_KEYS, col.IDENTITY)),
                     remedy="Map one in the recipe: columns: {image_id: YOUR_COLUMN}")  # fmt: skip


def _match(frame: pd.DataFrame, keys: pa.Array, by_image: bool) -> _Match:
    if by_image:
        names = text_array(frame[col.IMAGE_ID])
        of_images = np.arange(len(frame))
    else:
        identity = frame[col.IDENTITY]
        names = text_array(identity.cat.categories.array)
        of_images = identity.cat.codes.to_numpy().astype(np.int64)
    found = pc.index_in(keys, value_set=names, skip_nulls=True)
    missing = pc.and_(pc.is_null(found), pc.is_valid(keys))
    if pc.any(missing).as_py():
        rest = pc.replace_substring_regex(
            pc.replace_substring(keys.filter(missing), "\\", "/"), pattern=r"^(\./+)+", replacement=""
        )
        found = pc.replace_with_mask(found, missing, pc.index_in(rest, value_set=names, skip_nulls=True))
    targets = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _Match(targets, names, of_images, "image" if by_image else "identity")


def _column(values: pa.Array, match: _Match, path: Path, column: str) -> pd.Categorical:
    """The label of each image, from the label of each row of the file."""
    encoded = pc.dictionary_encode(values)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    names = encoded.dictionary
    codes[np.isin(codes, np.flatnonzero(pc.equal(names, "").to_numpy(zero_copy_only=False)))] = -1
    rows = np.flatnonzero((match.targets >= 0) & (codes >= 0))
    rows = rows[np.lexsort((rows, match.targets[rows]))]
    target, code = match.targets[rows], codes[rows]
    clash = (target[1:] == target[:-1]) & (code[1:] != code[:-1])
    if clash.any():
        at = int(clash.argmax())
        first, second = int(rows[at]), int(rows[at + 1])
        raise InputError(
            f"rows {first + 1} and {second + 1} give the {match.noun} {match.names[int(target[at])].as_py()!r} "
            f"two values ({counted(int(clash.sum()), 'such conflict')} in all)",
            file=path, row=second + 1, column=column, value=[names[int(codes[row])].as_py() for row in (first, second)],
            remedy=f"Keep one row for each {match.noun}",
        )  # fmt: skip
    of_target = np.full(len(match.names) + 1, -1, dtype=np.int64)  # the last place stands for no target
    of_target[target] = code
    return pd.Categorical.from_codes(of_target[match.of_images], categories=pd.Index(names.to_pandas(), dtype="str"))


def _notes(table: pa.Table, key: str, match: _Match, path: Path) -> list[str]:
    notes = []
    lost = np.flatnonzero(match.targets < 0)
    if len(lost):
        first = text_array(table.column(key).slice(int(lost[0]), 1))[0].as_py()
        notes.append(f"{counted(len(lost), 'row')} of {path.name} {'names' if len(lost) == 1 else 'name'} no "
                     f"{match.noun} of the source (first: row {int(lost[0]) + 1}, {first!r})")  # fmt: skip
    named = np.zeros(len(match.names) + 1, dtype=bool)
    named[match.targets[match.targets >= 0]] = True
    bare = int((~named[match.of_images]).sum())
    if bare:
        notes.append(f"{counted(bare, 'image')} without a row in {path.name}; the labels are missing there")
    repeated = int((match.targets >= 0).sum()) - int(named.sum())
    if repeated:
        verbs = "repeats another and agrees" if repeated == 1 else "repeat another and agree"
        notes.append(f"{counted(repeated, 'row')} of {path.name} {verbs} with it")
    return notes
