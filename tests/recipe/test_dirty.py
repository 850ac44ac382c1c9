"""A folder with everything that goes wrong in real folders: the run ends, and every file is accounted for."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from curate.core import columns as col
from curate.recipe.story import explain

EVIL = "<script>alert(1)</script>"


def _bomb(side: int) -> bytes:
    """A PNG whose header promises side x side pixels, and that holds none of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    root = tmp_path / "faces"
    rng = np.random.default_rng(0)
    for person in ("Ann", "Bob", EVIL.replace("/", "_")):
        (root / person).mkdir(parents=True)
        for number in range(3):
            pixels = cv2.resize(
                rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC
            )
            cv2.imwrite(str(root / person / f"{number}.png"), pixels)
    good = (root / "Ann" / "0.png").read_bytes()
    (root / "Ann" / "empty.jpg").write_bytes(b"")
    (root / "Ann" / "text.jpg").write_text("this is no picture")
    (root / "Ann" / "bomb.png").write_bytes(_bomb(20_000))
    (root / "Ann" / "cut.png").write_bytes(good[: len(good) // 2])
    (root / "Bob" / "notes.txt").write_text("not listed")
    outside = tmp_path / "secret.png"
    outside.write_bytes(good)
    (root / "Bob" / "link.png").symlink_to(outside)
    # A name that is no UTF-8, of a readable image.
    (Path(os.fsdecode(os.fsencode(root) + b"/Bob/caf\xe9.png"))).write_bytes((root / "Bob" / "1.png").read_bytes())
    return root


def test_every_file_is_accounted_for(small, go, dirty: Path, tmp_path: Path):
    small["source"] = {"kind": "folder", "root": str(dirty)}
    small["labels"] = {}
    small["steps"] = ["unreadable", "exact_duplicates", "near_duplicates", {"small_identities": {"min_images": 2}}]
    result = go(small, tmp_path / "run")
    rejected = pd.read_parquet(tmp_path / "run/rejected.parquet").set_index(col.IMAGE_ID)["reason"].astype("str")
    assert rejected["Ann/empty.jpg"] == "unreadable:empty_file"
    assert rejected["Ann/text.jpg"] == "unreadable:not_an_image"
    assert rejected["Ann/bomb.png"] == "unreadable:too_large"
    assert rejected["Ann/cut.png"] in ("unreadable:truncated", "unreadable:corrupt")
    assert rejected["Bob/link.png"] == "unreadable:outside_root"
    copies = {"Bob/1.png", "Bob/caf%E9.png"}
    assert len(copies & set(rejected.index)) == 1
    ids = set(result.manifest.frame[col.IMAGE_ID])
    assert len(ids) + len(rejected) == 9 + 4 + 2
    for image in rejected.index:
        assert explain(tmp_path / "run", image)[-1].text == "left out of the manifest"


def test_names_do_nothing_in_the_page(small, go, dirty: Path, tmp_path: Path):
    small["source"] = {"kind": "folder", "root": str(dirty)}
    small["labels"] = {}
    small["steps"] = ["unreadable", {"small_identities": {"min_images": 4}}]
    page = go(small, tmp_path / "run").page.read_text(encoding="utf-8")
    name = EVIL.replace("/", "_")
    assert name not in page
    assert "&lt;script&gt;alert(1)" in page
