"""Lists of `identity/file` lines, a file for each group."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.collect import SOURCES, recognise
from curate.collect.folder import FolderParams
from curate.collect.lists import ListsParams
from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor


def read(params: ListsParams, levels=None):
    return SOURCES["lists"].read(params, levels, SerialExecutor(), Path("unused"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "GroupA_Female.txt").write_text("p1/b.jpg\np1/a.jpg\n\np2/a.jpg\n")
    (tmp_path / "lists" / "GroupB_Male.txt").write_text("q1/a.jpg\r\nq1/b.jpg\r\n")
    (tmp_path / "lists" / "README.md").write_text("text\n")
    return tmp_path / "lists"


def test_the_names_of_the_files_say_the_groups(folder: Path):
    assert recognise(str(folder)) == ListsParams(path=folder)
    made = read(ListsParams(path=folder))
    table = made.manifest.frame.astype("str")
    assert table["image_id"].tolist() == ["p1/a.jpg", "p1/b.jpg", "p2/a.jpg", "q1/a.jpg", "q1/b.jpg"]
    assert table["identity"].tolist() == ["p1", "p1", "p2", "q1", "q1"]
    assert table["gender"].tolist() == ["f", "f", "f", "m", "m"]
    assert table["group"].tolist() == ["GroupA"] * 3 + ["GroupB"] * 2
    assert dict(made.manifest.levels) == {"gender": "identity", "group": "identity"}
    assert made.notes == ("GroupA_Female.txt: 1 empty line passed over",)
    assert "path" not in table


def test_the_parts_of_a_name_can_be_named_and_mapped(folder: Path):
    params = ListsParams(path=folder, names=("ethnicity", "gender"), values={"GroupA": "Asian", "Female": "f"})
    table = read(params, {"ethnicity": "identity", "gender": "identity"}).manifest.frame.astype("str")
    assert table["ethnicity"].tolist() == ["Asian"] * 3 + ["GroupB"] * 2
    assert table["gender"].tolist() == ["f", "f", "f", "Male", "Male"]


def test_one_list_has_no_labels_and_may_have_pixels(folder: Path):
    params = recognise(str(folder / "GroupA_Female.txt"))
    assert isinstance(params, ListsParams)
    made = read(params.model_copy(update={"root": folder}))
    assert made.manifest.labels == ()
    assert made.manifest.frame["path"].tolist() == ["p1/a.jpg", "p1/b.jpg", "p2/a.jpg"]


def test_a_folder_with_folders_is_a_folder_of_images(folder: Path):
    (folder / "p1").mkdir()
    assert isinstance(recognise(str(folder)), FolderParams)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p1/a.jpg\njust words\n", "row 2: the line is no identity/file; found 'just words'"),
        ("p1/a.jpg\np1/a.jpg\n", "stands in row 1 too"),
        ("p1/../../etc/passwd\n", "leaves its root"),
    ],
)
def test_damaged_lists_are_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read(ListsParams(path=path))


def test_names_that_do_not_fit_are_refused(folder: Path):
    with pytest.raises(InputError, match="other parts than `names`"):
        read(ListsParams(path=folder, names=("gender",)))
    with pytest.raises(InputError, match="no label 'age'"):
        read(ListsParams(path=folder), {"age": "image"})
    (folder / "third.txt").write_text("r1/a.jpg\n")
    with pytest.raises(InputError, match="other labels than the first"):
        read(ListsParams(path=folder))
    with pytest.raises(InputError, match="no list of images"):
        read(ListsParams(path=folder / "none"))
