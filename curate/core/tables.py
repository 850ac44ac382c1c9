"""Tables that others wrote, as Arrow: CSV, JSON lines and Parquet, with all the dirt that they come with."""

from __future__ import annotations

import csv
import json
import mmap
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from curate.core import columns as col
from curate.core.errors import InputError

#: The endings of files that `read_columns` reads.
TABLE_SUFFIXES = (".csv", ".parquet", ".jsonl", ".ndjson")
LEVELS_KEY = b"curate.levels"

_BATCH = 65_536  # rows held as Python objects
#: A quote that does not follow its comma at once: `1, "Anne,_Princess"`. Arrow takes such a quote for text.
_SPACED_QUOTE = re.compile(rb',[ \t]+"')


@dataclass
class Refused:
    """Rows that are no rows: how many, and where and what the first was."""

    count: int = 0
    first: str = ""

    def add(self, problem: str, row: int | None, text: str) -> None:
        """One more; `row` counts data rows from 1, None where it is not known."""
        if not self.count:
            where = "" if row is None else f"row {row}, "
            self.first = f"{where}{text[:60]!r}: {problem}"
        self.count += 1

    def notes(self, path: Path) -> list[str]:
        """A sentence for the user; none where all rows are good."""
        what = "row" if self.count == 1 else "rows"
        return [f"{self.count:,} {what} of {path.name} left out (first: {self.first})"] if self.count else []


def read_columns(
    path: Path | str, refused: Refused | None = None, *, text: Collection[str] = col.TEXT
) -> tuple[pa.Table, dict[str, str] | None]:
    """A CSV, JSON lines or Parquet file as an Arrow table, and the label levels stored in it, if any.

    In CSV and JSON lines every column is text (an identity `007` stays so; lists and the like become JSON), an empty
    cell is null, and spaces around a value go; quotes may follow `, `. refused: where rows with another number of
    cells than the first line, and lines that are no JSON object, are counted and left out; without it such a row is
    an error. text: columns of Parquet whose values hardly repeat; other text becomes categories.
    Raises InputError where the file is missing or unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Check the path; relative ones start at the current folder")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return _read_csv(path, refused), None
        if suffix in (".jsonl", ".ndjson"):
            return _read_json_lines(path, refused), None
        schema = pq.read_schema(path)
        dictionary = [
            name for name, kind in zip(schema.names, schema.types, strict=True)
            if name not in text and (pa.types.is_string(kind) or pa.types.is_large_string(kind))
        ]  # fmt: skip
        return pq.read_table(path, read_dictionary=dictionary), stored_levels(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeDecodeError) as error:
        raise InputError(f"the table can't be read ({error})", file=path,
                         allowed="CSV (UTF-8), JSON lines or Parquet") from error  # fmt: skip


def stored_levels(schema: pa.Schema) -> dict[str, str] | None:
    """The levels of the labels that a written manifest carries."""
    levels = (schema.metadata or {}).get(LEVELS_KEY)
    return None if levels is None else dict(pair.split("=") for pair in levels.decode().split(",") if pair)


def column_names(path: Path) -> tuple[list[str], dict[str, str] | None]:
    """The names of a table's columns and the levels stored in it, if any; of Parquet without reading the rows."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        table, stored = read_columns(path, Refused())
        return table.column_names, stored
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"the table can't be read ({error})", file=path,
                         allowed="CSV (UTF-8), JSON lines or Parquet") from error  # fmt: skip
    return list(schema.names), stored_levels(schema)


def _read_csv(path: Path, refused: Refused | None) -> pa.Table:
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as handle:
        names = next(csv.reader(handle, skipinitialspace=True), [])
    if not any(name.strip() for name in names):
        raise InputError("the file is empty", file=path, remedy="Its first line must name the columns")
    repeated = [name for name, count in Counter(name.strip() for name in names).items() if count > 1]
    if repeated:
        raise InputError(f"the column {repeated[0]!r} stands twice in the first line", file=path)
    if _has_spaced_quotes(path):
        table = _read_csv_slowly(path, names, refused)
    else:
        table = _read_csv_fast(path, names, refused)
    columns = []
    for column in table.columns:
        trimmed = pc.utf8_trim_whitespace(column)
        columns.append(pc.if_else(pc.equal(trimmed, ""), None, trimmed))
    return pa.table(dict(zip((name.strip() for name in names), columns, strict=True)))


def _has_spaced_quotes(path: Path) -> bool:
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _SPACED_QUOTE.search(data) is not None


def _read_csv_fast(path: Path, names: list[str], refused: Refused | None) -> pa.Table:
    def pass_over(row: Any) -> str:
        if refused is None:
            return "error"
        refused.add(f"{row.actual_columns} cells where the first line has {row.expected_columns}", None, row.text or "")
        return "skip"

    return pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(column_names=names, skip_rows=1),
        parse_options=pacsv.ParseOptions(invalid_row_handler=pass_over, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _read_csv_slowly(path: Path, names: list[str], refused: Refused | None) -> pa.Table:
    def rows() -> Iterator[list[str]]:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle, skipinitialspace=True)
            next(reader)
            for number, row in enumerate(reader, start=1):
                if len(row) == len(names):
                    yield row
                elif row:  # an empty line is none
                    _refuse(refused, f"{len(row)} cells where the first line has {len(names)}", number, ",".join(row),
                            path)  # fmt: skip

    return _in_batches(rows(), names)


def _read_json_lines(path: Path, refused: Refused | None) -> pa.Table:
    names: dict[str, None] = {}
    parts: list[pa.Table] = []

    def rows(lines: Iterable[str]) -> Iterator[dict[str, str | None]]:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
                yield {key: _as_text(item) for key, item in value.items()}
            else:
                _refuse(refused, "no JSON object", number, line, path)

    with open(path, encoding="utf-8-sig") as handle:
        batch: list[dict[str, str | None]] = []
        for row in rows(handle):
            batch.append(row)
            if len(batch) == _BATCH:
                parts.append(_of_dicts(batch, names))
                batch = []
        parts.append(_of_dicts(batch, names))
    if not names:
        raise InputError("the file is empty", file=path, remedy="Each line must be a JSON object")
    return pa.concat_tables(parts, promote_options="default")


def _of_dicts(batch: list[dict[str, str | None]], names: Iterable[str]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in batch], pa.string()) for name in names})


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else json.dumps(value)
    return text or None


def _in_batches(rows: Iterator[list[str]], names: list[str]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in names])
    batches = []
    batch: list[list[str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            batches.append(_record_batch(batch, schema))
            batch = []
    batches.append(_record_batch(batch, schema))
    return pa.Table.from_batches(batches, schema)


def _record_batch(rows: list[list[str]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [[] for _ in schema]
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], schema)


def _refuse(refused: Refused | None, problem: str, row: int, text: str, path: Path) -> None:
    if refused is None:
        raise InputError(problem, file=path, row=row, value=text[:60])
    refused.add(problem, row, text)
