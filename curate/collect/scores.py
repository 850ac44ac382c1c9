"""A table of scores: there are no images in it, only comparisons that a report reads for itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from curate.collect.source import Collected, Source
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, StrictParams


class ScoresParams(StrictParams):
    """A file of scored comparisons, for the report `audit_scores`."""

    kind: Literal["scores"] = "scores"
    path: Path


def read_scores_source(
    params: ScoresParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """A manifest without images. Raises InputError where there is no such file."""
    if not params.path.expanduser().is_file():
        raise InputError("no such file", file=params.path,
                         remedy="Check the path; relative ones start at the current folder")  # fmt: skip
    nothing = pd.DataFrame({name: pd.Series(dtype="str") for name in (col.IMAGE_ID, col.IDENTITY)})
    manifest = Manifest.from_frame(nothing, levels={}, origin=params.path)
    return Collected(manifest, ("the source is a table of scores: there are no images",))


SOURCE = Source("scores", ScoresParams, read_scores_source)
