"""Sources to manifests: what people have, each kind read where it lies, or faces drawn on the spot."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from curate.collect import (
    folder,
    huggingface,
    insightface,
    lfw,
    lists,
    name_list,
    published,
    scores,
    several,
    synthetic,
    table,
    webdataset,
)
from curate.collect.source import Collected, Source
from curate.core.errors import InputError, nearest
from curate.core.shapes import StrictParams
from curate.core.tables import TABLE_SUFFIXES

#: Every kind of source, by its name in a recipe.
SOURCES: dict[str, Source] = {
    source.kind: source
    for source in (
        folder.SOURCE, table.SOURCE, lists.SOURCE, *insightface.SOURCES, webdataset.SOURCE, huggingface.SOURCE,
        lfw.SOURCE, *published.SOURCES, scores.SOURCE, name_list.SOURCE, several.SOURCE,
        synthetic.SOURCE, synthetic.TABLE_SOURCE,
    )
}  # fmt: skip

_RECOGNISED = (
    "a folder (identity/image.jpg), a table (.parquet, .csv or .jsonl), lists of identity/file lines (.txt, or a "
    "folder of them), names of persons (.txt, one a line), .rec, .bin, .tar, Parquet or Arrow with image bytes, or the "
    "word 'synthetic'"
)


def recognise(text: str) -> StrictParams:
    """The parameters of the source that a plain word or path means.

    A folder is read as `identity/image`, unless it holds nothing but tar shards, lists of images, the lists of CelebA,
    or tables with image bytes; a file by its ending, and the lists of FairFace, VGGFace2 and LFW (`pairs.txt`) by
    the names under which they are published; any other text file is a list of names. The word `synthetic` means the
    drawn faces (a folder of that name is meant by `./synthetic`), and `{kind: ..., ...}` is a source as a recipe
    declares it.
    Raises InputError for anything else.
    """
    if text == "synthetic":
        return synthetic.SyntheticParams()
    if text.lstrip().startswith("{"):
        return _declared(text)
    path = Path(text).expanduser()
    if path.is_dir():
        return _folder(path)
    suffix = path.suffix.lower()
    if path.is_file():
        if suffix in _BY_ENDING:
            return _BY_ENDING[suffix](path=path)
        if path.name == "pairs.txt":
            return lfw.LfwParams(images=path)
        if lists.is_list(path):
            return lists.ListsParams(path=path)
        if path.name == "identity_meta.csv":
            return published.Vggface2Params(path=path)
        if path.name.startswith("fairface_label"):
            return published.FairfaceParams(path=path)
        if suffix == ".parquet" and huggingface.image_files(path):
            return huggingface.HuggingFaceParams(path=path)
        if suffix not in TABLE_SUFFIXES and name_list.looks_like_names(path):
            return name_list.NamesParams(path=path)
    if suffix in TABLE_SUFFIXES:
        if not path.is_file():
            raise InputError(
                "no such file", file=text, remedy="Check the path; relative ones start at the current folder"
            )
        return table.TableParams(path=path)
    if path.exists():
        raise InputError("not a source that curate recognises", value=text, allowed=_RECOGNISED)
    raise InputError("no such file or folder", value=text, allowed=_RECOGNISED)


def _declared(text: str) -> StrictParams:
    try:
        given = yaml.safe_load(text)
        kind = given.get("kind")
        if kind not in SOURCES:
            raise InputError(f"the source's kind is {kind!r}. {nearest(str(kind), SOURCES)}")
        return SOURCES[kind].params.model_validate(given)
    except yaml.YAMLError as error:
        raise InputError(f"not valid YAML ({error})", value=text) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the key {where!r}: {first['msg']}", value=first["input"],
                         allowed=", ".join(SOURCES[kind].params.model_fields)) from None  # fmt: skip


_BY_ENDING = {
    ".rec": insightface.RecordsParams, ".bin": insightface.BinParams, ".tar": webdataset.WebDatasetParams,
    ".arrow": huggingface.HuggingFaceParams,
}  # fmt: skip


def _folder(path: Path) -> StrictParams:
    if lists.only_lists(path):
        return lists.ListsParams(path=path)
    if any(path.glob("list_attr_celeba.*")):
        return published.CelebaParams(lists=path)
    endings = {entry.suffix.lower() for entry in path.iterdir() if entry.is_file()}
    if ".tar" in endings:
        return webdataset.WebDatasetParams(path=path)
    if (endings & {".parquet", ".arrow"} or (path / "data").is_dir()) and huggingface.image_files(path):
        return huggingface.HuggingFaceParams(path=path)
    return folder.FolderParams(root=path)


__all__ = ["SOURCES", "Collected", "Source", "recognise"]
