"""LFW's `pairs.txt` (Huang et al. 2007, view 2): `folds n`, then for each fold n genuine and n impostor lines.

Such a list names an image by identity and number. Images that are called otherwise are numbered, and a table beside the
list, `pairs.images.csv`, says which is which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from curate.core.errors import InputError
from curate.core.files import write_text
from curate.core.tables import read_columns
from curate.protocol.formats.base import (
    Format,
    PairList,
    by_fold,
    lines_of,
    numbered,
    numbered_pair,
    pair_table,
    pairs_of,
)

#: The table beside a list: which image a name and number mean.
_COLUMNS = ("name", "number", "image_id", "identity")
_ID = "{0}/{0}_{1:04d}.jpg"
#: What would end a cell or a line.
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_HEAD = re.compile(r"^\d+(\s+\d+)?\s*$")


def _recognises(path: Path) -> bool:
    if path.suffix.lower() != ".txt" or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as handle:
        return _HEAD.match(handle.readline(256)) is not None


def _read(path: Path) -> PairList:
    """Raises InputError where the lines are not as many, or not of the kinds, that the first line says."""
    lines = lines_of(path)
    head = [int(part) for part in lines[0].split()]
    folds, each = head if len(head) == 2 else (1, head[0])
    rows = [numbered_pair(line, path, row) for row, line in enumerate(lines[1:], start=2) if line.strip()]
    if len(rows) != 2 * folds * each:
        raise InputError(f"{len(rows):,} pairs where the first line says {folds} x 2 x {each}", file=path,
                         value=lines[0])  # fmt: skip
    for place, row in enumerate(rows):
        if row[4] != (place % (2 * each) < each):
            raise InputError(f"a fold is {each} genuine and then {each} impostor pairs", file=path, row=place + 2,
                             value=lines[place + 1])  # fmt: skip
    columns = {**pairs_of(rows), "fold": [place // (2 * each) for place in range(len(rows))]}
    if _beside(path).is_file():
        columns |= _named(columns, _beside(path))
    return PairList(pair_table(columns))


def _beside(path: Path) -> Path:
    return path.with_name(path.stem + ".images.csv")


def _named(columns: dict[str, list[str]], beside: Path) -> dict[str, np.ndarray]:
    """Ids and identities of the images, by the table beside the list."""
    table = read_columns(beside)[0].to_pandas()
    for name in _COLUMNS:
        if name not in table:
            raise InputError(f"the column {name!r} is missing", file=beside, value=list(table.columns))
    numbers = pd.to_numeric(table["number"], errors="coerce").fillna(0).astype(int)
    table.index = pd.Index([_ID.format(*one) for one in zip(table["name"], numbers, strict=True)])
    if table.index.has_duplicates:
        raise InputError("the table names an image twice", file=beside, value=table.index[table.index.duplicated()][0])
    found = {}
    for side in "ab":
        listed = pd.Index(columns[f"image_id_{side}"])
        if len(absent := listed.difference(table.index)):
            raise InputError("the table does not name an image of the list", file=beside, value=absent[0])
        for name in ("image_id", "identity"):
            found[f"{name}_{side}"] = table[name].reindex(listed).to_numpy()
    return found


def _write(pairs: PairList, path: Path, root: Path | None) -> None:
    """Of each fold and kind as many pairs are written as the least has, spread evenly over its rows.

    Raises InputError for a fold without pairs of a kind, sets of images, and an image that has neither LFW's kind of
    name nor an identity.
    """
    if pairs.templates is not None:
        raise InputError("pairs of sets of images can't be written as LFW's pairs.txt", file=path,
                         remedy="Use --to ijb")  # fmt: skip
    folds = by_fold(pairs.table)
    each = min((len(part) for fold in folds for part in fold), default=0)
    if not each:
        raise InputError("each fold of LFW's pairs.txt has genuine and impostor pairs", file=path,
                         value=[(len(genuine), len(impostor)) for genuine, impostor in folds[:10]],
                         remedy="Draw the protocol with genuine: 0.5")  # fmt: skip
    even = [tuple(part.iloc[np.arange(each) * len(part) // each] for part in fold) for fold in folds]
    images = _images(pd.concat([part for fold in even for part in fold]), path)
    names = _names(images)
    lines = [f"{len(folds)}\t{each}" if len(folds) > 1 else f"{each}"]
    for genuine, impostor in even:
        lines += numbered_lines(genuine, names) + numbered_lines(impostor, names)
    as_they_are = images["image_id"] == [_ID.format(name, number) for name, number in names.values()]
    if not (as_they_are & (images["identity"].isna() | (images["identity"] == images["name"]))).all():
        write_text(_beside(path), images.to_csv(index=False, lineterminator="\n"))
    else:
        _beside(path).unlink(missing_ok=True)  # of an earlier list of that name
    write_text(path, "\n".join(lines) + "\n")


def _images(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The images of pairs, in order of ids, with the columns _COLUMNS.

    Name and number are those of the ids where all are `Name/Name_0001.jpg` and the names agree with the pairs: the same
    for a genuine one and others for an impostor one. Else the name is the identity, and images are numbered from 1.
    """
    sides = [pd.DataFrame({name: table[f"{name}_{side}"].astype("str") for name in ("image_id", "identity")})
             for side in "ab"]  # fmt: skip
    images = pd.concat(sides).drop_duplicates("image_id").sort_values("image_id", ignore_index=True)
    ids = images["image_id"].tolist()
    genuine = table["genuine"].to_numpy(bool)
    try:
        found = numbered(ids, "lfw")
    except InputError:
        found = []
    if len(set(found)) == len(ids):
        images["name"], images["number"] = zip(*found, strict=True)
        if (_same_name(table, images) == genuine).all():
            return images[list(_COLUMNS)]
    if (unknown := images["identity"].isna()).any():
        raise InputError("the image has neither LFW's kind of name nor an identity", file=path, column="image_id",
                         value=ids[int(unknown.argmax())], allowed="Name/Name_0001.jpg")  # fmt: skip
    images["name"] = images["identity"].str.replace(_BREAKS, "_", regex=True)
    images["number"] = images.groupby("name").cumcount() + 1
    if (wrong := genuine & ~_same_name(table, images)).any():
        raise InputError("a genuine pair of two identities", file=path, column="image_id_a",
                         value=str(table["image_id_a"].iloc[int(wrong.argmax())]))  # fmt: skip
    return images[list(_COLUMNS)]


def _same_name(table: pd.DataFrame, images: pd.DataFrame) -> np.ndarray:
    name = images.set_index("image_id")["name"]
    one, two = (name.loc[table[f"image_id_{side}"].astype("str")].to_numpy() for side in "ab")
    return one == two


def _names(images: pd.DataFrame) -> dict[str, tuple[str, int]]:
    pairs = zip(images["name"].tolist(), images["number"].tolist(), strict=True)
    return dict(zip(images["image_id"].tolist(), pairs, strict=True))


def names_of(table: pd.DataFrame, format: str) -> dict[str, tuple[str, int]]:
    """Name and number of each image of pairs by its id. Raises InputError for an id that is no `Name/Name_0001.jpg`."""
    ids = pd.concat([table["image_id_a"], table["image_id_b"]]).unique().tolist()
    return dict(zip(ids, numbered(ids, format), strict=True))


def numbered_lines(table: pd.DataFrame, names: Mapping[str, tuple[str, int]]) -> list[str]:
    """`Name 1 4` or `Name 1 Other 2`, with tabs, of each pair of a table; names: of each image, with its number."""
    sides = [[names[image] for image in table[f"image_id_{side}"].tolist()] for side in "ab"]
    return [
        f"{a}\t{i}\t{j}" if genuine else f"{a}\t{i}\t{b}\t{j}"
        for (a, i), (b, j), genuine in zip(*sides, table["genuine"].tolist(), strict=True)
    ]


FORMAT = Format("lfw", "LFW's pairs.txt", (".txt",), _recognises, _read, _write)
