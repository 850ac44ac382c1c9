"""Thumbnails: small, safe, and never an exception."""

from __future__ import annotations

import base64
import io
import os
import struct
import tarfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from curate.report.pictures import SIDE, thumbnail


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGB", "jpg"), ("L", "png"), ("RGBA", "png"), ("P", "gif"), ("I;16", "png")]
)
def test_any_mode_becomes_a_small_jpeg(tmp_path: Path, mode: str, suffix: str) -> None:
    Image.new(mode, (400, 200)).save(tmp_path / f"a.{suffix}")
    uri, problem = thumbnail(tmp_path, f"a.{suffix}")
    assert problem is None
    assert decoded(uri).size == (SIDE, SIDE // 2)


def test_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(tmp_path / "a.jpg", exif=exif)
    uri, _ = thumbnail(tmp_path, "a.jpg")
    assert decoded(uri).size == (SIDE // 2, SIDE)


def _png_that_promises(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_what_cannot_be_shown_has_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "empty.jpg").write_bytes(b"")
    (root / "text.jpg").write_text("no picture")
    (root / "bomb.png").write_bytes(_png_that_promises(20_000, 20_000))
    (root / "wide.png").write_bytes(_png_that_promises(60_000, 1_000))
    Image.new("RGB", (64, 64)).save(root / "half.jpg")
    (root / "half.jpg").write_bytes((root / "half.jpg").read_bytes()[:200])
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "folder.jpg").mkdir()
    os.mkfifo(root / "pipe.jpg")
    expected = {
        "empty.jpg": "empty file", "text.jpg": "not a readable picture", "half.jpg": "not a readable picture",
        "link.jpg": "outside", "../secret.jpg": "outside", "/etc/passwd": "outside", "folder.jpg": "not a file",
        "pipe.jpg": "not a file", "gone.jpg": "no such file", "a.rec#3": "missing", "": "no file",
        "bomb.png": "too large to show", "wide.png": "too large to show (60,000 x 1,000 pixels)",
    }  # fmt: skip
    for path, reason in expected.items():
        uri, problem = thumbnail(root, path)
        assert uri is None
        assert reason in problem, path
    assert thumbnail(None, "a.jpg") == (None, "the source has no pixels")
    assert thumbnail(root, None) == (None, "no file")


def test_a_picture_in_a_container_is_shown(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100)).save(tmp_path / "a.jpg")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(tmp_path / "a.jpg", "anna/1.jpg")
        archive.add(__file__, "text.jpg")
    assert thumbnail(tmp_path, "shard.tar#anna/1.jpg") == thumbnail(tmp_path, "a.jpg")
    assert thumbnail(tmp_path, "shard.tar#text.jpg") == (None, "not a readable picture")
