"""The report page as a file: whole, safe, the same bytes for the same run."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.files import read_json, write_json, write_table
from curate.core.manifest import Manifest
from curate.report import write_report
from curate.report.html import render
from curate.report.runs import read_run


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.text = ""
        self._script: dict | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))
        self._script = dict(attrs) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts.append((self._script, data))
        else:
            self.text += data


@pytest.fixture(scope="module")
def page(run: Path) -> Elements:
    return Elements(render(read_run(run)))


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, copy)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert write_report(copy).read_bytes() == first
    assert str(run.parent).encode() not in first, "the page must not tell where the run lay"


def test_the_figures_of_the_run_are_on_the_page(run: Path, page: Elements) -> None:
    source = len(pd.read_parquet(run / "steps/00-source/manifest.parquet"))
    final = pd.read_parquet(run / "manifest.parquet")
    kept = int(final["parent_id"].isna().sum())
    people = final["identity"].nunique()
    text = " ".join(page.text.split())
    assert f"{source} images of 20 identities went in." in text
    assert f"{kept} images of {people} identities came out" in text
    for step in read_run(run).steps:
        for key, number in step.actions.items():
            assert re.search(rf"\b{number:,} [a-z ]+: {key.split('/')[1].replace('_', ' ')}", text), key
        assert step.sentence in text
        for note in step.notes:
            assert note in text


def test_pictures_stand_beside_each_other(page: Elements) -> None:
    alts = [attrs["alt"] for tag, attrs in page.found if tag == "img"]
    assert "dropped: p000/copy.jpg" in alts
    assert alts[alts.index("dropped: p000/copy.jpg") + 1] == "kept: p000/00.jpg"
    assert all(attrs["src"].startswith("data:image/jpeg;base64,") for tag, attrs in page.found if tag == "img")


def test_rates_are_written_with_intervals_and_supported_is_explained(page: Elements) -> None:
    assert "FMR (FAR) [95% interval]" in page.text
    assert "FNMR (FRR) [95% interval]" in page.text
    assert re.search(r"\d\.\de-\d \[\d\.\de-\d, \d\.\de-\d\]", page.text)
    assert "upper bound" in page.text


def test_only_the_two_known_scripts_may_run(page: Elements) -> None:
    policy = next(a["content"] for t, a in page.found if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    running = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    assert len(running) == 2
    for script in running:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    outside = [a for _, a in page.found for key in ("src", "href") if str(a.get(key, "#"))[:5] not in ("data:", "#")
               and not str(a.get(key, "#")).startswith("#")]  # fmt: skip
    assert outside == []


def test_markup_in_names_stays_text(evil_run: Path) -> None:
    elements = Elements(render(read_run(evil_run)))
    assert not [a for _, a in elements.found if any(key.startswith("on") for key in a)]
    assert not [a for t, a in elements.found if t == "img" and a.get("src") == "x"]
    assert sum(t == "script" and a.get("type") != "application/json" for t, a in elements.found) == 2
    assert "<script>window.hacked=1</script>" in elements.text, "the name itself is shown"
    for attrs, text in elements.scripts:
        if attrs.get("type") == "application/json":
            assert not re.search(r"<(img|script)", json.dumps(json.loads(text)))


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.json"):
        write_report(tmp_path)


def test_what_is_missing_is_said(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    (broken / "audit/cross.parquet").unlink()
    (broken / "imbalance/labels.parquet").write_bytes(b"not parquet")
    summary = next((broken / "steps").glob("*-audit")) / "summary.json"
    content = read_json(summary)
    content["figures"] += [
        {"kind": "pie", "table": "audit/rates", "title": "A pie", "options": {}},
        {"kind": "bars", "table": "../../etc/passwd", "title": "Outside", "options": {"x": "a", "y": "b"}},
        {"kind": "bars", "table": "audit/rates", "title": "No column", "options": {"x": "nothing", "y": "fmr"}},
    ]
    write_json(summary, content)
    next((broken / "steps").glob("*-holdout")).joinpath("summary.json").unlink()
    text = Elements(render(read_run(broken))).text
    assert text.count("This figure could not be drawn") == 5
    assert "Not done yet: holdout" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_one_row_runs(tmp_path: Path, rows: int) -> None:
    frame = pd.DataFrame({"image_id": ["a"][:rows], "identity": [None][:rows], "gender": ["f"][:rows]})
    manifest = Manifest.from_frame(frame)
    run = tmp_path / "run"
    manifest.write(run / "steps/00-source/manifest.parquet")
    manifest.write(run / "manifest.parquet")
    write_table(run / "steps/01-nothing/decisions.parquet", Decisions.empty().frame)
    write_json(run / "steps/01-nothing/summary.json", {"images_in": rows, "images_out": rows})
    entry = {"order": 1, "name": "nothing", "kind": "step", "folder": "steps/01-nothing", "sentence": "Do nothing."}
    write_json(run / "plan.json", {"name": "empty", "steps": [entry], "source": {"root": None}})
    page = write_report(run).read_text(encoding="utf-8")
    for text in ("1 images of 0", "It found nothing to change.", "images out"):
        assert (text in page) == (rows == 1)
    assert ("No images went in." in page) == (rows == 0)


def test_a_full_disk_leaves_the_old_page(run: Path, tmp_path: Path) -> None:
    from curate.core.errors import CurateError

    blocked = tmp_path / "run"
    shutil.copytree(run, blocked)
    shutil.rmtree(blocked / "report", ignore_errors=True)
    (blocked / "report").write_text("a file where the folder should be")
    with pytest.raises(CurateError, match="cannot write"):
        write_report(blocked)
    assert os.listdir(blocked).count("report") == 1
