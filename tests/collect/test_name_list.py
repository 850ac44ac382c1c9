from __future__ import annotations

from pathlib import Path

import pytest

from curate.collect.name_list import NamesParams, looks_like_names, read_names
from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor


def read(path: Path, content: str | bytes, **more):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_names(NamesParams(path=path, **more), None, SerialExecutor(), path.parent)


def listed(found) -> dict[str, str]:
    frame = found.manifest.frame
    return dict(zip(frame["identity"].astype(str), frame["name"].astype(str), strict=True))


PLAIN = {"Ann_Lee": "Ann_Lee", "Bo Ek": "Bo Ek", "Cy_Orr": "Cy_Orr"}
IDS = {"007": "Ann_Lee", "n12": "Bo Ek", "13": "Cy_Orr"}


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("one.txt", "Ann_Lee\nBo Ek\nCy_Orr\n", PLAIN),
        ("crlf.txt", b"\xef\xbb\xbfAnn_Lee\r\n\r\nBo Ek\r\nCy_Orr", PLAIN),
        ("ids.txt", "007 Ann_Lee\nn12 Bo Ek\n13 Cy_Orr\n", IDS),
        ("counts.txt", "Ann_Lee\t4\nBo Ek\t1\nCy_Orr\t12\n", PLAIN),
        ("counts_by_space.txt", "Ann_Lee 4\nBo Ek 1\nCy_Orr 12\n", PLAIN),
        ("meta.csv", 'Class_ID, Name, Sample_Num\n007, "Ann_Lee", 4\nn12, "Bo Ek", 1\n13, "Cy_Orr", 3\n', IDS),
        ("bare.csv", "007,Ann_Lee,4\nn12,Bo Ek,1\n13,Cy_Orr,3\n", IDS),
        ("semicolons.csv", "name;count\nAnn_Lee;4\nBo Ek;1\nCy_Orr;2\n", PLAIN),
    ],
)
def test_a_list_is_read_however_it_is_written(tmp_path: Path, name: str, content: str | bytes, wanted: dict):
    found = read(tmp_path / name, content)
    assert listed(found) == wanted
    assert found.manifest.levels == {"name": "identity"}
    assert found.manifest.frame["dataset"].unique().tolist() == [Path(name).stem]


def test_a_quoted_name_may_hold_the_separator_and_a_name_a_comma(tmp_path: Path):
    found = read(tmp_path / "a.csv", 'Class_ID, Name\nn01, "Chávez,_Jr."\nn02, "Diana, Princess"\n')
    assert listed(found) == {"n01": "Chávez,_Jr.", "n02": "Diana, Princess"}
    turned = read(tmp_path / "b.txt", "Lee, Ann\nEk, Bo\n")
    assert list(listed(turned)) == ["Ek, Bo", "Lee, Ann"]


def test_columns_may_be_named(tmp_path: Path):
    content = "person_no|who|aka\n1|Ann Lee|x\n2|Bo Ek|y\n"
    found = read(tmp_path / "a.csv", content, column="who", id_column="person_no", separator="|", dataset="mine")
    assert listed(found) == {"1": "Ann Lee", "2": "Bo Ek"}
    assert found.manifest.frame["dataset"].tolist() == ["mine", "mine"]
    with pytest.raises(InputError, match=r"no column 'whom'.*Did you mean 'who'"):
        read(tmp_path / "a.csv", content, column="whom")


def test_names_that_stand_twice_are_counted(tmp_path: Path):
    found = read(tmp_path / "a.txt", "Ann Lee\nBo Ek\nAnn Lee\n")
    assert len(found.manifest) == 2
    assert found.notes == ("1 line stands twice and count once (first: Ann Lee)",)
    both = read(tmp_path / "b.txt", "01 Ann Lee\n02 Ann Lee\n03 Bo Ek\n")
    assert len(both.manifest) == 3
    assert both.notes == ("1 name is borne by several identities (first: Ann Lee)",)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.txt", "\n \n", "the list is empty"),
        ("noname.csv", "id,name\n1,Ann\n2,\n", r"row 3, column name: the name is empty"),
        ("noid.csv", "id,name\n1,Ann\n,Bo\n", r"row 3, column id: the id is empty"),
        ("twice.txt", "01 Ann Lee\n01 Bo Ek\n", r"row 2, column id: one id has two names; found '01'"),
        ("short.csv", "id,name\n1,Ann\n2\n" + "3,Cy Orr\n" * 10, r"row 3: .*too few columns"),
        ("latin.txt", "Téa\nAnn\n".encode("latin-1"), r"row 1: not UTF-8.*iconv"),
    ],
)  # fmt: skip
def test_bad_lists_are_refused(tmp_path: Path, name: str, content: str | bytes, said: str):
    with pytest.raises(InputError, match=said) as error:
        read(tmp_path / name, content)
    assert name in str(error.value)


def test_a_missing_list(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        read_names(NamesParams(path=tmp_path / "none.txt"), None, SerialExecutor(), tmp_path)


def test_what_looks_like_names(tmp_path: Path):
    (tmp_path / "names.csv").write_text("id,name\n1,Ann\n")
    (tmp_path / "manifest.csv").write_text("image_id,identity\n1,Ann\n")
    assert looks_like_names(tmp_path / "names.csv")
    assert not looks_like_names(tmp_path / "manifest.csv")
    assert not looks_like_names(tmp_path)


def test_the_published_lists(real_data: Path):
    lists = real_data / "overlap-lists"
    sizes = {
        lists / "happynear/CASIA__lfw-names.txt": 5749, lists / "happynear/CASIA__webface_id_name_list.txt": 10575,
        lists / "vggface1/names.txt": 2622, real_data / "vggface2-meta/identity_meta.csv": 9131,
    }  # fmt: skip
    for path, size in sizes.items():
        found = read_names(NamesParams(path=path), None, SerialExecutor(), path.parent).manifest
        assert len(found) == size, path
    assert "Chávez" in " ".join(found.frame["name"].astype(str))
