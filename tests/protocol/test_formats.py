"""Lists of pairs of other projects: read, checked, and written so that they read the same."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.core.shapes import Features, step_rng
from curate.protocol.certificate import faults
from curate.protocol.formats import FORMATS, PairList, format_for, pairs_of_run, read_pairs, write_pairs
from curate.protocol.formats.base import pair_table
from curate.protocol.pairs import ProtocolParams, verification_protocol
from curate.protocol.table import COLUMNS, coded
from tests.protocol.conftest import make_faces

LFW = "2\t2\nAnn\t1\t2\nAnn\t1\t3\nBo\t1\tCy\t2\nCy\t3\tBo\t2\nDi\t1\t4\nDi\t2\t4\nEd\t10\tFay\t2\nFay\t1\tEd\t2\n"


@pytest.fixture(scope="module")
def drawn() -> PairList:
    """Pairs of images called as LFW's are, in two groups and two folds."""
    manifest = make_faces([4] * 16)
    frame = manifest.frame.copy()
    frame["image_id"] = [f"{who}/{who}_{int(name[-7:-4]) + 1:04d}.jpg" for who, name in
                         zip(frame["identity"].astype("str"), frame["image_id"], strict=True)]  # fmt: skip
    manifest = type(manifest).from_frame(frame, levels=manifest.levels)
    params = ProtocolParams(group_by=("gender",), folds=2, pairs_per_group=16)
    made = verification_protocol(manifest, Features(), params, step_rng(0, "protocol"))
    return PairList(made.tables["protocol/pairs"])


def key(table: pd.DataFrame, *names: str) -> list[tuple]:
    """The pairs as sets of two images, with some columns, in order."""
    ids = [tuple(sorted(both)) for both in zip(table["image_id_a"], table["image_id_b"], strict=True)]
    return sorted(zip(ids, *(table[name].astype("str") for name in names), strict=True))


def test_lfw_is_read_and_written_back_unchanged(tmp_path: Path):
    path = tmp_path / "pairs.txt"
    path.write_text(LFW)
    pairs, found = read_pairs(path)
    assert found.name == "lfw"
    assert list(pairs.table.columns) == list(COLUMNS)
    assert pairs.table["genuine"].tolist() == [True, True, False, False] * 2
    assert pairs.table["fold"].tolist() == [0] * 4 + [1] * 4
    assert pairs.table.iloc[6][["image_id_a", "image_id_b"]].tolist() == ["Ed/Ed_0010.jpg", "Fay/Fay_0002.jpg"]
    assert not any(len(rows) for rows in faults(coded(pairs.table)).values())
    found.write(pairs, tmp_path / "again.txt", None)
    assert (tmp_path / "again.txt").read_bytes() == path.read_bytes()
    path.write_text("2\nAnn\t1\t2\nAnn\t1\t3\nBo\t1\tCy\t2\nCy\t3\tBo\t2\n")  # as pairsDevTest.txt
    FORMATS["lfw"].write(read_pairs(path)[0], tmp_path / "again.txt", None)
    assert (tmp_path / "again.txt").read_bytes() == path.read_bytes()


NAMES = ("Ann", "Bo Li", "a/b", "tab\tbed", "tab_bed", "Zoë")


@st.composite
def protocols(draw) -> pd.DataFrame:
    """Pairs of any images of a few identities in some folds, each with a genuine and an impostor pair or more."""
    who = draw(st.sampled_from([NAMES, NAMES[:2]]))
    images = [(f"{name}/{number}.png", name) for name in who for number in range(3)]
    rows = []
    for fold in range(draw(st.integers(1, 3))):
        for genuine in (True, False):
            pairs = [(one, two) for one in images for two in images if one < two and (one[1] == two[1]) == genuine]
            for a, b in draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=5, unique=True)):
                rows.append((a[0], b[0], a[1], b[1], genuine, fold + 4))
    return pair_table(dict(zip(("image_id_a", "image_id_b", "identity_a", "identity_b", "genuine", "fold"),
                               map(list, zip(*rows, strict=True)), strict=True)))  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(protocols())
def test_lfw_holds_any_protocol_as_far_as_its_folds_are_even(tmp_path_factory, table: pd.DataFrame):
    path = tmp_path_factory.mktemp("lfw") / "pairs.txt"
    notes = write_pairs(PairList(table), path, FORMATS["lfw"])
    back = read_pairs(path)[0].table
    sizes = table.groupby(["fold", "genuine"]).size()
    assert back.groupby(["fold", "genuine"]).size().tolist() == [sizes.min()] * len(sizes)
    first = table["fold"].min()
    given_rows = set(key(table.assign(fold=table["fold"] - first), "fold", "genuine"))
    assert set(key(back, "fold", "genuine")) <= given_rows
    owner = dict(zip(table["image_id_a"], table["identity_a"], strict=True)) | dict(
        zip(table["image_id_b"], table["identity_b"], strict=True)
    )
    for side in "ab":
        assert [owner[image] for image in back[f"image_id_{side}"]] == back[f"identity_{side}"].tolist()
    left = len(table) - len(back)
    assert notes == ([f"{left:,} of {len(table):,} pairs do not fit this format and are left out"] if left else [])


def test_names_of_lfw_stay_where_they_agree_with_the_pairs(tmp_path: Path, drawn: PairList):
    path = tmp_path / "pairs.txt"
    notes = write_pairs(drawn, path, FORMATS["lfw"])
    assert notes == ["this format does not hold, or not as they were: group, group_a, group_b"]
    assert not (tmp_path / "pairs.images.csv").exists()
    assert key(read_pairs(path)[0].table, "fold", "genuine") == key(drawn.table, "fold", "genuine")
    # An image that was moved to another person: its file's name would make an impostor pair of it.
    table = drawn.table.copy()
    row = int(np.flatnonzero(table["genuine"])[0])
    moved, person = table["image_id_b"][row], table["identity_b"][row]
    table["image_id_b"] = table["image_id_b"].astype("str").replace(moved, "Other/Other_0001.jpg")
    table["image_id_a"] = table["image_id_a"].astype("str").replace(moved, "Other/Other_0001.jpg")
    write_pairs(PairList(table), path, FORMATS["lfw"])
    back = read_pairs(path)[0].table
    assert key(back, "identity_a", "genuine") == key(table, "identity_a", "genuine")
    assert path.read_text().count(f"{person}\t") > 0
    assert "Other\t" not in path.read_text()
    write_pairs(drawn, path, FORMATS["lfw"])
    assert not (tmp_path / "pairs.images.csv").exists(), "no table of another list stays"


def test_what_lfw_cannot_hold_at_all(tmp_path: Path, drawn: PairList):
    path = tmp_path / "pairs.txt"
    for table, message in (
        (drawn.table[drawn.table["genuine"]], "each fold .* has genuine and impostor pairs"),
        (drawn.table.assign(image_id_a="x.png", identity_a=None), "neither LFW's kind of name nor an identity"),
        (drawn.table.assign(image_id_a=drawn.table["image_id_a"] + "x", genuine=True, fold=drawn.table.index % 2)
         .assign(genuine=lambda one: one.index % 3 > 0), "a genuine pair of two identities"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            FORMATS["lfw"].write(PairList(table), path, None)
    write_pairs(PairList(drawn.table.assign(image_id_a=drawn.table["image_id_a"] + "x")), path, FORMATS["lfw"])
    beside = tmp_path / "pairs.images.csv"
    rows = beside.read_text().splitlines()
    for text, message in (
        ("\n".join(rows[:-1]), "does not name an image of the list"), ("name,number\nx,1", "'image_id' is missing"),
        ("\n".join([*rows, rows[-1]]), "names an image twice"),
    ):  # fmt: skip
        beside.write_text(text + "\n")
        with pytest.raises(InputError, match=message):
            read_pairs(path)


def test_pairs_of_a_run_lie_in_it_or_in_its_protocol(tmp_path: Path, drawn: PairList):
    assert pairs_of_run(tmp_path) is None
    for place in (tmp_path / "protocol", tmp_path):
        place.mkdir(exist_ok=True)
        FORMATS["table"].write(drawn, place / "pairs.parquet", None)
        assert pairs_of_run(tmp_path) == place / "pairs.parquet"


def test_what_other_formats_lose_is_told(tmp_path: Path, drawn: PairList):
    table = drawn.table.assign(stratum=np.where(drawn.table.index % 2, "hard", "random"))
    assert write_pairs(PairList(table), tmp_path / "p.parquet", FORMATS["table"]) == []
    assert write_pairs(PairList(table), tmp_path / "bob", FORMATS["bob"]) == [
        "this format does not hold, or not as they were: stratum"
    ]
    told = "this format does not hold, or not as they were: group, group_a, group_b, fold, stratum"
    assert write_pairs(PairList(table), tmp_path / "ijb", FORMATS["ijb"]) == [told]
    assert write_pairs(PairList(table), tmp_path / "rfw", FORMATS["rfw"]) == [
        "this format does not hold, or not as they were: image ids, stratum"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2\t2\nAnn\t1\t2\n", "1 pairs where the first line says 2 x 2 x 2"),
        ("1\t1\nAnn\t1\tBo\t2\nAnn\t1\t2\n", "a fold is 1 genuine and then 1 impostor pairs"),
        ("1\t1\nAnn\tone\t2\nAnn\t1\tBo\t2\n", "row 2: the line is no pair"),
        ("1\t1\nAnn\t1\n\nAnn\t1\tBo\t2\n", "row 2: the line is no pair"),
    ],
)
def test_a_damaged_lfw_list_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs(path)


def test_rfw_lists_say_group_and_fold(tmp_path: Path, drawn: PairList):
    FORMATS["rfw"].write(drawn, tmp_path / "rfw", None)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.txt")) == [
        "rfw/f/f_pairs.txt", "rfw/m/m_pairs.txt",
    ]  # fmt: skip
    pairs, found = read_pairs(tmp_path / "rfw")
    assert found.name == "rfw"
    plain = pairs.table.assign(**{f"image_id_{s}": pairs.table[f"image_id_{s}"].str[2:] for s in "ab"})
    assert key(plain, "group", "fold", "genuine") == key(drawn.table, "group", "fold", "genuine")
    assert pairs.table["image_id_a"].str.startswith(tuple(f"{g}/" for g in "fm")).all()
    FORMATS["rfw"].write(pairs, tmp_path / "again", None)
    for name in ("f/f_pairs.txt", "m/m_pairs.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "rfw" / name).read_bytes()
    across = drawn.table.assign(group=None)
    with pytest.raises(InputError, match="within a group"):
        FORMATS["rfw"].write(PairList(across), tmp_path / "none", None)


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.parquet", "bob", "ijb"])
def test_a_protocol_comes_back(tmp_path: Path, drawn: PairList, name: str):
    path = tmp_path / name
    written = format_for(path, None if "." in name else name)
    written.write(drawn, path, None)
    pairs, found = read_pairs(path)
    assert found is written
    assert list(pairs.table.columns) == list(COLUMNS)
    kept = ("genuine",) if name == "ijb" else ("group", "group_a", "group_b", "fold", "genuine")
    assert key(pairs.table, *kept) == key(drawn.table, *kept)
    assert not any(len(rows) for rows in faults(coded(pairs.table)).values())
    owner = drawn.table.set_index("image_id_a")["identity_a"].astype("str").to_dict()
    for image, who in zip(pairs.table["image_id_a"], pairs.table["identity_a"], strict=True):
        assert owner.get(image, who) == who


def test_bfw_columns_are_accepted(tmp_path: Path):
    pd.DataFrame({
        "fold": [1, 1], "p1": ["asian_females/n1/1.jpg"] * 2, "p2": ["asian_females/n1/2.jpg", "asian_males/n2/1.jpg"],
        "label": [1, 0], "id1": [0, 0], "id2": [0, 9], "att1": ["asian_females"] * 2,
        "att2": ["asian_females", "asian_males"], "vgg16": [0.8, 0.1],
    }).to_csv(tmp_path / "bfw.csv", index=False)  # fmt: skip
    table = read_pairs(tmp_path / "bfw.csv")[0].table
    assert table["genuine"].tolist() == [True, False]
    assert table["group"].tolist()[0] == "asian_females"
    assert table["group"].isna().tolist() == [False, True]
    assert table["group_b"].tolist() == ["asian_females", "asian_males"]
    assert table["fold"].tolist() == [1, 1]
    assert table["identity_b"].tolist() == ["0", "9"]


def test_templates_of_several_images_stay_whole(tmp_path: Path):
    folder = tmp_path / "ijb"
    folder.mkdir()
    (folder / "ijbc_1N_gallery_G1.csv").write_text(
        "TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,7,img/1.jpg\n1,7,img/2.jpg\n2,8,img/3.jpg\n"
    )
    (folder / "ijbc_1N_probe.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n3,7,img/4.jpg\n")
    (folder / "ijbc_11_G1_matches.csv").write_text("1,3\n2,3\n")
    pairs, found = read_pairs(folder)
    assert found.name == "ijb"
    assert pairs.table["image_id_a"].tolist() == ["template/1", "img/3.jpg"]
    assert pairs.table["genuine"].tolist() == [True, False]
    found.write(pairs, tmp_path / "again", None)
    again = read_pairs(tmp_path / "again")[0]
    assert again.table["genuine"].tolist() == [True, False]
    of = again.templates.groupby("template")["image_id"].agg(list).to_dict()
    assert of[again.table["image_id_a"][0]] == ["img/1.jpg", "img/2.jpg"]
    with pytest.raises(InputError, match="--to ijb"):
        FORMATS["bob"].write(pairs, tmp_path / "bob", None)
    (folder / "ijbc_11_G1_matches.csv").write_text("1,3\n2,99\n")
    with pytest.raises(InputError, match="no table has this template.*'99'"):
        read_pairs(folder)
    (folder / "ijbc_1N_probe.csv").write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n3,7,img/4.jpg\n3,8,img/5.jpg\n")
    with pytest.raises(InputError, match="several subjects"):
        read_pairs(folder)


def test_without_a_list_of_comparisons_every_probe_meets_every_model(tmp_path: Path, drawn: PairList):
    FORMATS["bob"].write(drawn, tmp_path / "bob", None)
    (tmp_path / "bob" / "dev" / "for_scores.csv").unlink()
    pairs = read_pairs(tmp_path / "bob")[0]
    assert len(pairs.table) == drawn.table["image_id_a"].nunique() * drawn.table["image_id_b"].nunique()
    assert (pairs.table["genuine"] == (pairs.table["identity_a"] == pairs.table["identity_b"])).all()


def test_insightface_keeps_the_bytes_and_names_identities_beside(tmp_path: Path, drawn: PairList):
    root = tmp_path / "faces"
    for side in "ab":
        for image in drawn.table[f"image_id_{side}"]:
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            (root / image).write_bytes(f"pixels of {image}".encode())
    path = tmp_path / "set.bin"
    FORMATS["insightface"].write(drawn, path, root)
    images, answers = pickle.loads(path.read_bytes())
    assert answers == drawn.table["genuine"].tolist()
    assert images[0] == f"pixels of {drawn.table['image_id_a'][0]}".encode()
    assert images[1] == f"pixels of {drawn.table['image_id_b'][0]}".encode()
    pairs = read_pairs(path)[0]
    assert key(pairs.table, "group", "fold", "genuine") == key(drawn.table, "group", "fold", "genuine")
    assert not any(len(rows) for rows in faults(coded(pairs.table)).values())
    (tmp_path / "set.identities.csv").unlink()
    bare = read_pairs(path)[0].table
    assert bare["identity_a"].isna().all()
    assert bare["image_id_b"][0] == "set.bin#000001"
    with pytest.raises(InputError, match="--root FOLDER"):
        FORMATS["insightface"].write(drawn, path, None)
    outside = PairList(drawn.table.assign(image_id_a="../set.bin"))
    with pytest.raises(InputError, match="leaves its root"):
        FORMATS["insightface"].write(outside, path, root)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([b"a", b"b"], "not a verification set"),
        (([b"a", b"b", b"c"], [True]), "3 images for 1 answers"),
        (([b"a", "b"], [True]), "row 2: the image is no bytes"),
        (([b"a", b"b"], [7]), "row 1: the answer is neither"),
    ],
)
def test_a_damaged_bin_is_refused(tmp_path: Path, value, message: str):
    path = tmp_path / "set.bin"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(InputError, match=message):
        read_pairs(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image_id_a": ["a"], "genuine": [1]}, "the column 'image_id_b' is missing"),
        (
            {"image_id_a": ["a"], "image_id_b": [None], "genuine": [1]},
            "row 1, column image_id_b: the image id is missing",
        ),
        ({"image_id_a": ["a"], "image_id_b": ["b"], "genuine": ["maybe"]}, "neither true nor false; found 'maybe'"),
        (
            {"image_id_a": ["a"], "image_id_b": ["b"], "genuine": [1], "fold": ["x"]},
            "the fold is no number of one; found 'x'",
        ),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, columns, message: str):
    path = tmp_path / "pairs.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    with pytest.raises(InputError, match=message):
        read_pairs(path)


def test_what_is_no_list_says_what_is(tmp_path: Path):
    with pytest.raises(InputError, match="no such file or folder"):
        read_pairs(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("hello\n")
    with pytest.raises(InputError, match="LFW's pairs.txt"):
        read_pairs(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="--to rfw"):
        format_for(tmp_path / "folder")
    with pytest.raises(InputError, match="Did you mean 'bob'"):
        format_for(tmp_path / "folder", "bop")


def test_numbers_and_table_are_the_same(drawn: PairList):
    numbers = coded(drawn.table)
    back = numbers.frame()
    for name in COLUMNS:
        assert back[name].astype("str").tolist() == drawn.table[name].astype("str").tolist()
    assert np.array_equal(coded(back).image_a, numbers.image_a)
