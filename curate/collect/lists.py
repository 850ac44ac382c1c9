"""Lists of images: text files with a line `identity/file` for each image, a file for each group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.collect.source import Collected, Source, checked_folder, counted
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import path_problem
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, StrictParams

_LINE = re.compile(r"^[^\s/][^/\t]*/\S[^\t]*$")
_SPLIT = re.compile(r"[_\-. ]+")


class ListsParams(StrictParams):
    """A `.txt` file of lines `identity/file`, or a folder of such files whose names say the group."""

    kind: Literal["lists"] = "lists"
    path: Path
    root: Path | None = None  # folder that the lines are paths in; None: no pixels
    names: tuple[str, ...] = ()  # labels that the parts of a file's name stand for; default: known ones, else `group`
    values: dict[str, str] = Field(default_factory=dict)  # a part of a name -> the value that it stands for
    dataset: str | None = None  # default: the name of the path


def is_list(path: Path) -> bool:
    """Whether a text file holds `identity/file` lines, by its first one."""
    if path.suffix.lower() != ".txt" or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as handle:
        first = handle.readline(4096).rstrip("\r\n")
    return _LINE.match(first) is not None


def list_files(folder: Path) -> list[Path]:
    """The list files of a folder, in order of name."""
    return sorted(path for path in folder.glob("*.txt") if is_list(path))


def only_lists(folder: Path) -> bool:
    """Whether a folder holds lists of images, and no folder."""
    return bool(list_files(folder)) and not any(entry.is_dir() for entry in folder.iterdir())


def read_lists(params: ListsParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """Read lists of images: each line is the image_id and the path, its first folder the identity.

    Of several files the name says labels of all its lines: it is cut at `_`, `-`, `.` and blanks, and the parts stand
    for `names`. Without `names`, a part that is a gender (female, male, f, m, woman, man) is the label gender, the rest
    the label group. Raises InputError for a line that is no `identity/file`, an image in two files, a file whose name
    has other parts than the rest, and where there is no list.
    """
    path = params.path.expanduser()
    files = list_files(path) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise InputError("no list of images", file=path, allowed="a .txt file, or a folder of them, of identity/file")
    root = checked_folder(params.root).resolve() if params.root is not None else None
    parts, notes = [], []
    labelled = len(files) > 1 or bool(params.names)
    for file in files:
        ids, empty = _lines(file)
        frame = pd.DataFrame({col.IMAGE_ID: pd.array(ids, dtype="str")})
        for name, value in (_labels(file.stem, params) if labelled else {}).items():
            frame[name] = pd.Categorical.from_codes(np.zeros(len(frame), np.int8), pd.Index([value], dtype="str"))
        parts.append(frame)
        if empty:
            notes.append(f"{file.name}: {counted(empty, 'empty line')} passed over")
    names = list(dict.fromkeys(name for part in parts for name in part.columns[1:]))
    for file, part in zip(files, parts, strict=True):
        if list(part.columns[1:]) != names:
            raise InputError(
                "the file's name has other labels than the first one's", file=file, value=list(part.columns[1:]),
                allowed=names, remedy="Name the parts: source.names",
            )  # fmt: skip
    frame = pd.concat([part.astype(dict.fromkeys(names, "str")) for part in parts], ignore_index=True)
    frame[col.IDENTITY] = frame[col.IMAGE_ID].str.replace("/.*", "", regex=True)
    frame[col.DATASET] = params.dataset or path.stem
    if root is not None:
        frame[col.PATH] = frame[col.IMAGE_ID]
    given = dict(levels or {})
    asked = {name: given.get(name, "identity" if name == "group" else col.default_level(name)) for name in names}
    missing = sorted(set(given) - set(names))
    if missing:
        raise InputError(f"the lists have no label {missing[0]!r}", file=path, allowed=", ".join(names) or "none",
                         remedy="Name the parts of the files' names: source.names")  # fmt: skip
    return Collected(Manifest.from_frame(frame, root=root, levels=asked, origin=path), tuple(notes))


def _lines(file: Path) -> tuple[pa.Array, int]:
    """The lines of a file without line ends, and how many were empty."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"not a text file ({error})", file=file, allowed="UTF-8") from error
    lines = pc.utf8_trim_whitespace(pa.array(text.split("\n"), pa.large_string()))
    filled = pc.greater(pc.binary_length(lines), 0)
    empty = len(lines) - pc.sum(filled).as_py() - (1 if text.endswith("\n") else 0)
    good = pc.or_(pc.invert(filled), pc.match_substring_regex(lines, _LINE.pattern))
    if not pc.all(good).as_py():
        row = pc.index(good, False).as_py()
        raise InputError("the line is no identity/file", file=file, row=row + 1, value=lines[row].as_py())
    ids = lines.filter(filled)
    unsafe = pc.match_substring_regex(ids, r"(^|/)\.\.(/|$)|\x00")
    if pc.any(unsafe).as_py():
        bad = ids[pc.index(unsafe, True).as_py()].as_py()
        raise InputError(path_problem(bad) or "", file=file, value=bad)
    return ids, empty


_GENDERS = {"female": "f", "male": "m", "f": "f", "m": "m", "woman": "f", "man": "m", "women": "f", "men": "m"}


def _labels(stem: str, params: ListsParams) -> dict[str, str]:
    """What the name of a file says, by label."""
    words = [word for word in _SPLIT.split(stem) if word]
    if params.names:
        if len(words) != len(params.names):
            raise InputError(
                "the file's name has other parts than `names`", value=stem, allowed=", ".join(params.names)
            )
        found = dict(zip(params.names, words, strict=True))
    else:
        gender = [word for word in words if word.lower() in _GENDERS]
        rest = "_".join(word for word in words if word not in gender[:1])
        found = {**({"gender": _GENDERS[gender[0].lower()]} if gender else {}), **({"group": rest} if rest else {})}
    return {name: params.values.get(value, value) for name, value in found.items()}


SOURCE = Source("lists", ListsParams, read_lists)
