"""RFW's lists (Wang et al. 2019): for each group `GROUP/GROUP_pairs.txt`, lines as LFW's without a first one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from curate.core.errors import InputError
from curate.core.files import write_text
from curate.protocol.formats.base import Format, PairList, by_fold, lines_of, numbered_pair, pair_table, pairs_of
from curate.protocol.formats.lfw import names_of, numbered_lines

_END = "_pairs.txt"


def _recognises(path: Path) -> bool:
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob(f"*{_END}")) if path.is_dir() else [path] if path.name.endswith(_END) else []


def _read(path: Path) -> PairList:
    """Image ids are `GROUP/Name/Name_0001.jpg`. A fold begins where a genuine pair follows an impostor one."""
    parts = []
    for file in _files(path):
        group = file.name.removesuffix(_END)
        rows = [
            numbered_pair(line, file, row, f"{group}/")
            for row, line in enumerate(lines_of(file), start=1)
            if line.strip()
        ]
        genuine = pd.Series([row[4] for row in rows], dtype=bool)
        fold = (genuine & ~genuine.shift(fill_value=True)).cumsum()
        parts.append(pair_table({**pairs_of(rows), "fold": fold, "group_a": group, "group_b": group}))
    return PairList(pd.concat(parts, ignore_index=True))


def _write(pairs: PairList, path: Path, root: Path | None) -> None:
    """Raises InputError for pairs across groups, a fold of one kind only, and other names of images."""
    table = pairs.table
    if table["group"].isna().any():
        raise InputError("RFW's lists hold pairs within a group", row=int(table["group"].isna().argmax()) + 1,
                         column="group")  # fmt: skip
    names = names_of(table, "rfw")
    for group, part in table.groupby("group", sort=True, observed=True):
        lines = []
        for genuine, impostor in by_fold(part):
            if not len(genuine) or not len(impostor):
                raise InputError("RFW's lists tell folds by genuine pairs that follow impostor ones, and a fold has "
                                 "only one kind", value=str(group))  # fmt: skip
            lines += numbered_lines(genuine, names) + numbered_lines(impostor, names)
        name = str(group).replace("/", "_")
        write_text(path / name / f"{name}{_END}", "\n".join(lines) + "\n")


FORMAT = Format("rfw", "a folder of GROUP_pairs.txt", (), _recognises, _read, _write)
