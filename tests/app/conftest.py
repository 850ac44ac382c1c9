"""A fake run folder for the pages and the bridge."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

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
