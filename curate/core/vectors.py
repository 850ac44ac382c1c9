"""Vectors: one memory-mapped matrix of embeddings beside the ids of its images."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import atomic_path, json_digest, read_json, read_table, write_json, write_table
from curate.core.manifest import text_array

#: What a vector store consists of.
VECTOR_FILES = ("vectors.npy", "image_ids.parquet", "meta.json")

_TILE = 65_536


@dataclass(frozen=True)
class Vectors:
    """Unit-length embeddings.

    image_ids: Arrow text `(N,)`. matrix: `(N, D)` float16 or float32, memory-mapped when loaded.
    model: the name of what made them. fingerprint: changes whenever the model does.
    """

    image_ids: pa.Array
    matrix: np.ndarray
    model: str
    fingerprint: str

    def rows_of(self, image_ids: Any) -> np.ndarray:
        """Row of each id, -1 where there is no vector: int64."""
        found = pc.index_in(text_array(image_ids), value_set=self.image_ids)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    def write(self, folder: Path | str) -> None:
        """Write `vectors.npy`, `image_ids.parquet` and, last, `meta.json`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "vectors.npy") as temporary, open(temporary, "wb") as handle:
            np.save(handle, self.matrix)
        ids = pd.DataFrame({col.IMAGE_ID: pd.array(self.image_ids, dtype="str")})
        write_table(folder / "image_ids.parquet", ids)
        write_json(folder / "meta.json", {"model": self.model, "fingerprint": self.fingerprint})


@dataclass(frozen=True)
class StoredVectors:
    """The vectors of some images where they are stored, of any length: nothing is read before it is asked for.

    matrix: `(M, D)` float16 or float32, memory-mapped or not. rows: `(N,)` int64, the row of each image, -1 where it
    has no vector.
    """

    matrix: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, images: Any) -> StoredVectors:
        """Those of some images: a mask, a slice or places `(K,)`."""
        return StoredVectors(self.matrix, self.rows[images])

    def read(self) -> np.ndarray:
        """The vectors, `(N, D)`; zeros where an image has none."""
        if not len(self.matrix):
            return np.zeros((len(self), max(self.matrix.shape[1], 1)), self.matrix.dtype)
        found = np.take(np.asarray(self.matrix), np.maximum(self.rows, 0), axis=0)
        if (none := self.rows < 0).any():
            found[none] = 0
        return found

    def __getstate__(self) -> dict[str, Any]:
        # A task carries the file's name, not the file; what is in memory is sent, but no more than is asked for.
        if isinstance(self.matrix, np.memmap) and isinstance(self.matrix.base, mmap.mmap) and self.matrix.filename:
            return {"path": str(self.matrix.filename), "rows": self.rows}
        return {"matrix": self.read(), "rows": np.where(self.rows < 0, -1, np.arange(len(self)))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        matrix = state["matrix"] if "matrix" in state else np.load(state["path"], mmap_mode="r", allow_pickle=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "rows", state["rows"])


def load_vectors(folder: Path | str, ids: Path | str | None = None) -> Vectors:
    """Open a folder that `Vectors.write` wrote, or a `.npy` with a `.csv`/`.parquet` of ids in the order of its rows.

    ids: that table; by default the one of the same name beside the `.npy`. Raises InputError where ids and rows differ
    in number, `ids` is given for a folder, or a vector is not finite and of unit length.
    """
    vectors = open_vectors(folder, ids)
    check_unit_length(vectors.matrix, origin=folder)
    return vectors


def open_vectors(folder: Path | str, ids: Path | str | None = None) -> Vectors:
    """As `load_vectors`, but no vector is looked at: for who reads a few of millions, and norms those himself."""
    folder = Path(folder)
    if folder.suffix == ".npy":
        matrix_path, ids_path = folder, folder.with_suffix(".parquet") if ids is None else Path(ids)
        if ids is None and not ids_path.exists():
            ids_path = folder.with_suffix(".csv")
        for path in (matrix_path, ids_path):
            if not path.exists():
                raise InputError("no such file", file=path,
                                 remedy="A .npy matrix needs a .parquet or .csv of image_ids beside it, or named "
                                        "as ids")  # fmt: skip
        meta = {"model": folder.stem, "fingerprint": json_digest([_file_mark(folder), _file_mark(ids_path)])}
    elif ids is not None:
        raise InputError("a folder of vectors has its own ids", file=folder, value=str(ids),
                         remedy="Leave the ids out, or give the .npy file")  # fmt: skip
    else:
        matrix_path, ids_path = folder / "vectors.npy", folder / "image_ids.parquet"
        if not (folder / "meta.json").exists():
            raise InputError("not a vector store (no meta.json)", file=folder,
                             remedy="Give the folder that `Vectors.write` wrote, or a .npy file")  # fmt: skip
        meta = read_json(folder / "meta.json")
    try:
        matrix = np.load(matrix_path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"not a readable .npy matrix ({error})", file=matrix_path) from error
    if ids_path.suffix == ".csv":
        ids = pd.read_csv(ids_path, dtype=str, keep_default_na=False)
    else:
        ids = read_table(ids_path)
    if col.IMAGE_ID not in ids:
        raise InputError("the column 'image_id' is missing", file=ids_path, value=list(ids.columns))
    if matrix.ndim != 2 or len(ids) != len(matrix):
        raise InputError("ids and vectors differ", file=matrix_path, value=matrix.shape,
                         allowed=f"({len(ids)}, D), one row for each id in {ids_path.name}")  # fmt: skip
    return Vectors(text_array(ids[col.IMAGE_ID]), matrix, meta["model"], meta["fingerprint"])


def _file_mark(path: Path) -> str:
    """What changes with a file, without reading all of it: a matrix may be larger than a disk is fast."""
    if not path.exists():
        raise InputError("no such file", file=path)
    found = path.stat()
    return json_digest([path.stem, found.st_size, found.st_mtime_ns])


def check_unit_length(matrix: np.ndarray, *, origin: object = None) -> None:
    """Raise InputError unless every row `(D,)` of the matrix is finite and of length 1 within 1%, tile by tile."""
    for start in range(0, len(matrix), _TILE):
        tile = np.asarray(matrix[start : start + _TILE], dtype=np.float32)
        length = np.sqrt(np.einsum("ij,ij->i", tile, tile))
        bad = ~(np.abs(length - 1) <= 0.01)
        if bad.any():
            row = int(bad.argmax())
            raise InputError("the vector is not of unit length", file=origin, row=start + row + 1,
                             value=float(length[row]), allowed="length 1 within 0.01",
                             remedy="Divide each vector by its length; drop those that are zero or NaN")  # fmt: skip


def unit(matrix: np.ndarray) -> np.ndarray:
    """Rows `(N, D)` divided by their length, float32; a zero row stays zero."""
    matrix = np.asarray(matrix, dtype=np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    return matrix / np.where(length > 0, length, 1)[:, None]
