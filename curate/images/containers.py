"""Images inside of containers, one member at a time: MXNet's RecordIO (`.rec`), `.tar`, Parquet, Arrow and `.bin`.

A manifest path `container#member` names one. A container stays open, and is read at offsets only, so that processes
that share it after a fork don't disturb one another. Nothing is extracted, and nothing in a container is trusted: every
length is held against the file's.

- `faces.rec#1024`: the record that begins at byte 1024, as the second column of InsightFace's `.idx` says. Its header
  `IfQQ` and its labels are passed over; what is left is the image's file.
- `shard.tar#anna/1.jpg`: the member of that name, the last of several. The names are listed once, when the first
  member is asked for. Compressed archives are not read: they have no offsets.
- `train.parquet#12`, `train.arrow#12`: the bytes in row 12 (0 is the first) of the first column that holds any, as
  Hugging Face writes images; `#image:12` names the column.
- `lfw.bin#2048:5211`: 5,211 bytes from byte 2,048 on, as `curate.images.pickled` finds them.

Source of the format: dmlc-core, `recordio.h`; MXNet, `recordio.py` (`IRHeader`).
"""

from __future__ import annotations

import functools
import os
import re
import struct
from typing import Any, Protocol

import numpy as np

from curate.images.reasons import CORRUPT, EMPTY_FILE, FINE, MISSING, NOT_A_FILE, TOO_LARGE, TRUNCATED

_PATH = re.compile(r"(.+?\.(?:rec|tar|parquet|arrow|bin))#(.+)", re.IGNORECASE | re.DOTALL)
_SPAN = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")
_ROW = re.compile(r"(?:(.+):)?([0-9]{1,18})", re.DOTALL)
_MAGIC = 0xCED7230A
_PART = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
#: The upper three bits of a part's length: the whole record, its first part, one in the middle, its last.
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


def split_path(path: str) -> tuple[str, str] | None:
    """The container and the member of a path `container#member`; None for the path of a file of its own."""
    found = _PATH.fullmatch(path)
    return (found[1], found[2]) if found else None


class Container(Protocol):
    """An open container."""

    def read(self, member: str, most: int) -> tuple[int, bytes]:
        """The bytes of a member of at most `most` bytes: (0, bytes), or (index into REASONS, b"")."""
        ...


def open_container(handle: int, name: str) -> Container:
    """The container behind a file handle, by the ending of its name; it closes the handle when it goes."""
    kinds = {".rec": _Records, ".tar": _Archive, ".bin": _Bytes, ".parquet": _ParquetRows, ".arrow": _ArrowRows}
    return kinds[os.path.splitext(name)[1].lower()](handle)


class _Open:
    """A file handle, read at offsets, that is closed with its last user."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._size = os.fstat(handle).st_size

    def __del__(self) -> None:
        os.close(self._handle)

    def _at(self, offset: int, size: int) -> bytes:
        data = os.pread(self._handle, size, offset)
        while len(data) < size and (more := os.pread(self._handle, size - len(data), offset + len(data))):
            data += more
        return data


class _Records(_Open):
    def read(self, member: str, most: int) -> tuple[int, bytes]:
        if not (member.isascii() and member.isdecimal() and len(member) < 20) or int(member) >= self._size:
            return MISSING, b""
        reason, data = self._record(int(member), most)
        if reason:
            return reason, b""
        start = _image_start(data)
        if start is None:
            return CORRUPT, b""
        return (FINE, data[start:]) if start < len(data) else (EMPTY_FILE, b"")

    def _record(self, offset: int, most: int) -> tuple[int, bytes]:
        parts: list[bytes] = []
        total = 0
        while True:
            head = self._at(offset, _PART.size)
            if len(head) < _PART.size:
                return TRUNCATED, b""
            magic, word = _PART.unpack(head)
            kind, size = word >> 29, word & (1 << 29) - 1
            if magic != _MAGIC or kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
                return CORRUPT, b""
            total += size
            if total > most:
                return TOO_LARGE, b""
            if offset + _PART.size + size > self._size:
                return TRUNCATED, b""
            parts.append(self._at(offset + _PART.size, size))
            offset += _PART.size + (size + 3) // 4 * 4
            if kind in (_WHOLE, _LAST):
                # The writer cuts a record where its bytes look like the magic number, and leaves that out.
                return FINE, struct.pack("<I", _MAGIC).join(parts)


def _image_start(data: bytes) -> int | None:
    """Where the image begins in a record: after the header and as many labels as it says; None where it is too short.

    A flag of 0 says that the one label stands in the header itself.
    """
    if len(data) < _HEADER.size:
        return None
    start = _HEADER.size + 4 * _HEADER.unpack_from(data)[0]
    return start if start <= len(data) else None


class _Archive(_Open):
    @functools.cached_property
    def _places(self) -> dict[str, tuple[int, int]] | None:
        """Offset and size of each member by its name; size -1: no file; None where this is no archive."""
        import tarfile

        places: dict[str, tuple[int, int]] = {}
        try:
            with open(os.dup(self._handle), "rb") as stream:
                stream.seek(0)
                with tarfile.open(fileobj=stream, mode="r:", errorlevel=0) as archive:
                    while (member := archive.next()) is not None:
                        plain = member.isreg() and not member.issparse()
                        places[member.name] = (member.offset_data, member.size if plain else -1)
                        archive.members = []  # it would keep them all
        except (tarfile.TarError, ValueError, OverflowError, MemoryError, EOFError):
            return places or None  # a damaged header ends the list: what comes before it is good
        return places

    def read(self, member: str, most: int) -> tuple[int, bytes]:
        if self._places is None:
            return CORRUPT, b""
        if member not in self._places:
            return MISSING, b""
        offset, size = self._places[member]
        if size < 0:
            return NOT_A_FILE, b""
        if size > most:
            return TOO_LARGE, b""
        if offset + size > self._size:
            return TRUNCATED, b""
        return (FINE, self._at(offset, size)) if size else (EMPTY_FILE, b"")


class _Bytes(_Open):
    def read(self, member: str, most: int) -> tuple[int, bytes]:
        found = _SPAN.fullmatch(member)
        if found is None:
            return MISSING, b""
        offset, size = int(found[1]), int(found[2])
        if size > most:
            return TOO_LARGE, b""
        if offset + size > self._size:
            return TRUNCATED, b""
        return (FINE, self._at(offset, size)) if size else (EMPTY_FILE, b"")


class _Rows(_Open):
    """Rows of a table with bytes; the last piece that was read stays in memory."""

    def __init__(self, handle: int) -> None:
        super().__init__(handle)
        self._held: tuple[str, int, Any] | None = None

    def read(self, member: str, most: int) -> tuple[int, bytes]:
        found = _ROW.fullmatch(member)
        if found is None:
            return MISSING, b""
        try:
            reason, value = self._value(found[1], int(found[2]))
        except (ValueError, TypeError, KeyError, OSError, MemoryError, NotImplementedError):  # Arrow's errors are these
            return CORRUPT, b""
        if reason:
            return reason, b""
        if value is None:
            return EMPTY_FILE, b""
        if len(value) > most:
            return TOO_LARGE, b""
        return (FINE, bytes(value)) if len(value) else (EMPTY_FILE, b"")

    def _value(self, name: str | None, row: int) -> tuple[int, bytes | None]:
        column = name or bytes_column(self._schema)
        if column is None:
            return CORRUPT, None
        piece = int(np.searchsorted(self._starts, row, side="right")) - 1
        if row >= self._starts[-1]:
            return MISSING, None
        if self._held is None or self._held[:2] != (column, piece):
            self._held = (column, piece, self._piece(piece, column))
        value = self._held[2][row - int(self._starts[piece])].as_py()
        return FINE, value.get("bytes") if isinstance(value, dict) else value


class _ParquetRows(_Rows):
    @functools.cached_property
    def _file(self) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(open(os.dup(self._handle), "rb", closefd=True))

    @property
    def _schema(self) -> Any:
        return self._file.schema_arrow

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        groups = self._file.metadata
        return np.cumsum([0, *(groups.row_group(at).num_rows for at in range(groups.num_row_groups))])

    def _piece(self, piece: int, column: str) -> Any:
        return self._file.read_row_group(piece, columns=[column]).column(column)


class _ArrowRows(_Rows):
    @functools.cached_property
    def _batches(self) -> list[Any]:
        import pyarrow as pa

        mapped = pa.memory_map(f"/proc/self/fd/{self._handle}")
        try:
            return list(pa.ipc.open_stream(mapped))
        except pa.ArrowInvalid:
            opened = pa.ipc.open_file(mapped)
            return [opened.get_batch(at) for at in range(opened.num_record_batches)]

    @property
    def _schema(self) -> Any:
        return self._batches[0].schema

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def _piece(self, piece: int, column: str) -> Any:
        return self._batches[piece].column(column)


def bytes_column(schema: Any) -> str | None:
    """The first column of a table that holds bytes, or structures with a field `bytes`, as Hugging Face's images do."""
    import pyarrow as pa

    for field in schema:
        inner = field.type
        if pa.types.is_struct(inner) and (at := inner.get_field_index("bytes")) >= 0:
            inner = inner.field(at).type
        if pa.types.is_binary(inner) or pa.types.is_large_binary(inner):
            return field.name
    return None
