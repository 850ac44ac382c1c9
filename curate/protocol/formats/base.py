"""What every format of pairs is: it recognises, reads and writes a path."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curate.core.errors import InputError
from curate.protocol.table import COLUMNS


@dataclass(frozen=True)
class PairList:
    """A table of pairs with the columns `table.COLUMNS`, in the order of the list.

    templates: where a side is a set of images, the columns `template` (the image id of the pairs), `image_id` and
    `identity`; else None.
    """

    table: pd.DataFrame
    templates: pd.DataFrame | None = None


@dataclass(frozen=True)
class Format:
    """One format: its name, what it looks like, endings of its files, and what recognises, reads and writes it.

    write(pairs, path, root) writes atomically; root is the folder of the images, for a format that holds them.
    """

    name: str
    says: str
    endings: tuple[str, ...]
    recognises: Callable[[Path], bool]
    read: Callable[[Path], PairList]
    write: Callable[[PairList, Path, Path | None], None]


def pair_table(columns: dict[str, Any]) -> pd.DataFrame:
    """The table of pairs from its columns: what a list does not say is one group `all`, fold 0, stratum `random`."""
    table = pd.DataFrame(columns)
    for name in ("group_a", "group_b"):
        if name not in table:
            table[name] = "all"
    if "fold" not in table:
        table["fold"] = 0
    for name in ("identity_a", "identity_b"):
        if name not in table:
            table[name] = None
    if "group" not in table:
        same = (table["group_a"].astype("str") == table["group_b"].astype("str")).to_numpy(bool)
        table["group"] = table["group_a"].astype("str").where(same)
    if "stratum" not in table:
        table["stratum"] = "random"
    text = [name for name in COLUMNS if name not in ("fold", "genuine")]
    return table[list(COLUMNS)].astype(dict.fromkeys(text, "str"))


def by_fold(table: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The genuine and the impostor pairs of each fold, in order of folds, rows in their order."""
    folds = np.sort(table["fold"].unique())
    genuine = table["genuine"].to_numpy(bool)
    fold = table["fold"].to_numpy()
    return [(table[(fold == number) & genuine], table[(fold == number) & ~genuine]) for number in folds.tolist()]


_NUMBERED = re.compile(r"^(?:[^/]+/)?(?P<name>[^/\t]+)/(?P=name)_(?P<number>\d{4,})\.[A-Za-z]+$")


def numbered(ids: Sequence[str], format: str) -> list[tuple[str, int]]:
    """Name and number of images called `Name/Name_0001.jpg`. Raises InputError for another name."""
    found = []
    for image in ids:
        match = _NUMBERED.match(image)
        if match is None:
            raise InputError(f"the format {format} names images by identity and number", value=image,
                             allowed="Name/Name_0001.jpg")  # fmt: skip
        found.append((match["name"], int(match["number"])))
    return found


def lines_of(path: Path) -> list[str]:
    """The lines of a text file without line ends; raises InputError where it is no text."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"not a text file ({error})", file=path, allowed="UTF-8") from error


def numbered_pair(line: str, path: Path, row: int, folder: str = "") -> tuple[str, str, str, str, bool]:
    """Image ids, identities and kind of a line `Name 1 4` (genuine) or `Name 1 Other 2` (impostor)."""
    parts = line.split("\t") if "\t" in line else line.split()
    numbers = parts[1:] if len(parts) == 3 else parts[1::2]
    if len(parts) not in (3, 4) or not all(part.isdigit() for part in numbers):
        raise InputError("the line is no pair", file=path, row=row, value=line,
                         allowed="NAME NUMBER NUMBER, or NAME NUMBER NAME NUMBER")  # fmt: skip
    names = (parts[0], parts[0]) if len(parts) == 3 else (parts[0], parts[2])
    ids = [f"{folder}{name}/{name}_{int(number):04d}.jpg" for name, number in zip(names, numbers, strict=True)]
    return ids[0], ids[1], names[0], names[1], len(parts) == 3


def pairs_of(rows: Sequence[tuple[str, str, str, str, bool]]) -> dict[str, Any]:
    """The columns of rows of (id, id, identity, identity, genuine)."""
    names = ("image_id_a", "image_id_b", "identity_a", "identity_b", "genuine")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {name: [] for name in names}
