"""Run folders to look at, and one served app with one browser for all tests of the pages."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def fake_run() -> ModuleType:
    """The module that builds fake runs."""
    file = Path(__file__).parents[1] / "report" / "fake_run.py"
    spec = importlib.util.spec_from_file_location("curate_fake_run", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run(fake_run: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder; tests only read it."""
    return fake_run.build_run(tmp_path_factory.mktemp("fake"), people=6)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe `demo` run on few drawn faces, with a cache of its own: at least 500 images. Tests only read it."""
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.run import run_recipe
    from curate.recipe.schema import load_recipe

    folder = tmp_path_factory.mktemp("demo")
    recipe = load_recipe("demo", ["source.identities=36"])
    with LocalExecutor(1) as executor:
        run_recipe(recipe, folder / "run", executor=executor, cache=folder / "cache")
    return folder / "run"


class Served:
    """A served run: `url` of the app, `said`: what the command printed first."""

    def __init__(self, run: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "curate.cli", "app", str(run), "--port", str(port), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                         env={**os.environ, "COLUMNS": "200"}, start_new_session=True)  # fmt: skip
        self.said = next((line for line in self._process.stdout if "http" in line), "").strip()
        self.url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError("the app did not start")

    def stop(self) -> None:
        """End the command and the server that it started."""
        os.killpg(self._process.pid, 15)
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def served(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """The app over a copy of the run that tests may review."""
    folder = Path(shutil.copytree(demo, tmp_path_factory.mktemp("served") / "run"))
    app = Served(folder)
    yield app, folder
    app.stop()


@pytest.fixture(scope="session")
def serve() -> type[Served]:
    """Serves any run: `serve(run, "--address", ...)`; stop it."""
    return Served


_IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


class Visit:
    """One browser window on the app, and what went wrong in it."""

    def __init__(self, browser: Any, url: str, *, width: int = 1280, scheme: str = "light") -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self._context.new_page()
        self.trouble: list[str] = []
        self._url = url
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.trouble.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: None if request.url.startswith((url, "data:", "blob:"))
                     else self.trouble.append(f"request: {request.url}"))  # fmt: skip

    def open(self, name: str) -> None:
        """Open a page and wait until it is drawn."""
        self.page.goto(f"{self._url}/{name}")
        self.page.wait_for_selector("h1")
        self.settle()

    def settle(self) -> None:
        """Wait until the server has nothing more to say."""
        self.page.wait_for_timeout(150)
        self.page.wait_for_selector(_IDLE)

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="session")
def visiting() -> type[Visit]:
    """Opens a browser window on an app: `visiting(browser, url)`; close it."""
    return Visit
