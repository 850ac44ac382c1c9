"""Makes the pictures of the app that docs/app.md shows: `python docs/screenshots.py` (or `make screenshots`).

Runs the recipe `demo` and a comparison of two drawn sets, serves both, and takes a picture of each page with Chromium
(CURATE_CHROMIUM, default /usr/bin/chromium). FiftyOne's picture is made where FIFTYONE_DATABASE_URI is set.
Every face is drawn. A few minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]  # fmt: skip
_IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
#: Pages of the demo run, and how tall a picture shows them.
PAGES = {"overview": 1500, "review": 1250, "many": 1250, "identity": 1500, "clusters": 1350, "balance": 1500,
         "audit": 1500}  # fmt: skip


def _curate(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "curate.cli", *map(str, arguments)]


def make_runs(folder: Path) -> tuple[Path, Path]:
    """The demo run, and a run that compares two drawn sets."""
    from curate.collect.synthetic import FaultRates, SyntheticParams, write_synthetic
    from curate.recipe.execute import LocalExecutor

    subprocess.run(_curate("run", "demo", "--out", folder / "demo"), check=True, stdout=subprocess.DEVNULL)
    faults = FaultRates(shared_identity=0.2)
    drawn = SyntheticParams(identities=60, images=8, benchmark=30, seed=3, faults=faults)
    write_synthetic(drawn, folder / "pair", LocalExecutor(2))
    sets = f"train={folder / 'pair/images'}", f"bench={folder / 'pair/benchmark/images'}"
    subprocess.run(_curate("overlap", *sets, "--by", "name,image,identity", "--out", folder / "overlap"), check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    return folder / "demo", folder / "overlap"


@contextlib.contextmanager
def served(verb: str, run: Path) -> Iterator[str]:
    """`curate app RUN` or `curate fiftyone RUN` at a free port: its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(_curate(verb, run, "--port", port), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(1200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)


def take(browser: Any, address: str, name: str, height: int) -> None:
    """The picture of one page."""
    page = browser.new_context(viewport={"width": 1280, "height": height}).new_page()
    page.set_default_timeout(90_000)
    url = {"overview": "", "many": "review"}.get(name, name)
    page.goto(f"{address}/{url}")
    page.wait_for_selector("h1")
    _settle(page)
    if url == "review":
        page.get_by_role("textbox", name="Your name").fill("Ann")
        page.get_by_role("textbox", name="Your name").press("Enter")
        _settle(page)
        page.get_by_role("combobox", name=re.compile("Queue")).click()
        queue = "near duplicates: near duplicate" + (" other identity" if name == "review" else "")
        page.get_by_role("option", name=queue, exact=True).click()
        _settle(page)
    if name == "many":
        page.get_by_role("radio", name="many at once").click()
        _settle(page)
    if name == "clusters":
        _lasso(page)
    page.mouse.move(5, 5)
    page.wait_for_timeout(2500)
    _keep(page, name)
    page.context.close()


def _keep(page: Any, name: str) -> None:
    """Write the picture in 256 colours: a third of the size, and no difference to see."""
    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256).save(HERE / f"app-{name}.png", optimize=True)


def _settle(page: Any) -> None:
    page.wait_for_timeout(800)
    page.wait_for_selector(_IDLE)
    page.wait_for_timeout(1200)


def _lasso(page: Any) -> None:
    for _ in range(60):  # the vectors are prepared while the first pages are looked at
        if page.locator(".js-plotly-plot").count():
            break
        page.wait_for_timeout(1000)
        page.reload()
        _settle(page)
    box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    corners = [(0.62, 0.35), (0.95, 0.35), (0.95, 0.65), (0.62, 0.65), (0.62, 0.36)]
    places = [(box["x"] + box["width"] * right, box["y"] + box["height"] * down) for right, down in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    page.wait_for_selector("h3:has-text('images selected')")
    _settle(page)


def take_fiftyone(browser: Any, address: str) -> None:
    """The queue of near duplicates in FiftyOne's App."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/datasets/curate-demo")
    page.wait_for_timeout(9000)
    with contextlib.suppress(Exception):
        page.get_by_text("Dismiss").click(timeout=3000)
    page.locator("[data-cy=saved-views-selection-container]").click()
    page.wait_for_timeout(1500)
    page.locator("[data-cy^=saved-views] >> text=near_duplicates").first.click()
    page.wait_for_timeout(5000)
    _keep(page, "fiftyone")
    page.close()


def main() -> None:
    """Make all pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names of pictures, with commas between them")
    only = parser.parse_args().only
    wanted = only.split(",") if only else [*PAGES, "overlap", "fiftyone"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo, overlap = make_runs(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CURATE_CHROMIUM", "/usr/bin/chromium"), args=_FLAGS
        )
        with served("app", demo) as address:
            for name in (name for name in PAGES if name in wanted):
                take(browser, address, name, PAGES[name])
        if "overlap" in wanted:
            with served("app", overlap) as address:
                take(browser, address, "overlap", 1500)
        if "fiftyone" in wanted and os.environ.get("FIFTYONE_DATABASE_URI"):
            with served("fiftyone", demo) as address:
                take_fiftyone(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
