"""The vector store: what it loads and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curate.core.errors import InputError
from curate.core.manifest import text_array
from curate.core.vectors import Vectors, check_unit_length, load_vectors, unit


def store(n: int = 5, kind: type = np.float32) -> Vectors:
    matrix = unit(np.random.default_rng(0).normal(size=(n, 8))).astype(kind)
    return Vectors(text_array([f"i{row}" for row in range(n)]), matrix, "model", "print")


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_written_and_loaded(tmp_path, kind):
    made = store(kind=kind)
    made.write(tmp_path / "store")
    back = load_vectors(tmp_path / "store")
    assert isinstance(back.matrix, np.memmap)
    assert back.matrix.dtype == kind
    assert np.array_equal(back.matrix, made.matrix)
    assert (back.model, back.fingerprint) == ("model", "print")
    assert back.rows_of(["i3", "absent", "i0"]).tolist() == [3, -1, 0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_plain_matrix_beside_its_ids(tmp_path, suffix):
    np.save(tmp_path / "v.npy", store().matrix)
    ids = pd.DataFrame({"image_id": ["007", "1", "2", "3", "4"]})
    ids.to_csv(tmp_path / "v.csv", index=False) if suffix == ".csv" else ids.to_parquet(tmp_path / "v.parquet")
    back = load_vectors(tmp_path / "v.npy")
    assert back.rows_of(["007"]).tolist() == [0]
    assert back.model == "v"


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a vector store"):
        load_vectors(tmp_path)
    store().write(tmp_path)
    (tmp_path / "vectors.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"not a readable \.npy matrix"):
        load_vectors(tmp_path)
    np.save(tmp_path / "vectors.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"not a readable \.npy matrix"):
        load_vectors(tmp_path)
    np.save(tmp_path / "vectors.npy", store(4).matrix)
    with pytest.raises(InputError, match=r"ids and vectors differ; found \(4, 8\); allowed: \(5, D\)"):
        load_vectors(tmp_path)


def test_a_matrix_without_ids_is_refused(tmp_path):
    np.save(tmp_path / "v.npy", store().matrix)
    with pytest.raises(InputError, match=r"v\.csv"):
        load_vectors(tmp_path / "v.npy")
    with pytest.raises(InputError, match="no such file"):
        load_vectors(tmp_path / "absent.npy")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 2.0])
def test_vectors_that_are_not_of_unit_length_are_named(tmp_path, value):
    made = store()
    made.matrix[3] = value
    made.write(tmp_path)
    with pytest.raises(InputError, match="row 4: the vector is not of unit length"):
        load_vectors(tmp_path)


def test_unit():
    made = unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert made.tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]
    check_unit_length(made[:1])
    check_unit_length(np.zeros((0, 4)))
