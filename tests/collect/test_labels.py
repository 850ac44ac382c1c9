"""Joining labels: keys, conflicts, what does not match; and the table source, which uses the same join."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.collect.labels import join_labels
from curate.collect.source import Collected
from curate.collect.table import TableParams, read_table_source
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import SerialExecutor

from .test_folder import build, read


def column(found: Collected, name: str) -> list:
    """A label as plain values, None where missing."""
    values = found.manifest.frame[name].astype("object")
    return values.where(values.notna(), None).tolist()


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Three images of two identities."""
    return build(tmp_path / "faces", "a/1.jpg", "a/2.jpg", "b/3.jpg")


def labels(tmp_path: Path, text: str) -> Path:
    """A label file."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("key", ["image_id", "path", "file"])
def test_joins_by_image_only_what_is_asked_for(tmp_path: Path, faces: Path, key: str) -> None:
    text = f"{key},identity,gender_afif4,other\na/1.jpg,a,F,x\n./a/2.jpg,a,F,x\nb\\3.jpg,b,M,x\n"
    found = read(faces, tmp_path, labels=labels(tmp_path, text), columns={"gender": "gender_afif4"})
    assert column(found, "gender") == ["F", "F", "M"]
    assert found.manifest.levels == {"gender": "identity"}
    assert "other" not in found.manifest.frame
    assert found.notes == ()


def test_joins_by_identity(tmp_path: Path, faces: Path) -> None:
    file = labels(tmp_path, "identity,gender,age\na,f,30\nnobody,m,20\n")
    found = read(faces, tmp_path, {"gender": "identity", "age": "image"}, labels=file)
    assert column(found, "gender") == ["f", "f", None]
    assert column(found, "age") == ["30", "30", None]
    assert found.notes == (
        "1 row of labels.csv names no identity of the source (first: row 2, 'nobody')",
        "1 image without a row in labels.csv; the labels are missing there",
    )


def test_gender_and_ethnicity_are_joined_unasked(tmp_path: Path, faces: Path) -> None:
    found = read(faces, tmp_path, labels=labels(tmp_path, "path,ethnicity,x\na/1.jpg,P,1\n"))
    assert found.manifest.levels == {"ethnicity": "identity"}
    assert column(found, "ethnicity") == ["P", None, None]


def test_a_mapped_key_and_a_split(tmp_path: Path, faces: Path) -> None:
    file = labels(tmp_path, "img,fold,sex\na/1.jpg,train,f\nb/3.jpg,holdout,m\n")
    found = read(faces, tmp_path, labels=file, columns={"image_id": "img", "split": "fold", "gender": "sex"})
    assert column(found, "split") == ["train", None, "holdout"]
    assert column(found, "gender") == ["f", None, "m"]


@pytest.mark.parametrize(
    ("text", "columns", "levels", "message"),
    [
        ("file,gender\na/1.jpg,f\na/2.jpg,f\na/1.jpg,m\n", {}, None,
         r"labels.csv, row 3, column gender: rows 1 and 3 give the image 'a/1.jpg' two values .1 such conflict in all."
         r"; found \['f', 'm'\]"),
        ("identity,gender\na,f\nb,m\na,m\n", {}, None, "rows 1 and 3 give the identity 'a' two values"),
        ("file,gender\na/1.jpg,f\n./a/1.jpg,m\n", {}, None, "rows 1 and 2 give the image 'a/1.jpg' two values"),
        ("file,gendre\na/1.jpg,f\n", {}, {"gender": "identity"}, "no column 'gender'.*Did you mean 'gendre'"),
        ("file,gender_x\na/1.jpg,f\n", {"gender": "gender_y"}, None, "no column 'gender_y'.*Did you mean 'gender_x'"),
        ("picture,gender\na/1.jpg,f\n", {}, None, "no column says which image.*image_id, path, file, identity"),
        ("picture,gender\na/1.jpg,f\n", {"image_id": "pictures"}, None, "names a column that is not there.*'picture'"),
        ("file,gender\nA/1.JPG,f\n", {}, None, r"no row names an image.*found 'A/1.JPG'.*such as 'a/1.jpg'"),
        ("file,w\na/1.jpg,2\n", {"weight": "w"}, None, "can't bring the column 'weight'"),
        ("", {}, None, "the file is empty"),
    ],
)  # fmt: skip
def test_bad_label_files_are_refused(
    tmp_path: Path, faces: Path, text: str, columns: dict, levels: dict | None, message: str
) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        read(faces, tmp_path, levels, labels=labels(tmp_path, text), columns=columns)


def test_missing_label_file_is_refused_before_the_scan(tmp_path: Path, faces: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.csv: no such label file"):
        read(faces, tmp_path, labels=tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="a folder alone has no labels, but the recipe asks for gender"):
        read(faces, tmp_path, {"gender": "identity"})


def test_repeated_rows_that_agree_are_counted_and_blanks_contradict_nothing(tmp_path: Path, faces: Path) -> None:
    file = labels(tmp_path, "file,gender,age\na/1.jpg,f,\na/1.jpg,f,3\na/2.jpg,,\nb/3.jpg,m,4\n,m,4\n")
    found = read(faces, tmp_path, {"gender": "identity", "age": "image"}, labels=file)
    assert column(found, "gender") == ["f", None, "m"]
    assert column(found, "age") == ["3", None, "4"]
    assert found.notes == (
        "1 row of labels.csv names no image of the source (first: row 5, None)",
        "1 row of labels.csv repeats another and agrees with it",
    )


_KEYS = ["a/1", "a/2", "b/1", "c/1", "./a/1", "a\\2", "zz", ""]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(_KEYS), st.sampled_from(["f", "m", ""])), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_join_agrees_with_a_plain_loop(tmp_path_factory: pytest.TempPathFactory, rows: list, random: object) -> None:
    ids = ["a/1", "a/2", "b/1", "c/1"]
    frame = pd.DataFrame({"image_id": pd.array(ids, dtype="str"), "identity": pd.Categorical(["a", "a", "b", "c"])})
    path = tmp_path_factory.mktemp("join") / "labels.csv"
    path.write_text("file,gender\n" + "".join(f"{key},{value}\n" for key, value in rows))
    expected: dict[str, set] = {}
    matched = 0
    for key, value in rows:
        plain = key.replace("\\", "/").removeprefix("./")
        if plain in ids:
            matched += 1
            expected.setdefault(plain, set()).update({value} - {""})
    conflict = any(len(values) > 1 for values in expected.values())
    if conflict or not matched:
        with pytest.raises(InputError, match="two values" if matched else "no row names an image"):
            join_labels(frame, path, None, {})
        return
    joined = join_labels(frame, path, None, {})
    values = joined.frame["gender"].astype("object")
    got = values.where(values.notna(), None).tolist()
    assert got == [next(iter(expected.get(name, ())), None) for name in ids]


def test_a_large_join_is_fast_and_exact(tmp_path: Path) -> None:
    n = 200_000
    rng = np.random.default_rng(0)
    ids = pd.array([f"p{i % 999}/{i:07d}.jpg" for i in range(n)], dtype="str")
    who = pd.Categorical.from_codes(np.arange(n) % 999, [f"p{i}" for i in range(999)])
    frame = pd.DataFrame({"image_id": ids, "identity": who})
    age = rng.integers(0, 90, n)
    table = pd.DataFrame({"file": frame["image_id"], "age": age.astype(str)}).take(rng.permutation(n))
    table.to_parquet(tmp_path / "labels.parquet")
    joined = join_labels(frame, tmp_path / "labels.parquet", {"age": "image"}, {})
    assert (joined.frame["age"].astype(int) == age).all()
    assert joined.notes == ()


def test_lfw(tmp_path: Path, real_data: Path) -> None:
    base = real_data / "lfw-faces-112"
    found = read(base / "images", tmp_path, labels=base / "labels.csv", columns={"gender": "gender_afif4"})
    assert len(found.manifest) == 12_794
    assert found.manifest.frame["identity"].nunique() == 5_616
    assert found.manifest.frame["gender"].isna().sum() == 2
    assert found.notes == ()


# The table source


def read_table(path: Path, levels: dict[str, str] | None = None, **params: object) -> Collected:
    """Read a table source."""
    return read_table_source(TableParams(path=path, **params), levels, SerialExecutor(), path.parent)


def test_table_refuses_repeated_ids_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("image_id,identity\nx,a\ny,b\nx,c\n")
    with pytest.raises(InputError, match=r"m.csv, row 3, column image_id: the image_id stands in row 1 too"):
        read_table(path)
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.parquet")
    path.write_text("image_id,identity\nx,a\n")
    with pytest.raises(InputError, match="no such folder"):
        read_table(path, root=tmp_path / "none")
    (tmp_path / "bad.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="can't be read"):
        read_table(tmp_path / "bad.parquet", columns={"age": "years"})


def test_table_in_any_order_is_the_same_manifest(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    n = 500
    frame = pd.DataFrame({"image_id": [f"{i:04d}" for i in range(n)], "who": rng.integers(0, 40, n).astype(str),
                          "gender": rng.choice(["f", "m", None], n), "age": rng.choice(["1", "2"], n)})  # fmt: skip
    written = []
    for number in range(2):
        frame.sample(frac=1, random_state=number).to_csv(tmp_path / "faces.csv", index=False)
        found = read_table(tmp_path / "faces.csv", columns={"identity": "who", "years": "age"}, dataset="mine")
        assert found.manifest.levels == {"gender": "identity", "years": "image"}
        found.manifest.write(tmp_path / f"{number}.parquet")
        written.append((tmp_path / f"{number}.parquet").read_bytes())
    assert written[0] == written[1]


def test_table_keeps_the_levels_of_a_written_manifest(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image_id": ["1", "2"], "identity": ["a", "b"], "age": ["x", "y"], "hat": ["n", "n"]})
    Manifest.from_frame(frame, levels={"age": "image"}).write(tmp_path / "m.parquet")
    assert read_table(tmp_path / "m.parquet").manifest.levels == {"age": "image"}
    assert read_table(tmp_path / "m.parquet", columns={"cap": "hat"}).manifest.levels == {
        "cap": "image",
        "age": "image",
    }


def test_table_with_a_second_table_of_labels(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image_id,identity,age\n2,b,x\n1,a,y\n3,c,y\n")
    (tmp_path / "people.csv").write_text("identity,sex\na,f\nb,m\n")
    found = read_table(tmp_path / "m.csv", {"age": "image", "gender": "identity"}, labels=tmp_path / "people.csv",
                       columns={"gender": "sex"})  # fmt: skip
    assert column(found, "gender") == ["f", "m", None]
    assert column(found, "age") == ["y", "x", "y"]
    assert found.manifest.levels == {"age": "image", "gender": "identity"}
    assert found.notes == ("1 image without a row in people.csv; the labels are missing there",)
