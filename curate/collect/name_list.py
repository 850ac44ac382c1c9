"""A plain list of the persons in a dataset: names, with ids or counts beside them where there are any."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from curate.collect.source import Collected, Source, counted
from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, StrictParams
from curate.search.names import is_code

#: The label that holds a person's name where the identity is an id.
NAME = "name"
#: Files that may be lists of names.
SUFFIXES = (".txt", ".tsv", ".csv", ".lst", ".list")

_SEPARATORS = ("\t", ",", ";", "|")
_NAME_COLUMNS = ("name", "names", "person_name", "full_name", "identity_name", "person", "identity")
_ID_COLUMNS = ("id", "class_id", "identity_id", "person_id", "subject_id", "webface_id", "identity", "class")
_MOST = 0.9  # of the lines say how a list is written


class NamesParams(StrictParams):
    """A list of names: one a line, `id name`, `name count`, or columns: one of names, perhaps one of ids."""

    kind: Literal["names"] = "names"
    path: Path
    column: str | None = None  # the column of the names, by its heading; default: found
    id_column: str | None = None  # the column of the ids; default: found, if there is one
    separator: str | None = None  # default: found
    dataset: str | None = None  # default: the file's name


def looks_like_names(path: Path) -> bool:
    """Whether a file may be a list of names: text, and no table with an `image_id`."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as handle:
        return col.IMAGE_ID not in re.split(r"[,;\t\"\s]+", handle.readline())


def read_names(params: NamesParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """Read a list of names as a manifest with one row for each identity and no pixels.

    identity: the id, or the name where the list has no ids; the label `name`: the name as written. A line that stands
    twice is one identity, two ids with one name are two; the notes count both. Raises InputError for a missing or
    empty file, another encoding than UTF-8, a column that is not there, an empty name, and an id with two names.
    """
    path = params.path.expanduser()
    rows, ids = _entries(params, path)
    frame = pd.DataFrame({"row": [row for row, _ in rows], NAME: [name for _, name in rows],
                          col.IDENTITY: ids if ids is not None else [name for _, name in rows]}).astype(
        {NAME: "str", col.IDENTITY: "str"})  # fmt: skip
    _check_filled(frame, path, ids is not None)
    notes = []
    repeated = frame.duplicated([NAME, col.IDENTITY])
    if repeated.any():
        first = frame.loc[repeated, NAME].iloc[0]
        notes.append(
            f"{counted(int(repeated.sum()), 'line stands', 'lines stand')} twice and count once (first: {first})"
        )
    frame = frame[~repeated]
    clash = frame.duplicated(col.IDENTITY)
    if clash.any():
        at = int(clash.to_numpy().argmax())
        raise InputError("one id has two names", file=path, row=int(frame["row"].iloc[at]), column="id",
                         value=frame[col.IDENTITY].iloc[at], remedy="Give each identity one name")  # fmt: skip
    shared = Counter(frame[NAME])
    twice = sorted(name for name, count in shared.items() if count > 1)
    if twice:
        notes.append(f"{counted(len(twice), 'name is', 'names are')} borne by several identities (first: {twice[0]})")
    frame = frame.assign(**{col.IMAGE_ID: frame[col.IDENTITY], col.DATASET: params.dataset or path.stem})
    keep = [col.IMAGE_ID, col.IDENTITY, col.DATASET, NAME]
    return Collected(Manifest.from_frame(frame[keep], levels={NAME: "identity"}, origin=path), tuple(notes))


def _check_filled(frame: pd.DataFrame, path: Path, has_ids: bool) -> None:
    for name in (NAME, col.IDENTITY) if has_ids else (NAME,):
        empty = (frame[name].str.strip() == "").to_numpy()
        if empty.any():
            at = int(empty.argmax())
            what = "name" if name == NAME else "id"
            raise InputError(f"the {what} is empty", file=path, row=int(frame["row"].iloc[at]), column=what,
                             value=frame[name].iloc[at], remedy="Fill it in, or take the line out")  # fmt: skip


def _entries(params: NamesParams, path: Path) -> tuple[list[tuple[int, str]], list[str] | None]:
    """(line, name) of each entry, and the ids, if there are any."""
    lines = _lines(path)
    separator = params.separator or _separator(lines)
    if separator is None:
        if params.column is not None or params.id_column is not None:
            raise InputError("the list has no columns", file=path, value=lines[0][1],
                             remedy="Leave column and id_column out, or name the separator")  # fmt: skip
        return _plain_lines(lines)
    table = [(row, [cell.strip() for cell in cells])
             for row, cells in _cells(lines, separator) if any(cell.strip() for cell in cells)]  # fmt: skip
    return _columns(table, params, path)


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Check the path; relative ones start at the current folder")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        row = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError("not UTF-8", file=path, row=row, allowed="UTF-8",
                         remedy="Save the list as UTF-8 (iconv -f latin1 -t utf-8)") from error  # fmt: skip
    lines = [(row, line) for row, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1) if line.strip()]
    if not lines:
        raise InputError("the list is empty", file=path, allowed="one name on each line")
    return lines


def _cells(lines: Sequence[tuple[int, str]], separator: str) -> list[tuple[int, list[str]]]:
    read = csv.reader((line for _, line in lines), delimiter=separator, skipinitialspace=True)
    return [(row, cells) for (row, _), cells in zip(lines, read, strict=False)]


def _separator(lines: Sequence[tuple[int, str]]) -> str | None:
    """What parts the columns, or None where lines are names. `Macy, William` in every line is a name, too."""
    few = lines[:500]
    for separator in _SEPARATORS:
        widths = Counter(len(cells) for _, cells in _cells(few, separator))
        width, often = widths.most_common(1)[0]
        if width < 2 or often < _MOST * len(few):
            continue
        table = [cells for _, cells in _cells(few, separator) if len(cells) == width]
        named = {cell.strip().lower() for cell in table[0]} & {*_NAME_COLUMNS, *_ID_COLUMNS}
        numbers = any(_share(table[1:] or table, at) < 1 - _MOST for at in range(width))
        if named or numbers:
            return separator
    return None


def _share(table: Sequence[Sequence[str]], at: int) -> float:
    """The share of a column's cells that are names: neither codes nor numbers."""
    cells = [row[at].strip() for row in table if len(row) > at]
    return sum(not is_code(cell) and not re.fullmatch(r"[\d.]*", cell) for cell in cells) / max(len(cells), 1)


def _plain_lines(lines: Sequence[tuple[int, str]]) -> tuple[list[tuple[int, str]], list[str] | None]:
    """`id name`, `name count`, or names."""
    leading = [re.match(r"\s*(\S+)\s+(\S.*?)\s*$", line) for _, line in lines]
    if sum(found is not None and is_code(found[1]) for found in leading) >= _MOST * len(lines):
        pairs = [(row, found) for (row, _), found in zip(lines, leading, strict=True) if found]
        if len(pairs) == len(lines):
            return [(row, found[2]) for row, found in pairs], [found[1] for _, found in pairs]
    trailing = [re.match(r"\s*(.*\S)\s+\d+\s*$", line) for _, line in lines]
    if sum(found is not None for found in trailing) >= _MOST * len(lines):
        return [
            (row, found[1] if found else line.strip()) for (row, line), found in zip(lines, trailing, strict=True)
        ], None
    return [(row, line.strip()) for row, line in lines], None


def _columns(
    table: Sequence[tuple[int, Sequence[str]]], params: NamesParams, path: Path
) -> tuple[list[tuple[int, str]], list[str] | None]:
    first = [cell.lower() for cell in table[0][1]]
    asked = [name.lower() for name in (params.column, params.id_column) if name is not None]
    has_header = any(name in first for name in [*asked, *_NAME_COLUMNS, *_ID_COLUMNS])
    body = table[1:] if has_header else table
    cells = [row for _, row in body]
    if has_header:
        at = _asked(params.column, first, path)
        at = at if at is not None else next((first.index(name) for name in _NAME_COLUMNS if name in first), None)
        if at is None:
            raise InputError("no column of names is found", file=path, row=1, value=table[0][1],
                             remedy="Name it: column: YOUR_COLUMN")  # fmt: skip
        by = _asked(params.id_column, first, path)
        by = (
            by
            if by is not None
            else next((first.index(n) for n in _ID_COLUMNS if n in first and first.index(n) != at), None)
        )
    else:
        _asked(params.column, first, path)
        _asked(params.id_column, first, path)
        width = max(map(len, cells))
        at = max(range(width), key=lambda column: (_share(cells, column), -column))
        by = next((c for c in range(width) if c != at and all(len(row) > c and is_code(row[c]) for row in cells)
                   and len({row[c] for row in cells}) == len(cells)), None)  # fmt: skip
    short = next((row for row, values in body if len(values) <= max(at, by or 0)), None)
    if short is not None:
        raise InputError(
            "the line has too few columns", file=path, row=short, allowed=f"at least {max(at, by or 0) + 1}"
        )
    names = [(row, values[at]) for row, values in body]
    return names, None if by is None else [values[by] for _, values in body]


def _asked(name: str | None, header: Sequence[str], path: Path) -> int | None:
    if name is None:
        return None
    if name.lower() not in header:
        raise InputError(f"no column {name!r}. {nearest(name, header)}", file=path, row=1)
    return header.index(name.lower())


SOURCE = Source("names", NamesParams, read_names)
