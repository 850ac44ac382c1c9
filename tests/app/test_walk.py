"""A person walks through a real run in a browser: every page, ten answers by key and by mouse, the run resumed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

PAGES = {
    "": "demo", "review": "Review", "identity": "Identity", "clusters": "Clusters", "overlap": "Overlap",
    "balance": "Balance", "audit": "Audit",
}  # fmt: skip


@pytest.fixture
def visit(browser: Any, served: Any, visiting: Any) -> Iterator[Any]:
    """A window on the served run."""
    made = visiting(browser, served[0].url)
    yield made
    made.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_opens_quietly_and_fits(browser: Any, served: Any, visiting: Any, width: int, scheme: str) -> None:
    visit = visiting(browser, served[0].url, width=width, scheme=scheme)
    for name, title in PAGES.items():
        visit.open(name)
        page = visit.page
        assert page.locator("h1").first.inner_text() == title
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.locator("[data-testid=stAlertContentError]").count() == 0
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    back = visit.page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) == (scheme == "dark")
    assert visit.trouble == []
    visit.close()


def reviewed(page: Any) -> int:
    """How many items of the queue the page counts as reviewed."""
    return int(re.match(r"([\d,]+) of", page.locator("[data-testid=stProgress] p").inner_text())[1].replace(",", ""))


def wait_for_reviewed(page: Any, number: int) -> None:
    """Wait until the page counts so many items as reviewed."""
    page.locator("[data-testid=stProgress] p", has_text=re.compile(f"^{number} of")).wait_for()


def choose(page: Any, label: str, option: str) -> None:
    """Pick an option of a select box."""
    page.get_by_role("combobox", name=re.compile(label)).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_ten_answers_by_key_and_mouse_reach_the_run(visit: Any, served: Any) -> None:
    folder = served[1]
    page = visit.page
    images_before = len(pd.read_parquet(folder / "manifest.parquet").query("parent_id.isna()"))
    visit.open("review")
    page.get_by_role("textbox", name="Your name").fill("Ann")
    page.get_by_role("textbox", name="Your name").press("Enter")
    visit.settle()
    choose(page, "Queue", "near duplicates: near duplicate")
    visit.settle()
    assert reviewed(page) == 0
    answers = [("key", "k"), ("mouse", "Keep"), ("key", "d"), ("mouse", "Drop"), ("key", "k"), ("mouse", "Keep"),
               ("key", "k"), ("key", "k"), ("mouse", "Keep"), ("key", "k")]  # fmt: skip
    for number, (by, what) in enumerate(answers, start=1):
        if by == "key":
            page.locator("h1").first.click()
            page.keyboard.press(what)
        else:
            page.locator(".st-key-answers").get_by_role("button", name=what).click()
        wait_for_reviewed(page, number)
    rows = pd.read_parquet(folder / "review" / "decisions.parquet")
    assert rows["action"].tolist() == ["keep", "keep", "drop", "drop", "keep", "keep", "keep", "keep", "keep", "keep"]
    assert set(rows["reviewer"]) == {"Ann"}
    assert set(rows["step"]) == {"near_duplicates"}
    assert rows["image_id"].is_unique
    page.keyboard.press("u")
    wait_for_reviewed(page, 9)
    rows = pd.read_parquet(folder / "review" / "decisions.parquet")
    assert rows["reason"].tolist()[-1] == "withdrawn"
    assert len(rows) == 11
    page.keyboard.press("k")
    wait_for_reviewed(page, 10)
    command = page.locator("code", has_text="curate run").first.inner_text()
    assert command == f"curate run {folder}"
    subprocess.run([sys.executable, "-m", "curate.cli", *command.split()[1:], "--workers", "1"], check=True,
                   env=os.environ, stdout=subprocess.DEVNULL)  # fmt: skip
    images_after = len(pd.read_parquet(folder / "manifest.parquet").query("parent_id.isna()"))
    assert images_after > images_before, "eight dropped copies were kept"
    visit.open("")
    shown = page.locator("[data-testid=stMetric]", has_text="Images out").locator("[data-testid=stMetricValue]")
    assert shown.inner_text() == f"{images_after:,}"
    assert visit.trouble == []


def test_one_answer_for_many_by_key_and_mouse_and_its_undo(visit: Any, served: Any) -> None:
    file = served[1] / "review" / "decisions.parquet"
    page = visit.page
    visit.open("review")
    choose(page, "Queue", "exact duplicates: exact bytes")
    visit.settle()
    total = int(re.search(r"of (\d+)", page.locator("[data-testid=stProgress] p").inner_text())[1])
    assert total >= 4
    page.get_by_role("radio", name="many at once").click()
    page.get_by_role("button", name=f"Keep {min(total, 24)}").wait_for()
    page.get_by_role("button", name="2", exact=True).click()
    page.get_by_role("button", name=f"Keep {min(total, 24) - 1}").wait_for()
    visit.settle()
    old = len(pd.read_parquet(file)) if file.exists() else 0
    page.locator("h1").first.click()
    page.keyboard.press("k")
    wait_for_reviewed(page, min(total, 24) - 1)
    rows = pd.read_parquet(file).iloc[old:]
    assert len(rows) == min(total, 24) - 1
    assert set(rows["action"]) == {"keep"}
    assert set(rows["step"]) == {"exact_duplicates"}
    assert rows["time"].nunique() == 1
    visit.settle()
    page.get_by_role("button", name=f"Undo {len(rows)}").click()
    wait_for_reviewed(page, 0)
    undone = pd.read_parquet(file).iloc[old + len(rows) :]
    assert set(undone["image_id"]) == set(rows["image_id"])
    assert set(undone["reason"]) == {"withdrawn"}
    visit.settle()
    page.locator(".st-key-answers").get_by_role("button", name="Drop").click()
    wait_for_reviewed(page, min(total, 24))
    visit.settle()
    page.locator("h1").first.click()
    page.keyboard.press("u")
    wait_for_reviewed(page, 0)
    assert visit.trouble == []


def test_a_group_of_copies_is_answered_at_once(browser: Any, fake_run: ModuleType, serve: Any, visiting: Any,
                                               tmp_path: Path) -> None:  # fmt: skip
    folder = fake_run.build_run(tmp_path, people=12)
    table = pd.read_parquet(folder / "steps/04-mislabelled/decisions.parquet")
    assert table["related_id"].nunique() == 1
    assert len(table) > 1
    app = serve(folder)
    try:
        visit = visiting(browser, app.url)
        visit.open("review")
        choose(visit.page, "Queue", "mislabelled: nearer to another identity")
        visit.page.get_by_role("button", name=f"Drop all {len(table)} of this group").wait_for()
        visit.settle()
        visit.page.locator("h1").first.click()
        visit.page.keyboard.press("Shift+D")
        wait_for_reviewed(visit.page, len(table))
        rows = pd.read_parquet(folder / "review" / "decisions.parquet")
        assert sorted(rows["image_id"]) == sorted(table["image_id"])
        assert set(rows["action"]) == {"drop"}
        assert visit.trouble == []
        visit.close()
    finally:
        app.stop()


def test_a_lasso_shows_the_images_under_it(visit: Any) -> None:
    visit.open("clusters")
    page = visit.page
    for _ in range(60):  # the vectors are prepared while the first pages are looked at
        if page.locator(".js-plotly-plot").count():
            break
        page.wait_for_timeout(500)
        visit.open("clusters")
    box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    x, y, w, h = box["x"], box["y"], box["width"], box["height"]
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.05)]
    page.mouse.move(x + w * corners[0][0], y + h * corners[0][1])
    page.mouse.down()
    for right, down in corners[1:]:
        page.mouse.move(x + w * right, y + h * down, steps=8)
    page.mouse.up()
    page.wait_for_selector("h3:has-text('images selected')")
    visit.settle()
    assert page.locator("[data-testid=stHtml] img").count() == 36
    assert visit.trouble == []


def test_names_with_markup_do_nothing(
    browser: Any, fake_run: ModuleType, serve: Any, visiting: Any, tmp_path: Path
) -> None:
    app = serve(fake_run.build_run(tmp_path, people=6, evil=True))
    try:
        visit = visiting(browser, app.url)
        for name in PAGES:
            visit.open(name)
            assert visit.page.locator("[data-testid=stException]").count() == 0
            assert visit.page.locator("img[src=x]").count() == 0
            assert visit.page.evaluate("window.hacked === undefined")
        assert visit.trouble == []
        visit.close()
    finally:
        app.stop()


def test_another_address_needs_the_token(browser: Any, run: Path, serve: Any, visiting: Any) -> None:
    app = serve(run, "--address", "0.0.0.0")
    try:
        token = re.search(r"\?token=(\S+)", app.said)[1]
        visit = visiting(browser, app.url)
        visit.page.goto(f"{app.url}/review")
        visit.page.wait_for_selector("[data-testid=stAlertContentError]")
        assert visit.page.locator("h1").count() == 0
        assert visit.page.locator("[data-testid=stHtml] img").count() == 0
        visit.open(f"?token={token}")
        visit.page.get_by_role("link", name="Review").click()
        visit.page.wait_for_selector("h1:has-text('Review')")
        visit.settle()
        assert token in visit.page.url, "the address can be reloaded"
        visit.close()
    finally:
        app.stop()
