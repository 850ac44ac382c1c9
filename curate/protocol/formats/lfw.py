"""LFW's `pairs.txt` (Huang et al. 2007, view 2): `folds n`, then for each fold n genuine and n impostor lines."""

from __future__ import annotations

import re
from pathlib import Path

from curate.core.errors import InputError
from curate.core.files import write_text
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
    return PairList(pair_table({**pairs_of(rows), "fold": [place // (2 * each) for place in range(len(rows))]}))


def _write(pairs: PairList, path: Path, root: Path | None) -> None:
    """Raises InputError where the folds have other numbers of genuine and impostor pairs, or other names of images."""
    folds = by_fold(pairs.table)
    sizes = {len(part) for fold in folds for part in fold}
    if len(sizes) != 1:
        raise InputError("LFW's pairs.txt has equally many genuine and impostor pairs in each fold", file=path,
                         value=[(len(genuine), len(impostor)) for genuine, impostor in folds[:10]],
                         remedy="Draw the protocol with genuine: 0.5 and a multiple of twice the folds")  # fmt: skip
    each = sizes.pop()
    lines = [f"{len(folds)}\t{each}" if len(folds) > 1 else f"{each}"]
    for genuine, impostor in folds:
        lines += numbered_lines(genuine, "lfw") + numbered_lines(impostor, "lfw")
    write_text(path, "\n".join(lines) + "\n")


def numbered_lines(table, format: str) -> list[str]:
    """`Name 1 4` or `Name 1 Other 2`, with tabs, of each pair of a table."""
    sides = [numbered(table[f"image_id_{side}"].tolist(), format) for side in "ab"]
    return [
        f"{a}\t{i}\t{j}" if genuine else f"{a}\t{i}\t{b}\t{j}"
        for (a, i), (b, j), genuine in zip(*sides, table["genuine"].tolist(), strict=True)
    ]


FORMAT = Format("lfw", "LFW's pairs.txt", (".txt",), _recognises, _read, _write)
