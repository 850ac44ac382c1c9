"""The Manifest: order, validation, and the way to files and back."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.groups import cells
from curate.core.manifest import Manifest, read_manifest, tidy_categories

# Words that CSV keeps: no surrounding spaces, no control characters, not empty.
_WORD = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8).filter(
    lambda word: word.strip() == word
)
_PATH = _WORD.filter(lambda word: not word.startswith("/") and ".." not in word.split("/") and ":" not in word)
_MAYBE = st.one_of(st.none(), st.sampled_from(["a", "b", "é", "007", "1.0", "NA", "x/y"]))


@st.composite
def frames(draw: st.DrawFn, min_size: int = 0) -> pd.DataFrame:
    ids = draw(st.lists(_PATH, unique=True, min_size=min_size, max_size=12))
    column = lambda: draw(st.lists(_MAYBE, min_size=len(ids), max_size=len(ids)))  # noqa: E731
    data = {"image_id": ids, "path": ids, **{name: column() for name in ("identity", "gender", "age")}, "dataset": "d"}
    return pd.DataFrame(data).astype("str")


LEVELS = {"gender": "identity", "age": "image"}


@settings(deadline=None, max_examples=60)
@given(frames(), st.randoms(use_true_random=False))
def test_sorted_whatever_the_order(frame, random):
    rows = list(range(len(frame)))
    random.shuffle(rows)
    one, two = (Manifest.from_frame(part, levels=LEVELS) for part in (frame, frame.iloc[rows]))
    assert one.frame.equals(two.frame)
    assert one.frame["image_id"].tolist() == sorted(frame["image_id"], key=lambda text: text.encode())
    expected = frame.set_index("image_id")
    for name in ("identity", "gender", "age"):
        values = one.frame[name]
        assert list(values.cat.categories) == sorted(set(expected[name].dropna()))
        got = values.astype(object).where(values.notna(), None).tolist()
        wanted = expected[name].loc[one.frame["image_id"]].astype(object)
        assert got == wanted.where(wanted.notna(), None).tolist()
    assert one.rows_of(frame["image_id"]).tolist() == [
        one.frame["image_id"].tolist().index(i) for i in frame["image_id"]
    ]
    assert one.rows_of(["not there\n"]).tolist() == [-1]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames())
def test_round_trip_through_parquet_and_csv(tmp_path, frame):
    table = Manifest.from_frame(frame, levels=LEVELS)
    table.write(tmp_path / "m.parquet")
    back = read_manifest(tmp_path / "m.parquet")
    assert back.frame.equals(table.frame)
    assert back.levels == LEVELS
    table.write(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "m.parquet").read_bytes()
    table.frame.to_csv(tmp_path / "m.csv", index=False)
    assert read_manifest(tmp_path / "m.csv", levels=LEVELS).frame.equals(table.frame)


def test_replicas_and_weights_survive_both_files(tmp_path):
    table = Manifest.from_frame(pd.DataFrame({"image_id": ["a", "b"], "identity": ["x", "y"]}))
    made = Decisions.concat(
        [
            Decisions.of(["a~r1"], "add", "rare", related_id="a", new_value=str(2**63 - 25)),
            Decisions.of(["b"], "assign", "x", new_value="weight=0.25"),
        ]
    )
    table, _ = apply_decisions(table, made)
    table.write(tmp_path / "m.parquet")
    table.frame.to_csv(tmp_path / "m.csv", index=False)
    for name in ("m.parquet", "m.csv"):
        back = read_manifest(tmp_path / name)
        assert back.frame.equals(table.frame), name
        assert back.frame.dtypes.astype(str).to_dict() == table.frame.dtypes.astype(str).to_dict()
        assert back.originals().tolist() == [True, False, True]


def test_numbers_are_checked():
    frame = pd.DataFrame({"image_id": ["a", "b"], "identity": ["x", "y"], "weight": ["1", "heavy"]})
    with pytest.raises(InputError, match=r"row 2, column weight: not a number; found 'heavy'"):
        Manifest.from_frame(frame)
    with pytest.raises(InputError, match=r"column replica: not a number"):
        Manifest.from_frame(frame.assign(weight=None, replica=["-", "1"]))
    filled = Manifest.from_frame(frame.assign(weight=["0.5", None]))
    assert filled.frame["weight"].tolist() == [0.5, 1.0]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(st.none(), st.sampled_from(["", "b", "a", "ö", "c"])), max_size=20), st.booleans())
def test_tidy_categories(values, categorical):
    series = pd.Series(values, dtype="str")
    if categorical:
        series = pd.Series(pd.Categorical(series, categories=["unused", "c", "ö", "", "a", "b"]))
    tidy = tidy_categories(series)
    wanted = [value or None for value in values]
    assert [None if value != value or value is None else value for value in tidy.astype(object)] == wanted
    assert list(tidy.cat.categories) == sorted({value for value in wanted if value})


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([1, 2, 1], ["1", "2", "1"]), ([1.0, np.nan, 2.0], ["1", None, "2"]), ([0.5, 1.0], ["0.5", "1"]),
     ([True, False], ["true", "false"])],
)  # fmt: skip
def test_numbers_become_the_text_that_was_meant(values, wanted):
    tidy = tidy_categories(pd.Series(values))
    assert tidy.astype(object).where(tidy.notna(), None).tolist() == wanted


@settings(deadline=None, max_examples=80)
@given(frames(), st.lists(st.sampled_from(["gender", "age", "identity"]), unique=True, max_size=3))
def test_cells_against_joining_text(frame, labels):
    table = Manifest.from_frame(frame, levels=LEVELS)
    made = cells(table, labels)
    wanted = []
    for row in table.frame[["gender", "age", "identity"]].astype(object).to_dict("records"):
        values = [row[label] for label in labels]
        wanted.append(None if any(value != value or value is None for value in values) else "/".join(values) or "all")
    assert [None if value != value else value for value in made.astype(object)] == wanted
    assert set(made.categories) == {value for value in wanted if value} | (set() if labels else {"all"})


def test_cells_of_an_unknown_label():
    table = Manifest.from_frame(pd.DataFrame({"image_id": ["a"], "identity": ["x"], "gender": ["f"]}))
    with pytest.raises(InputError, match="Did you mean 'gender'"):
        cells(table, ["gendr"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image_id": ["a", "b", "a"]}, r"row 3, column image_id: the image_id stands in row 1 too \(1 repeats"),
        ({"image_id": ["a", "", "c"]}, "row 2, column image_id: the image_id is empty"),
        ({"image_id": ["a", None, "c"]}, "row 2, column image_id: the image_id is empty"),
        ({"path": ["x", "/etc/x", "y"]}, "row 2, column path: the path is absolute; found '/etc/x'"),
        ({"image_id": ["c", "b", "a"], "path": ["../x", "a", "y"]}, "row 1, column path: the path leaves its root"),
        ({"identity": None}, "the column 'identity' is missing"),
    ],
)
def test_bad_rows_are_named(columns, message):
    frame = pd.DataFrame({"image_id": ["a", "b", "c"], "identity": ["x", "y", "z"]}).assign(**columns)
    if columns.get("identity", 0) is None:
        frame = frame.drop(columns="identity")
    with pytest.raises(InputError, match=message):
        Manifest.from_frame(frame, origin="faces.csv")
    with pytest.raises(InputError, match=r"file faces\.csv"):
        Manifest.from_frame(frame, origin="faces.csv")


def test_bad_labels_are_named():
    frame = pd.DataFrame({"image_id": ["a"], "identity": ["x"], "gender": ["f"]})
    for levels, message in (({"gendr": "image"}, "Did you mean 'gender'"), ({"gender": "person"}, "unknown level"),
                            ({"path": "image"}, "not a label")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            Manifest.from_frame(frame, levels=levels)
    with pytest.raises(InputError, match=r"no label 'idntity'\. Did you mean 'identity'"):
        Manifest.from_frame(frame).codes("idntity")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "the column 'image_id' is missing"),
        ("image_id,identity,identity\n1,2,3\n", "'identity' stands twice"),
        ("image_id,identity\n1,2,3\n", "can't be read"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path / "m.csv")


def test_bad_files(tmp_path):
    (tmp_path / "m.parquet").write_text("nothing")
    with pytest.raises(InputError, match=r"m\.parquet: the table can't be read"):
        read_manifest(tmp_path / "m.parquet")
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path / "absent.csv")


def test_csv_keeps_text_and_maps_columns(tmp_path):
    (tmp_path / "m.csv").write_text(
        "\ufefffile, who,identity,gender\nb.jpg, 007,old,f\na.jpg,,old,\n", encoding="utf-8"
    )
    table = read_manifest(tmp_path / "m.csv", columns={"image_id": "file", "identity": "who"})
    assert table.frame["image_id"].tolist() == ["a.jpg", "b.jpg"]
    assert table.frame["identity"].tolist()[1] == "007"
    assert table.codes("identity").tolist() == [-1, 0]
    assert table.codes("gender").tolist() == [-1, 0]
    assert table.frame["identity_unmapped"].tolist() == ["old", "old"]
    with pytest.raises(InputError, match="Did you mean 'who'"):
        read_manifest(tmp_path / "m.csv", columns={"identity": "whoo"})


def test_splits_and_originals():
    table = Manifest.from_frame(pd.DataFrame({"image_id": list("abc"), "identity": "x", "split": ["train", None, "t"]}))
    assert table.in_split("train").tolist() == [True, False, False]
    assert table.in_split(None).tolist() == [True] * 3
    assert table.take(np.array([1])).in_split("train").tolist() == [False]
    assert list(table.take(np.array([0])).frame["split"].cat.categories) == ["train"]


def test_a_million_rows_in_bounded_memory(tmp_path):
    script = """
        import re, sys
        from pathlib import Path
        import numpy as np, pandas as pd, pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
        from curate.core.apply import apply_decisions
        from curate.core.decisions import Decisions
        from curate.core.manifest import read_manifest
        n = 1_000_000
        text = lambda values: pc.utf8_lpad(pc.cast(pa.array(values), pa.string()), 7, "0")
        person = pc.binary_join_element_wise(pa.scalar("id"), text(np.arange(n) // 40), "_")
        ids = pc.binary_join_element_wise(person, text(np.arange(n)), pa.scalar("/"))
        gender = pa.array(["f", "m"]).take(pa.array(np.arange(n) // 40 % 2))
        pq.write_table(pa.table({"image_id": ids, "path": ids, "identity": person, "gender": gender}), sys.argv[1])
        manifest = read_manifest(sys.argv[1])
        assert len(manifest) == n
        drops = Decisions.of(manifest.ids.take(pa.array(np.arange(0, n, 10))), "drop", "copy")
        assigns = Decisions.of(manifest.ids.take(pa.array(np.arange(0, n, 5))), "assign", "x", new_value="split=train")
        after, rejected = apply_decisions(manifest, Decisions.concat([drops, assigns]))
        assert (len(after), len(rejected)) == (900_000, 100_000)
        assert after.in_split("train").sum() == 100_000
        after.write(sys.argv[1])
        # Not ru_maxrss: that begins with the peak of the process that started this one.
        print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "m.parquet")],
                          capture_output=True, text=True, check=True)  # fmt: skip
    # GiB, with the libraries and the making of the table; about 0.45 where the machine is not busy.
    assert int(done.stdout) / 2**20 < 1


def test_the_order_of_a_parquet_file_changes_no_byte(tmp_path):
    frame = pd.DataFrame({"image_id": [f"i{n:03d}" for n in range(50)], "identity": "x",
                          "note": [f"n{n * 7 % 13}" for n in range(50)]})  # fmt: skip
    written = []
    for seed in (0, 1):
        path = tmp_path / "people.parquet"
        frame.sample(frac=1, random_state=seed).to_parquet(path, index=False)
        read_manifest(path).write(tmp_path / f"{seed}.parquet")
        written.append((tmp_path / f"{seed}.parquet").read_bytes())
    assert written[0] == written[1]


def test_a_column_that_is_no_text_is_named(tmp_path):
    pd.DataFrame({"image_id": ["a"], "identity": ["x"], "gender": [["f", "m"]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="column gender.*can't be read as text"):
        read_manifest(tmp_path / "t.parquet")
