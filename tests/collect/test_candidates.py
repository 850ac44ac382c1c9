"""Candidate lists: every name has a fate and a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.collect.candidates import candidates, read_counts
from curate.core.errors import InputError

pytest.importorskip("rapidfuzz")


def fates(table) -> dict[str, tuple[str, str]]:
    return {row.name_: (row.status, row.reason) for row in table.rename(columns={"name": "name_"}).itertuples()}


def test_every_name_has_a_fate():
    filler = [(f"{first} {last}", 50) for first in ("Olga", "Pedro", "Ingrid") for last in ("Quist", "Varga", "Ohno")]
    table = candidates(
        [[("Aaron Eckhart", 30), ("AARON ECKHART", 12), ("Zoe Thin", 3), ("n000123", 9), ("Bo Unknown", None), *filler],
         [("Eckhart, Aaron", 100), ("Zoë Thin", 4), ("Kurt Barrd", 80), *filler]],
        min_images=10, exclude=["Kurt Barrd"],
    )  # fmt: skip
    found = fates(table)
    assert found["Aaron Eckhart"] == ("kept", "enough_images")
    assert found["AARON ECKHART"] == found["Eckhart, Aaron"] == ("merged", "same_spelling")
    assert found["Zoe Thin"] == ("dropped", "too_few_images")
    assert found["Zoë Thin"][0] == "merged"
    assert found["n000123"] == ("dropped", "no_name")
    assert found["Bo Unknown"] == ("kept", "no_count")
    assert found["Kurt Barrd"] == ("dropped", "excluded")
    # Within a list counts add up, of several lists the largest holds.
    assert table.set_index("name")["count"]["Aaron Eckhart"] == 100
    assert table["status"].tolist() == sorted(table["status"], key=["kept", "dropped", "merged"].index)
    kept = table[table["status"] == "kept"]["count"].dropna().tolist()
    assert kept == sorted(kept, reverse=True)


def test_lists_of_every_form(tmp_path: Path):
    (tmp_path / "a.txt").write_text("Aaron_Eckhart\t12\nBo Li 3\n\nCy\n")
    (tmp_path / "b.csv").write_text('Class_ID, Name, Sample_Num\nn1, "Anne,_Princess", 7\nn2, "Bo", many\n')
    assert read_counts(tmp_path / "a.txt") == ([("Aaron Eckhart", 12), ("Bo Li", 3), ("Cy", None)], [])
    rows, notes = read_counts(tmp_path / "b.csv")
    assert rows == [("Anne, Princess", 7), ("Bo", None)]
    assert notes == ["1 counts of b.csv are no whole numbers; they are taken as missing"]
    (tmp_path / "c.csv").write_text("x\n1\n")
    (tmp_path / "d.txt").write_text("\n")
    for name, message in (("c.csv", "no column of names"), ("d.txt", "no name"), ("e.txt", "no such file")):
        with pytest.raises(InputError, match=message):
            read_counts(tmp_path / name)


def test_the_verb(tmp_path: Path):
    from curate.cli import app

    (tmp_path / "a.txt").write_text("Aaron_Eckhart 12\nBo_Li 3\n")
    found = CliRunner().invoke(app, ["candidates", str(tmp_path / "a.txt"), "--out", str(tmp_path / "o.csv"),
                                     "--min-images", "5"])  # fmt: skip
    assert found.exit_code == 0, found.output
    assert (tmp_path / "o.csv").read_text().splitlines()[1].startswith("Aaron Eckhart,kept,enough_images,12")
    assert "1 candidates" in found.output
