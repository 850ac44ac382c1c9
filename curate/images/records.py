"""RecordIO files from the first record to the last, and what their text companions say.

For one record at a time see `curate.images.containers`. Sources: dmlc-core, `recordio.h`; MXNet, `recordio.py` and
`im2rec.py`; InsightFace, `image_iter.py` (the leading record with identity ranges).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_SIZE = (1 << 29) - 1
_ALL = struct.Struct("<IIIfQQ")  # magic and length of the part; flag, label, id and id2 of the image header
_HEAD = struct.Struct("<II")
HEADER = struct.Struct("<IfQQ")
#: Most labels of one record; more is damage.
_MOST_LABELS = 1 << 16


class Record(NamedTuple):
    """One record of a file: where it begins, its labels, and where its image is; start == end: no image, labels only.

    whole: whether the image lies in one piece; else `curate.images.containers` puts it together.
    """

    offset: int
    labels: tuple[float, ...]
    start: int
    end: int
    whole: bool = True


@dataclass
class Damage:
    """What of a file is no record: how many places, the first one, and bytes passed over."""

    places: int = 0
    first: int = -1
    passed_over: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, offset: int, reason: str, size: int) -> None:
        """One more damaged place."""
        self.first = offset if self.first < 0 else self.first
        self.places += 1
        self.passed_over += size
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


def walk(data: bytes | memoryview, damage: Damage | None = None) -> Iterator[Record]:
    """The records of a RecordIO file (bytes, or a map of the file), in order.

    A place that is no record is passed over up to the next one, and told to `damage`. Never raises for any bytes, and
    never copies an image.
    """
    end = len(data)
    at = 0
    unpack = _ALL.unpack_from
    while at + 8 <= end:
        if at + 32 <= end:
            magic, word, flag, label, _, _ = unpack(data, at)
        else:
            magic, word = _HEAD.unpack_from(data, at)
            flag, label = 0, 0.0
        size = word & _SIZE
        stop = at + 8 + size
        start = at + 32 + 4 * flag
        if magic == MAGIC and word <= _SIZE and stop <= end and flag <= _MOST_LABELS and start <= stop:
            # A flag of 0 says that the one label stands in the header itself.
            labels = struct.unpack_from(f"<{flag}f", data, at + 32) if flag else (label,)
            yield Record(at, labels, start, stop)
            at = (stop + 3) & ~3
            continue
        found = _in_parts(data, at, end) if magic == MAGIC and word >> 29 == 1 else None
        if found is not None:
            record, at = found
            yield record
            continue
        following = _next(data, at + 4)
        if damage is not None:
            reason = "no record" if magic != MAGIC else "truncated" if stop > end else "damaged header"
            damage.add(at, reason, following - at)
        at = following
    if at < end and damage is not None:
        damage.add(at, "truncated", end - at)


def _in_parts(data: bytes | memoryview, at: int, end: int) -> tuple[Record, int] | None:
    """A record that its writer cut where its bytes look like the magic number, and the place after it."""
    first, size = at, _HEAD.unpack_from(data, at)[1] & _SIZE
    if size < HEADER.size or at + 8 + size > end:
        return None
    flag, label, _, _ = HEADER.unpack_from(data, at + 8)
    if flag > _MOST_LABELS or HEADER.size + 4 * flag > size:
        return None
    labels = struct.unpack_from(f"<{flag}f", data, at + 32) if flag else (label,)
    at = (at + 8 + size + 3) & ~3
    while at + 8 <= end:
        magic, word = _HEAD.unpack_from(data, at)
        size = word & _SIZE
        if magic != MAGIC or word >> 29 not in (2, 3) or at + 8 + size > end:
            return None
        stop, at = at + 8 + size, (at + 8 + size + 3) & ~3
        if word >> 29 == 3:
            return Record(first, labels, first + 32 + 4 * flag, stop, whole=False), at
    return None


def _next(data: bytes | memoryview, at: int) -> int:
    """The next place, on a multiple of four, where a record may begin."""
    if isinstance(data, memoryview):
        data = data.obj
    while True:
        at = data.find(_MAGIC_BYTES, at)
        if at < 0:
            return len(data)
        if at % 4 == 0:
            return at
        at += 1


class Listed(NamedTuple):
    """A line of a `.lst`: the key, the label (None where it is no number), and the path."""

    key: int
    label: float | None
    path: str


def parse_lst(data: bytes) -> tuple[list[Listed], list[int]]:
    """The lines of a `.lst`, and the numbers of those that are none (1 is the first). Never raises.

    Both forms, apart by tabs: im2rec's `key, label(s), path`, and InsightFace's `aligned, path, label, ...`, where the
    key is the number of the line.
    """
    lines, bad = [], []
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        cells = raw.decode("utf-8", "surrogateescape").strip("\r\n").split("\t")
        found = _listed(cells, number)
        if found is None:
            bad.append(number)
        else:
            lines.append(found)
    return lines, bad


def _listed(cells: list[str], number: int) -> Listed | None:
    if len(cells) < 3 or not _KEY.fullmatch(cells[0].strip()):
        return None
    numbers = [_number(cell) for cell in cells]
    if numbers[1] is not None and cells[-1].strip():
        return Listed(int(cells[0].strip()), numbers[1], cells[-1].strip())
    if numbers[1] is None and cells[1].strip():
        return Listed(number, numbers[2], cells[1].strip())
    return None


_KEY = re.compile(r"[0-9]{1,18}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def parse_idx(data: bytes) -> tuple[dict[int, int], int]:
    """The key of each offset that an `.idx` names (`key, offset`), and how many lines are none. Never raises."""
    keys: dict[int, int] = {}
    bad = 0
    for line in data.split(b"\n"):
        cells = line.split()
        if len(cells) == 2 and cells[0].isdigit() and cells[1].isdigit() and len(cells[0]) < 19 and len(cells[1]) < 19:
            keys[int(cells[1])] = int(cells[0])
        elif cells:
            bad += 1
    return keys, bad
