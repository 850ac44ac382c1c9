"""The table of pairs, and the same as numbers, which is what is counted and checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import InputError
from curate.core.manifest import text_array

#: The columns of a table of pairs, in order. `group` is null for a pair across groups; `stratum`: `random` or `hard`.
COLUMNS = (
    "group", "group_a", "group_b", "fold", "image_id_a", "image_id_b", "identity_a", "identity_b", "genuine", "stratum",
)  # fmt: skip
STRATA = ("random", "hard")


@dataclass(frozen=True)
class Coded:
    """A table of pairs as numbers: `(N,)` codes into the names beside them.

    image_a, image_b into `images`, identity_a, identity_b into `identities` (-1: unknown), group_a, group_b into
    `groups`. fold: numbers from 0. genuine, hard: bool.
    """

    image_a: np.ndarray
    image_b: np.ndarray
    identity_a: np.ndarray
    identity_b: np.ndarray
    group_a: np.ndarray
    group_b: np.ndarray
    fold: np.ndarray
    genuine: np.ndarray
    hard: np.ndarray
    images: pa.Array
    identities: pa.Array
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image_a)

    @property
    def group(self) -> np.ndarray:
        """The group of both images, -1 where they are of two."""
        return np.where(self.group_a == self.group_b, self.group_a, -1)

    def frame(self) -> pd.DataFrame:
        """The table: the columns `COLUMNS`, rows in the same order."""
        data = {
            "group": self._groups(self.group), "group_a": self._groups(self.group_a),
            "group_b": self._groups(self.group_b), "fold": self.fold.astype(np.int32),
            "image_id_a": pd.array(self.images.take(pa.array(self.image_a)), dtype="str"),
            "image_id_b": pd.array(self.images.take(pa.array(self.image_b)), dtype="str"),
            "identity_a": _categorical(self.identity_a, self.identities),
            "identity_b": _categorical(self.identity_b, self.identities), "genuine": self.genuine,
            "stratum": pd.Categorical.from_codes(self.hard.astype(np.int8), categories=pd.Index(STRATA, dtype="str")),
        }  # fmt: skip
        return pd.DataFrame(data)[list(COLUMNS)]

    def _groups(self, codes: np.ndarray) -> pd.Categorical:
        return _categorical(codes, pa.array(self.groups, pa.large_string()))


def used(size: int, *codes: np.ndarray) -> np.ndarray:
    """Mask `(size,)` of the codes that occur in any of several arrays; -1 is none."""
    mask = np.zeros(size + 1, dtype=bool)
    for part in codes:
        mask[part] = True
    return mask[:-1]


def _categorical(codes: np.ndarray, names: pa.Array) -> pd.Categorical:
    """The names that occur, in order of their codes."""
    there = np.flatnonzero(used(len(names), codes))
    renumber = np.full(len(names) + 1, -1, dtype=np.int64)
    renumber[there] = np.arange(len(there))
    categories = pd.Index(names.take(pa.array(there)).to_pylist(), dtype="str")
    return pd.Categorical.from_codes(renumber[codes], categories=categories)


def coded(table: pd.DataFrame, origin: object = None) -> Coded:
    """The numbers of a table of pairs. `group_a`, `group_b`, `fold` and `stratum` may be missing: one group, one fold.

    Raises InputError for a missing column, a missing image id, and a `genuine` that is neither true nor false.
    """
    for name in ("image_id_a", "image_id_b", "genuine"):
        if name not in table:
            raise InputError(f"the column {name!r} is missing", file=origin, value=list(map(str, table.columns)),
                             allowed=", ".join(COLUMNS))  # fmt: skip
    n = len(table)
    images, image_a, image_b = _both(table, "image_id", origin)
    for name, codes in (("image_id_a", image_a), ("image_id_b", image_b)):
        if (codes < 0).any():
            raise InputError("the image id is missing", file=origin, row=int((codes < 0).argmax()) + 1, column=name)
    identities, identity_a, identity_b = _both(table, "identity", origin)
    groups, group_a, group_b = _both(table, "group", origin)
    names = tuple(groups.to_pylist())
    if "group_a" not in table:
        names, group_a, group_b = ("all",), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    fold = _fold(table, origin)
    hard = (table["stratum"] == "hard").to_numpy(bool) if "stratum" in table else np.zeros(n, dtype=bool)
    return Coded(image_a, image_b, identity_a, identity_b, group_a, group_b, fold, _truth(table, origin), hard, images,
                 identities, names)  # fmt: skip


def _both(table: pd.DataFrame, name: str, origin: object) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """The sorted values of `name_a` and `name_b` together, and the codes of each, -1 for null."""
    n = len(table)
    if f"{name}_a" not in table or f"{name}_b" not in table:
        return pa.array([], pa.large_string()), np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    whole = pa.concat_arrays([text_array(table[f"{name}_{side}"]) for side in "ab"])
    encoded = pc.dictionary_encode(whole)
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    codes = rank[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    return encoded.dictionary.take(pa.array(order)), codes[:n], codes[n:]


def _fold(table: pd.DataFrame, origin: object) -> np.ndarray:
    if "fold" not in table:
        return np.zeros(len(table), dtype=np.int64)
    numbers = pd.to_numeric(table["fold"], errors="coerce")
    bad = (numbers.isna() | (numbers % 1 != 0)).to_numpy(bool)
    if bad.any():
        row = int(bad.argmax())
        raise InputError("the fold is no whole number", file=origin, row=row + 1, column="fold",
                         value=table["fold"].iloc[row])  # fmt: skip
    return numbers.to_numpy(np.int64)


_TRUE, _FALSE = ("1", "true", "True", "TRUE", "1.0"), ("0", "-1", "false", "False", "FALSE", "0.0")


def _truth(table: pd.DataFrame, origin: object) -> np.ndarray:
    values = table["genuine"]
    if values.dtype == bool:
        return values.to_numpy()
    text = values.astype("str")
    true = text.isin(_TRUE).to_numpy(bool)
    bad = ~(true | text.isin(_FALSE).to_numpy(bool))
    if bad.any():
        row = int(bad.argmax())
        raise InputError("neither true nor false", file=origin, row=row + 1, column="genuine", value=text.iloc[row],
                         allowed="true, false, 1, 0")  # fmt: skip
    return true
