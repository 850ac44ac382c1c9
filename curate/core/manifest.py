"""The Manifest: the one table of images that flows through every step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.files import path_problem, write_table
from curate.core.tables import LEVELS_KEY, Refused, read_columns

#: Columns held as numbers, with their type and what stands for a missing value.
_NUMBERS = {col.REPLICA: (np.int32, 0), col.AUGMENT_SEED: (np.uint64, 0), col.WEIGHT: (np.float64, 1.0)}


@dataclass(frozen=True)
class Manifest:
    """Images in order of `image_id`, one row each.

    Build it with `Manifest.from_frame` or `read_manifest`, which validate; steps only read it.

    frame: DataFrame (N rows, RangeIndex). `image_id`, `path`, `parent_id` are Arrow-backed text; identity, dataset,
        split and the labels are categoricals whose categories are sorted and all in use (code -1: missing).
    root: the folder that `path` is relative to, or None for a table without pixels.
    levels: for each label, `identity` or `image`.
    """

    frame: pd.DataFrame
    root: Path | None = None
    levels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        root: Path | str | None = None,
        levels: Mapping[str, str] | None = None,
        origin: object = None,
    ) -> Manifest:
        """Validate a table and put it in order.

        `levels` names the label columns; where it is None, `gender` and `ethnicity` are labels if present.
        `origin` is the file to name in errors. A missing `image_id` is the `path`; a missing `path` means no pixels; a
        missing `dataset` is `origin`'s stem. Raises InputError with row, column, value and remedy.
        """
        frame = frame.reset_index(drop=True)
        if col.IMAGE_ID not in frame and col.PATH in frame:
            frame = frame.assign(**{col.IMAGE_ID: frame[col.PATH]})
        for name in (col.IMAGE_ID, col.IDENTITY):
            if name not in frame:
                raise InputError(
                    f"the column {name!r} is missing", file=origin, value=list(map(str, frame.columns)),
                    remedy=f"Add it, or map one to it in the recipe: columns: {{{name}: YOUR_COLUMN}}",
                )  # fmt: skip
        if levels is None:
            levels = {name: col.default_level(name) for name in col.IDENTITY_LABELS if name in frame}
        _check_levels(levels, frame, origin)
        if col.DATASET not in frame:
            frame = frame.assign(**{col.DATASET: Path(str(origin)).stem if origin else "data"})
        with _as_text(col.IMAGE_ID, origin):
            ids = text_array(frame[col.IMAGE_ID])
        order = _sorted_unique(ids, origin)
        if not _is_increasing(order):
            frame = frame.take(order).reset_index(drop=True)
        else:
            frame = frame.copy(deep=False)
        _check_paths(frame, order, origin)
        for name in frame.columns:
            if name in col.TEXT:
                with _as_text(name, origin):
                    frame[name] = pd.array(text_array(frame[name]), dtype="str")
            elif name in col.CATEGORIES or name in levels or isinstance(frame[name].dtype, pd.CategoricalDtype):
                with _as_text(name, origin):
                    frame[name] = tidy_categories(frame[name])
            elif name in _NUMBERS and frame[name].dtype != _NUMBERS[name][0]:
                frame[name] = _numbers(frame[name], order, origin)
        known = [name for name in col.RESERVED if name in frame]
        rest = sorted(name for name in frame.columns if name not in col.RESERVED)
        return cls(frame[known + rest], Path(root) if root is not None else None, dict(sorted(levels.items())))

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the label columns."""
        return tuple(self.levels)

    @property
    def ids(self) -> pa.Array:
        """`image_id` as one Arrow array, without a copy."""
        return text_array(self.frame[col.IMAGE_ID])

    def rows_of(self, image_ids: Any) -> np.ndarray:
        """Row number of each id, -1 where the manifest has no such image: `(len(image_ids),)` int64."""
        wanted = text_array(image_ids)
        found = pc.index_in(wanted, value_set=self.ids)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    def take(self, rows: np.ndarray) -> Manifest:
        """The manifest of some rows: a boolean mask `(N,)`, or row numbers in ascending order."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        frame = self.frame.take(rows).reset_index(drop=True)
        for name in frame.columns:
            if isinstance(frame[name].dtype, pd.CategoricalDtype):
                frame[name] = tidy_categories(frame[name])
        return Manifest(frame, self.root, self.levels)

    def originals(self) -> np.ndarray:
        """Mask `(N,)` of the rows that are photographs, not replicas of one."""
        if col.PARENT_ID not in self.frame:
            return np.ones(len(self), dtype=bool)
        return self.frame[col.PARENT_ID].isna().to_numpy()

    def in_split(self, split: str | None) -> np.ndarray:
        """Mask `(N,)` of the rows of a split; all rows for None; none where no row has a split."""
        if split is None:
            return np.ones(len(self), dtype=bool)
        if col.SPLIT not in self.frame:
            return np.zeros(len(self), dtype=bool)
        return (self.frame[col.SPLIT] == split).to_numpy()

    def codes(self, column: str) -> np.ndarray:
        """Category codes `(N,)` of a categorical column, -1 where missing. Raises InputError for an unknown one."""
        if column not in self.frame or not isinstance(self.frame[column].dtype, pd.CategoricalDtype):
            categorical = [c for c in self.frame if isinstance(self.frame[c].dtype, pd.CategoricalDtype)]
            raise InputError(f"the manifest has no label {column!r}. {nearest(column, categorical)}")
        return self.frame[column].cat.codes.to_numpy()

    def write(self, path: Path | str) -> None:
        """Write the manifest as Parquet, atomically; the levels of its labels go along."""
        levels = ",".join(f"{name}={level}" for name, level in sorted(self.levels.items()))
        write_table(path, self.frame, {LEVELS_KEY.decode(): levels})


def read_manifest(
    path: Path | str,
    *,
    root: Path | str | None = None,
    levels: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> Manifest:
    """Read a manifest from Parquet, CSV or JSON lines.

    root: folder of the pixels; default: none. columns: our name -> the file's name, for tables that use other names.
    refused: see `curate.core.tables.read_columns`.
    Raises InputError where the file is missing or unreadable, or a value is not allowed.
    """
    text = {*col.TEXT, *(theirs for ours, theirs in (columns or {}).items() if ours in col.TEXT)}
    table, stored = read_columns(path, refused, text=text)
    names = table.column_names
    for ours, theirs in (columns or {}).items():
        if theirs not in names:
            raise InputError(
                f"columns: {{{ours}: {theirs}}} names a column that is not there", file=path,
                remedy=nearest(theirs, names),
            )  # fmt: skip
        if ours != theirs and ours in names:
            # The mapping says which column the user means; the other keeps its values under a new name.
            names = [f"{name}_unmapped" if name == ours else name for name in names]
        names = [ours if name == theirs else name for name in names]
    table = table.rename_columns(names)
    if levels is None and stored is not None:
        levels = stored
    categories = set(col.CATEGORIES) | set(levels or col.IDENTITY_LABELS)
    for index, name in enumerate(table.column_names):
        column = table.column(index)
        if name in categories and not pa.types.is_dictionary(column.type):
            with _as_text(name, path):
                table = table.set_column(index, name, pc.dictionary_encode(column.cast(pa.string())))
    frame = table.to_pandas(split_blocks=True, self_destruct=True)
    return Manifest.from_frame(frame, root=root, levels=levels, origin=path)


def text_array(values: Any) -> pa.Array:
    """Any text column as one Arrow string array, nulls kept."""
    if isinstance(values, pd.Series):
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype("str")
        values = values.array
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    return array if pa.types.is_large_string(array.type) else array.cast(pa.large_string())


@contextlib.contextmanager
def _as_text(column: str, origin: object) -> Iterator[None]:
    """Names the column whose values are no text: raw bytes, lists, structures."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, UnicodeDecodeError) as error:
        raise InputError(f"the values can't be read as text ({error})", file=origin, column=column,
                         allowed="text or numbers") from error  # fmt: skip


def _check_levels(levels: Mapping[str, str], frame: pd.DataFrame, origin: object) -> None:
    for name, level in levels.items():
        if level not in col.LEVELS:
            raise InputError(f"label {name!r} has an unknown level", value=level, allowed=" or ".join(col.LEVELS))
        if name in col.RESERVED and name != col.IDENTITY:
            raise InputError(f"{name!r} is a column of every manifest, not a label", allowed="any other name")
        if name not in frame:
            others = [str(c) for c in frame.columns if c not in col.RESERVED]
            raise InputError(f"the label {name!r} has no column", file=origin, remedy=nearest(name, others))


def _sorted_unique(ids: pa.Array, origin: object) -> np.ndarray:
    """The order that sorts the ids; refuses missing, empty and repeated ones."""
    bad = pc.fill_null(pc.equal(pc.binary_length(ids), 0), True)
    if pc.any(bad).as_py():
        row = pc.index(bad, True).as_py()
        raise InputError("the image_id is empty", file=origin, row=row + 1, column=col.IMAGE_ID,
                         remedy="Give every row an id of its own")  # fmt: skip
    if len(ids) < 2 or pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py():
        return np.arange(len(ids))  # in order already, as a written manifest is: no sort, no copy
    order = pc.sort_indices(ids)
    arranged = ids.take(order)
    same = pc.equal(arranged.slice(1), arranged.slice(0, len(ids) - 1))
    order = order.to_numpy()
    if pc.any(same).as_py():
        at = pc.index(same, True).as_py()
        first, second = sorted((int(order[at]) + 1, int(order[at + 1]) + 1))
        raise InputError(f"the image_id stands in row {first} too ({pc.sum(same).as_py():,} repeats in all)",
                         file=origin, row=second, column=col.IMAGE_ID, value=arranged[at].as_py(),
                         remedy="Ids must be unique: remove the repeated rows")  # fmt: skip
    return order


def _numbers(column: pd.Series, order: np.ndarray, origin: object) -> np.ndarray:
    """A column of numbers that a CSV brought as text, or that a missing cell had turned into floats."""
    kind, missing = _NUMBERS[str(column.name)]
    try:
        # By way of text: a float can't hold a 63-bit seed.
        values = pa.array(column.array, from_pandas=True).cast(pa.string()).fill_null(str(missing))
        return values.cast(pa.from_numpy_dtype(kind)).to_numpy(zero_copy_only=False).astype(kind)
    except pa.ArrowInvalid:
        numbers = pd.to_numeric(column, errors="coerce")
        bad = (numbers.isna() & column.notna()).to_numpy()
        row = int(bad.argmax()) if bad.any() else 0
        raise InputError("not a number", file=origin, row=int(order[row]) + 1, column=str(column.name),
                         value=str(column.iloc[row]), allowed=f"numbers ({np.dtype(kind)})") from None  # fmt: skip


def _is_increasing(order: np.ndarray) -> bool:
    return bool((order == np.arange(len(order))).all())


def _check_paths(frame: pd.DataFrame, order: np.ndarray, origin: object) -> None:
    if col.PATH not in frame:
        return
    paths = text_array(frame[col.PATH])
    suspect = pc.or_(
        pc.match_substring_regex(paths, r"^(/|[A-Za-z]:[\\/])"), pc.match_substring_regex(paths, r"(^|/)\.\.(/|$)")
    )
    if pc.any(suspect).as_py():
        row = pc.index(suspect, True).as_py()
        path = paths[row].as_py()
        raise InputError(path_problem(path) or "", file=origin, row=int(order[row]) + 1, column=col.PATH, value=path,
                         allowed="paths relative to the root, with '/'",
                         remedy="Name the folder as the source's root and leave it out of the paths")  # fmt: skip


def tidy_categories(column: pd.Series | Sequence[Any]) -> pd.Series:
    """A column as a categorical of text whose categories are sorted, all in use, and never empty text."""
    series = column if isinstance(column, pd.Series) else pd.Series(column)
    if not isinstance(series.dtype, pd.CategoricalDtype):
        array = pa.array(series.array, from_pandas=True)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if pa.types.is_floating(array.type) and pc.all(pc.equal(array, pc.floor(array))).as_py():
            array = array.cast(pa.int64())  # integers that a missing cell had turned into floats
        series = pd.Series(pc.dictionary_encode(array.cast(pa.string())).to_pandas())
    names = [str(name) for name in series.cat.categories]
    codes = series.cat.codes.to_numpy()
    used = np.bincount(codes[codes >= 0], minlength=len(names)) > 0
    kept = sorted({name for name, use in zip(names, used, strict=True) if use and name})
    if kept == names and series.cat.categories.dtype == "str":
        return series
    position = {name: code for code, name in enumerate(kept)}
    renumber = np.array([position.get(name, -1) if use else -1 for name, use in zip(names, used, strict=True)] + [-1])
    categories = pd.Index(kept, dtype="str")
    return pd.Series(pd.Categorical.from_codes(renumber[codes], categories=categories))
