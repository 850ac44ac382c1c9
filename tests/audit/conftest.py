"""Small audits, and their figures by the slow and obvious way."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from curate.audit.all_pairs import AuditParams, audit
from curate.audit.faces import Faces
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.core.vectors import StoredVectors, unit
from curate.search.directions import Directions, cosines


def people(n: int, seed: int = 0, *, dimensions: int = 12, image_level: bool = False, spread: float = 1.0):
    """A manifest of n images of about n / 4 identities in two groups, some unlabelled, and unit vectors."""
    rng = np.random.default_rng(seed)
    identity = rng.integers(0, max(1, n // 4), n)
    centre = rng.normal(size=(n, dimensions)) + 0.6
    vectors = unit(centre[identity] + spread * rng.normal(size=(n, dimensions)))
    label = np.array(["f", "m", None], dtype=object)[rng.integers(0, 3, n) if image_level else identity % 7 % 3]
    frame = pd.DataFrame(
        {
            "image_id": pd.array([f"{i:04d}" for i in range(n)], dtype="str"),
            "identity": pd.array([f"p{i:03d}" for i in identity], dtype="str"),
            "kind": pd.array(label, dtype="str"),
            "split": pd.array(["holdout"] * n, dtype="str"),
        }
    )
    return Manifest.from_frame(frame, levels={"kind": "image" if image_level else "identity"}), vectors


def stored(vectors: np.ndarray) -> StoredVectors:
    """Vectors in memory; a row of zeros is none."""
    return StoredVectors(vectors, np.where(vectors.any(axis=1), np.arange(len(vectors)), -1))


def run(manifest: Manifest, vectors: np.ndarray, executor=None, **settings):
    """The report `audit`."""
    settings = {"group_by": ("kind",), "far": (0.3, 0.05, 0.01), "draws": 50, **settings}
    params = AuditParams(**settings)
    return audit(manifest, Features({"stored_vectors": stored(vectors)}, executor), params, step_rng(0, "audit"))


def faces_of(manifest: Manifest, vectors: np.ndarray) -> Faces:
    """The faces of a manifest with the label `kind`."""
    return Faces.of(stored(vectors), manifest.codes("identity"), manifest.codes("kind"), ("f", "m"))


def all_scores(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, j, score) of every pair, each scored by itself in float64."""
    i, j = np.triu_indices(len(vectors), 1)
    directions = Directions.of(vectors)
    return i, j, cosines(directions, directions, i, j)


@pytest.fixture
def room() -> SimpleNamespace:
    """What the tests of this room share."""
    return SimpleNamespace(people=people, stored=stored, run=run, faces_of=faces_of, all_scores=all_scores)
