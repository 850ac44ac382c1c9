"""Every page opens on run folders of many kinds, and says what is wrong with anything else."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from curate.core.bundled import bundled, bundled_module
from curate.core.files import write_table
from curate.report.runs import read_run

testing = pytest.importorskip("streamlit.testing.v1")

_ONE_PAGE = """
import shutil
from pathlib import Path
from curate.core.bundled import bundled_module

shell = bundled_module("app", "shell")
opened, summary = shell._opened({path!r}, {stamp!r})
look = bundled_module("app", "looking").Look.of(Path({path!r}), opened, summary, {stamp!r})
shell.PAGES[{page!r}][2](look)
"""
PAGES = ("overview", "review", "identity", "clusters", "overlap", "balance", "audit")


def open_app(monkeypatch: pytest.MonkeyPatch, argument: str | None, **environment: str):
    monkeypatch.setattr("sys.argv", ["main.py", *([argument] if argument else [])])
    for name in ("CURATE_RUN", "CURATE_APP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return testing.AppTest.from_file(str(bundled("app") / "main.py"), default_timeout=60).run()


def open_page(page: str, run: Path):
    stamp = bundled_module("app", "images").stamp_of(run)
    script = _ONE_PAGE.format(path=str(run), stamp=stamp, page=page)
    return testing.AppTest.from_string(script, default_timeout=60).run()


def test_the_overview_shows_what_the_run_wrote(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_app(monkeypatch, str(run))
    assert not page.exception
    assert not page.error
    shown = {metric.label: metric.value for metric in page.metric}
    source = len(pd.read_parquet(run / "steps/00-source/manifest.parquet"))
    assert shown["Images in"] == f"{source:,}"
    dropped = len(pd.read_parquet(run / "rejected.parquet"))
    assert shown["Dropped"] == f"{dropped:,} ({100 * dropped / source:.1f}%)"
    steps = [step for step in read_run(run).steps if step.kind == "step"]
    assert page.dataframe[0].value["step"].str.split(". ", regex=False).str[1].tolist() == [
        step.name.replace("_", " ") for step in steps
    ]
    assert page.dataframe[1].value["decisions"].tolist() == [
        f"{number:,}" for step in steps for number in step.actions.values()
    ]
    assert page.warning, "the notes of the reports are shown"


def test_the_environment_names_the_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_app(monkeypatch, None, CURATE_RUN=str(run))
    assert not page.exception
    assert page.title[0].value == "drawn\\_faces"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens(name: str, run: Path) -> None:
    page = open_page(name, run)
    assert not page.exception
    assert not page.error
    assert page.title


@pytest.mark.parametrize("name", PAGES)
def test_a_run_that_is_not_finished_is_shown_as_far_as_it_went(name: str, run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    for gone in (
        "manifest.parquet",
        "rejected.parquet",
        *(str(f.relative_to(copy)) for f in copy.glob("steps/0[6-9]*/*")),
    ):
        (copy / gone).unlink()
    page = open_page(name, copy)
    assert not page.exception
    if name == "overview":
        assert any("not finished" in warning.value for warning in page.warning)


def test_the_audit_page_shows_rates_with_intervals_and_at_any_threshold(run: Path) -> None:
    page = open_page("audit", run)
    headings = [list(frame.value.columns) for frame in page.dataframe]
    assert any("FMR (FAR) [95% interval]" in columns for columns in headings)
    slider = page.slider(key="threshold")
    before = page.dataframe[0].value
    after = slider.set_value(slider.max).run().dataframe[0].value
    assert not page.exception
    name = "FNMR (FRR) [95% interval]"
    assert before[name].tolist() != after[name].tolist()
    histogram = pd.read_parquet(run / "audit/histogram.parquet")
    total = histogram.groupby(["group_a", "group_b"], sort=False)["genuines"].sum().to_numpy()
    top = histogram.loc[histogram["threshold"] == slider.max, "genuines"].to_numpy()
    assert after["false non matches"].tolist() == [f"{missed:,}" for missed in total - top]


def test_another_target_needs_other_replicas(run: Path) -> None:
    page = open_page("balance", run)
    replicas = {metric.label: metric.value for metric in page.metric}["Replicas needed"]
    page.slider(key="whatif-target").set_value(3.0).run()
    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric}["Replicas needed"] != replicas


@pytest.fixture(scope="module")
def evil(fake_run: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose names are markup, in which a person with such a name has said such things, and sets overlap."""
    folder = fake_run.build_run(tmp_path_factory.mktemp("evil"), people=6, evil=True)
    name = fake_run.EVIL
    table = pd.read_parquet(folder / "steps/03-near_duplicates/decisions.parquet")
    said = {"action": "move", "reason": name, "new_value": name, "step": "near_duplicates", "reviewer": name,
            "time": "2026-01-01T00:00:00+00:00"}  # fmt: skip
    store = bundled_module("app", "reviews").RunFolder(folder)
    store.append_review(pd.DataFrame({"image_id": table["image_id"]}).assign(**said))
    pair = {"dataset_a": "drawn", "identity_a": name, "dataset_b": name, "identity_b": name, "by": f"name,{name}",
            "score": 0.7, "verdict": "likely", "evidence": name, "image_a": name}  # fmt: skip
    write_table(folder / "pairs.parquet", pd.DataFrame([pair, {**pair, "dataset_a": name, "verdict": "look"}]))
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_names_with_markup_are_text(name: str, evil: Path) -> None:
    page = open_page(name, evil)
    assert not page.exception
    if name == "review":
        page.selectbox(key="queue").set_value("near duplicates: near duplicate").run()
        page.segmented_control(key="status").set_value("reviewed").run()
        assert any("Reviewed:" in caption.value for caption in page.caption), "what was said is shown"
        _harmless(page)
        page.segmented_control(key="pace").set_value("many at once").run()
        assert not page.exception
    if name == "identity":
        page.text_input(key="identity-name").set_value("<img").run()
        assert not page.exception
    _harmless(page)


def _harmless(page) -> None:
    elements = (*page.title, *page.markdown, *page.caption, *page.subheader, *page.warning, *page.get("html"))
    for element in elements:
        text = element.value if hasattr(element, "value") else element.proto.body
        assert "<script>" not in text.replace("\\<", "")
        assert "<img src=x" not in text.replace("\\<", "")


@pytest.mark.parametrize("argument", ["nowhere", None])
def test_no_run_is_said_plainly(argument: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_app(monkeypatch, str(tmp_path / argument) if argument else None)
    assert not page.exception
    said = [element.value for element in (*page.error, *page.info)]
    assert any("run folder" in text for text in said)


def test_without_its_token_nothing_is_shown(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_app(monkeypatch, str(run), CURATE_APP_TOKEN="right")
    assert "token" in page.error[0].value
    assert not page.title
    assert not page.metric
    page.query_params["token"] = "wrong"
    assert page.run().error
    page.query_params["token"] = "right"
    page.run()
    assert not page.error
    assert page.metric
