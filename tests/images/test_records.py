"""The parsers of records and lists, fuzzed: nothing makes them fail, and whole records are always found."""

from __future__ import annotations

import os
import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.images.records import MAGIC, Damage, parse_idx, parse_lst, walk

#: 100,000 inputs of each parser were run once (FUZZ=100000); a few hundred in every run of the tests.
INPUTS = int(os.environ.get("FUZZ", "300"))
fuzzed = settings(max_examples=INPUTS, deadline=None, suppress_health_check=list(HealthCheck), database=None)

_WORD = st.one_of(
    st.just(struct.pack("<I", MAGIC)), st.integers(0, 2**32 - 1).map(lambda value: struct.pack("<I", value)),
    st.integers(0, 80).map(lambda value: struct.pack("<I", value)),
    st.tuples(st.integers(0, 7), st.integers(0, 80)).map(lambda one: struct.pack("<I", one[0] << 29 | one[1])),
    st.binary(max_size=5),
)  # fmt: skip


def record(payload: bytes, labels: list[float]) -> bytes:
    body = struct.pack("<IfQQ", len(labels), 0.0, 0, 0) + struct.pack(f"<{len(labels)}f", *labels) + payload
    return struct.pack("<II", MAGIC, len(body)) + body + bytes(-len(body) % 4)


@fuzzed
@given(st.lists(_WORD, max_size=40).map(b"".join))
def test_no_bytes_make_the_walk_fail(data: bytes):
    damage = Damage()
    found = list(walk(data, damage))
    ends = 0
    for one in found:
        assert ends <= one.offset < one.start <= one.end <= len(data)
        ends = one.end
    assert damage.passed_over <= len(data)
    assert repr(list(walk(memoryview(data)))) == repr(found), "a label may be NaN"


@fuzzed
@given(
    st.lists(st.tuples(st.binary(max_size=30), st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=3)),
             max_size=6),
    st.binary(max_size=24).filter(lambda one: struct.pack("<I", MAGIC)[:1] not in one),
)  # fmt: skip
def test_whole_records_are_found_around_damage(records: list[tuple[bytes, list[float]]], dirt: bytes):
    """Dirt between whole records, whatever it is, costs no record."""
    magic = struct.pack("<I", MAGIC)
    records = [(payload.replace(magic[:1], b"."), labels) for payload, labels in records]
    dirt += bytes(-len(dirt) % 4)
    data = dirt.join(record(payload, labels) for payload, labels in records)
    found = [(data[one.start : one.end], list(one.labels)) for one in walk(data)]
    assert found == records


_CELL = st.one_of(st.text(max_size=8), st.integers(-5, 10**20).map(str), st.floats().map(str), st.just("../x.jpg"))


@fuzzed
@given(st.one_of(st.binary(max_size=120), st.lists(st.lists(_CELL, max_size=5).map("\t".join), max_size=6).map(
    lambda lines: "\n".join(lines).encode("utf-8", "replace"))))  # fmt: skip
def test_no_bytes_make_a_list_fail(data: bytes):
    lines, bad = parse_lst(data)
    filled = [line for line in data.split(b"\n") if line.strip()]
    assert len(lines) + len(bad) == len(filled), "every line is counted once"
    assert all(line.path and isinstance(line.key, int) for line in lines)
    keys, wrong = parse_idx(data)
    assert len(keys) + wrong <= len(filled)


def test_odd_blanks_around_a_key_are_blanks():
    assert parse_lst(b"1\x1e\t2\tx.jpg\n")[0] == [(1, 2.0, "x.jpg")]  # found by the fuzzing


def test_a_record_in_parts_is_one_record():
    magic = struct.pack("<I", MAGIC)
    body = struct.pack("<IfQQ", 0, 3.0, 0, 0) + b"abcd"
    parts = [(1, body), (2, b"efgh"), (3, b"ij")]
    data = b"".join(
        magic + struct.pack("<I", kind << 29 | len(part)) + part + bytes(-len(part) % 4) for kind, part in parts
    )
    data += record(b"next", [1.0])
    first, second = walk(data)
    assert (first.offset, first.labels, first.whole, second.whole) == (0, (3.0,), False, True)
    cut = data[: data.index(b"ij")]
    damage = Damage()
    assert [one.labels for one in walk(cut, damage)] == []
    assert damage.places > 0
