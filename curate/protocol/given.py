"""What else a protocol is given: copies that may not be compared, what is matched, and what was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.files import read_table
from curate.core.manifest import Manifest, text_array
from curate.core.shapes import Features
from curate.core.tables import read_columns
from curate.protocol.params import QUALITY

#: Numbers are matched in this many bins of equally many images.
BINS = 4


def copy_codes(manifest: Manifest, path: Path) -> np.ndarray:
    """Codes `(N,)`: the same for images that a table of duplicates calls copies, also by way of others; else -1.

    path: the `pairs.parquet` of duplicates (`image_id_a`, `image_id_b`). Raises InputError for a table without them.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    table = read_table(path)
    for name in ("image_id_a", "image_id_b"):
        if name not in table:
            raise InputError("not a table of duplicates", file=path, column=name, value=list(map(str, table.columns)),
                             remedy="Give the pairs.parquet that `curate duplicates` wrote")  # fmt: skip
    encoded = pc.dictionary_encode(pa.concat_arrays([text_array(table[f"image_id_{side}"]) for side in "ab"]))
    node = encoded.indices.to_numpy(zero_copy_only=False)
    size = len(encoded.dictionary)
    ones = np.ones(len(table), dtype=np.int8)
    graph = coo_matrix((ones, (node[: len(table)], node[len(table) :])), (size, size))
    _, component = connected_components(graph, False)
    rows = manifest.rows_of(encoded.dictionary)
    codes = np.full(len(manifest), -1, dtype=np.int64)
    codes[rows[rows >= 0]] = component[rows >= 0]
    if size and (rows < 0).all():
        raise InputError("none of the images of the table of duplicates is in the manifest", file=path,
                         value=encoded.dictionary[0].as_py(), remedy="Both need the same image_id")  # fmt: skip
    return codes


def matched_codes(
    manifest: Manifest, names: tuple[str, ...], features: Features, rows: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes `(N,)` of the values of some columns together, -1 where one is missing, and what they are called.

    A column that is no label is read as numbers, or as words if it holds none. A column of numbers, and `quality` (the
    feature: sharpness times pixels squared, see `images.quality`), is cut at the quartiles of the images in the mask
    `rows`. Raises InputError for an unknown column.
    """
    total = np.zeros(len(manifest), dtype=np.int64)
    missing = np.zeros(len(manifest), dtype=bool)
    words = [""]
    for name in names:
        codes, values = _one(manifest, name, features, rows)
        missing |= codes < 0
        total = total * len(values) + codes
        words = [f"{before}{', ' if before else ''}{name} {value}" for before in words for value in values]
    total[missing] = -1
    used = np.unique(total[rows & ~missing])
    renumber = np.full(len(words) + 1, -1, dtype=np.int64)
    renumber[used] = np.arange(len(used))
    return renumber[total], tuple(words[code] for code in used.tolist()) or ("none",)


def _one(manifest: Manifest, name: str, features: Features, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    if name == QUALITY and name not in manifest.frame:
        from curate.images.quality import detail

        values = detail(features["quality"])
    elif name not in manifest.frame:
        raise InputError(f"match: there is no column {name!r}. {nearest(name, [*manifest.frame.columns, QUALITY])}")
    elif isinstance(manifest.frame[name].dtype, pd.CategoricalDtype):
        return manifest.codes(name).astype(np.int64), list(map(str, manifest.frame[name].cat.categories))
    else:
        column = manifest.frame[name]
        values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
        if np.isnan(values).all():
            words = pd.Categorical(column.astype("str"))
            return words.codes.astype(np.int64), list(map(str, words.categories))
    known = ~np.isnan(values)
    inside = values[known & rows]
    edges = np.unique(np.quantile(inside, np.arange(1, BINS) / BINS)) if len(inside) else np.zeros(0)
    codes = np.searchsorted(edges, values, side="right")
    codes[~known] = -1
    return codes.astype(np.int64), [f"bin {number + 1} of {len(edges) + 1}" for number in range(len(edges) + 1)]


def training_overlap(identities: pa.Array, images: pa.Array, path: Path) -> pd.DataFrame:
    """What a training manifest shares with the pairs, by name: columns `kind` (`identity` or `image`) and `name`.

    identities, images: the distinct names of the pairs. Raises InputError where `image_id` or `identity` is
    missing.
    """
    table, _ = read_columns(path)
    parts = []
    for kind, column, names in (("identity", col.IDENTITY, identities), ("image", col.IMAGE_ID, images)):
        if column not in table.column_names:
            raise InputError(f"the column {column!r} is missing", file=path, value=table.column_names,
                             remedy="Give a manifest: a table with image_id and identity")  # fmt: skip
        theirs = text_array(table.column(column))
        names = text_array(names)
        shared = names.filter(pc.is_in(names, value_set=theirs))
        parts.append(pd.DataFrame({"kind": kind, "name": shared.to_pylist()}, dtype="str"))
    return pd.concat(parts, ignore_index=True)
