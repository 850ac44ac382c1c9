"""Fake run folders, built once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def fake_run() -> ModuleType:
    """The module that builds fake runs."""
    spec = importlib.util.spec_from_file_location("curate_fake_run", Path(__file__).parent / "fake_run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run(fake_run: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder; tests only read it."""
    return fake_run.build_run(tmp_path_factory.mktemp("fake"), people=20)


@pytest.fixture(scope="session")
def evil_run(fake_run: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose name, an identity and a group are markup with scripts."""
    return fake_run.build_run(tmp_path_factory.mktemp("evil"), people=20, evil=True)
