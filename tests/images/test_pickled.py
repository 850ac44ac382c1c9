"""Verification sets are read as pickle would read them, and nothing that a pickle names is ever called."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.images.pickled import read_bin

PAIRS = st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=300), st.booleans()), max_size=5)
FORMS = {
    "bytes": bytes,
    "array": lambda one: np.frombuffer(one, np.uint8).copy(),
    "column": lambda one: np.frombuffer(one, np.uint8).reshape(-1, 1).copy(),
}
ANSWERS = {
    "list": list,
    "tuple": tuple,
    "array": lambda one: np.array(one, dtype=bool),
    "numbers": lambda one: [int(each) for each in one],
    "numpy": lambda one: [np.bool_(each) for each in one],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bin") / "set.bin"


@settings(deadline=None)
@given(PAIRS, st.sampled_from(sorted(FORMS)), st.sampled_from(sorted(ANSWERS)), st.integers(3, 5))
def test_it_reads_what_was_pickled(file: Path, pairs, form: str, answers: str, protocol: int):
    images = [one for a, b, _ in pairs for one in (a, b)]
    same = [answer for *_, answer in pairs]
    data = pickle.dumps(([FORMS[form](one) for one in images], ANSWERS[answers](same)), protocol=protocol)
    file.write_bytes(data)
    spans, found = read_bin(file)
    assert [data[span.offset : span.offset + span.size] for span in spans] == images
    assert found == same


def test_strings_of_python_2_are_bytes(file: Path):
    images = [b"\xff\xd8 one", b"\xff\xd8 two" * 50]
    data = b"\x80\x02](U" + bytes([len(images[0])]) + images[0] + b"T" + struct.pack("<i", len(images[1])) + images[1]
    file.write_bytes(data + b"e]\x88a\x86.")
    spans, same = read_bin(file)
    assert [data[span.offset : span.offset + span.size] for span in spans] == images
    assert same == [True]


def test_bytes_written_as_text_are_refused_with_a_way_out(file: Path):
    file.write_bytes(pickle.dumps(([b"\xff\xd8", b"b"], [True]), protocol=2))
    with pytest.raises(InputError, match=r"_codecs.*pickle protocol 3 or later"):
        read_bin(file)


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "evil",
    [
        Calls(os.mkdir, "PLACE"), Calls(eval, "__import__('os').mkdir('PLACE')"),
        [b"", Calls(os.system, "mkdir PLACE")], Calls(bytes, 10), Calls(np.dtype, "O"),
        np.array([object()], dtype=object), np.zeros(3),
    ], ids=range(7),
)  # fmt: skip
def test_nothing_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil, protocol: int):
    monkeypatch.chdir(tmp_path)
    for value in (evil, ([b"", evil], [True]), ([b"", b""], [evil]), ([b"", b""], evil)):
        (tmp_path / "evil.bin").write_bytes(pickle.dumps(value, protocol=protocol))
        with pytest.raises(InputError):
            read_bin(tmp_path / "evil.bin")
    assert os.listdir(tmp_path) == ["evil.bin"]


SOUND = pickle.dumps(([np.frombuffer(b"\xff\xd8 one", np.uint8), b"two"], [np.True_]), protocol=4)


@settings(max_examples=500, deadline=None)
@given(st.one_of(
    st.binary(max_size=60),
    st.integers(0, len(SOUND)).map(lambda cut: SOUND[:cut]),
    st.tuples(st.integers(0, len(SOUND) - 1), st.binary(min_size=1, max_size=3)).map(
        lambda one: SOUND[: one[0]] + one[1] + SOUND[one[0] + len(one[1]) :]),
))  # fmt: skip
def test_damage_is_an_error_or_a_set_within_the_file(file: Path, data: bytes):
    file.write_bytes(data)
    try:
        spans, same = read_bin(file)
    except InputError:
        return
    assert len(spans) == 2 * len(same)
    assert all(0 <= span.offset <= span.offset + span.size <= len(data) for span in spans)
