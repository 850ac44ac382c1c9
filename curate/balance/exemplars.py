"""The rivals that choose by vectors: of each identity the photographs that stand for all of them."""

from __future__ import annotations

import numpy as np

from curate.balance.rivals import Limits, Method, Pool
from curate.core.errors import InputError


def herding(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Keep of each identity the `images` photographs whose mean vector follows that of all its photographs.

    Source: herding (Welling, Herding dynamical weights to learn, ICML 2009) as exemplars are chosen in Rebuffi et al.,
    iCaRL, CVPR 2017, algorithm 4. A photograph without a vector is taken last; ties go to the first row.
    """
    return _thin(pool, limits, "herding")


def k_center(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Keep of each identity `images` photographs that are far apart: nearest to the mean, then farthest first.

    Source: Gonzalez, Clustering to minimize the maximum intercluster distance, 1985; as a core set in Sener,
    Savarese, ICLR 2018. A photograph without a vector is taken last; ties go to the first row.
    """
    return _thin(pool, limits, "k_center")


#: Methods that need a vector of each image.
BY_VECTORS: dict[str, Method] = {"herding": herding, "k_center": k_center}


def _thin(pool: Pool, limits: Limits, name: str) -> np.ndarray:
    from curate.balance import rival_kernels as kernels

    if pool.vectors is None:
        raise InputError(
            f"{name} chooses by vectors, and there are none", remedy="Give a source with pixels or vectors"
        )
    times = (pool.identity < 0).astype(np.int64)
    rows = np.flatnonzero(pool.identity >= 0)
    rows = rows[np.argsort(pool.identity[rows], kind="stable")]
    sizes = np.bincount(pool.identity[rows]) if len(rows) else np.zeros(0, dtype=np.int64)
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    vectors = np.ascontiguousarray(pool.vectors, dtype=np.float32)
    getattr(kernels, name)(vectors, rows, start, limits.images, times)
    return times
