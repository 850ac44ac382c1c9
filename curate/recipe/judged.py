"""A run's findings, drawn for a person to judge, and what the judgements say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from curate.clean.noise.sample import draw, estimate, strata_of
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import atomic_path, read_table
from curate.recipe.store import RunFolder


def draw_noise_sample(run: Path, number: int, out: Path, seed: int = 0) -> pd.DataFrame:
    """Write a stratified sample of a run's wrong names, and of the images without one, as CSV, and return it.

    Raises InputError where the run has no table `noise`, or the file is there already: it may hold answers.
    """
    strata = _strata(run)
    if out.exists():
        raise InputError("the file is there already, and may hold answers", file=out,
                         remedy="Choose another --out, or give it as --judged")  # fmt: skip
    sample = draw(strata, number, np.random.Generator(np.random.PCG64(seed)))
    with atomic_path(out) as temporary:
        sample.to_csv(temporary, index=False)
    return sample


def judge_noise_sample(run: Path, judged: Path) -> pd.DataFrame:
    """Precision and recall per kind from the file that a person filled in: see `curate.clean.noise.sample.estimate`."""
    strata = _strata(run)
    if not judged.is_file():
        raise InputError("no such file", file=judged, remedy="Draw a sample first: curate noise-sample RUN")
    return estimate(pd.read_csv(judged, dtype=str, keep_default_na=False), strata, origin=judged)


def _strata(run: Path) -> pd.DataFrame:
    RunFolder(run).plan()
    path = run / "noise.parquet"
    if not path.exists():
        raise InputError("the run has no noise.parquet", file=run, remedy="Run `curate noise`, or a recipe with the "
                         "steps label_noise and noise")  # fmt: skip
    images = read_table(run / "steps" / "00-source" / "manifest.parquet")
    known = images[images[col.IDENTITY].notna().to_numpy()][[col.IMAGE_ID, col.IDENTITY]]
    return strata_of(read_table(path), known)
