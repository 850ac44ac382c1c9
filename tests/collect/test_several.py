from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from curate.collect import recognise
from curate.collect.several import SeveralParams, read_several
from curate.core.errors import InputError
from curate.core.files import locate
from curate.core.shapes import SerialExecutor


def read(tmp_path: Path, *sources: dict):
    return read_several(SeveralParams(sources=sources), None, SerialExecutor(), tmp_path)


@pytest.fixture
def sets(tmp_path: Path) -> list[dict]:
    for path in ("a/Ann/1.png", "a/Bo/1.png", "deep/b/Ann/1.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / path)
    (tmp_path / "c.txt").write_text("Ann\nCy Orr\n")
    return [{"kind": "folder", "root": str(tmp_path / "a")}, {"kind": "folder", "root": str(tmp_path / "deep/b")},
            {"kind": "names", "path": str(tmp_path / "c.txt")}]  # fmt: skip


def test_equal_names_stay_apart_and_paths_lead_to_the_files(tmp_path: Path, sets: list[dict]):
    found = read(tmp_path, *sets).manifest
    frame = found.frame.astype(str)
    assert frame["image_id"].tolist() == ["a/Ann/1.png", "a/Bo/1.png", "b/Ann/1.png", "c/Ann", "c/Cy Orr"]
    assert frame["identity"].tolist() == ["a/Ann", "a/Bo", "b/Ann", "c/Ann", "c/Cy Orr"]
    assert frame["dataset"].tolist() == ["a", "a", "b", "c", "c"]
    assert found.root == tmp_path
    for path in found.frame["path"][:3]:
        assert Path(locate(found.root, path)).is_file()
    assert found.frame["path"][3:].isna().all()
    assert found.frame["name"].isna().tolist() == [True, True, True, False, False]


def test_names_are_global_only_where_the_recipe_says_so(tmp_path: Path, sets: list[dict]):
    apart = read(tmp_path, *sets[:2]).manifest.frame.astype(str)
    assert apart["identity"].tolist() == ["a/Ann", "a/Bo", "b/Ann"]
    params = SeveralParams(sources=sets[:2], names_are_global=True)
    one = read_several(params, None, SerialExecutor(), tmp_path).manifest.frame.astype(str)
    assert one["identity"].tolist() == ["Ann", "Bo", "Ann"]
    assert one["image_id"].tolist() == apart["image_id"].tolist()  # two photographs with one file name
    assert one["dataset"].tolist() == ["a", "a", "b"]


def test_a_list_of_names_is_recognised(tmp_path: Path):
    (tmp_path / "names.txt").write_text("Ann Lee\nBo Orr\n")
    (tmp_path / "images.txt").write_text("Ann_Lee/1.jpg\n")
    assert recognise(str(tmp_path / "names.txt")).kind == "names"
    assert recognise(str(tmp_path / "images.txt")).kind == "lists"


def test_sets_without_pixels_have_no_root(tmp_path: Path, sets: list[dict]):
    (tmp_path / "d.txt").write_text("Di Fox\n")
    found = read(tmp_path, sets[2], {"kind": "names", "path": str(tmp_path / "d.txt")}).manifest
    assert found.root is None
    assert "path" not in found.frame


def test_one_source_twice_two_of_one_name_and_unknown_kinds_are_refused(tmp_path: Path, sets: list[dict]):
    with pytest.raises(InputError, match=r"one source stands twice.*c\.txt"):
        read(tmp_path, sets[2], {**sets[2], "dataset": "other"})
    with pytest.raises(InputError, match="two sources have one dataset name; found 'a'"):
        read(tmp_path, sets[0], {**sets[1], "dataset": "a"})
    with pytest.raises(InputError, match=r"source\.sources\.2\.kind is 'foldr'.*Did you mean 'folder'"):
        read(tmp_path, sets[0], {"kind": "foldr"})
    with pytest.raises(InputError, match=r"source\.sources\.2\.roots: Extra inputs"):
        read(tmp_path, sets[0], {**sets[1], "roots": 1})
