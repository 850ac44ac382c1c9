"""What published lists share: a table of names and labels becomes a manifest, with or without the photographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.collect.folder import scan
from curate.collect.source import Collected, checked_folder, counted
from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest, text_array

#: The column of a list that names the image of a row.
FILE = "file"


def collect_listed(
    table: pa.Table,
    *,
    dataset: str,
    root: Path | None,
    levels: Mapping[str, str] | None,
    defaults: Mapping[str, str],
    notes: tuple[str, ...] = (),
    origin: Path | None = None,
) -> Collected:
    """The manifest of a list: text columns `file`, perhaps `identity`, and labels.

    root: None for the list alone: its rows are the images, without pixels. Else the images below it are the rows, and
    each finds its row of the list by its path, or, where not one does, by the name of its file; images without a row
    have no labels, rows without an image are left out, and both are counted. levels: the recipe's labels; None: all
    that the list has, with the levels of `defaults`. Raises InputError for a label that the list does not have, and
    where no image has a row.
    """
    asked = dict(defaults if levels is None else levels)
    for name in asked:
        if name not in table.column_names or name in (FILE, col.IDENTITY):
            labels = [label for label in table.column_names if label not in (FILE, col.IDENTITY)]
            raise InputError(f"the list has no label {name!r}. {nearest(name, labels)}", file=origin)
    table, repeated = _first_of_each(table)
    found = list(notes)
    if repeated:
        found.append(f"{counted(repeated, 'row repeats', 'rows repeat')} the name of another; the first counts")
    if root is not None:
        root = checked_folder(root).resolve()
        table, more = _of_images(table, root)
        found += more
    frame = pd.DataFrame({
        col.IMAGE_ID: pd.array(text_array(table[FILE]), dtype="str"),
        col.IDENTITY: _category(table, col.IDENTITY),
        col.DATASET: pd.Categorical.from_codes([0] * len(table), pd.Index([dataset], dtype="str")),
        **{name: _category(table, name) for name in asked},
    })  # fmt: skip
    if root is not None:
        frame[col.PATH] = frame[col.IMAGE_ID]
    manifest = Manifest.from_frame(frame, root=root, levels=asked, origin=origin)
    return Collected(manifest, tuple(found))


def _category(table: pa.Table, name: str) -> pd.Categorical:
    if name not in table.column_names:
        return pd.Categorical.from_codes([-1] * len(table), pd.Index([], dtype="str"))
    column = table[name].combine_chunks().dictionary_encode()
    return column.to_pandas()


def _first_of_each(table: pa.Table) -> tuple[pa.Table, int]:
    """The table without rows that name no file or one named before, and how many of the latter there were."""
    names = text_array(table[FILE])
    named = pc.and_(pc.is_valid(names), pc.not_equal(names, ""))
    table = table.filter(named)
    numbered = pa.table({FILE: table[FILE], "row": np.arange(len(table))})
    first = numbered.group_by(FILE).aggregate([("row", "min")])["row_min"].to_numpy()
    return table.take(np.sort(first)), len(table) - len(first)


def _of_images(table: pa.Table, root: Path) -> tuple[pa.Table, list[str]]:
    """The rows of the images below the root, in their order, nulls where there is none; and what did not match."""
    listing = scan(root)
    paths = pa.chunked_array(listing.chunks, pa.large_string()).combine_chunks()
    if not len(paths):
        raise InputError("no images below the root", file=root)
    names = text_array(table[FILE])
    rows = pc.index_in(paths, value_set=names)
    if pc.all(pc.is_null(rows)).as_py():  # another root than the list has: by the name of the file, where that is one
        bases = pc.replace_substring_regex(names, pattern="^.*/", replacement="")
        if pc.count_distinct(bases).as_py() == len(bases):
            rows = pc.index_in(pc.replace_substring_regex(paths, pattern="^.*/", replacement=""), value_set=bases)
    if pc.all(pc.is_null(rows)).as_py():
        raise InputError("no row of the list names an image below the root", file=root, value=paths[0].as_py(),
                         allowed=f"names such as {names[0].as_py()!r}" if len(names) else None)  # fmt: skip
    listing.in_root = listing.deeper = 0  # whose image it is, the list says
    notes = list(listing.notes())
    bare = pc.is_null(rows)
    if count := pc.sum(bare).as_py():
        first = paths.filter(bare)[0].as_py()
        notes.append(
            f"{counted(count, 'image')} without a row in the list; the labels are missing there (first: {first})"
        )
    lost = len(table) - len(pc.unique(rows.drop_null()))
    if lost:
        notes.append(f"{counted(lost, 'row')} of the list without an image below the root, left out")
    return table.take(rows).set_column(table.column_names.index(FILE), FILE, paths), notes
