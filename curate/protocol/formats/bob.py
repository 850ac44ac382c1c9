"""Folders of CSV as bob.bio.base has them (filelist databases): `dev/for_models`, `for_probes` and `for_scores`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from curate.core.errors import InputError
from curate.core.files import write_text
from curate.core.tables import read_columns
from curate.protocol.formats.base import Format, PairList, pair_table

_SET = "dev"
_MODELS, _PROBES, _SCORES = (f"{_SET}/for_{name}.csv" for name in ("models", "probes", "scores"))
#: Comparisons at most where every probe is compared with every model.
MOST = 20_000_000


def _recognises(path: Path) -> bool:
    return (path / _MODELS).is_file() and (path / _PROBES).is_file()


def _table(path: Path, names: tuple[str, ...]) -> pd.DataFrame:
    table = read_columns(path)[0].to_pandas()
    for name in names:
        if name not in table:
            raise InputError(f"the column {name!r} is missing", file=path, value=list(table.columns))
    return table


def _read(path: Path) -> PairList:
    """A model of one image goes by its PATH, one of several by `model/ID`. Without `for_scores`, all with all.

    Raises InputError for a model or probe that is not there.
    """
    rows = _table(path / _MODELS, ("PATH", "TEMPLATE_ID", "SUBJECT_ID"))
    probes = _table(path / _PROBES, ("PATH", "SUBJECT_ID")).drop_duplicates("PATH").set_index("PATH")
    of = rows.groupby("TEMPLATE_ID").agg(subject=("SUBJECT_ID", "first"), first=("PATH", "first"), n=("PATH", "size"))
    of["name"] = of["first"].where(of["n"] == 1, "model/" + of.index.astype("str"))
    if (path / _SCORES).is_file():
        scores = _table(path / _SCORES, ("PATH", "TEMPLATE_ID"))
    elif len(of) * len(probes) <= MOST:
        scores = pd.DataFrame({"TEMPLATE_ID": of.index}).merge(pd.DataFrame({"PATH": probes.index}), how="cross")
    else:
        raise InputError(f"{len(of):,} models with {len(probes):,} probes are more than {MOST:,} pairs", file=path,
                         remedy=f"List the comparisons in {_SCORES}")  # fmt: skip
    for name, known in (("TEMPLATE_ID", of.index), ("PATH", probes.index)):
        absent = ~scores[name].isin(known)
        if absent.any():
            raise InputError("not among the models and probes", file=path / _SCORES, row=int(absent.argmax()) + 1,
                             column=name, value=str(scores[name][int(absent.argmax())]))  # fmt: skip
    models, subjects = of.loc[scores["TEMPLATE_ID"]].reset_index(drop=True), probes.loc[scores["PATH"], "SUBJECT_ID"]
    columns = {
        "image_id_a": models["name"], "image_id_b": scores["PATH"], "identity_a": models["subject"],
        "identity_b": subjects.to_numpy(), "genuine": models["subject"].to_numpy() == subjects.to_numpy(),
    }  # fmt: skip
    columns |= {ours: scores[theirs] for ours, theirs in _MORE.items() if theirs in scores}
    if "fold" in columns:
        columns["fold"] = pd.to_numeric(columns["fold"])
    templates = pd.DataFrame({"template": of.loc[rows["TEMPLATE_ID"], "name"].to_numpy(), "image_id": rows["PATH"],
                              "identity": rows["SUBJECT_ID"]})  # fmt: skip
    return PairList(pair_table(columns), templates if (of["n"] > 1).any() else None)


_MORE = {"group_a": "GROUP_A", "group_b": "GROUP_B", "fold": "FOLD"}


def _write(pairs: PairList, path: Path, root: Path | None) -> None:
    """The first image of a pair is a model of its own, the second a probe; the comparisons are listed."""
    table = pairs.table
    if pairs.templates is not None:
        raise InputError("pairs of sets of images can't be written as bob's lists", file=path, remedy="Use --to ijb")
    models = table[["image_id_a", "identity_a"]].drop_duplicates("image_id_a").sort_values("image_id_a")
    models.columns = ["PATH", "SUBJECT_ID"]
    models.insert(1, "TEMPLATE_ID", models["PATH"])
    probes = table[["image_id_b", "identity_b"]].drop_duplicates("image_id_b").sort_values("image_id_b")
    probes.columns = ["PATH", "SUBJECT_ID"]
    probes.insert(1, "TEMPLATE_ID", probes["PATH"])
    scores = pd.DataFrame({"PATH": table["image_id_b"], "TEMPLATE_ID": table["image_id_a"],
                           **{theirs: table[ours] for ours, theirs in _MORE.items()}})  # fmt: skip
    for name, part in ((_MODELS, models), (_PROBES, probes), (_SCORES, scores)):
        write_text(path / name, part.to_csv(index=False, lineterminator="\n"))


FORMAT = Format("bob", f"a folder with {_MODELS} and {_PROBES}", (), _recognises, _read, _write)
