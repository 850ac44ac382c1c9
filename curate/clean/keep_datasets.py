"""Datasets that were only there to be compared with leave the run."""

from __future__ import annotations

import numpy as np

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step


class KeepDatasetsParams(StrictParams):
    """Parameters of `keep_datasets`."""

    datasets: tuple[str, ...] = ()  # those that stay; none named: all


@step("keep_datasets")
def keep_datasets(
    manifest: Manifest, features: Features, params: KeepDatasetsParams, rng: np.random.Generator
) -> Decisions:
    """Drop all images of other datasets (`other_dataset`), such as benchmarks that a training set was compared with.

    Raises InputError for a dataset that is not there.
    """
    known = manifest.frame[col.DATASET].cat.categories.tolist()
    for name in params.datasets:
        if name not in known and len(manifest):
            raise InputError(f"there is no dataset {name!r}. {nearest(name, known)}")
    if not params.datasets:
        return Decisions.empty()
    others = ~manifest.frame[col.DATASET].isin(params.datasets).to_numpy(bool)
    return Decisions.of(manifest.frame[col.IMAGE_ID][others], col.DROP, "other_dataset")
