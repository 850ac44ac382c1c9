"""Tables of strangers: whatever the dirt, good rows come through and bad ones are counted."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.core.tables import Refused, read_columns

_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=8)


def rows_of(table: pa.Table) -> list[dict[str, str | None]]:
    return table.to_pylist()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(_CELL, _CELL, _CELL), min_size=1, max_size=6), bom=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]), spaced=st.booleans(),
)  # fmt: skip
def test_csv_reads_what_the_csv_module_reads(tmp_path: Path, rows, bom, end, spaced):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end)
    writer.writerow(["a", "b", "c"])
    writer.writerows([[cell.replace("\n", " ") for cell in row] for row in rows])
    body = text.getvalue().replace('","', '", "') if spaced else text.getvalue()
    (tmp_path / "one.csv").write_bytes((b"\xef\xbb\xbf" if bom else b"") + body.encode())
    reference = list(csv.reader(io.StringIO(body, newline=""), skipinitialspace=True))[1:]
    found = [list(row.values()) for row in rows_of(read_columns(tmp_path / "one.csv")[0])]
    assert [[(cell or "").strip() for cell in row] for row in found] == [[c.strip() for c in row] for row in reference]
    assert "" not in {cell for row in found for cell in row}, "an empty cell is null"


@pytest.mark.parametrize("spaced", [False, True], ids=["plain", "spaced quotes"])
def test_rows_with_too_few_or_too_many_cells_are_counted_and_nothing_else_is_lost(tmp_path: Path, spaced: bool):
    path = tmp_path / "people.csv"
    quote = ' "Anne,_Princess"' if spaced else '"Anne,_Princess"'
    path.write_text(f"id,name\n1,{quote}\n2\n3,x,y\n4,Bo\n")
    refused = Refused()
    assert rows_of(read_columns(path, refused)[0]) == [
        {"id": "1", "name": "Anne,_Princess"}, {"id": "4", "name": "Bo"},
    ]  # fmt: skip
    assert refused.count == 2
    assert "2 rows of people.csv left out (first:" in refused.notes(path)[0]
    assert "1 cells where the first line has 2" in refused.notes(path)[0]
    with pytest.raises(InputError, match=r"people\.csv"):
        read_columns(path)


def test_json_lines_are_text_and_bad_lines_are_counted(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    lines = [{"image_id": "007", "age": 3, "bbox": [1, 2.5, 3, 4]}, {"image_id": " b ", "new": True, "age": None}]
    path.write_text("\ufeff" + "\r\n".join(map(json.dumps, lines)) + "\n\n[1]\n{broken\n", encoding="utf-8")
    refused = Refused()
    assert rows_of(read_columns(path, refused)[0]) == [
        {"image_id": "007", "age": "3", "bbox": "[1, 2.5, 3, 4]", "new": None},
        {"image_id": "b", "age": None, "bbox": None, "new": "true"},
    ]
    assert refused.count == 2
    assert refused.first.startswith("row 4, '[1]")
    with pytest.raises(InputError, match="row 4: no JSON object"):
        read_columns(path)


def test_every_form_of_one_table_is_the_same(tmp_path: Path):
    rows = [{"image_id": f"{at:03}", "identity": "é, ü" if at % 2 else "b"} for at in range(7)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["image_id", "identity"])
        writer.writeheader()
        writer.writerows(rows)
    for name in ("t.parquet", "t.jsonl", "t.csv"):
        assert rows_of(read_columns(tmp_path / name)[0]) == rows, name


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.csv", "", "the file is empty"), ("a.csv", "x,x\n1,2\n", "stands twice"), ("a.jsonl", "\n", "the file is empty"),
    ("a.parquet", "PAR1 no", "can't be read"), ("a.csv", b"a\n\xff\xfe\n", "can't be read"),
])  # fmt: skip
def test_a_file_that_is_no_table_is_named(tmp_path: Path, name: str, content: str | bytes, message: str):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_columns(tmp_path / name, Refused())
    assert name in str(caught.value)
