"""Pairs of a table side by side."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from curate.core.errors import InputError
from curate.core.files import read_json, write_json, write_table
from curate.report.examples import pair_sheet
from curate.report.html import render
from curate.report.runs import read_run

OPTIONS = {"a": "image_id_a", "b": "image_id_b", "keep": "keep", "order": ["kind", "similarity"],
           "say": ["kind", "distance", "similarity"], "limit": 5}  # fmt: skip


def table_of(run, n: int) -> pd.DataFrame:
    ids = run.source_ids.to_pylist()
    return pd.DataFrame({
        "image_id_a": ids[:n], "image_id_b": ids[1 : n + 1], "kind": "near", "distance": np.arange(n) / 1,
        "similarity": np.linspace(0.99, 0.96, n), "keep": [ids[0], None, ids[3], *[None] * (n - 3)],
    })  # fmt: skip


def test_the_sheet_is_thinned_evenly_and_names_both_sides(run: Path):
    opened = read_run(run)
    table = table_of(opened, 9)
    sheet = pair_sheet(opened, table, OPTIONS)
    assert sheet.total == 9
    # In order of similarity, the ends among them; the one that goes stands first, beside the one that is kept.
    shown = [(example.image.image_id, example.other.image_id, example.role) for example in sheet.examples]
    ids = opened.source_ids.to_pylist()
    assert shown == [(ids[8], ids[9], "one"), (ids[6], ids[7], "one"), (ids[4], ids[5], "one"),
                     (ids[2], ids[3], "dropped"), (ids[1], ids[0], "dropped")]  # fmt: skip
    assert sheet.examples[0].detail == "kind near, distance 8, similarity 0.96"
    assert len(pair_sheet(opened, table, {**OPTIONS, "limit": 60}).examples) == 9
    with pytest.raises(InputError, match="Did you mean 'similarity'"):
        pair_sheet(opened, table, {**OPTIONS, "order": ["similarty"]})


def test_names_are_escaped_and_a_bad_figure_costs_no_page(evil_run: Path, fake_run, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(evil_run, folder)
    opened = read_run(folder)
    write_table(folder / "pairs.parquet", table_of(opened, 8))
    step = next(step for step in opened.steps if step.kind == "report")
    summary = read_json(step.folder / "summary.json")
    figures = [{"kind": "pairs", "table": "pairs", "title": "Sheet", "options": options}
               for options in (OPTIONS, {**OPTIONS, "a": "nothing"})]  # fmt: skip
    write_json(step.folder / "summary.json", {**summary, "figures": figures})
    page = render(read_run(folder))
    assert fake_run.EVIL not in page
    assert "distance 7, similarity 0.96" in page
    assert "5 of 8, spread evenly." in page
    assert "This figure could not be drawn: the figure names a column that its table lacks" in page
