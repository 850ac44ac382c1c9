"""The report `vectors`: every image's embedding, kept as a vector store; the images without one, and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from curate.core import columns as col
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Report, StrictParams, report
from curate.core.vectors import Vectors
from curate.images.reasons import FINE, REASONS

#: Why an image whose pixels are fine has no vector.
NO_FACE = "no_face"


class StoreVectorsParams(StrictParams):
    """Parameters of `store_vectors`: none."""


@report("store_vectors", needs=("embedding", "decoded"))
def store_vectors(
    manifest: Manifest, features: Features, params: StoreVectorsParams, rng: np.random.Generator
) -> Report:
    """Keep the embedding of each image as float16, in a store that recipes can name.

    The run folder is a vector store then (`vectors.npy`, `image_ids.parquet`, `meta.json`): `embedder: {kind: vectors,
    path: DIR}` reads it. Table `embed/without`: image_id and reason (`no_face`, or why the image can't be read).
    """
    embedding, decoded = features["embedding"], features["decoded"]
    rows = manifest.originals()
    there = rows & embedding.any(axis=1)
    missing = np.flatnonzero(rows & ~there)
    reasons = np.array([*REASONS[1:], NO_FACE])
    code = decoded["reason"][missing].astype(np.int64)
    without = pd.DataFrame({
        col.IMAGE_ID: pd.array(manifest.ids.take(missing), dtype="str"),
        "reason": pd.Categorical(reasons[np.where(code == FINE, len(reasons) - 1, code - 1)]),
    })  # fmt: skip
    store = Vectors(manifest.ids.filter(pa.array(there)), embedding[there].astype(np.float16), "", "")
    counts = without["reason"].value_counts()
    summary = {
        "images with a vector": int(there.sum()), "dimensions": int(embedding.shape[1]),
        **{f"without: {reason}": int(count) for reason, count in counts.items() if count},
    }  # fmt: skip
    return Report(tables={"embed/without": without}, summary=summary, vectors=store)
