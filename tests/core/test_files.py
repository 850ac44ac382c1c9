"""Files written whole or not at all; names and paths."""

from __future__ import annotations

import errno
import os

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core import files
from curate.core.errors import CurateError, InputError
from curate.core.files import decode_name, encode_name, locate, path_problem


def test_the_old_file_survives_a_failure(tmp_path):
    path = tmp_path / "folder" / "x.json"
    files.write_json(path, {"b": 1, "a": "é"})
    old = path.read_bytes()
    with pytest.raises(TypeError), files.atomic_path(path) as temporary:
        temporary.write_text(None)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == ["x.json"]
    assert files.read_json(path) == {"a": "é", "b": 1}


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, where):
    path = tmp_path / "table.parquet"
    files.write_table(path, pd.DataFrame({"x": [1]}))
    old = path.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        *{"write": (pq, "write_table"), "fsync": (os, "fsync"), "replace": (os, "replace")}[where], full
    )
    with pytest.raises(CurateError, match=r"cannot write .*table.parquet: No space left on device.*free some space"):
        files.write_table(path, pd.DataFrame({"x": [2]}))
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["table.parquet"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CurateError, match=r"cannot write .*x\.txt"):
        files.write_text(tmp_path / "file" / "x.txt", "text")


def test_a_table_is_the_same_bytes_each_time_and_without_library_metadata(tmp_path):
    frame = pd.DataFrame({"x": range(10), "t": pd.Categorical(list("ababababab"))})
    for name in ("one", "two"):
        files.write_table(tmp_path / name, frame, {"key": "value"})
    assert files.file_digest(tmp_path / "one") == files.file_digest(tmp_path / "two")
    assert b"pandas" not in (pq.read_schema(tmp_path / "one").metadata or {})
    assert pq.read_schema(tmp_path / "one").metadata[b"key"] == b"value"
    assert files.read_table(tmp_path / "one")["x"].tolist() == list(range(10))


def test_damaged_and_missing_files_are_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match=r"x\.json: not valid JSON"):
        files.read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"x\.parquet: not a readable Parquet file"):
        files.read_table(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"y\.parquet: no such file"):
        files.read_table(tmp_path / "y.parquet")


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.binary(), st.lists(st.sampled_from([b"%", b"2", b"5", b"f", b"F", b"\xff", b"\xc3", b"\xa9", b"a"]))
                 .map(b"".join)))  # fmt: skip
def test_any_name_survives_the_round_trip(raw):
    text = encode_name(raw)
    text.encode("utf-8")
    assert decode_name(text) == raw


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="%", exclude_categories=["Cs"])))
def test_a_plain_name_stays(text):
    assert encode_name(text.encode()) == text


@settings(deadline=None)
@given(st.sets(st.binary(max_size=6), max_size=20))
def test_two_names_never_become_one(names):
    assert len({encode_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "a/..", "/etc/passwd", "C:\\x", "c:/x", "a\0b"])
def test_paths_that_leave_the_root_are_refused(tmp_path, path):
    assert path_problem(path)
    with pytest.raises(InputError):
        locate(tmp_path, path)


@pytest.mark.parametrize("path", ["%2e%2e/x.jpg", "%2Fetc/passwd", "a%00b"])
def test_escapes_do_not_lead_out(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "x.jpg").touch()
    with pytest.raises((InputError, FileNotFoundError)):
        locate(root, path)


def test_links_stay_under_the_root(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "rooted"
    (root / "a").mkdir(parents=True)
    outside.mkdir()
    for folder in (root / "a", outside):
        (folder / "x.jpg").write_bytes(b"x")
    (root / "inside").symlink_to(root / "a")
    (root / "outside").symlink_to(outside)
    (root / "file.jpg").symlink_to(outside / "x.jpg")
    (root / "loop").symlink_to(root / "loop")
    (tmp_path / "link").symlink_to(root)
    assert locate(root, "inside/x.jpg") == root.resolve() / "a" / "x.jpg"
    assert locate(tmp_path / "link", "a/x.jpg") == root.resolve() / "a" / "x.jpg"
    for path in ("outside/x.jpg", "file.jpg"):
        with pytest.raises(InputError, match="a link leads out of the root"):
            locate(root, path)
    for path in ("loop", "nothing.jpg"):
        with pytest.raises(OSError, match=path):
            locate(root, path)


def test_a_name_that_is_no_text_is_found(tmp_path):
    raw = b"caf\xe9 %41.jpg"
    with open(os.path.join(os.fsencode(tmp_path), raw), "wb"):
        pass
    assert os.fsencode(locate(tmp_path, encode_name(raw))).endswith(raw)
    (tmp_path / "100%25.jpg").touch()
    assert locate(tmp_path, "100%25.jpg").name == "100%25.jpg"
