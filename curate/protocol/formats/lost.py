"""What a format could not hold of some pairs: what is written is read again and compared."""

from __future__ import annotations

import pandas as pd

from curate.protocol.formats.base import PairList
from curate.protocol.table import COLUMNS

_IDS = ["image_id_a", "image_id_b"]


def lost(given: PairList, back: PairList) -> list[str]:
    """Sentences on pairs that are not there any more, and on columns that came back with other values.

    Folds may have other numbers. Where images came back under other names, columns are compared by how often each value
    stands in them.
    """
    notes = []
    if missing := len(given.table) - len(back.table):
        notes.append(f"{missing:,} of {len(given.table):,} pairs do not fit this format and are left out")
    before, after = _plain(given.table), _plain(back.table)
    known = _IDS if _within(after, before, _IDS) else []
    differ = [] if known else ["image ids"]
    differ += [name for name in COLUMNS if name not in _IDS and not _within(after, before, [*known, name])]
    if differ:
        notes.append(f"this format does not hold, or not as they were: {', '.join(differ)}")
    return notes


def _within(some: pd.DataFrame, all: pd.DataFrame, columns: list[str]) -> bool:
    """Whether the values of some columns stand in `all` as often as in `some`, or more often."""
    one, two = (table[columns].assign(nth=table.groupby(columns).cumcount()) for table in (some, all))
    return len(one.merge(two)) == len(some)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Every column as text, folds numbered from 0 in their order."""
    frame = pd.DataFrame({name: table[name].astype("str").fillna("").astype(object) for name in COLUMNS})
    frame["fold"] = pd.factorize(table["fold"], sort=True)[0].astype(str)
    return frame
