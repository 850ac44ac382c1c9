"""The app over a run of a million images: how long pages take and what the server holds: `python -m benchmarks.app`.

A run folder of drawn tables is written: a million source rows, a quarter of them decided about, replicas, an audit,
vectors of 256 dimensions. Paths point to some hundred drawn pictures. The command `curate app` serves it; a headless
Chromium opens every page twice: `first` is the first visitor after the start, `again` the next one, in a new window.
Seconds run from asking for the address until the server has nothing more to say; `server_cpu` is what of that the
server computed, which other programs on the machine do not change. Memory is the proportional set size
of the server's process tree, the largest seen. `megabytes_to_browser` is what came over the page's socket.
The goals: pages under 3 s, the server under 2 GiB. Needs Chromium (CURATE_CHROMIUM, default /usr/bin/chromium).
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawn_run import build_run
from benchmarks.measure import resident_tree, show

PAGES = ("", "review", "identity", "clusters", "balance", "audit", "overlap")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]  # fmt: skip


class _Peak:
    """The largest memory of a process tree while the block runs."""

    def __init__(self, pid: int) -> None:
        self.pid, self.bytes, self._going = pid, 0, True

    def __enter__(self) -> _Peak:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()

    def _look(self) -> None:
        while self._going:
            self.bytes = max(self.bytes, resident_tree(self.pid))
            time.sleep(0.2)


def measure(run: Path) -> dict[str, Any]:
    """Serve the run, open its pages, answer one item of the review, and say what it took."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "curate.cli", "app", str(run), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    figures: dict[str, Any] = {}
    try:
        base = f"http://127.0.0.1:{port}"
        _wait(f"{base}/_stcore/health")
        with _Peak(server.pid) as peak, sync_playwright() as playwright:
            path = os.environ.get("CURATE_CHROMIUM", "/usr/bin/chromium")
            browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
            for visit in ("first", "again"):
                for name in PAGES:
                    before = _cpu(server.pid)
                    seconds, size = _open(browser, f"{base}/{name}")
                    figures[f"{name or 'overview'}_{visit}_s"] = seconds
                    figures[f"{name or 'overview'}_{visit}_server_cpu_s"] = _cpu(server.pid) - before
                    figures[f"{name or 'overview'}_{visit}_megabytes_to_browser"] = size / 1e6
            figures["review_answer_s"] = _answer(browser, f"{base}/review")
            figures["review_answer_24_s"] = _answer_many(browser, f"{base}/review")
            browser.close()
        figures["server_peak_gib"] = peak.bytes / 2**30
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)
    return figures


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing answers at {url}")


def _cpu(pid: int) -> float:
    """Processor seconds of a process so far: what a page costs, whatever else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _open(browser: Any, url: str) -> tuple[float, int]:
    """Seconds until a page is drawn, and the bytes that its socket brought."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    came = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: came.append(len(frame))))
    start = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("h1")
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    seconds = time.perf_counter() - start
    if page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count():
        raise RuntimeError(f"{url} shows an error")
    context.close()
    return seconds, sum(came)


def _answer(browser: Any, url: str) -> float:
    """Seconds from a key to the next item, the median of five."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("[data-testid=stProgress] p")
    page.locator("h1").click()
    taken = []
    done = int(page.locator("[data-testid=stProgress] p").inner_text().split(" of")[0].replace(",", ""))
    for number in range(done + 1, done + 6):
        page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        start = time.perf_counter()
        page.keyboard.press("k")
        page.locator("[data-testid=stProgress] p", has_text=f"{number} of").wait_for()
        page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        taken.append(time.perf_counter() - start)
    context.close()
    return float(np.median(taken))


def _answer_many(browser: Any, url: str) -> float:
    """Seconds from a key to the next page of items, after an answer for 24 of them."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("[data-testid=stProgress] p")
    done = int(page.locator("[data-testid=stProgress] p").inner_text().split(" of")[0].replace(",", ""))
    page.get_by_role("radio", name="many at once").click()
    page.get_by_role("button", name="Keep 24").wait_for()
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.locator("h1").click()
    start = time.perf_counter()
    page.keyboard.press("k")
    page.locator("[data-testid=stProgress] p", has_text=f"{done + 24} of").wait_for()
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    taken = time.perf_counter() - start
    context.close()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--run", type=Path, help="a run folder to serve instead of a drawn one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = chosen.run or build_run(Path(folder), chosen.rows)
        figures = {"rows": chosen.rows if chosen.run is None else None, **measure(run)}
    show("app", figures, chosen.json)


if __name__ == "__main__":
    main()
