"""What the searches that list all pairs share: how many they list, and which rows are new."""

from __future__ import annotations

import numpy as np

from curate.core.errors import InputError

#: Pairs that a search returns at most, unless told: 50 to 60 bytes each while they are sorted.
MAX_PAIRS = 50_000_000

#: (i, j, what was measured of each pair)
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def new_rows(new: np.ndarray, length: int) -> np.ndarray:
    """The mask `(N,)` bool of the new rows as given; raises InputError where it is none of so many rows."""
    new = np.asarray(new)
    if new.dtype != bool or new.shape != (length,):
        raise InputError("`new` is not a mask of the rows", value=f"{new.shape} {new.dtype}",
                         allowed=f"({length},) bool")  # fmt: skip
    return new
