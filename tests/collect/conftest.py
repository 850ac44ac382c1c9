"""A small drawn dataset, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.collect.synthetic import SyntheticParams, write_synthetic
from curate.core.shapes import SerialExecutor


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 identities at 80 pixels, with more faults than by default."""
    rates = {"mislabelled": 0.05, "mixed_identity": 0.08, "split_identity": 0.12, "cropped": 0.03, "flipped": 0.03,
             "corrupt": 0.015}  # fmt: skip
    params = SyntheticParams(identities=60, images=11, size=80, benchmark=8, faults=rates, seed=3)
    return write_synthetic(params, tmp_path_factory.mktemp("drawn") / "set", SerialExecutor())
