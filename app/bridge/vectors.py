"""A run's vectors in its FiftyOne dataset: similarity, and the map of the Embeddings panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from curate.core.vectors import open_vectors, unit
from curate.report.runs import RunFolder

from ..vectors import find_vectors, principal_axes

MAP, SIMILARITY = "curate_map", "curate_similarity"
_FIT = 20_000  # vectors that the axes of the map are fitted on
_TILE = 8_192


def push_vectors(fo: Any, dataset: Any, run: RunFolder) -> bool:
    """Write the vectors of the samples that have one; False where the run has none.

    Done again only where the vectors or the samples have changed. The map is the two principal components, as on the
    page Clusters; the similarity index is exact. Its distance is the euclidean one, which puts
    unit vectors in the order of their cosine: the cosine of FiftyOne's Brain takes the mean away first.
    """
    place, _ = find_vectors(Path(run.plan.get("cache") or run.path) / "look", run.path)
    if place is None:
        return False
    vectors = open_vectors(place)
    ids, images = dataset.values(["id", "image_id"])
    at = vectors.rows_of(images)
    have = np.flatnonzero(at >= 0)
    mark = f"{vectors.fingerprint} {len(have)} {len(ids)}"
    if not len(have) or dataset.info.get("vectors") == mark:
        return bool(len(have))
    _fields(fo, dataset, ids, at, have, vectors.matrix)
    _brain(dataset, dataset.select([ids[row] for row in have]), vectors)
    dataset.info = {**dataset.info, "vectors": mark}
    dataset.save()
    return True


def _fields(fo: Any, dataset: Any, ids: list[str], at: np.ndarray, have: np.ndarray, matrix: np.ndarray) -> None:
    if "vector" not in dataset.get_field_schema():
        dataset.add_sample_field("vector", fo.VectorField)
    for start in range(0, len(have), _TILE):
        part = have[start : start + _TILE]
        values = unit(matrix[at[part]])
        dataset.set_values("vector", {ids[row]: value for row, value in zip(part, values, strict=True)}, key_field="id")


def _brain(dataset: Any, view: Any, vectors: Any) -> None:
    """The map and the index of the samples of a view, in its own order: any other would take n * n steps."""
    import fiftyone.brain as fob

    matrix, rows = vectors.matrix, vectors.rows_of(view.values("image_id"))

    for key in (MAP, SIMILARITY):
        if dataset.has_brain_run(key):
            dataset.delete_brain_run(key)
    sample = rows[np.linspace(0, len(rows) - 1, min(_FIT, len(rows))).round().astype(np.int64)]
    centre, axes = principal_axes(unit(matrix[sample]))
    points = np.concatenate([
        (unit(matrix[rows[start : start + _TILE]]) - centre) @ axes for start in range(0, len(rows), _TILE)
    ])  # fmt: skip
    fob.compute_visualization(view, points=points.astype(np.float64), brain_key=MAP, method="manual")
    fob.compute_similarity(view, embeddings="vector", brain_key=SIMILARITY, backend="sklearn", metric="euclidean")


__all__ = ["MAP", "SIMILARITY", "push_vectors"]
