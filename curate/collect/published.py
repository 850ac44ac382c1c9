"""Attribute lists as their authors publish them: CelebA, UTKFace, FairFace, VGGFace2."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from curate.collect.folder import scan
from curate.collect.listed import FILE, collect_listed
from curate.collect.source import Collected, Source, checked_folder, counted
from curate.collect.table import range_of_date
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import text_array
from curate.core.shapes import Executor, StrictParams
from curate.core.tables import Refused, read_columns

_PARTS = {"0": "train", "1": "validation", "2": "test"}
_UTK = re.compile(r"(?:^|/)(\d{1,3})_([01])_([0-4])_[^/]*$")
_UTK_GENDER = ("male", "female")
_UTK_RACE = ("White", "Black", "Asian", "Indian", "Other")
_FAIRFACE_AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")


class CelebaParams(StrictParams):
    """A folder with `list_attr_celeba.txt` or `.zip`; `identity_CelebA.txt` and `list_eval_partition.txt` if there."""

    kind: Literal["celeba"] = "celeba"
    lists: Path
    root: Path | None = None  # the folder of the photographs; None: the lists alone
    dataset: str = "celeba"


class UtkfaceParams(StrictParams):
    """Files called `age_gender_race_stamp.jpg`."""

    kind: Literal["utkface"] = "utkface"
    root: Path
    dataset: str = "utkface"


class FairfaceParams(StrictParams):
    """`fairface_label_train.csv` or `..._val.csv`: file, age, gender, race."""

    kind: Literal["fairface"] = "fairface"
    path: Path
    root: Path | None = None  # the folder that the column `file` is relative to; None: the list alone
    dataset: str = "fairface"


class Vggface2Params(StrictParams):
    """`identity_meta.csv`: the class, name, number of images, and gender of each identity."""

    kind: Literal["vggface2"] = "vggface2"
    path: Path
    root: Path | None = None  # class/file.jpg; None: a row without pixels for each image that the list counts
    attributes: Path | None = None  # a table with a column `file` and attributes: then its images are the rows
    dataset: str = "vggface2"


def read_celeba(params: CelebaParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """CelebA's lists (Liu et al. 2015): 40 attributes as `yes` and `no`, the identity, and `partition`.

    All labels are of the image: `Male` differs within identities. Raises InputError where a list is missing or its
    lines don't fit its heading.
    """
    folder = checked_folder(params.lists)
    path = next((folder / f"list_attr_celeba.{end}" for end in ("txt", "zip")
                 if (folder / f"list_attr_celeba.{end}").is_file()), None)  # fmt: skip
    if path is None:
        raise InputError("no list_attr_celeba.txt or list_attr_celeba.zip", file=folder)
    data = _text_of(path)
    names = data.split(b"\n", 2)[1].decode().split() if data.count(b"\n") > 1 else []
    table = _spaced(data.split(b"\n", 2)[2] if names else b"", [FILE, *names], path)
    labels = {name: pc.if_else(pc.equal(table[name], "1"), "yes", "no") for name in names}
    table = pa.table({FILE: table[FILE], **labels})
    for name, ours, meaning in (
        ("identity_CelebA.txt", col.IDENTITY, None), ("list_eval_partition.txt", "partition", _PARTS),
    ):  # fmt: skip
        if (folder / name).is_file():
            table = table.append_column(ours, _beside(folder / name, table[FILE], meaning))
    defaults = {name: "image" for name in table.column_names if name not in (FILE, col.IDENTITY)}
    return collect_listed(
        table, dataset=params.dataset, root=params.root, levels=levels, defaults=defaults, origin=path
    )


def _text_of(path: Path) -> bytes:
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        inside = [info for info in archive.infolist() if info.filename.endswith(".txt")]
        if len(inside) != 1 or inside[0].file_size > 1 << 30:
            raise InputError("the archive should hold one text file of at most 1 GiB", file=path)
        return archive.read(inside[0])


def _spaced(data: bytes, names: list[str], path: Path) -> pa.Table:
    """A table whose cells stand apart by spaces, one or several; line ends of any kind."""
    tidy = data.replace(b"\r", b"").replace(b"\t", b" ")
    while b"  " in tidy:
        tidy = tidy.replace(b"  ", b" ")
    tidy = tidy.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip(b" ")
    try:
        return pacsv.read_csv(
            pa.BufferReader(tidy), read_options=pacsv.ReadOptions(column_names=names),
            parse_options=pacsv.ParseOptions(delimiter=" ", quote_char=False),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        raise InputError(f"the list can't be read ({error})", file=path) from error


def _beside(path: Path, files: pa.ChunkedArray, meaning: Mapping[str, str] | None) -> pa.Array:
    """The second column of a list `file value` for these files."""
    table = _spaced(path.read_bytes(), [FILE, "value"], path)
    values = table["value"]
    if meaning is not None:
        values = pa.array(list(meaning.values())).take(pc.index_in(values, value_set=pa.array(list(meaning))))
    return values.take(pc.index_in(files, value_set=table[FILE].combine_chunks()))


def read_utkface(params: UtkfaceParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """UTKFace (Zhang, Song and Qi 2017): age, gender and ethnicity from the names of the files; no identities.

    A name of another form has no labels, and is counted. Labels are of the image, since nobody is named.
    """
    root = checked_folder(params.root).resolve()
    listing = scan(root)
    if not listing.chunks:
        raise InputError("no images below the root", file=root)
    names = pa.chunked_array(listing.chunks).to_pylist()
    found = [_UTK.search(name) for name in names]
    table = pa.table({
        FILE: pa.array(names, pa.large_string()),
        "age": [match and str(int(match[1])) for match in found],
        "gender": [match and _UTK_GENDER[int(match[2])] for match in found],
        "ethnicity": [match and _UTK_RACE[int(match[3])] for match in found],
    })  # fmt: skip
    notes = []
    odd = sorted(name for name, match in zip(names, found, strict=True) if match is None)
    if odd:
        notes.append(f"{counted(len(odd), 'name is', 'names are')} not age_gender_race_stamp; no labels there "
                     f"(first: {odd[0]})")  # fmt: skip
    defaults = dict.fromkeys(("age", "gender", "ethnicity"), "image")
    return collect_listed(
        table, dataset=params.dataset, root=root, levels=levels, defaults=defaults, notes=tuple(notes), origin=root
    )


def read_fairface(
    params: FairfaceParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """FairFace (Karkkainen and Joo 2021): age, gender and ethnicity (its `race`) of each image; no identities.

    An age that a spreadsheet turned into a date (`03-Sep`) can only have been one of the nine that FairFace has, and
    is put right; any other value that is none of them is missing. Both are counted.
    """
    path = params.path.expanduser()
    refused = Refused()
    table, _ = read_columns(path, refused)
    missing = [name for name in (FILE, "age", "gender", "race") if name not in table.column_names]
    if missing:
        raise InputError(f"the column {missing[0]!r} is missing", file=path, value=table.column_names,
                         remedy="Use a source of kind table for a list of another form")  # fmt: skip
    ages, notes = _ages(table["age"])
    table = pa.table({FILE: table[FILE], "age": ages, "gender": table["gender"], "ethnicity": table["race"]})
    defaults = dict.fromkeys(("age", "gender", "ethnicity"), "image")
    return collect_listed(
        table, dataset=params.dataset, root=params.root, levels=levels, defaults=defaults,
        notes=(*refused.notes(path), *notes), origin=path,
    )  # fmt: skip


def _ages(column: pa.ChunkedArray) -> tuple[pa.Array, list[str]]:
    encoded = text_array(column).dictionary_encode()
    counts = np.bincount(pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(zero_copy_only=False),
                         minlength=len(encoded.dictionary) + 1)  # fmt: skip
    meant, notes = [], []
    for count, value in zip(counts, encoded.dictionary.to_pylist(), strict=False):
        restored = value if value in _FAIRFACE_AGES else range_of_date(value)
        meant.append(restored if restored in _FAIRFACE_AGES else None)
        if meant[-1] is None:
            notes.append(f"age: {counted(int(count), 'value')} {value!r} that FairFace does not have; missing there")
        elif value != restored:
            notes.append(f"age: {counted(int(count), 'value')} {value!r}, made a date by a spreadsheet: {restored}")
    return pa.array(meant, pa.string()).take(encoded.indices), sorted(notes)


def read_vggface2(
    params: Vggface2Params, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """VGGFace2's identity_meta.csv (Cao et al. 2018): name, gender and `partition` of each identity.

    The images are those below the root; without one those of `attributes`; without both `class/00001` up to the number
    that the list counts, without pixels.
    """
    path = params.path.expanduser()
    refused = Refused()
    meta, _ = read_columns(path, refused)
    wanted = {"Class_ID", "Name", "Sample_Num", "Flag", "Gender"}
    if missing := sorted(wanted - set(meta.column_names)):
        raise InputError(f"the column {missing[0]!r} is missing", file=path, value=meta.column_names)
    notes = refused.notes(path)
    extra: dict[str, pa.Array] = {}
    if params.root is not None:
        listing = scan(checked_folder(params.root).resolve())
        files = pa.chunked_array(listing.chunks, pa.large_string()).combine_chunks()
    elif params.attributes is not None:
        attributes, _ = read_columns(params.attributes.expanduser())
        files = text_array(attributes[FILE])
        extra = {name: text_array(attributes[name]) for name in attributes.column_names if name != FILE}
    else:
        files = _counted_files(meta, path)
    identity = pc.replace_substring_regex(files, pattern="/.*$", replacement="")
    rows = pc.index_in(identity, value_set=text_array(meta["Class_ID"]))
    strangers = pc.sum(pc.is_null(rows)).as_py()
    if strangers:
        notes.append(f"{counted(strangers, 'image')} of an identity that the list does not name")
    empty = len(meta) - len(pc.unique(rows.drop_null()))
    if empty:
        notes.append(f"{counted(empty, 'identity', 'identities')} of the list without an image, left out")
    split = pc.if_else(pc.equal(meta["Flag"], "1"), "train", "test")
    table = pa.table({
        FILE: files, col.IDENTITY: identity, "name": text_array(meta["Name"]).take(rows),
        "gender": text_array(meta["Gender"]).take(rows), "partition": split.combine_chunks().take(rows), **extra,
    })  # fmt: skip
    defaults = {"gender": "identity", "partition": "identity", **dict.fromkeys(extra, "image")}
    return collect_listed(
        table, dataset=params.dataset, root=params.root, levels=levels, defaults=defaults, notes=tuple(notes),
        origin=path,
    )  # fmt: skip


def _counted_files(meta: pa.Table, path: Path) -> pa.Array:
    try:
        counts = pc.cast(meta["Sample_Num"], pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise InputError(f"not a number ({error})", file=path, column="Sample_Num") from error
    if counts.sum() > 100_000_000 or (counts < 0).any():
        raise InputError("the numbers of images can't be right", file=path, column="Sample_Num")
    of = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    padded = pc.utf8_lpad(pc.cast(pa.array(number), pa.large_string()), 5, "0")
    return pc.binary_join_element_wise(
        text_array(meta["Class_ID"]).take(pa.array(of)), padded, pa.scalar("/", pa.large_string())
    )


SOURCES = (
    Source("celeba", CelebaParams, read_celeba),
    Source("utkface", UtkfaceParams, read_utkface),
    Source("fairface", FairfaceParams, read_fairface),
    Source("vggface2", Vggface2Params, read_vggface2),
)
