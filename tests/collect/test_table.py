"""The source `table`: rows and images are matched, and what does not match is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.collect import recognise
from curate.collect.source import Collected
from curate.collect.table import TableParams, range_of_date, read_table_source
from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor


def read(tmp_path: Path, text: str, name: str = "t.csv", **params) -> Collected:
    (tmp_path / name).write_text(text)
    levels = params.pop("levels", None)
    return read_table_source(TableParams(path=tmp_path / name, **params), levels, SerialExecutor(), tmp_path)


def test_rows_without_images_and_images_without_rows_are_counted(tmp_path: Path):
    root = tmp_path / "photos"
    (root / "anna").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (root / "anna" / name).write_bytes(b"x")
    found = read(tmp_path, "file,who\nanna/1.jpg,anna\nanna/9.jpg,anna\nanna/8.jpg,anna\n", root=root,
                 columns={"path": "file", "identity": "who"})  # fmt: skip
    assert list(found.manifest.frame["image_id"]) == ["anna/1.jpg", "anna/8.jpg", "anna/9.jpg"]
    assert found.notes == (
        "2 rows name a file that is not below the root (first: anna/8.jpg); the step `unreadable` drops them as "
        "`missing`",
        "2 images below the root without a row, not listed (first: anna/2.jpg)",
    )


def test_bad_rows_are_left_out_and_counted(tmp_path: Path):
    found = read(tmp_path, "image_id,identity\na,x\nb\nc,y\n")
    assert list(found.manifest.frame["image_id"]) == ["a", "c"]
    assert found.notes == ("1 row of t.csv left out (first: 'b': 1 cells where the first line has 2)",)


def test_spoilt_ages_are_told_and_left_alone(tmp_path: Path):
    found = read(tmp_path, "image_id,identity,age\na,x,03-Sep\nb,x,Oct-19\nc,y,20-29\nd,y,03-Sep\n",
                 levels={"age": "image"})  # fmt: skip
    assert list(found.manifest.frame["age"]) == ["03-Sep", "Oct-19", "20-29", "03-Sep"]
    assert found.notes == (
        "age: 3 values that a spreadsheet turned into a date: '03-Sep' (was 3-9?), 'Oct-19' (was 10-19?); nothing was "
        "changed: mend the table",
    )


@pytest.mark.parametrize(("text", "meant"), [
    ("03-Sep", "3-9"), ("Oct-19", "10-19"), ("3-Dec", "3-12"), ("20-29", None), ("Sep", None), ("03-Sept", None),
])  # fmt: skip
def test_ranges_of_dates(text: str, meant: str | None):
    assert range_of_date(text) == meant


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.ndjson", "t.parquet"])
def test_tables_are_recognised(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"x")
    assert recognise(str(tmp_path / name)).kind == "table"


def test_a_source_may_be_declared_as_in_a_recipe(tmp_path: Path):
    found = recognise("{kind: utkface, root: faces, dataset: mine}")
    assert (found.kind, found.root, found.dataset) == ("utkface", Path("faces"), "mine")
    for text, message in (
        ("{kind: utkfaces, root: x}", "Did you mean 'utkface'"), ("{kind: utkface, roof: x}", "the key 'root'"),
        ("{kind: [", "not valid YAML"), ("{kind: utkface, root: x, more: 1}", "the key 'more'"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            recognise(text)
