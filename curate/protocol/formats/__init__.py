"""Lists of pairs as others write them: read into one table, and written from it."""

from __future__ import annotations

from pathlib import Path

from curate.core.errors import InputError, nearest
from curate.protocol.formats import bob, ijb, insightface, lfw, rfw, tables
from curate.protocol.formats.base import Format, PairList
from curate.protocol.formats.lost import lost

#: Every format by its name, in the order in which a path is tried.
FORMATS: dict[str, Format] = {
    found.name: found for found in (tables.FORMAT, insightface.FORMAT, lfw.FORMAT, rfw.FORMAT, ijb.FORMAT, bob.FORMAT)
}


def read_pairs(path: Path | str) -> tuple[PairList, Format]:
    """The pairs of a file or folder in any known format, and the format. Raises InputError where none fits."""
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    for found in FORMATS.values():
        if found.recognises(path):
            return found.read(path), found
    raise InputError("not a list of pairs that curate recognises", file=path, allowed=_said())


def format_for(path: Path | str, name: str | None = None) -> Format:
    """The format to write a path in: the one of that name, else what its ending says. Raises InputError for neither."""
    if name is not None:
        if name not in FORMATS:
            raise InputError(f"there is no format {name!r}. {nearest(name, FORMATS)}")
        return FORMATS[name]
    suffix = Path(path).suffix.lower()
    for found in FORMATS.values():
        if suffix and suffix in found.endings:
            return found
    raise InputError("the path does not say in which format to write", file=path, allowed=_said(),
                     remedy="Name it: --to rfw")  # fmt: skip


def write_pairs(pairs: PairList, path: Path, format: Format, root: Path | None = None) -> list[str]:
    """Write pairs, read them again, and tell what the format could not hold."""
    format.write(pairs, path, root)
    return lost(pairs, format.read(path))


def pairs_of_run(path: Path) -> Path | None:
    """The table of pairs of a run folder of `curate protocol`, or of a whole job; None where there is none."""
    places = (path / "pairs.parquet", path / "protocol" / "pairs.parquet")
    return next((place for place in places if place.is_file()), None)


def _said() -> str:
    return "; ".join(f"{found.name} ({found.says})" for found in FORMATS.values())


__all__ = ["FORMATS", "Format", "PairList", "format_for", "pairs_of_run", "read_pairs", "write_pairs"]
