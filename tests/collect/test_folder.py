"""The folder source: what is listed, what is passed over, what is refused."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from curate.collect import SOURCES, recognise
from curate.collect.folder import FolderParams, read_folder, scan
from curate.collect.source import Collected
from curate.collect.synthetic import SyntheticParams
from curate.collect.table import TableParams
from curate.core.errors import InputError
from curate.core.files import locate
from curate.core.shapes import SerialExecutor


def build(root: Path, *names: str | bytes) -> Path:
    """Files with one byte each."""
    for name in names:
        full = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as handle:
            handle.write(b"x")
    return root


def read(root: Path, tmp_path: Path, levels: dict[str, str] | None = None, **params: object) -> Collected:
    """Read a folder source."""
    return read_folder(FolderParams(root=root, **params), levels, SerialExecutor(), tmp_path / "cache")


def test_lists_images_with_identity_and_path(tmp_path: Path) -> None:
    root = build(tmp_path / "faces", "b/2.JPG", "a/1.png", "a/deep/3.jpeg", "loose.bmp", "a/notes.txt", "b/.hidden.jpg",
                 ".git/x.jpg", "Thumbs.db")  # fmt: skip
    found = read(root, tmp_path)
    frame = found.manifest.frame
    assert frame["image_id"].tolist() == ["a/1.png", "a/deep/3.jpeg", "b/2.JPG", "loose.bmp"]
    assert frame["path"].tolist() == frame["image_id"].tolist()
    assert frame["identity"].astype("object").where(frame["identity"].notna(), None).tolist() == ["a", "a", "b", None]
    assert frame["dataset"].unique().tolist() == ["faces"]
    assert found.manifest.root == root.resolve()
    assert found.manifest.levels == {}
    notes = "\n".join(found.notes)
    assert "1 image lies directly in the root" in notes
    assert "1 image lies deeper" in notes
    assert "2 files are no images by their name, not listed (first: Thumbs.db)" in notes
    assert "1 hidden files, not listed (first: b/.hidden.jpg)" in notes
    assert "1 hidden folders, not listed (first: .git)" in notes


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "nothing", tmp_path)
    file = build(tmp_path, "file.txt") / "file.txt"
    with pytest.raises(InputError, match="not a folder"):
        read(file, tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=f"no images below {empty}; expected {empty}/identity/image.jpg"):
        read(empty, tmp_path)
    build(empty, "a/readme.md")
    with pytest.raises(InputError, match=r"1 files are no images by their name.*a/readme.md"):
        read(empty, tmp_path)


def test_names_are_kept_and_lead_back_to_the_file(tmp_path: Path) -> None:
    names = [
        b"<script>alert(1)<!--/a&b.jpg",
        b"caf\xe9/\xff.jpg",
        b"100%41/x.jpg",
        "Zoë/ß.jpg".encode(),
        b"n\nl/t\t.jpg",
    ]
    root = build(tmp_path / "odd", *names)
    manifest = read(root, tmp_path).manifest
    ids = set(manifest.frame["image_id"])
    assert ids == {"<script>alert(1)<!--/a&b.jpg", "caf%E9/%FF.jpg", "100%2541/x.jpg", "Zoë/ß.jpg", "n\nl/t\t.jpg"}
    assert "<script>alert(1)<!--" in set(manifest.frame["identity"])
    assert {os.fsencode(locate(root, path)) for path in manifest.frame["path"]} == {
        os.path.join(os.fsencode(root.resolve()), name) for name in names
    }
    manifest.write(tmp_path / "m.parquet")  # valid UTF-8 everywhere


def test_links_end_and_stay_below_the_root(tmp_path: Path) -> None:
    outside = build(tmp_path / "outside", "secret/s.jpg")
    root = build(tmp_path / "faces", "a/1.jpg", "b/2.jpg")
    (root / "a" / "up").symlink_to(root)  # a loop
    (root / "b" / "self").symlink_to(root / "b")
    (root / "again").symlink_to(root / "a")
    (root / "away").symlink_to(outside)
    (root / "b" / "leak.jpg").symlink_to(outside / "secret" / "s.jpg")
    (root / "b" / "broken.jpg").symlink_to(root / "nothing")
    found = read(root, tmp_path)
    assert found.manifest.frame["image_id"].tolist() == ["a/1.jpg", "b/2.jpg", "b/broken.jpg", "b/leak.jpg"]
    assert any("linked folders lead out of the root" in note and "away" in note for note in found.notes)
    assert any(note.startswith("3 linked folders lead to a folder that is read already") for note in found.notes)
    with pytest.raises(InputError, match="out of the root"):
        locate(root, "b/leak.jpg")


def test_a_linked_folder_inside_a_hidden_one_is_followed_once(tmp_path: Path) -> None:
    root = build(tmp_path / "faces", ".store/p/1.jpg", "a/2.jpg")
    (root / "p").symlink_to(root / ".store" / "p")
    (root / "q").symlink_to(root / ".store" / "p")
    found = read(root, tmp_path)
    assert found.manifest.frame["image_id"].tolist() == ["a/2.jpg", "p/1.jpg"]


def test_order_of_the_file_system_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build(tmp_path / "faces", *(f"p{i % 5}/{i}.jpg" for i in range(30)))
    before = read(root, tmp_path)
    real = os.scandir

    class Reversed:
        def __init__(self, path: bytes) -> None:
            with real(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list:
            return self.entries

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Reversed)
    after = read(root, tmp_path)
    assert before.notes == after.notes
    assert before.manifest.frame.equals(after.manifest.frame)


def test_scan_keeps_no_object_for_each_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 listed names take little more than their own text."""
    root = build(tmp_path / "faces", "person/0.jpg")

    class Entry:
        def __init__(self, name: bytes) -> None:
            self.name = name

        def is_dir(self) -> bool:
            return self.name == b"person"

        def is_symlink(self) -> bool:
            return False

    class Many:
        def __init__(self, path: bytes) -> None:
            self.inside = path.endswith(b"person")

        def __enter__(self) -> object:
            return (Entry(b"%07d.jpg" % i) for i in range(100_000)) if self.inside else iter([Entry(b"person")])

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Many)
    tracemalloc.start()
    listing = scan(root)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(map(len, listing.chunks)) == 100_000
    assert held < 1_000_000  # 4 bytes of code each; Arrow's text is not counted by tracemalloc
    assert peak < 12_000_000


def test_recognise(tmp_path: Path) -> None:
    root = build(tmp_path / "faces", "a/1.jpg")
    (tmp_path / "m.parquet").write_bytes(b"x")
    (tmp_path / "M.CSV").write_bytes(b"x")
    assert recognise(str(root)) == FolderParams(root=root)
    assert recognise(str(tmp_path / "m.parquet")) == TableParams(path=tmp_path / "m.parquet")
    assert recognise(str(tmp_path / "M.CSV")) == TableParams(path=tmp_path / "M.CSV")
    assert recognise("synthetic") == SyntheticParams()
    with pytest.raises(InputError, match="no such file"):
        recognise(str(tmp_path / "other.csv"))
    for wrong in ("a/1.jpg", "nothing"):
        with pytest.raises(InputError, match=r"a folder .*, a table .*, or the word 'synthetic'"):
            recognise(str(root / wrong))


def test_every_source_is_named_by_its_kind() -> None:
    assert {"folder", "table", "lists", "scores", "several", "synthetic"} <= set(SOURCES)
    for kind, source in SOURCES.items():
        assert source.kind == kind == source.params.model_fields["kind"].default
