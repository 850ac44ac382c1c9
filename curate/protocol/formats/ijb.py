"""IJB style folders (Maze et al. 2018): templates are sets of images; a list says which two are compared."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from curate.core.errors import InputError
from curate.core.files import write_text
from curate.core.tables import read_columns
from curate.protocol.formats.base import Format, PairList, pair_table

_TEMPLATE, _SUBJECT, _FILE = "TEMPLATE_ID", "SUBJECT_ID", "FILENAME"


def _matches(path: Path) -> list[Path]:
    return sorted(file for file in path.glob("*.csv") if "match" in file.name.lower())


def _templates(path: Path) -> list[Path]:
    """The tables of templates: those whose first line names one."""
    found = []
    for file in sorted(path.glob("*.csv")):
        with open(file, encoding="utf-8-sig", errors="replace") as handle:
            if _TEMPLATE in [name.strip() for name in handle.readline(4096).split(",")]:
                found.append(file)
    return found


def _recognises(path: Path) -> bool:
    return path.is_dir() and bool(_matches(path)) and bool(_templates(path))


def _read(path: Path) -> PairList:
    """A template of one image goes by its FILENAME, one of several by `template/ID`.

    Raises InputError for a template of two subjects, and a pair of templates that no table has.
    """
    parts = []
    for file in _templates(path):
        table = read_columns(file)[0].to_pandas()
        for name in (_SUBJECT, _FILE):
            if name not in table:
                raise InputError(f"the column {name!r} is missing", file=file, value=list(table.columns))
        parts.append(table[[_TEMPLATE, _SUBJECT, _FILE]])
    rows = pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True)
    subjects = rows.groupby(_TEMPLATE)[_SUBJECT].nunique()
    if (subjects > 1).any():
        raise InputError("the template has images of several subjects", file=path, value=str(subjects.idxmax()))
    of = rows.groupby(_TEMPLATE).agg(subject=(_SUBJECT, "first"), first=(_FILE, "first"), images=(_FILE, "size"))
    of["name"] = of["first"].where(of["images"] == 1, "template/" + of.index.astype("str"))
    pairs = []
    for file in _matches(path):
        listed = _two_columns(file)
        for side in range(2):
            absent = ~listed[side].isin(of.index)
            if absent.any():
                row = int(absent.argmax())
                raise InputError("no table has this template", file=file, row=row + 1, value=str(listed[side][row]))
        pairs.append(listed)
    listed = pd.concat(pairs, ignore_index=True)
    sides = [of.loc[listed[side]].reset_index(drop=True) for side in range(2)]
    table = pair_table({
        "image_id_a": sides[0]["name"], "image_id_b": sides[1]["name"], "identity_a": sides[0]["subject"],
        "identity_b": sides[1]["subject"], "genuine": sides[0]["subject"] == sides[1]["subject"],
    })  # fmt: skip
    templates = pd.DataFrame({"template": of.loc[rows[_TEMPLATE], "name"].to_numpy(), "image_id": rows[_FILE],
                              "identity": rows[_SUBJECT]})  # fmt: skip
    return PairList(table, templates if (of["images"] > 1).any() else None)


def _two_columns(file: Path) -> pd.DataFrame:
    """The two template ids of each line; a first line without digits is taken as a heading."""
    try:
        table = pd.read_csv(file, header=None, dtype="str", usecols=[0, 1], skipinitialspace=True)
    except (ValueError, pa.ArrowInvalid) as error:
        raise InputError(f"not two template ids a line ({error})", file=file) from error
    if len(table) and not table.iloc[0].str.contains(r"\d", regex=True).any():
        table = table.iloc[1:].reset_index(drop=True)
    return table


def _write(pairs: PairList, path: Path, root: Path | None) -> None:
    """`templates.csv` and `matches.csv`; each image is a template of its own where the pairs name no templates."""
    table = pairs.table
    if pairs.templates is None:
        sides = [
            pd.DataFrame({"template": table[f"image_id_{side}"], "image_id": table[f"image_id_{side}"],
                          "identity": table[f"identity_{side}"]})
            for side in "ab"
        ]  # fmt: skip
        templates = pd.concat(sides).drop_duplicates("template")
    else:
        templates = pairs.templates
    if templates["identity"].isna().any():
        raise InputError("the image has no identity, and templates need one", column="identity",
                         value=str(templates.loc[templates["identity"].isna(), "image_id"].iloc[0]))  # fmt: skip
    names = sorted(templates["template"].unique())
    number = pd.Series(range(1, len(names) + 1), index=names)
    templates = templates.sort_values(["template", "image_id"], kind="stable")
    columns = {_TEMPLATE: number.loc[templates["template"]], _SUBJECT: templates["identity"],
               _FILE: templates["image_id"]}  # fmt: skip
    written = pd.DataFrame({name: column.to_numpy() for name, column in columns.items()})
    listed = pd.DataFrame({side: number.loc[table[f"image_id_{side}"]].to_numpy() for side in "ab"})
    write_text(path / "templates.csv", written.to_csv(index=False, lineterminator="\n"))
    write_text(path / "matches.csv", listed.to_csv(index=False, header=False, lineterminator="\n"))


FORMAT = Format("ijb", "a folder with a CSV of templates and one of matches", (), _recognises, _read, _write)
