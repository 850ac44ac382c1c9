"""Members of containers come out byte for byte; what is wrong with one is a reason."""

from __future__ import annotations

import importlib.util
import io
import multiprocessing
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.manifest import Manifest
from curate.images import files
from curate.images.containers import split_path
from curate.images.files import read_bytes, stat_path
from curate.images.reasons import REASONS

_spec = importlib.util.spec_from_file_location("containers", Path(__file__).with_name("containers.py"))
write = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(write)


def reason(root: Path, path: str) -> str:
    code, data = read_bytes(root, path)
    assert code == 0 or data == b""
    return REASONS[code]


def jpeg(seed: int) -> bytes:
    import cv2

    return cv2.imencode(".jpg", np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8))[1].tobytes()


def test_which_paths_lead_into_a_container():
    assert split_path("a/train.rec#64") == ("a/train.rec", "64")
    assert split_path("a.TAR#x/b#c.jpg") == ("a.TAR", "x/b#c.jpg")
    assert split_path("a.tar/b.rec#1#2") == ("a.tar/b.rec", "1#2")
    for path in ("a#b.jpg", "a.rec", "a.rec#", "#1", "a.tar.gz#x", "a.recording#1"):
        assert split_path(path) is None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.one_of(st.binary(max_size=9), st.just(struct.pack("<I", write.MAGIC)))).map(b"".join),
                min_size=1, max_size=6), st.integers(1, 3))  # fmt: skip
def test_records_come_out_as_they_went_in(tmp_path_factory, images, width):
    root = tmp_path_factory.mktemp("rec")
    offsets = write.write_rec(root / "t.rec", images, [[0.5] * width] * len(images))
    for image, offset in zip(images, offsets, strict=True):
        assert read_bytes(root, f"t.rec#{offset}") == ((0, image) if image else (REASONS.index("empty_file"), b""))


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=200), st.integers(0, 250))
def test_any_bytes_as_a_container_give_a_reason(tmp_path_factory, data, offset):
    root = tmp_path_factory.mktemp("any")
    good = jpeg(0)
    write.write_rec(root / "t.rec", [good])
    raw = bytearray((root / "t.rec").read_bytes())
    raw[offset : offset + len(data)] = data
    (root / "t.rec").write_bytes(bytes(raw))
    write.write_tar(root / "t.tar", {"x": good})
    raw = bytearray((root / "t.tar").read_bytes())
    raw[offset : offset + len(data)] = data
    (root / "t.tar").write_bytes(bytes(raw))
    for path in ("t.rec#0", f"t.rec#{offset}", "t.tar#x", "t.tar#y"):
        code, found = read_bytes(root, path)
        assert 0 <= code < len(REASONS)
        assert bool(found) == (code == 0)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_an_archive(tmp_path: Path, form: int):
    long = "anna/" + "n" * 90 + ".jpg" if form == tarfile.USTAR_FORMAT else "anna/" + "n" * 200 + ".jpg"
    members = {"anna/1.jpg": b"one", long: b"two" * 999, "empty.jpg": b"", "a#b.jpg": b"three"}
    write.write_tar(tmp_path / "s.tar", members, form)
    for name, data in members.items():
        assert read_bytes(tmp_path, f"s.tar#{name}") == ((0, data) if data else (REASONS.index("empty_file"), b""))
    assert reason(tmp_path, "s.tar#anna") == "missing"


def test_the_last_of_two_members_counts_and_only_files_are_read(tmp_path: Path):
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for data in (b"old", b"newer"):
            info = tarfile.TarInfo("x.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("folder", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert read_bytes(tmp_path, "s.tar#x.jpg") == (0, b"newer")
    assert {reason(tmp_path, f"s.tar#{name}") for name in ("link", "hard", "folder")} == {"not_a_file"}


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    first, second = write.write_rec(root / "t.rec", [jpeg(0), jpeg(1)])
    raw = (root / "t.rec").read_bytes()
    (root / "cut.rec").write_bytes(raw[:-50])
    (root / "head.rec").write_bytes(raw[: second + 5])
    (root / "liar.rec").write_bytes(struct.pack("<IIIfQQ", write.MAGIC, 24, 9, 0, 0, 0))  # 9 labels, and no byte more
    (root / "short.rec").write_bytes(struct.pack("<II", write.MAGIC, 4) + b"1234")
    (root / "middle.rec").write_bytes(struct.pack("<II", write.MAGIC, 2 << 29 | 4) + b"1234")
    write.write_tar(root / "s.tar", {"a": b"x" * 3000})
    (root / "cut.tar").write_bytes((root / "s.tar").read_bytes()[:2000])
    (root / "no.tar").write_bytes(b"no archive" * 100)
    (root / "empty.rec").touch()
    (root / "folder.rec").mkdir()
    (tmp_path / "out.rec").write_bytes(raw)
    (root / "leak.rec").symlink_to("../out.rec")
    (root / "in.rec").symlink_to("t.rec")
    assert reason(root, f"in.rec#{second}") == "fine"
    said = {
        "t.rec#4": "corrupt", "t.rec#99999999": "missing", "t.rec#x": "missing", "t.rec#-8": "missing",
        "t.rec#" + "9" * 4000: "missing", "t.rec#²": "missing", f"cut.rec#{second}": "truncated",
        f"head.rec#{second}": "truncated", "liar.rec#0": "corrupt", "short.rec#0": "corrupt",
        "middle.rec#0": "corrupt", "cut.tar#a": "truncated", "no.tar#a": "corrupt", "empty.rec#0": "missing",
        "folder.rec#0": "not_a_file", "gone.rec#0": "missing", f"leak.rec#{first}": "outside_root",
        f"../out.rec#{first}": "outside_root", "s.tar#../a": "missing",
    }  # fmt: skip
    assert {path: reason(root, path) for path in said} == said
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    assert reason(root, "t.rec#0") == reason(root, "s.tar#a") == "too_large"


def test_a_container_that_is_written_anew_is_opened_anew(tmp_path: Path):
    write.write_tar(tmp_path / "s.tar", {"a": b"old", "b": b"b"})
    assert read_bytes(tmp_path, "s.tar#a") == (0, b"old")
    write.write_tar(tmp_path / "new.tar", {"b": b"b", "a": b"newer"})
    os.replace(tmp_path / "new.tar", tmp_path / "s.tar")
    assert read_bytes(tmp_path, "s.tar#a") == (0, b"newer")
    assert stat_path(tmp_path, "s.tar#a").st_size == (tmp_path / "s.tar").stat().st_size


def test_no_more_than_some_containers_stay_open(tmp_path: Path):
    for number in range(100):
        write.write_rec(tmp_path / f"{number}.rec", [b"x"])
    before = len(os.listdir("/proc/self/fd"))
    assert all(read_bytes(tmp_path, f"{number}.rec#0") == (0, b"x") for number in range(100))
    assert len(os.listdir("/proc/self/fd")) - before <= 64


def _all(task: tuple[str, list[str]]) -> list[tuple[int, bytes]]:
    return [read_bytes(task[0], path) for path in task[1]]


def test_processes_that_share_a_container_do_not_disturb_one_another(tmp_path: Path):
    images = [bytes([n]) * 500 for n in range(200)]
    paths = [f"t.rec#{offset}" for offset in write.write_rec(tmp_path / "t.rec", images)]
    read_bytes(tmp_path, paths[0])  # open before the fork
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(_all, [(str(tmp_path), paths)] * 4, chunksize=1)
    assert all(part == [(0, image) for image in images] for part in found)


def test_the_engine_reads_members_as_it_reads_files(tmp_path: Path):
    from curate.core.shapes import SerialExecutor
    from curate.embed.params import BaselineParams
    from curate.recipe.features import FeatureStore

    pictures = [jpeg(n) for n in range(6)]
    for number, data in enumerate(pictures):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    offsets = write.write_rec(tmp_path / "t.rec", pictures)
    write.write_tar(tmp_path / "t.tar", {f"a/{n}.jpg": data for n, data in enumerate(pictures)})
    found = []
    for paths in (
        [f"{n}.jpg" for n in range(6)],
        [f"t.rec#{o}" for o in offsets],
        [f"t.tar#a/{n}.jpg" for n in range(6)],
    ):
        frame = pd.DataFrame({"image_id": [f"i{n}" for n in range(6)], "identity": "a", "path": paths})
        table = Manifest.from_frame(frame, root=tmp_path)
        store = FeatureStore(table, tmp_path / "cache", SerialExecutor(), BaselineParams())
        found.append({name: store.get(name, table) for name in ("content", "phash", "decoded")})
    for other in found[1:]:
        for name, values in found[0].items():
            assert np.array_equal(values, other[name])
