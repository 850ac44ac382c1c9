"""Sources to manifests: a folder, a table, or faces drawn on the spot."""

from __future__ import annotations

from pathlib import Path

from curate.collect import folder, lfw, published, synthetic, table
from curate.collect.source import Collected, Source
from curate.core.errors import InputError
from curate.core.shapes import StrictParams
from curate.core.tables import TABLE_SUFFIXES

#: Every kind of source, by its name in a recipe.
SOURCES: dict[str, Source] = {
    source.kind: source
    for source in (
        folder.SOURCE,
        table.SOURCE,
        lfw.SOURCE,
        *published.SOURCES,
        synthetic.SOURCE,
        synthetic.TABLE_SOURCE,
    )
}

_RECOGNISED = "a folder (identity/image.jpg), a table (.parquet, .csv or .jsonl), or the word 'synthetic'"


def recognise(text: str) -> StrictParams:
    """The parameters of the source that a plain word or path means.

    A folder is read as `identity/image`, `.csv` and `.parquet` as a table, and the word `synthetic` as the drawn
    faces (a folder of that name is meant by `./synthetic`). Raises InputError for anything else.
    """
    if text == "synthetic":
        return synthetic.SyntheticParams()
    path = Path(text).expanduser()
    if path.is_dir():
        return folder.FolderParams(root=path)
    if path.suffix.lower() in TABLE_SUFFIXES:
        if not path.is_file():
            raise InputError(
                "no such file", file=text, remedy="Check the path; relative ones start at the current folder"
            )
        return table.TableParams(path=path)
    if path.exists():
        raise InputError("not a source that curate recognises", value=text, allowed=_RECOGNISED)
    raise InputError("no such file or folder", value=text, allowed=_RECOGNISED)


__all__ = ["SOURCES", "Collected", "Source", "recognise"]
