"""Lists as published: small ones in the same form, with the dirt that the real ones have, and the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curate.collect import SOURCES
from curate.collect.source import Collected
from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor

REAL = os.environ.get("CURATE_REAL_DATA")
real = pytest.mark.skipif(REAL is None, reason="CURATE_REAL_DATA is not set")


def read(kind: str, levels: dict[str, str] | None = None, **params) -> Collected:
    source = SOURCES[kind]
    return source.read(source.params(**params), levels, SerialExecutor(), Path())


def photos(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "list_attr_celeba.txt").write_bytes(
        b"3\r\nMale Young \n000001.jpg -1  1\r\n000002.jpg  1 -1\n000003.jpg 1 1\n"
    )
    (folder / "identity_CelebA.txt").write_bytes(b"img label\n000002.jpg 7\r\n000001.jpg 12\r\n")
    (folder / "list_eval_partition.txt").write_bytes(b"000001.jpg 0\r\n000002.jpg 2\r\n000003.jpg 1\r\n")
    return folder


def test_celeba_lists_without_photographs(celeba: Path):
    found = read("celeba", lists=celeba).manifest
    columns = ["image_id", "identity", "Male", "Young", "partition"]
    assert found.frame[columns].astype(object).to_numpy().tolist()[:2] == [
        ["000001.jpg", "12", "no", "yes", "train"], ["000002.jpg", "7", "yes", "no", "test"],
    ]  # fmt: skip
    assert found.frame["identity"].isna().tolist() == [False, False, True]
    assert found.levels == {"Male": "image", "Young": "image", "partition": "image"}
    assert read("celeba", {"Male": "identity"}, lists=celeba).manifest.levels == {"Male": "identity"}
    with pytest.raises(InputError, match="no label 'Mail'. Did you mean 'Male'"):
        read("celeba", {"Mail": "image"}, lists=celeba)


def test_celeba_rows_are_found_for_photographs_in_folders(celeba: Path, tmp_path: Path):
    root = photos(tmp_path / "photos", "12/000001.jpg", "x/000009.jpg")
    found = read("celeba", lists=celeba, root=root)
    assert found.manifest.frame["path"].tolist() == ["12/000001.jpg", "x/000009.jpg"]
    assert found.manifest.frame["Young"].tolist()[0] == "yes"
    assert found.notes == (
        "1 image without a row in the list; the labels are missing there (first: x/000009.jpg)",
        "2 rows of the list without an image below the root, left out",
    )
    with pytest.raises(InputError, match="no row of the list names an image"):
        read("celeba", lists=celeba, root=photos(tmp_path / "other", "a.jpg"))


def test_utkface_names(tmp_path: Path):
    root = photos(tmp_path, "26_1_2_2017.jpg.chip.jpg", "1_0_0_x.jpg", "61_1_2017.jpg", "9_2_1_x.jpg")
    found = read("utkface", root=root)
    rows = found.manifest.frame.set_index("image_id")[["age", "gender", "ethnicity"]].astype(object)
    assert rows.loc["26_1_2_2017.jpg.chip.jpg"].tolist() == ["26", "female", "Asian"]
    assert rows.loc["1_0_0_x.jpg"].tolist() == ["1", "male", "White"]
    assert rows.loc["61_1_2017.jpg"].isna().all()
    assert rows.loc["9_2_1_x.jpg"].isna().all()
    assert found.manifest.frame["identity"].isna().all()
    assert found.notes == ("2 names are not age_gender_race_stamp; no labels there (first: 61_1_2017.jpg)",)


def test_fairface_ages_are_put_right_or_missing(tmp_path: Path):
    path = tmp_path / "fairface_label_val.csv"
    rows = ("val/1.jpg,03-Sep,Male,East Asian,FALSE", "val/2.jpg,Oct-19,Female,Black,TRUE",
            "val/3.jpg,02-Mar,Male,White,TRUE", "val/3.jpg,50-59,Male,White,TRUE")  # fmt: skip
    path.write_text("\n".join(("file,age,gender,race,service_test", *rows)))
    found = read("fairface", path=path)
    assert found.manifest.frame["age"].tolist()[:2] == ["3-9", "10-19"]
    assert found.manifest.frame["age"].isna().tolist() == [False, False, True]
    assert found.notes == (
        "age: 1 value '02-Mar' that FairFace does not have; missing there",
        "age: 1 value '03-Sep', made a date by a spreadsheet: 3-9",
        "age: 1 value 'Oct-19', made a date by a spreadsheet: 10-19",
        "1 row repeats the name of another; the first counts",
    )


def test_vggface2_names_with_commas(tmp_path: Path):
    path = tmp_path / "identity_meta.csv"
    path.write_bytes(b'Class_ID, Name, Sample_Num, Flag, Gender\r\nn000001, "Anne,_Princess", 2, 0, f\r\n'
                     b'n000002, "A._A._Gill", 1, 1, m\r\n')  # fmt: skip
    found = read("vggface2", path=path).manifest.frame
    assert found["image_id"].tolist() == ["n000001/00001", "n000001/00002", "n000002/00001"]
    assert found["gender"].tolist() == ["f", "f", "m"]
    assert found["partition"].tolist() == ["test", "test", "train"]
    root = photos(tmp_path / "photos", "n000002/0001_01.jpg", "n000009/0001_01.jpg")
    with_photos = read("vggface2", path=path, root=root)
    assert with_photos.manifest.frame["identity"].tolist() == ["n000002", "n000009"]
    assert "1 image of an identity that the list does not name" in with_photos.notes
    assert "1 identity of the list without an image, left out" in with_photos.notes


def test_lfw_lists_of_every_form_name_the_same_images(tmp_path: Path):
    (tmp_path / "pairs.txt").write_text("1\t1\nAnn_Lee\t1\t2\nAnn_Lee\t3\tBo\t1\n")
    (tmp_path / "list.txt").write_bytes(
        b"Ann_Lee_0001.jpg\r\nAnn_Lee_0002\r\nAnn_Lee/Ann_Lee_0003.jpg 0\r\n\r\nBo/Bo_0001.jpg 1\r\nBo_0001.jpg"
        b"\nnobody\n"
    )
    pairs = read("lfw", images=tmp_path / "pairs.txt").manifest.frame
    listed = read("lfw", images=tmp_path / "list.txt")
    assert pairs.equals(listed.manifest.frame)
    assert pairs["image_id"].tolist() == [f"Ann_Lee/Ann_Lee_000{n}.jpg" for n in (1, 2, 3)] + ["Bo/Bo_0001.jpg"]
    assert pairs["identity"].tolist() == ["Ann_Lee"] * 3 + ["Bo"]
    assert listed.notes == ("1 line of list.txt names no image (first: line 7, 'nobody')",
                            "1 line repeats another of list.txt")  # fmt: skip


def test_lfw_gender(tmp_path: Path):
    (tmp_path / "f.txt").write_text("Ann_0001.jpg\nSam_0001\n")
    (tmp_path / "m.txt").write_text("Bo_0001\nSam_0001.jpg\n")
    root = photos(tmp_path / "lfw", "Ann/Ann_0001.jpg", "Bo/Bo_0001.jpg", "Sam/Sam_0001.jpg", "Zed/Zed_0001.jpg")
    found = read("lfw", root=root, female=tmp_path / "f.txt", male=tmp_path / "m.txt")
    assert found.manifest.frame["gender"].astype(object).fillna("").tolist() == ["f", "m", "", ""]
    assert [note[:40] for note in found.notes] == [
        "1 image is in both lists of gender, whic",
        "1 image is in no list of gender, which i",
    ]
    with pytest.raises(InputError, match="needs a root, or a list"):
        read("lfw")


@real
@pytest.mark.parametrize(("kind", "params", "images", "identities", "cell"), [
    ("utkface", {"root": "utkface-subset/images"}, 2171, 0, None),
    ("fairface", {"path": "fairface-3000/fairface_label_val_5000_rows.csv", "root": "fairface-3000/images"}, 3000, 0,
     ("ethnicity", "White", 558)),
    ("fairface", {"path": "fairface-3000/fairface_label_train_40000_rows.csv"}, 40_000, 0, None),
    ("celeba", {"lists": "celeba-meta", "root": "celeba-subset/images"}, 1128, 282, None),
    ("vggface2", {"path": "vggface2-meta/identity_meta.csv", "attributes": "vggface2-meta/attributes_30000x11.csv"},
     30_000, None, None),
    ("lfw", {"images": "lfw-meta/lfw_list_mtcnn.txt"}, 13_233, 5749, None),
    ("lfw", {"images": "lfw-meta/pairs.txt"}, None, None, None),
    ("lfw", {"female": "lfw-meta/afif4_female_names.txt", "male": "lfw-meta/afif4_male_names.txt"}, 13_229, None, None),
    ("lfw", {"images": "insightface-small-lfw-bin/valid_lfw_funneled.txt"}, 5749, 5749, None),
])  # fmt: skip
def test_real_lists(kind, params, images, identities, cell):
    found = read(kind, **{key: Path(REAL) / value for key, value in params.items()}).manifest
    assert images in (None, len(found))
    assert identities in (None, len(found.frame["identity"].cat.categories))
    if cell is not None:
        assert int((found.frame[cell[0]] == cell[1]).sum()) == cell[2]
    assert len(found)
