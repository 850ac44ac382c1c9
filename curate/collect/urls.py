"""Lists of URLs: tables with `url` and `identity`, and VGG Face's files, one for each identity."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.files import encode_name
from curate.core.tables import Refused, read_columns

_URL = "url"
_UNSAFE = re.compile(r"[\x00-\x1f/\\]")


class Wanted(NamedTuple):
    """One image to fetch: where from, whose, its box as text (left, top, right, bottom), and its checksum if known."""

    url: str
    identity: str | None
    bbox: str | None
    sha256: str | None

    @property
    def path(self) -> str:
        """Where it is kept: `identity/xxxxxxxxxxxxxxxx`, by the URL and the box, without an ending."""
        name = hashlib.blake2b(f"{self.url}\n{self.bbox or ''}".encode(), digest_size=8).hexdigest()
        folder = encode_name(_UNSAFE.sub("_", self.identity or "unknown").encode("utf-8", "surrogateescape"))
        return f"{folder.strip('. ') or '_'}/{name}"


@dataclass(frozen=True)
class UrlList:
    """The images of a list, and sentences about lines that are none."""

    wanted: list[Wanted]
    notes: tuple[str, ...]


def read_urls(path: Path) -> UrlList:
    """A table with `url` (and `identity`, `bbox` or `left, top, right, bottom`, `sha256`), or VGG Face's text files.

    VGG Face (Parkhi, Vedaldi and Zisserman 2015): a folder of `Name.txt`, lines `id url left top right bottom pose
    score curation`. Lines without a web address, and repeats, are counted. Raises InputError where there is none.
    """
    path = path.expanduser()
    refused = Refused()
    rows = _of_folder(path, refused) if path.is_dir() else _of_table(path, refused)
    found: dict[str, Wanted] = {}
    repeats = bad = 0
    first = ""
    for one in rows:
        parts = urlsplit(one.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            bad, first = bad + 1, first or one.url[:60]
        elif one.path in found:
            repeats += 1
        else:
            found[one.path] = one
    if not found:
        raise InputError("no web address in this list", file=path, value=first or None, allowed="http and https")
    notes = refused.notes(path)
    if bad:
        notes.append(f"{bad:,} addresses are not http or https, left out (first: {first!r})")
    if repeats:
        notes.append(f"{repeats:,} rows repeat another's address and identity, left out")
    return UrlList(list(found.values()), tuple(notes))


def _of_table(path: Path, refused: Refused) -> Iterator[Wanted]:
    table, _ = read_columns(path, refused, text=(_URL, *col.TEXT))
    if _URL not in table.column_names:
        raise InputError("the column 'url' is missing", file=path, remedy=nearest(_URL, table.column_names))
    sides = ("left", "top", "right", "bottom")
    boxed = all(side in table.column_names for side in sides)
    for batch in table.to_batches(65_536):
        for row in batch.to_pylist():
            box = row.get(col.BBOX) or (" ".join(str(row[side]) for side in sides) if boxed else None)
            box = " ".join(map(str, box)) if isinstance(box, list) else box
            identity = row.get(col.IDENTITY)
            checksum = row.get("sha256")
            yield Wanted(str(row[_URL] or "").strip(), identity and str(identity), box, checksum and checksum.lower())


def _of_folder(path: Path, refused: Refused) -> Iterator[Wanted]:
    files = sorted(path.glob("*.txt"))
    if not files:
        raise InputError("no .txt files in this folder", file=path, allowed="a table, or VGG Face's folder of lists")
    for file in files:
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), start=1):
            cells = line.split()
            if len(cells) >= 6 and "://" in cells[1]:
                yield Wanted(cells[1], file.stem, " ".join(cells[2:6]), None)
            elif cells:
                refused.add(f"{file.name} is no `id url left top right bottom`", number, line)
