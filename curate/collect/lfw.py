"""Labeled Faces in the Wild: its layout, its pairs, and lists of its images (Huang et al. 2007)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.collect.folder import scan
from curate.collect.listed import FILE, collect_listed
from curate.collect.source import Collected, Source, checked_folder, counted
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import text_array
from curate.core.shapes import Executor, StrictParams

_IMAGE = re.compile(r"(?:^|/)([^/\s]+)_(\d{4})(?:\.\w+)?$")


class LfwParams(StrictParams):
    """LFW, or a list of its images: `Name/Name_0001.jpg`, `Name_0001.jpg`, `Name_0001`, or `pairs.txt`."""

    kind: Literal["lfw"] = "lfw"
    root: Path | None = None  # Name/Name_0001.jpg; None: the images that the lists name, without pixels
    images: Path | None = None  # a list of images, or pairs.txt; None: all below the root, or in the lists of gender
    female: Path | None = None  # a list of images of women
    male: Path | None = None  # a list of images of men
    dataset: str = "lfw"


def read_lfw(params: LfwParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """Read LFW by its naming rule; `gender` (f, m) comes from two lists, as those of Afifi and Abdelhamed (2019).

    The identity is the name before the number. Lines that name no image are counted; an image in both lists has no
    gender. Raises InputError where neither a root nor a list is given.
    """
    notes: list[str] = []
    lists = {"f": params.female, "m": params.male}
    named = {sex: _names(path, notes) for sex, path in lists.items() if path is not None}
    root = checked_folder(params.root).resolve() if params.root is not None else None
    if params.images is not None:
        names = _names(params.images, notes)
    elif root is not None:
        names = pa.chunked_array(scan(root).chunks, pa.large_string()).combine_chunks()
    elif named:
        names = pa.chunked_array(list(named.values()), pa.large_string()).combine_chunks()
    else:
        raise InputError("a source of kind lfw needs a root, or a list: images, female or male")
    names = pc.unique(names).sort()
    table = pa.table({FILE: names, col.IDENTITY: pc.replace_substring_regex(names, pattern="/.*$", replacement="")})
    defaults: dict[str, str] = {}
    if named:
        defaults["gender"] = "identity"
        table = table.append_column("gender", _gender(names, named, notes))
    return collect_listed(
        table, dataset=params.dataset, root=root, levels=levels, defaults=defaults, notes=tuple(notes),
        origin=params.images or params.female or params.male or root,
    )  # fmt: skip


def _gender(names: pa.Array, named: Mapping[str, pa.Array], notes: list[str]) -> pa.Array:
    stems = _stems(names)
    inside = {sex: pc.is_in(stems, value_set=_stems(found)).to_numpy(zero_copy_only=False)
              for sex, found in named.items()}  # fmt: skip
    none = np.zeros(len(names), dtype=bool)
    f, m = inside.get("f", none), inside.get("m", none)
    if (both := int((f & m).sum())) > 0:
        notes.append(f"{counted(both, 'image is', 'images are')} in both lists of gender, which is missing there")
    if (neither := int((~f & ~m).sum())) > 0:
        notes.append(f"{counted(neither, 'image is', 'images are')} in no list of gender, which is missing there")
    return pa.array(np.where(f & ~m, "f", np.where(m & ~f, "m", None)), pa.string())


def _stems(names: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(text_array(names), pattern=r"\.\w+$", replacement="")


def _names(path: Path, notes: list[str]) -> pa.Array:
    """`Name/Name_0001.jpg` for each image that a list names, repeats included."""
    path = path.expanduser()
    if not path.is_file():
        raise InputError("no such file", file=path)
    names, bad, first = [], 0, ""
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        images = list(_images_of(line))
        names += images
        if not images and line.strip() and not (number == 1 and all(cell.isdigit() for cell in line.split())):
            bad, first = bad + 1, first or f"line {number}, {line[:40]!r}"
    if not names:
        raise InputError("the list names no image of LFW", file=path, value=first or None,
                         allowed="Name/Name_0001.jpg, Name_0001, or the lines of pairs.txt")  # fmt: skip
    if bad:
        notes.append(
            f"{counted(bad, 'line')} of {path.name} {'names' if bad == 1 else 'name'} no image (first: {first})"
        )
    repeats = len(names) - len(set(names))
    if repeats and not path.name.startswith("pairs"):
        notes.append(f"{counted(repeats, 'line repeats', 'lines repeat')} another of {path.name}")
    return pa.array(names, pa.large_string())


def _images_of(line: str) -> Iterator[str]:
    cells = line.split()
    if len(cells) in (1, 2) and (found := _IMAGE.search(cells[0])):
        yield f"{found[1]}/{found[1]}_{found[2]}.jpg"
    elif len(cells) == 3 and cells[1].isdigit() and cells[2].isdigit():
        yield from (f"{cells[0]}/{cells[0]}_{int(number):04d}.jpg" for number in cells[1:])
    elif len(cells) == 4 and cells[1].isdigit() and cells[3].isdigit():
        yield from (f"{name}/{name}_{int(number):04d}.jpg" for name, number in (cells[:2], cells[2:]))


SOURCE = Source("lfw", LfwParams, read_lfw)
