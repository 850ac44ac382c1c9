"""The overview page opens on a run folder and says what is wrong with anything else."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from curate.core.bundled import bundled
from curate.report.runs import read_run

testing = pytest.importorskip("streamlit.testing.v1")


def open_page(monkeypatch: pytest.MonkeyPatch, argument: str | None, **environment: str):
    monkeypatch.setattr("sys.argv", ["main.py", *([argument] if argument else [])])
    monkeypatch.delenv("CURATE_RUN", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return testing.AppTest.from_file(str(bundled("app") / "main.py"), default_timeout=30).run()


def test_opens_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page(monkeypatch, str(run))
    assert not page.exception
    assert not page.error
    shown = {metric.label: metric.value for metric in page.metric}
    source = len(pd.read_parquet(run / "steps/00-source/manifest.parquet"))
    assert shown["Images in"] == f"{source:,}"
    dropped = len(pd.read_parquet(run / "rejected.parquet"))
    assert shown["Dropped"] == f"{dropped:,} ({100 * dropped / source:.1f}%)"
    steps = [step for step in read_run(run).steps if step.kind == "step"]
    assert page.dataframe[0].value["step"].tolist() == [step.name for step in steps]
    assert page.dataframe[1].value["decisions"].tolist() == [
        f"{number:,}" for step in steps for number in step.actions.values()
    ]
    headings = [list(frame.value.columns) for frame in page.dataframe]
    assert any("FMR (FAR) [95% interval]" in columns for columns in headings)
    assert len(page.get("plotly_chart")) >= 6
    assert page.warning, "the notes of the reports are shown"


def test_the_environment_names_the_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page(monkeypatch, None, CURATE_RUN=str(run))
    assert not page.exception
    assert page.title[0].value == "drawn\\_faces"


def test_names_with_markup_are_text(fake_run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page(monkeypatch, str(fake_run.build_run(tmp_path, people=6, evil=True)))
    assert not page.exception
    for element in (*page.title, *page.markdown, *page.caption, *page.subheader, *page.warning):
        assert "<script>" not in element.value.replace("\\<", "")


@pytest.mark.parametrize("argument", ["nowhere", None])
def test_no_run_is_said_plainly(argument: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page(monkeypatch, str(tmp_path / argument) if argument else None)
    assert not page.exception
    said = [element.value for element in (*page.error, *page.info)]
    assert any("run folder" in text for text in said)
