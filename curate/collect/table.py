"""A table with a row for each image, as Parquet, CSV or JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.collect.folder import scan
from curate.collect.labels import join_labels
from curate.collect.source import Collected, Source, checked_folder, counted
from curate.core import columns as col
from curate.core.manifest import Manifest, read_manifest, text_array
from curate.core.shapes import Executor, StrictParams
from curate.core.tables import Refused, column_names

#: A range of numbers that a spreadsheet took for a date: `03-Sep` was 3-9, `Oct-19` was 10-19.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MANGLED = re.compile(rf"(?:(\d{{1,2}})-({'|'.join(_MONTHS)})|({'|'.join(_MONTHS)})-(\d{{1,2}}))$")


class TableParams(StrictParams):
    """A table with `image_id` (or `path`) and `identity`, and any of the other columns of a manifest."""

    kind: Literal["table"] = "table"
    path: Path
    root: Path | None = None  # folder that the column `path` is relative to; None: no pixels
    labels: Path | None = None  # a second table, joined by image or identity
    columns: dict[str, str] = Field(default_factory=dict)  # our name -> the name in the table, else in `labels`
    dataset: str | None = None  # default: the table's own column, else the file's name


def read_table_source(
    params: TableParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """Read a manifest from a table, with labels of a second table if one is named.

    The notes count rows that are no rows, rows whose file is not below the root, files below it without a row, and
    labels that a spreadsheet spoilt. Raises InputError for a missing file or root, repeated image ids, and whatever
    else is not allowed in a manifest.
    """
    path = params.path.expanduser()
    root = checked_folder(params.root).resolve() if params.root is not None else None
    wanted = None if levels is None else dict(levels)
    refused = Refused()
    if params.labels is None:
        wanted = _with_mapped(wanted, params.columns, path)
        manifest = read_manifest(path, root=root, levels=wanted, columns=params.columns, refused=refused)
        return _collected(manifest, params.dataset, refused.notes(path))
    names, _ = column_names(path)
    own = {ours: theirs for ours, theirs in params.columns.items() if theirs in names}
    other = {ours: theirs for ours, theirs in params.columns.items() if theirs not in names}
    inside = {name for name in wanted or {} if name in own or (name in names and name not in other)}
    own_levels = None if wanted is None else {name: wanted[name] for name in inside}
    own_levels = _with_mapped(own_levels, own, path)
    manifest = read_manifest(path, root=root, levels=own_levels, columns=own, refused=refused)
    outside = None if wanted is None else {name: level for name, level in wanted.items() if name not in inside}
    joined = join_labels(manifest.frame, params.labels.expanduser(), outside, other)
    merged = Manifest.from_frame(
        joined.frame, root=root, levels={**manifest.levels, **joined.levels}, origin=params.labels
    )
    return _collected(merged, params.dataset, [*refused.notes(path), *joined.notes])


def _collected(manifest: Manifest, dataset: str | None, notes: list[str]) -> Collected:
    if dataset is not None:
        frame = manifest.frame.assign(**{col.DATASET: dataset})
        manifest = Manifest.from_frame(frame, root=manifest.root, levels=manifest.levels)
    return Collected(manifest, (*notes, *spoilt_by_a_spreadsheet(manifest), *unmatched_files(manifest)))


def unmatched_files(manifest: Manifest) -> Iterator[str]:
    """Sentences about rows whose file is not there, and files below the root that have no row."""
    if manifest.root is None or col.PATH not in manifest.frame:
        return
    paths = text_array(manifest.frame[col.PATH])
    if pc.any(pc.match_substring(paths, "#")).as_py():
        return  # they lie inside of containers
    listing = scan(manifest.root)
    there = pa.chunked_array(listing.chunks, pa.large_string()).combine_chunks()
    named = pc.is_in(paths, value_set=there)
    absent = pc.and_(pc.invert(named), pc.is_valid(paths))
    if count := pc.sum(absent).as_py() or 0:
        first = paths[pc.index(absent, True).as_py()].as_py()
        yield (f"{counted(count, 'row names', 'rows name')} a file that is not below the root (first: {first}); "
               "the step `unreadable` drops them as `missing`")  # fmt: skip
    if count := pc.sum(pc.is_null(paths)).as_py():
        yield f"{counted(count, 'row names', 'rows name')} no file"
    bare = there.filter(pc.invert(pc.is_in(there, value_set=paths)))
    if len(bare):
        first = pc.min(bare).as_py()
        yield f"{counted(len(bare), 'image')} below the root without a row, not listed (first: {first})"


def spoilt_by_a_spreadsheet(manifest: Manifest) -> Iterator[str]:
    """Sentences about labels that look like ranges which a spreadsheet turned into dates; they stay as they are."""
    for name in manifest.labels:
        bad = [value for value in manifest.frame[name].cat.categories if range_of_date(value)]
        if bad:
            count = int(manifest.frame[name].isin(bad).sum())
            meant = ", ".join(f"{value!r} (was {range_of_date(value)}?)" for value in bad[:4])
            yield (f"{name}: {counted(count, 'value')} that a spreadsheet turned into a date: {meant}; "
                   "nothing was changed: mend the table")  # fmt: skip


def range_of_date(value: str) -> str | None:
    """The range that a spreadsheet made a date of: `3-9` for `03-Sep`, `10-19` for `Oct-19`; None for other text."""
    found = _MANGLED.match(value)
    if not found:
        return None
    if found[1]:
        return f"{int(found[1])}-{_MONTHS.index(found[2]) + 1}"
    return f"{_MONTHS.index(found[3]) + 1}-{int(found[4])}"


def _with_mapped(levels: dict[str, str] | None, columns: Mapping[str, str], path: Path) -> dict[str, str] | None:
    """The labels, and every mapped column that is no column of a manifest; None: the file's own."""
    mapped = [name for name in columns if name not in col.RESERVED]
    if not mapped:
        return levels
    if levels is None:
        names, stored = column_names(path)
        levels = stored or {name: col.default_level(name) for name in col.IDENTITY_LABELS if name in names}
    return {**{name: col.default_level(name) for name in mapped}, **levels}


SOURCE = Source("table", TableParams, read_table_source)
