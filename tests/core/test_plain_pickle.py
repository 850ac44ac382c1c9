"""Pickles of plain data are read as they are; nothing that a pickle names is ever called."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.core.plain_pickle import load_plain

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.binary(), st.text())
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner))
)


@given(values, st.integers(0, 5))
def test_plain_data_comes_back(tmp_path_factory, value, protocol):
    path = tmp_path_factory.mktemp("pickle") / "value.bin"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert load_plain(path) == value


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_and_numbers_of_numpy_come_as_plain_ones(tmp_path: Path, protocol: int):
    jpeg = np.frombuffer(b"\xff\xd8 jpeg", dtype=np.uint8)
    value = (
        [jpeg, jpeg.reshape(-1, 1)],
        [np.True_, np.False_],
        np.arange(6, dtype="<i4").reshape(2, 3),
        np.float32(0.5),
    )
    path = tmp_path / "value.bin"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert load_plain(path) == ([jpeg.tobytes()] * 2, [True, False], [[0, 1, 2], [3, 4, 5]], 0.5)


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "evil",
    [
        Calls(os.mkdir, "PLACE"),
        Calls(eval, "__import__('os').mkdir('PLACE')"),
        [b"fine", Calls(os.system, "mkdir PLACE")],
        Calls(bytes, 10),
        Calls(np.dtype, "O"),
        np.array([object()], dtype=object),
    ],
)
def test_nothing_is_called(tmp_path: Path, monkeypatch, evil):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.bin"
    path.write_bytes(pickle.dumps(evil, protocol=2))
    with pytest.raises(InputError, match="not a pickle of plain data"):
        load_plain(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.bin"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2, 3])[:-4],
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x95",
        b"cnumpy\ndtype\n.",
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, raw: bytes):
    path = tmp_path / "damaged.bin"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="not a pickle of plain data"):
        load_plain(path)


def test_a_missing_file_is_said(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        load_plain(tmp_path / "none.bin")
