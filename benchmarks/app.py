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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import resident_tree, show

PAGES = ("", "review", "identity", "clusters", "balance", "audit", "overlap")
_PICTURES = 256
_DIMENSIONS = 256
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]  # fmt: skip


def build_run(folder: Path, rows: int, seed: int = 0) -> Path:
    """Write a run folder of `rows` images below `folder`, and return its path."""
    from curate.core.apply import apply_decisions, replica_id
    from curate.core.decisions import Decisions
    from curate.core.files import write_json, write_table
    from curate.core.manifest import Manifest

    rng = np.random.default_rng(seed)
    root, run, cache = folder / "images", folder / "run", folder / "cache"
    paths = _pictures(root, rng)
    manifest = _source(rows, root, paths, rng)
    manifest.write(run / "steps" / "00-source" / "manifest.parquet")
    write_json(run / "steps" / "00-source" / "summary.json", {"name": "source", "kind": "source", "notes": []})
    vectors = _vectors(folder, manifest, rng)
    ids = manifest.frame["image_id"]
    shuffled = rng.permutation(rows)
    some = [np.sort(part) for part in np.split(shuffled[: rows // 4], [rows // 8, rows // 6, rows // 5])]
    names = manifest.frame["identity"].astype("str")

    def evidence(part: np.ndarray) -> dict[str, Any]:
        return {"score": rng.uniform(0.95, 1, len(part)), "threshold": 0.95,
                "related_id": ids.take((part + 1) % rows).reset_index(drop=True)}  # fmt: skip

    def pick(part: np.ndarray) -> pd.Series:
        return ids.take(part).reset_index(drop=True)

    steps: list[tuple[str, Callable[[Manifest], Decisions]]] = [
        ("exact_duplicates", lambda _: Decisions.of(pick(some[0]), "drop", "exact_bytes", **evidence(some[0]))),
        ("near_duplicates", lambda _: Decisions.concat([
            Decisions.of(pick(some[1]), "drop", "near_duplicate", **evidence(some[1])),
            Decisions.of(pick(some[2]), "flag", "near_duplicate_other_identity", **evidence(some[2])),
        ])),
        ("mislabelled", lambda _: Decisions.of(pick(some[3]), "move", "nearer_to_another", **evidence(some[3]),
                                               new_value=names.take((some[3] + 50) % rows).reset_index(drop=True))),
        ("holdout", lambda m: Decisions.of(m.frame["image_id"], "assign", "drawn", new_value=pd.Series(np.where(
            m.codes("identity") % 4 == 0, "split=holdout", "split=train")))),
        ("oversample", lambda m: _replicas(m, rng, rows // 5, replica_id)),
    ]  # fmt: skip
    plan_steps, rejected, order = [], [], 0
    for order, (name, decide) in enumerate(steps, start=1):
        decisions = decide(manifest).stamped(name, order)
        after, gone = apply_decisions(manifest, decisions)
        where = f"steps/{order:02d}-{name}"
        write_table(run / where / "decisions.parquet", decisions.frame)
        keys = decisions.frame["action"].astype("str") + "/" + decisions.frame["reason"].astype("str")
        actions = {key: int(n) for key, n in keys.value_counts().items()} | {"dropped": len(gone)}
        write_json(run / where / "summary.json", _summary(name, "step", order, manifest, after) | {"actions": actions})
        plan_steps.append({"order": order, "name": name, "kind": "step", "folder": where, "sentence": "", "params": {}})
        rejected.append(gone)
        manifest = after
    manifest.write(run / "manifest.parquet")
    gone = pd.concat([part.astype({"step": "str", "reason": "str"}) for part in rejected], ignore_index=True)
    write_table(run / "rejected.parquet", gone)
    plan_steps.append(_audit(run, manifest, order + 1))
    write_json(run / "plan.json", {
        "name": "million", "seed": 7, "cache": str(cache), "levels": dict(manifest.levels), "versions": {},
        "source": {"root": str(root), "kind": "folder"}, "steps": plan_steps,
        "recipe": {"name": "million", "source": {"kind": "folder", "root": str(root)}, "steps": [],
                   "embedder": {"kind": "vectors", "path": str(vectors)}},
    })  # fmt: skip
    return run


def _pictures(root: Path, rng: np.random.Generator) -> np.ndarray:
    from PIL import Image

    root.mkdir(parents=True)
    names = [f"{number:03d}.jpg" for number in range(_PICTURES)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)).save(root / name, quality=85)
    return np.array(names)


def _source(rows: int, root: Path, paths: np.ndarray, rng: np.random.Generator) -> Any:
    from curate.core.manifest import Manifest

    people = max(rows // 50, 2)
    person = np.sort((people * rng.beta(0.8, 1.2, rows)).astype(np.int64))
    gender = np.array(["f", "m"])[(rng.random(people) < 0.6).astype(int)]
    ethnicity = np.array(["Asian", "Black", "Indian", "White"])[rng.choice(4, people, p=[0.12, 0.08, 0.1, 0.7])]
    width = len(str(people))
    known = pd.Index([f"person_{number:0{width}d}" for number in range(people)])
    ids = known[person] + "/" + pd.Series(np.arange(rows)).astype("str").str.zfill(7)
    frame = pd.DataFrame({
        "image_id": ids, "path": paths[rng.integers(0, len(paths), rows)], "dataset": "drawn",
        "identity": pd.Categorical.from_codes(person, known), "gender": pd.Categorical(gender[person]),
        "ethnicity": pd.Categorical(ethnicity[person]),
    })  # fmt: skip
    return Manifest.from_frame(frame, root=root, levels={"gender": "identity", "ethnicity": "identity"})


def _vectors(folder: Path, manifest: Any, rng: np.random.Generator) -> Path:
    from curate.core.vectors import Vectors, unit

    people = manifest.codes("identity")
    centres = rng.standard_normal((int(people.max()) + 1, _DIMENSIONS), dtype=np.float32)
    matrix = np.empty((len(manifest), _DIMENSIONS), dtype=np.float16)
    for start in range(0, len(matrix), 65_536):
        mine = people[start : start + 65_536]
        matrix[start : start + len(mine)] = unit(
            centres[mine] + 0.8 * rng.standard_normal((len(mine), _DIMENSIONS), dtype=np.float32)
        )
    Vectors(manifest.ids, matrix, "drawn", "drawn").write(folder / "vectors")
    return folder / "vectors"


def _replicas(manifest: Any, rng: np.random.Generator, count: int, replica_id: Callable) -> Any:
    from curate.core.decisions import Decisions

    train = np.flatnonzero(manifest.in_split("train"))
    parents = manifest.frame["image_id"].take(np.sort(rng.choice(train, min(count, len(train)), replace=False)))
    parents = parents.reset_index(drop=True)
    made = pd.Series([replica_id(name, 1) for name in parents], dtype="str")
    return Decisions.of(made, "add", "rare_identity", related_id=parents,
                        new_value=pd.Series(np.arange(len(parents))).astype("str"))  # fmt: skip


def _summary(name: str, kind: str, order: int, before: Any, after: Any) -> dict[str, Any]:
    return {
        "name": name, "kind": kind, "order": order, "sentence": "", "actions": {}, "summary": {}, "notes": [],
        "figures": [], "tables": [], "documents": [], "images_in": len(before), "images_out": len(after),
        "identities_in": before.frame["identity"].nunique(), "identities_out": after.frame["identity"].nunique(),
    }  # fmt: skip


def _audit(run: Path, manifest: Any, order: int) -> dict[str, Any]:
    from curate.core.files import write_json, write_table

    thresholds = np.linspace(-1, 1, 300)
    curves = pd.concat([
        pd.DataFrame({"group": group, "threshold": thresholds, "fmr": 1 / (1 + np.exp(12 * (thresholds - shift))),
                      "fnmr": 1 / (1 + np.exp(-12 * (thresholds - 0.5)))})
        for group, shift in (("all", 0.0), ("f", 0.05), ("m", -0.05))
    ], ignore_index=True)  # fmt: skip
    write_table(run / "audit" / "curves.parquet", curves)
    where = f"steps/{order:02d}-audit"
    figures = [{"kind": "det", "table": "audit/curves", "title": "DET curve per group", "options": {}}]
    write_json(run / where / "summary.json", _summary("audit", "report", order, manifest, manifest)
               | {"figures": figures, "tables": ["audit/curves"]})  # fmt: skip
    return {"order": order, "name": "audit", "kind": "report", "folder": where, "sentence": "Measure.", "params": {}}


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
