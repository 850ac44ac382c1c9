"""Demographic groups and cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from curate.core.errors import InputError
from curate.core.manifest import Manifest


def cells(manifest: Manifest, labels: Sequence[str]) -> pd.Categorical:
    """The cell of each row: the values of `labels` joined by `/` in the order asked, as in `f/Asian`.

    Returns a categorical `(N,)` of the cells that occur, sorted; a row with any label missing is null.
    Raises InputError for an unknown label. No labels: every row is in the one cell `all`.
    """
    n = len(manifest)
    if not labels:
        return pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index(["all"], dtype="str"))
    combined = np.zeros(n, dtype=np.int64)
    missing = np.zeros(n, dtype=bool)
    values = []
    for label in labels:
        codes = manifest.codes(label)
        categories = manifest.frame[label].cat.categories
        missing |= codes < 0
        combined = combined * max(len(categories), 1) + np.maximum(codes, 0)
        values.append(categories)
    present, inverse = np.unique(combined[~missing], return_inverse=True)
    names = []
    for cell in present.tolist():
        parts = []
        for categories in reversed(values):
            cell, code = divmod(cell, max(len(categories), 1))
            parts.append(str(categories[code]))
        names.append("/".join(reversed(parts)))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two cells of {', '.join(labels)} are both called {twice!r}, since a value holds '/'",
                         remedy="Write the values without '/'")  # fmt: skip
    order = np.argsort(np.array(names, dtype=object), kind="stable")
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    codes = np.full(n, -1, dtype=np.int64)
    codes[~missing] = rank[inverse]
    return pd.Categorical.from_codes(codes, categories=pd.Index([names[i] for i in order], dtype="str"))
