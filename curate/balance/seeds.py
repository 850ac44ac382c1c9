"""One augmentation seed for each replica, a hash of the step's seed, the parent's id and the replica's number."""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa


def augment_seeds(ids: pa.Array, parents: np.ndarray, number: np.ndarray, seed: int) -> np.ndarray:
    """Seeds `(R,)` uint64 below 2**63 for the replicas `number` of the rows `parents` of `ids`.

    A seed depends on nothing but (seed, the parent's id, the number), so that any replica can be made again alone. The
    bytes of the id go through the finaliser of SplitMix64 (Steele, Lea, Flood, Fast Splittable Pseudorandom Number
    Generators, 2014), eight at a time.
    """
    ids = ids if pa.types.is_large_string(ids.type) else ids.cast(pa.large_string())
    _, offsets, data = ids.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[ids.offset : ids.offset + len(ids) + 1] if offsets else np.zeros(1)
    text = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, dtype=np.uint8)
    return _seeds(text, starts.astype(np.int64), parents.astype(np.int64), number.astype(np.uint64), np.uint64(seed))


@numba.njit(cache=True, inline="always")
def _mix(value):
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True)
def _seeds(text, starts, parents, number, seed):
    made = np.empty(len(parents), dtype=np.uint64)
    gamma = np.uint64(0x9E3779B97F4A7C15)
    for i in range(len(parents)):
        begin, end = starts[parents[i]], starts[parents[i] + 1]
        state = _mix(seed + gamma)
        at = begin
        while at < end:
            word = np.uint64(0)
            for shift in range(min(8, end - at)):
                word |= np.uint64(text[at + shift]) << np.uint64(8 * shift)
            state = _mix((state ^ word) + gamma)
            at += 8
        state = _mix((state ^ np.uint64(end - begin)) + gamma)
        made[i] = _mix((state ^ number[i]) + gamma) >> np.uint64(1)
    return made
