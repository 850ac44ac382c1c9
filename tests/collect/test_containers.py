"""Images in containers: written, read back the same, and read in spite of damage."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.collect import SOURCES, recognise
from curate.collect.source import Collected
from curate.collect.write import WRITERS, write_images, writer_for
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import SerialExecutor
from curate.images.files import read_bytes
from curate.images.records import MAGIC

REAL = os.environ.get("CURATE_REAL_DATA")
real = pytest.mark.skipif(REAL is None, reason="CURATE_REAL_DATA is not set")


def collect(path: Path, levels: dict[str, str] | None = None, **params) -> Collected:
    found = recognise(str(path))
    source = SOURCES[found.kind]
    return source.read(found.model_copy(update=params), levels, SerialExecutor(), path.parent)


@pytest.fixture
def people(tmp_path: Path) -> Manifest:
    """Seven images of three people, one of them no image at all, and a name outside of ASCII."""
    rng = np.random.default_rng(0)
    root = tmp_path / "faces"
    names = ["Zoë/1.jpg", "Zoë/2.jpg", "anna/1.png", "anna/x.y.2.jpg", "bo/1.jpg", "bo/2.jpg", "bo/3.jpg"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        _, data = cv2.imencode(Path(name).suffix, rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
        # Aligned magic numbers in the middle: a writer of records has to cut there.
        (root / name).write_bytes(data.tobytes() + struct.pack("<4I", MAGIC, 1, MAGIC, MAGIC) * (name == "bo/2.jpg"))
    (root / "bo" / "bad.jpg").write_bytes(b"\xff\xd8\xff no image")
    frame = pd.DataFrame({"image_id": [*names, "bo/bad.jpg"], "path": [*names, "bo/bad.jpg"]})
    frame["identity"] = frame["image_id"].str.split("/").str[0]
    frame["gender"] = frame["identity"].map({"Zoë": "f", "anna": "f", "bo": None})
    frame["age"] = ["3-9", "10-19", "20-29", None, "3-9", "3-9", "3-9", None]
    return Manifest.from_frame(frame, root=root, levels={"gender": "identity", "age": "image"})


def contents(manifest: Manifest) -> dict[str, bytes]:
    return {row.image_id: read_bytes(manifest.root, row.path)[1] for row in manifest.frame.itertuples()}


ENDINGS = {"folder": "", "records": ".rec", "bin": ".bin", "webdataset": ".tar", "huggingface": ".parquet"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_round_trip_keeps_every_byte_and_every_label(people: Manifest, tmp_path: Path, name: str):
    path = tmp_path / f"out{ENDINGS[name]}"
    written = write_images(people, path, writer_for(path))
    assert written.images == 8
    given = path / "manifest.parquet" if name == "folder" else path
    more = {"root": path} if name == "folder" else {}
    levels = {"gender": "identity", "age": "image"} if name == "webdataset" else None
    back = collect(given, levels, **more).manifest
    assert contents(back) == contents(people)
    assert back.levels == people.levels
    for column in ("image_id", "identity", "gender", "age"):
        pd.testing.assert_series_equal(back.frame[column], people.frame[column], check_names=False)
    with pytest.raises(InputError, match="there is something already"):
        write_images(people, path, writer_for(path))


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_image_and_replicas_are_left_out_and_counted(people: Manifest, tmp_path: Path, name: str):
    (people.root / "anna" / "1.png").unlink()
    (people.root / "bo" / "bad.jpg").write_bytes(b"")
    path = tmp_path / f"out{ENDINGS[name]}"
    written = write_images(people, path, writer_for(path))
    assert (written.images, written.left_out["missing"], written.left_out["empty_file"]) == (6, 1, 1)
    given = path / "manifest.parquet" if name == "folder" else path
    assert len(collect(given, **({"root": path} if name == "folder" else {})).manifest) == 6


def test_names_that_lead_out_are_not_written(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    frame = pd.DataFrame({"image_id": ["../../evil.jpg"], "path": ["a.jpg"], "identity": ["x"]})
    with pytest.raises(InputError, match="leaves its root"):
        write_images(Manifest.from_frame(frame, root=tmp_path), tmp_path / "out", WRITERS["folder"])
    assert not (tmp_path.parent / "evil.jpg").exists()


# ---- records ------------------------------------------------------------


def record(payload: bytes, labels: tuple[float, ...] | float, key: int = 0) -> bytes:
    if isinstance(labels, tuple):
        body = struct.pack("<IfQQ", len(labels), 0.0, key, 0) + struct.pack(f"<{len(labels)}f", *labels) + payload
    else:
        body = struct.pack("<IfQQ", 0, labels, key, 0) + payload
    return struct.pack("<II", MAGIC, len(body)) + body + bytes(-len(body) % 4)


JPEG = b"\xff\xd8\xff one image "


def write_rec(path: Path, records: list[bytes], idx: bool = True) -> list[int]:
    offsets = np.cumsum([0, *map(len, records)])[:-1].tolist()
    path.write_bytes(b"".join(records))
    if idx:
        path.with_suffix(".idx").write_text("".join(f"{key}\t{at}\n" for key, at in enumerate(offsets)))
    return offsets


def test_the_form_with_a_leading_record_and_identity_ranges(tmp_path: Path):
    images = [record(JPEG + bytes([at]), (float(at // 2), 9.0), at + 1) for at in range(4)]
    header = record(b"", (5.0, 7.0))
    ranges = [record(b"", (1.0, 3.0), 5), record(b"", (3.0, 5.0), 6)]
    write_rec(tmp_path / "t.rec", [header, *images, *ranges])
    found = collect(tmp_path / "t.rec")
    assert found.notes == ()
    assert found.manifest.frame["image_id"].tolist() == ["0/00000001", "0/00000002", "1/00000003", "1/00000004"]
    assert list(contents(found.manifest).values()) == [JPEG + bytes([at]) for at in range(4)]
    images[1] = record(JPEG + bytes([1]), (7.0, 9.0), 2)
    write_rec(tmp_path / "t.rec", [header, *images, *ranges])
    assert collect(tmp_path / "t.rec").notes == ("1 image with another label than the rest of its identity's range",)


def test_a_truncated_file_loses_its_last_image_only(tmp_path: Path):
    records = [record(JPEG * 9, float(at), at) for at in range(5)]
    write_rec(tmp_path / "t.rec", records)
    whole = (tmp_path / "t.rec").read_bytes()
    (tmp_path / "t.rec").write_bytes(whole[:-20])
    found = collect(tmp_path / "t.rec")
    assert len(found.manifest) == 4
    assert found.notes[0].startswith("1 place of t.rec that are no record (1 truncated; first: byte ")
    assert "1 entry of t.idx point at no record, left out" in found.notes


def test_damage_in_the_middle_loses_one_image(tmp_path: Path):
    records = [record(JPEG * 9, float(at), at) for at in range(5)]
    offsets = write_rec(tmp_path / "t.rec", records)
    data = bytearray((tmp_path / "t.rec").read_bytes())
    data[offsets[2] : offsets[2] + 4] = b"XXXX"
    (tmp_path / "t.rec").write_bytes(data)
    found = collect(tmp_path / "t.rec")
    assert found.manifest.frame["identity"].tolist() == ["0", "1", "3", "4"]
    assert "(1 no record; first: byte" in found.notes[0]


def test_a_wrong_index_loses_nothing(tmp_path: Path):
    records = [record(JPEG + bytes([at]), float(at), at) for at in range(3)]
    offsets = write_rec(tmp_path / "t.rec", records)
    (tmp_path / "t.idx").write_text(f"0\t{offsets[0]}\n7\t{offsets[1] + 4}\n8\t999999\nbroken\n-1\t3\n")
    found = collect(tmp_path / "t.rec")
    assert found.manifest.frame["image_id"].tolist() == ["0/00000000", "1/00000001", "2/00000002"]
    assert found.notes == (
        "2 lines of t.idx are not `key, offset`", "2 entries of t.idx point at no record, left out",
        "2 records that t.idx does not name, read all the same",
    )  # fmt: skip


@pytest.mark.parametrize(("lines", "ids"), [
    ("0\t0\tanna/1.jpg\n1\t1.0\tbo\\2.jpg\n", ["anna/1.jpg", "bo/2.jpg"]),
    ("1\tanna/1.jpg\t0\n", ["1/00000001", "anna/1.jpg"]),
    ("0\t0\t../evil.jpg\n1\t1\tx.jpg\n", ["0/00000000", "x.jpg"]),
    ("0\t0\tsame.jpg\n1\t1\tsame.jpg\nnonsense\n", ["0/00000000", "1/00000001"]),
])  # fmt: skip
def test_names_of_a_list(tmp_path: Path, lines: str, ids: list[str]):
    write_rec(tmp_path / "t.rec", [record(JPEG, float(at), at) for at in range(2)])
    (tmp_path / "t.lst").write_text(lines)
    if lines.startswith("1\tanna"):  # InsightFace counts lines from 1
        (tmp_path / "t.idx").write_text("1\t0\n2\t44\n")
        ids = ["1/00000002", "anna/1.jpg"]
    assert collect(tmp_path / "t.rec").manifest.frame["image_id"].tolist() == sorted(ids)


@pytest.mark.parametrize("content", [b"", b"abc", b"x" * 1000], ids=["empty", "short", "no records"])
def test_a_file_without_records_is_told(tmp_path: Path, content: bytes):
    (tmp_path / "t.rec").write_bytes(content)
    with pytest.raises(InputError, match=r"the file is empty|no image in these records"):
        collect(tmp_path / "t.rec")


# ---- verification sets ------------------------------------------------------------


def images(n: int = 4) -> list[bytes]:
    return [JPEG + bytes([at]) for at in range(n)]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("form", ["bytes", "arrays", "columns"])
def test_every_form_of_a_bin_is_read(tmp_path: Path, protocol: int, form: str):
    arrays = {"bytes": bytes, "arrays": lambda one: np.frombuffer(one, np.uint8).copy(),
              "columns": lambda one: np.frombuffer(one, np.uint8).reshape(-1, 1).copy()}  # fmt: skip
    same = [True, False] if form == "bytes" else [np.True_, np.False_]
    (tmp_path / "t.bin").write_bytes(pickle.dumps(([arrays[form](one) for one in images()], same), protocol=protocol))
    found = collect(tmp_path / "t.bin")
    assert list(contents(found.manifest).values()) == images()
    assert found.manifest.frame["identity"].isna().all()
    assert found.notes == ("2 pairs, 1 of one person",)


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/evil-was-here",)


@pytest.mark.parametrize("value", [
    (images(), [Evil(), True]), ([Evil()] * 4, [True, False]), Evil(), (images(), {"a": 1}), (images(3), [True]),
    ([1, 2, 3, 4], [True, False]), images(), (images(), [True, "x"]), ([np.zeros(3), *images(3)], [True, True]),
], ids=range(9))  # fmt: skip
def test_a_bin_of_anything_else_is_refused(tmp_path: Path, value: object):
    (tmp_path / "t.bin").write_bytes(pickle.dumps(value))
    with pytest.raises(InputError, match=r"t\.bin"):
        collect(tmp_path / "t.bin")
    assert not Path("/tmp/evil-was-here").exists()


@pytest.mark.parametrize("cut", [1, 2, 10, 40, 60])
def test_a_truncated_bin_is_told(tmp_path: Path, cut: int):
    (tmp_path / "t.bin").write_bytes(pickle.dumps((images(), [True, False]))[:-cut])
    with pytest.raises(InputError, match="damaged or truncated|ends too early"):
        collect(tmp_path / "t.bin")


@real
def test_the_images_of_the_real_bin_are_those_beside_it():
    folder = Path(REAL) / "insightface-small-lfw-bin"
    found = collect(folder / "small_lfw.bin").manifest
    beside = [path.read_bytes() for path in sorted((folder / "images").glob("*.jpg"))]
    assert list(contents(found).values()) == beside
    assert len(beside) == 20


# ---- tar ------------------------------------------------------------


def write_tar(path: Path, members: list[tuple[str, bytes] | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            info, data = (
                (member, b"") if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            )
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_hostile_members_are_refused_and_nothing_else_is_lost(tmp_path: Path):
    path = write_tar(tmp_path / "s.tar", [
        ("../evil.jpg", b"x"), ("/etc/evil.jpg", b"x"), link("l.jpg", "/etc/passwd", tarfile.SYMTYPE),
        link("h.jpg", "anna/1.jpg", tarfile.LNKTYPE), link("fifo.jpg", "", tarfile.FIFOTYPE),
        ("anna/1.jpg", JPEG), ("anna/1.json", b'{"identity": "Anna Lee", "gender": "f"}'), ("bo/2.jpg", JPEG + b"2"),
        ("bo/2.cls", b"17"), ("bo/3.jpg", JPEG + b"3"), ("bo/3.json", b"{broken"), ("x/4.json", b"{}"),
    ])  # fmt: skip
    found = collect(path)
    frame = found.manifest.frame
    assert frame["image_id"].tolist() == ["anna/1.jpg", "bo/2.jpg", "bo/3.jpg"]
    assert frame["identity"].tolist() == ["Anna Lee", "17", "bo"]
    assert frame["gender"].astype(object).fillna("").tolist() == ["f", "", ""]
    assert list(contents(found.manifest).values()) == [JPEG, JPEG + b"2", JPEG + b"3"]
    assert [note.split(" (first")[0] for note in found.notes] == [
        "1 members .json can't be read, left out", "2 members are links, left out",
        "1 members are no plain files, left out", "1 members have a name that leads out, left out",
        "1 members have an absolute name, left out", "1 samples have no image, left out",
    ]  # fmt: skip


def test_names_that_stand_in_two_shards_are_told_apart(tmp_path: Path):
    (tmp_path / "d").mkdir()
    for at in range(2):
        write_tar(tmp_path / "d" / f"s-{at}.tar", [("0001.jpg", JPEG + bytes([at])), ("0001.cls", b"5")])
    found = collect(tmp_path / "d").manifest
    assert found.frame["image_id"].tolist() == ["s-0.tar/0001.jpg", "s-1.tar/0001.jpg"]
    assert list(contents(found).values()) == [JPEG + b"\0", JPEG + b"\1"]


def test_a_damaged_shard_is_read_up_to_the_damage(tmp_path: Path):
    path = write_tar(tmp_path / "s.tar", [(f"a/{at}.jpg", JPEG * 100) for at in range(6)])
    data = bytearray(path.read_bytes())
    data[4 * 2048 : 4 * 2048 + 512] = b"\xff" * 512
    path.write_bytes(data)
    found = collect(path)
    assert 1 <= len(found.manifest) < 6
    assert all(value == JPEG * 100 for value in contents(found.manifest).values())


def test_mapped_columns_and_missing_labels(tmp_path: Path):
    path = write_tar(tmp_path / "s.tar", [("1.jpg", JPEG), ("1.json", b'{"who": 7, "sex": "f"}')])
    found = collect(path, columns={"identity": "who", "gender": "sex"}).manifest
    assert (found.frame["identity"][0], found.frame["gender"][0], found.levels) == ("7", "f", {"gender": "identity"})
    with pytest.raises(InputError, match="no sample has the label 'age'"):
        collect(path, {"age": "image"})


# ---- Hugging Face ------------------------------------------------------------


def hugging_face(folder: Path, arrow: bool = False) -> Path:
    folder.mkdir()
    features = {"label": {"names": ["Anna", "Bo"], "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    for part in range(2):
        rows = {"image": [{"bytes": JPEG + bytes([part, at]), "path": f"{part}{at}.jpg"} for at in range(3)],
                "label": [0, 1, 5], "age": ["x", None, "y"]}  # fmt: skip
        if part:
            rows["image"][2]["bytes"] = None
        table = pa.table(rows).replace_schema_metadata(metadata)
        name = f"data-0000{part}-of-00002"
        if arrow:
            with (
                pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink,
                pa.ipc.new_stream(sink, table.schema) as writer,
            ):
                writer.write_table(table, max_chunksize=2)
        else:
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=2)
    (folder / "dataset_info.json").write_text("{}")
    return folder


@pytest.mark.parametrize("arrow", [False, True], ids=["parquet", "save_to_disk"])
def test_hugging_face_rows(tmp_path: Path, arrow: bool):
    found = collect(hugging_face(tmp_path / "d", arrow), {"age": "image"})
    frame = found.manifest.frame
    assert frame["image_id"].tolist() == [f"{part}{at}.jpg" for part in range(2) for at in range(3)]
    assert frame["identity"].astype(object).fillna("").tolist() == ["Anna", "Bo", ""] * 2
    assert frame["age"].astype(object).fillna("").tolist() == ["x", "", "y"] * 2
    expected = [JPEG + bytes([part, at]) for part in (0, 1) for at in range(3)]
    assert list(contents(found.manifest).values()) == [*expected[:5], b""]
    assert found.notes == ("1 row without image bytes; the step `unreadable` drops them",)


def test_a_broken_file_of_a_dataset_is_left_out(tmp_path: Path):
    folder = hugging_face(tmp_path / "d")
    with pytest.raises(InputError, match="no column 'who' for identity"):
        collect(folder, columns={"identity": "who"})
    (folder / "data-00000-of-00002.parquet").write_bytes(b"PAR1 broken")
    assert len(collect(folder).manifest) == 3


# ---- the verb ------------------------------------------------------------


def test_the_verb_converts_and_says_what_is_lost(people: Manifest, tmp_path: Path):
    from typer.testing import CliRunner

    from curate.cli import app

    def convert(*arguments: object) -> str:
        found = CliRunner().invoke(app, ["convert", *map(str, arguments)])
        assert found.exit_code == 0, found.output + str(found.exception)
        return " ".join(found.output.split())

    assert "a .rec holds identities as numbers" in convert(people.root, tmp_path / "a.rec")
    assert "8 images" in convert(tmp_path / "a.rec", tmp_path / "b.bin")
    assert "8 images" in convert(tmp_path / "b.bin", tmp_path / "c.parquet")
    assert "8 images" in convert(tmp_path / "c.parquet", tmp_path / "d.tar")
    convert(tmp_path / "d.tar", tmp_path / "e")
    convert(tmp_path / "e" / "manifest.parquet", tmp_path / "f.rec")
    last = collect(tmp_path / "f.rec").manifest
    assert contents(last) == contents(people)
    assert last.frame["identity"].tolist() == people.frame["identity"].tolist()


def test_features_are_computed_from_inside_of_containers(people: Manifest, tmp_path: Path):
    from curate.embed import BaselineParams
    from curate.recipe.features import FeatureStore

    def hashes(manifest: Manifest) -> np.ndarray:
        return FeatureStore(manifest, tmp_path / "cache", SerialExecutor(), BaselineParams()).get("phash", manifest)

    expected = hashes(people)
    for name in ("out.bin", "out.parquet", "out.rec", "out.tar"):
        write_images(people, tmp_path / name, writer_for(tmp_path / name))
        np.testing.assert_array_equal(hashes(collect(tmp_path / name).manifest), expected)


@real
def test_lfw_comes_back_from_every_container(tmp_path: Path):
    faces = SOURCES["folder"].params(root=Path(REAL) / "lfw-faces-112" / "images")
    manifest = SOURCES["folder"].read(faces, None, SerialExecutor(), tmp_path).manifest
    some = manifest.take(np.arange(len(manifest)) % 40 == 0)
    for name in ("lfw.rec", "lfw.bin", "lfw.tar", "lfw.parquet"):
        write_images(some, tmp_path / name, writer_for(tmp_path / name))
        back = collect(tmp_path / name).manifest
        assert contents(back) == contents(some)
        assert back.frame["identity"].astype(str).tolist() == some.frame["identity"].astype(str).tolist()
