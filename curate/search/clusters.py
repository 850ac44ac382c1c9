"""Whether the vectors under one name show one person or two, and which."""

from __future__ import annotations

import numpy as np

#: How often every vector may change sides.
_SWEEPS = 10


def two_persons(vectors: np.ndarray, identity: np.ndarray, between: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part the vectors of each identity in two where that explains them best.

    vectors `(N, d)` on the axes of a TwoCovariance with this `between`, identity `(N,)` codes from 0. Returns part
    `(N,)` int8, 1 for the smaller of the two sets (of equal ones, the one without the first row), and ratio `(K,)`
    float64: the log-likelihood of two persons minus that of one, over the best parting found; -inf for an identity
    with fewer than two vectors. The search starts from the leading axis of the identity's spread, cut in three
    places, and moves one vector at a time while the likelihood rises (as Hartigan and Wong 1979 do for k-means), so
    it costs time linear in N and may stop short of the best parting of an identity.
    """
    from curate.search.cluster_kernels import part_in_two

    order = np.argsort(identity, kind="stable")
    identities = int(identity.max(initial=-1)) + 1
    starts = np.zeros(identities + 1, np.int64)
    np.cumsum(np.bincount(identity, minlength=identities), out=starts[1:])
    found, ratio = part_in_two(vectors[order], starts, between, _SWEEPS)
    part = np.empty(len(vectors), np.int8)
    part[order] = found
    return part, ratio
