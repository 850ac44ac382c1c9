"""Files that are written whole or not at all, and paths that stay under their root."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import CurateError, InputError

#: Fixed, so that the same table is the same bytes wherever it is written.
ROW_GROUP = 131_072

_ESCAPE = re.compile(r"%(?=[0-9A-Fa-f]{2})")


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary file beside `path` that replaces it on success and vanishes on failure.

    Raises CurateError if the disk is full or the folder can't be written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise CurateError(
            f"cannot write {path}: {error.strerror or error}. Nothing was changed there; "
            "free some space or choose another folder, then run the same command again"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file; raises InputError where it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"not valid JSON ({error})", file=path, remedy="Delete it and run again") from error


def write_table(path: Path | str, frame: pd.DataFrame | pa.Table, metadata: dict[str, str] | None = None) -> None:
    """Write a table as Parquet, atomically, the same bytes for the same rows.

    Library metadata is dropped, row groups have a fixed size, and `metadata` (a flat mapping of
    text) takes its place.
    """
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(metadata or None).combine_chunks()
    with atomic_path(path) as temporary:
        pq.write_table(
            table, temporary, row_group_size=ROW_GROUP, compression="zstd", store_schema=True,
            write_statistics=True,
        )  # fmt: skip


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a Parquet table; raises InputError where it is missing or damaged."""
    try:
        return pq.read_table(path, memory_map=True).to_pandas()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"not a readable Parquet file ({error})", file=path) from error
    except FileNotFoundError as error:
        raise InputError("no such file", file=path) from error


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def path_digest(path: Path | str) -> str | None:
    """What changes with a file or a folder: a file's SHA-256, a folder's names, sizes and times; None if missing."""
    path = Path(path)
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        return None
    found = sorted(entry for entry in path.rglob("*") if entry.is_file())
    stats = [(entry.relative_to(path).as_posix(), entry.stat()) for entry in found]
    return json_digest([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def json_digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def encode_name(raw: bytes) -> str:
    """Text for a file name: undecodable bytes become `%XX`; a `%` that looks so becomes `%25`."""
    text = raw.decode("utf-8", "surrogateescape")
    text = _ESCAPE.sub("%25", text)
    return "".join(f"%{ord(char) - 0xDC00:02X}" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in text)


def decode_name(text: str) -> bytes:
    """The bytes of the file name that `encode_name` wrote."""
    return re.sub(
        rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "surrogateescape")
    )


def is_encoded(path: str) -> bool:
    """Whether a path holds `%XX`, and so may stand for other bytes."""
    return _ESCAPE.search(path) is not None


def path_problem(path: str) -> str | None:
    """Why `path` may not stand in a manifest, or None: it must be relative, POSIX, and hold no `..`."""
    if path.startswith("/") or re.match(r"^[A-Za-z]:[\\/]", path):
        return "the path is absolute"
    if ".." in path.split("/"):
        return "the path leaves its root ('..')"
    if "\0" in path:
        return "the path holds a NUL byte"
    return None


def locate(root: Path | str, path: str) -> Path:
    """The file of a manifest path below `root`, links resolved.

    Raises InputError where the path, or a link on the way, leaves the root; OSError where there is no such file.
    """
    problem = path_problem(path)
    if problem:
        raise InputError(problem, column="path", value=path)
    base = os.path.realpath(root)
    full = os.path.join(base, path)
    if is_encoded(path):
        # What `encode_name` wrote comes first; the literal name serves tables that others wrote.
        decoded = os.fsdecode(os.path.join(os.fsencode(base), decode_name(path)))
        full = decoded if os.path.lexists(decoded) else full
    if "\0" in full:
        raise InputError("the path holds a NUL byte", column="path", value=path)
    real = os.path.realpath(full, strict=True)
    if os.path.commonpath([base, real]) != base:
        raise InputError("a link leads out of the root", column="path", value=path)
    return Path(real)
