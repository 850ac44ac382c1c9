"""What every test shares: the real data, the optional servers, and when a test may be skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: What keeps Chromium quiet and offline in a container.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def missing(what: str, why: str) -> None:
    """Skip the test, or fail it where CURATE_REQUIRE names `what` (real_data, fiftyone, browser)."""
    if what in os.environ.get("CURATE_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required here: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real faces named by CURATE_REAL_DATA."""
    folder = os.environ.get("CURATE_REAL_DATA")
    if not folder:
        missing("real_data", "CURATE_REAL_DATA is not set")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium for playwright."""
    path = os.environ.get("CURATE_CHROMIUM", "/usr/bin/chromium")
    if not os.path.exists(path):
        missing("browser", f"no Chromium at {path}")
    return path


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """One Chromium for all tests."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def mongodb() -> str:
    """The address of a MongoDB server for FiftyOne."""
    uri = os.environ.get("FIFTYONE_DATABASE_URI")
    if not uri:
        missing("fiftyone", "FIFTYONE_DATABASE_URI is not set")
    return uri
