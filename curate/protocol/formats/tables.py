"""Tables of pairs: curate's own columns or those of BFW (Robinson et al. 2020), as Parquet or CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from curate.core.errors import InputError
from curate.core.files import read_table, write_table, write_text
from curate.core.tables import read_columns
from curate.protocol.formats.base import Format, PairList, pair_table
from curate.protocol.table import COLUMNS, coded

#: Our name -> BFW's. Attributes of the two sides are groups.
BFW = {
    "image_id_a": "p1", "image_id_b": "p2", "identity_a": "id1", "identity_b": "id2", "group_a": "att1",
    "group_b": "att2", "genuine": "label", "fold": "fold",
}  # fmt: skip


def _recognises(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".csv") and path.is_file()


def _read(path: Path) -> PairList:
    """Raises InputError where a column of neither naming is there."""
    table = read_table(path) if path.suffix.lower() == ".parquet" else read_columns(path)[0].to_pandas()
    if "p1" in table and "image_id_a" not in table:
        missing = [theirs for ours, theirs in BFW.items() if theirs not in table and ours in ("image_id_b", "genuine")]
        if missing:
            raise InputError(f"the column {missing[0]!r} of BFW's table is missing", file=path)
        table = table[[name for name in BFW.values() if name in table]].rename(
            columns={theirs: ours for ours, theirs in BFW.items()}
        )
    numbers = coded(table, path)  # checks the columns and the values
    kept = {name: table[name] for name in COLUMNS if name in table}
    kept |= {"genuine": numbers.genuine, "fold": numbers.fold}
    return PairList(pair_table({name: _text(column) for name, column in kept.items()}))


def _text(column: object) -> object:
    if isinstance(column, pd.Series) and isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype("str")
    return column


def _write(pairs: PairList, path: Path, root: Path | None) -> None:
    if path.suffix.lower() == ".csv":
        write_text(path, pairs.table.to_csv(index=False, lineterminator="\n"))
        return
    write_table(path, coded(pairs.table).frame())


FORMAT = Format(
    "table", "curate's or BFW's columns as .parquet or .csv", (".parquet", ".csv"), _recognises, _read, _write
)
