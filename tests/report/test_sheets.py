"""Contact sheets on the report page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from curate.core.errors import InputError
from curate.core.files import write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Figure
from curate.report.html import render
from curate.report.runs import RunFolder, StepRecord
from curate.report.sheets import contact_sheet

EVIL = "<script>alert(1)</script>&\"'"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder whose source has two pictures and a file that is none."""
    root = tmp_path / "faces"
    root.mkdir()
    for name, value in (("a.png", 40), ("b.png", 200)):
        Image.fromarray(np.full((50, 40, 3), value, np.uint8)).save(root / name)
    (root / "c.png").write_bytes(b"nothing")
    frame = pd.DataFrame(
        {"image_id": ["a", EVIL, "c"], "path": ["a.png", "b.png", "c.png"], "identity": ["p", "q", "q"]}
    )
    Manifest.from_frame(frame, root=root).write(tmp_path / "run" / "steps" / "00-source" / "manifest.parquet")
    return RunFolder(tmp_path / "run", "run", {"source": {"root": str(root)}}, ())


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {"stage": ["before", "before", EVIL, EVIL, EVIL], "image_id": ["a", "c", EVIL, "a~r1", "lost"],
         "parent_id": [None, None, None, "a", None], "cell": ["x", None, EVIL, "x", "x"],
         "augment_seed": np.array([0, 0, 0, 7, 0], np.uint64)}
    )  # fmt: skip


def test_a_sheet_shows_photographs_replicas_and_why_there_is_no_picture(run: RunFolder):
    sheet = contact_sheet(run, table(), {"group": "stage", "say": "cell", "augment": "surveillance"})
    assert [name for name, _ in sheet.groups] == ["before", EVIL]
    (a, role_a), (c, _) = sheet.groups[0][1]
    assert (a.uri.startswith("data:image/jpeg;base64,"), role_a, a.identity) == (True, "photograph", "x")
    assert (c.uri, c.identity) == (None, "no value")
    assert c.problem
    (_, _), (replica, role), (lost, _) = sheet.groups[1][1]
    assert role == "replica"
    assert replica.uri not in (None, a.uri)
    assert lost.problem == "not an image of the source"
    again = contact_sheet(run, table(), {"group": "stage", "say": "cell", "augment": "surveillance"})
    assert again == sheet
    plain = contact_sheet(run, table(), {"group": "stage", "say": "cell", "augment": None})
    assert plain.groups[1][1][1][0].uri == a.uri
    gone = contact_sheet(run, table(), {"group": "stage", "augment": "/nowhere/mine.yaml"})
    assert "shown as their parents" in gone.note
    assert "nowhere" not in gone.note
    with pytest.raises(InputError, match="Valid names"):
        contact_sheet(run, table(), {"group": "stag"})


def test_no_name_becomes_markup(run: RunFolder):
    write_table(run.path / "training" / "batch.parquet", table())
    figure = Figure("contact_sheet", "training/batch", EVIL, {"group": "stage", "say": "cell", "augment": "light"})
    step = StepRecord(1, "training_batch", "report", "Draw.", run.path / "steps" / "01", figures=(figure,))
    page = render(replace(run, steps=(step,)))
    assert "could not be drawn" not in page
    assert page.count('class="gallery sheet"') == 2
    assert page.count("data:image/jpeg;base64,") == 3
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
