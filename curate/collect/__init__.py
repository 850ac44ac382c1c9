"""Sources to manifests: a folder, a table, lists of images, or faces drawn on the spot."""

from __future__ import annotations

from pathlib import Path

from curate.collect import folder, lists, name_list, scores, several, synthetic, table
from curate.collect.source import Collected, Source
from curate.core.errors import InputError
from curate.core.shapes import StrictParams

#: Every kind of source, by its name in a recipe.
SOURCES: dict[str, Source] = {
    source.kind: source
    for source in (
        folder.SOURCE,
        table.SOURCE,
        lists.SOURCE,
        scores.SOURCE,
        name_list.SOURCE,
        several.SOURCE,
        synthetic.SOURCE,
        synthetic.TABLE_SOURCE,
    )
}

_RECOGNISED = (
    "a folder (identity/image.jpg), a manifest (.parquet or .csv), "
    "lists of identity/file lines (.txt, or a folder of them), or the word 'synthetic'"
)


def recognise(text: str) -> StrictParams:
    """The parameters of the source that a plain word or path means.

    A folder is read as `identity/image`, one without folders that holds lists of images as these, `.csv` and `.parquet`
    as a table, a `.txt` of `identity/file` lines as a list, and the word `synthetic` as the drawn
    faces (a folder of that name is meant by `./synthetic`). Raises InputError for anything else.
    """
    if text == "synthetic":
        return synthetic.SyntheticParams()
    path = Path(text).expanduser()
    if lists.is_list(path) or (path.is_dir() and lists.only_lists(path)):
        return lists.ListsParams(path=path)
    if path.is_dir():
        return folder.FolderParams(root=path)
    if path.suffix.lower() in (".csv", ".parquet"):
        if not path.is_file():
            raise InputError(
                "no such file", file=text, remedy="Check the path; relative ones start at the current folder"
            )
        return table.TableParams(path=path)
    if path.exists():
        raise InputError("not a source that curate recognises", value=text, allowed=_RECOGNISED)
    raise InputError("no such file or folder", value=text, allowed=_RECOGNISED)


__all__ = ["SOURCES", "Collected", "Source", "recognise"]
