"""Score files: CSV or Parquet with named columns (BFW tables among them), and the four columns of bob."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.audit.score_table import ScoreTable
from curate.audit.source import ALL
from curate.core.errors import InputError, nearest
from curate.core.manifest import text_array
from curate.core.tables import read_columns

_LABELS = {"1": True, "true": True, "0": False, "-1": False, "false": False}
_BOB = ("id_a", "id_b", "probe", "score")


class Columns(NamedTuple):
    """The columns to read; None where there is none. Of a file of bob's only `group` and `group_b` can't be."""

    score: str | None
    label: str | None
    group: str | None = None
    group_b: str | None = None
    id_a: str | None = None
    id_b: str | None = None
    fold: str | None = None


def read_scores(path: Path, columns: Columns, *, distance: bool = False) -> ScoreTable:
    """Read scored comparisons; distances become similarities by changing their sign.

    `.csv` and `.parquet` have named columns; any other file is read as lines of claimed identity, real identity, probe
    and score, parted by spaces, as bob.bio writes them. A label is 1 or True (genuine), 0, -1 or False (impostor). One
    group column: both sides are of that group. Raises InputError, naming the row, for a score that is not a finite
    number, another label, ids that contradict the labels, and a table of one kind of comparison or of one score.
    """
    frame, columns = _named(path, columns) if path.suffix.lower() in (".csv", ".parquet") else _bob(path, columns)
    score = _numbers(frame, columns.score, path)
    genuine = _labels(frame, columns, path)
    for kind, mask in (("genuine", genuine), ("impostor", ~genuine)):
        if not mask.any():
            raise InputError(f"there is no {kind} comparison", file=path, column=columns.label,
                             remedy="Error rates need both kinds: check what the label column means")  # fmt: skip
    if score.min() == score.max():
        raise InputError("all scores are the same number: no threshold parts them", file=path, column=columns.score,
                         value=float(score[0]))  # fmt: skip
    first, second, names = _ids(frame, columns, genuine, path)
    groups, group_a, group_b = _groups(frame, columns, path)
    fold = None if columns.fold is None else text_array(frame[columns.fold]).to_pandas().to_numpy()
    if distance:
        score = -score
    return ScoreTable(score, genuine, group_a, group_b, groups, first, second, names, fold)


def _named(path: Path, columns: Columns) -> tuple[pd.DataFrame, Columns]:
    table, _ = read_columns(path)
    if columns.score is None or columns.label is None:
        raise InputError("name the columns of the score and of the label", file=path,
                         value=table.column_names, remedy="--score COL --label COL")  # fmt: skip
    if (columns.id_a is None) != (columns.id_b is None):
        raise InputError("both sides of a comparison need an id, or neither", file=path,
                         value=(columns.id_a, columns.id_b))  # fmt: skip
    for name in columns:
        if name is not None and name not in table.column_names:
            raise InputError(f"there is no column {name!r}. {nearest(name, table.column_names)}", file=path)
    if not table.num_rows:
        raise InputError("there is no row", file=path)
    wanted = list(dict.fromkeys(name for name in columns if name is not None))
    return table.select(wanted).to_pandas(), columns


def _bob(path: Path, columns: Columns) -> tuple[pd.DataFrame, Columns]:
    if not path.is_file():
        raise InputError("no such file", file=path)
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != len(_BOB):
            raise InputError("a line of scores has four parts: claimed identity, real identity, probe, score",
                             file=path, row=number, value=line[:80],
                             remedy="Tables with a heading end in .csv or .parquet")  # fmt: skip
        rows.append(parts)
    if not rows:
        raise InputError("there is no row", file=path)
    if columns.group is not None or columns.group_b is not None:
        raise InputError("a file of four columns has no groups", file=path, value=columns.group)
    frame = pd.DataFrame(rows, columns=list(_BOB))
    frame["label"] = np.where(frame["id_a"] == frame["id_b"], "1", "0")
    return frame, Columns("score", "label", None, None, "id_a", "id_b")


def _numbers(frame: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(bad.argmax())
        raise InputError("the score is not a finite number", file=path, row=row + 1, column=name,
                         value=str(frame[name].iloc[row]),
                         remedy="Leave out comparisons with an image that has no vector, and say how many there were"
                         )  # fmt: skip
    return values


def _labels(frame: pd.DataFrame, columns: Columns, path: Path) -> np.ndarray:
    text = pc.utf8_lower(pc.utf8_trim_whitespace(text_array(frame[columns.label]))).to_pandas()
    text = text.str.replace(r"\.0+$", "", regex=True)
    known = text.map(_LABELS)
    bad = known.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise InputError("not a label of a comparison", file=path, row=row + 1, column=columns.label,
                         value=str(frame[columns.label].iloc[row]),
                         allowed="1 or True (genuine), 0, -1 or False (impostor)")  # fmt: skip
    if {"0", "-1"} <= set(text.unique()):
        raise InputError("the labels 0 and -1 both stand there: which of them are impostors?", file=path,
                         column=columns.label, allowed="1 and 0, 1 and -1, or True and False")  # fmt: skip
    return known.to_numpy(bool)


def _ids(
    frame: pd.DataFrame, columns: Columns, genuine: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """Codes of both sides and their names; codes of rows where there are none."""
    if columns.id_a is None:
        rows = np.arange(len(frame))
        return rows, rows, None
    sides = [text_array(frame[name]) for name in (columns.id_a, columns.id_b)]
    for name, side in zip((columns.id_a, columns.id_b), sides, strict=True):
        if side.null_count:
            row = pc.index(pc.is_null(side), True).as_py()
            raise InputError("the id is missing", file=path, row=row + 1, column=name)
    both = pc.unique(pa.concat_arrays(sides)).sort()
    first, second = (pc.index_in(side, value_set=both).to_numpy().astype(np.int64) for side in sides)
    same = first == second
    wrong = same & ~genuine
    problem = "the label says impostor and both ids are the same"
    if not wrong.any() and same.any():  # ids of persons: then genuine pairs have one
        wrong = genuine & ~same
        problem = "the label says genuine and the ids differ, though other genuine rows have one id"
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(problem, file=path, row=row + 1, column=f"{columns.id_a}, {columns.id_b}",
                         value=(both[int(first[row])].as_py(), both[int(second[row])].as_py()),
                         remedy="Mend the row, or name the columns that hold identities (or images)")  # fmt: skip
    return first, second, both.to_pylist()


def _groups(frame: pd.DataFrame, columns: Columns, path: Path) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    if columns.group is None:
        nothing = np.zeros(len(frame), np.int64)
        return (), nothing, nothing
    sides = [text_array(frame[name]) for name in (columns.group, columns.group_b or columns.group)]
    names = sorted(name for name in pc.unique(pa.concat_arrays(sides)).to_pylist() if name is not None)
    if ALL in names:
        raise InputError(f"a group is called {ALL!r}, the name of the pooled figures", file=path, column=columns.group,
                         remedy="Rename that value")  # fmt: skip
    values = text_array(names)
    codes = [
        pc.fill_null(pc.index_in(side, value_set=values), len(names)).to_numpy().astype(np.int64) for side in sides
    ]
    return tuple(names), codes[0], codes[1]
