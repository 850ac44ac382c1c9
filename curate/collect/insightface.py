"""InsightFace's files: training records (`.rec`, `.idx`, `.lst`) and verification sets (`.bin`), without mxnet."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from curate.collect.source import Collected, Source, counted
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import path_problem
from curate.core.manifest import Manifest, read_manifest
from curate.core.shapes import Executor, StrictParams
from curate.images.pickled import read_bin
from curate.images.records import Damage, parse_idx, parse_lst, walk


class RecordsParams(StrictParams):
    """Training records: `faces.rec`, and beside it if there `faces.idx`, `faces.lst` and `faces.rec.parquet`."""

    kind: Literal["records"] = "records"
    path: Path
    dataset: str | None = None  # default: the file's name


class BinParams(StrictParams):
    """A verification set `lfw.bin`, and beside it if there `lfw.bin.parquet` with the identities."""

    kind: Literal["bin"] = "bin"
    path: Path
    dataset: str | None = None  # default: the file's name


@dataclass
class _Found:
    """Columns of the records that hold an image, and what else there was."""

    offset: list[int] = field(default_factory=list)
    label: list[float] = field(default_factory=list)
    ranges: list[tuple[float, ...]] = field(default_factory=list)  # identity records, in order
    range_keys: list[int] = field(default_factory=list)


def read_records(params: RecordsParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """Read training records of either form: a label in each header, or a leading record with identity ranges.

    The file is walked once, from record to record, and no image is read. A manifest `faces.rec.parquet` beside it, as
    `curate convert` writes one, says everything else. Without one the identity is the label as a number, and image ids
    are the paths of a `.lst`, else `label/key`. Notes count damaged places, entries of the `.idx` that point at no
    record, records that it does not name, and images whose label is not that of their identity's range.
    """
    path = _checked(params.path)
    found, damage = _walk(path)
    if not found.offset:
        raise InputError("no image in these records", file=path, value=damage.reasons or None)
    notes = []
    if damage.places:
        kinds = ", ".join(f"{number:,} {reason}" for reason, number in sorted(damage.reasons.items()))
        notes.append(f"{counted(damage.places, 'place')} of {path.name} that are no record ({kinds}; first: byte "
                     f"{damage.first:,}), {damage.passed_over:,} bytes passed over")  # fmt: skip
    offsets = np.array(found.offset, np.int64)
    members = [f"{path.name}#{offset}" for offset in found.offset]
    sidecar = path.with_name(path.name + ".parquet")
    if sidecar.is_file():
        return _from_sidecar(sidecar, members, levels, params.dataset, notes)
    keys = _keys(path, offsets, found.range_keys, notes)
    notes += _wrong_ranges(found, keys)
    identities = [_name(label) for label in found.label]
    ids = _ids(path, keys, identities, found.label, notes)
    return _collected(path, ids, members, identities, params.dataset, levels, notes)


def _walk(path: Path) -> tuple[_Found, Damage]:
    found, damage = _Found(), Damage()
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for record in walk(data, damage):
            if record.start < record.end and record.labels:
                found.offset.append(record.offset)
                found.label.append(record.labels[0])
            else:
                found.ranges.append(record.labels)
                found.range_keys.append(record.offset)
    return found, damage


def _keys(path: Path, offsets: np.ndarray, others: list[int], notes: list[str]) -> np.ndarray:
    """The key of each record: that of the `.idx`, else its place in the file."""
    index = path.with_suffix(".idx")
    keys = np.arange(len(offsets), dtype=np.int64)
    if not index.is_file():
        return keys
    named, bad = parse_idx(index.read_bytes())
    known = np.array([named.get(int(offset), -1) for offset in offsets], np.int64)
    lost = len(named) - int((known >= 0).sum()) - len(set(others) & set(named))
    if bad:
        notes.append(f"{counted(bad, 'line')} of {index.name} are not `key, offset`")
    if lost:
        notes.append(f"{counted(lost, 'entry', 'entries')} of {index.name} point at no record, left out")
    if (unnamed := int((known < 0).sum())) > 0:
        notes.append(f"{counted(unnamed, 'record')} that {index.name} does not name, read all the same")
        known[known < 0] = known.max(initial=-1) + 1 + np.arange(unnamed)
    return known


def _wrong_ranges(found: _Found, keys: np.ndarray) -> list[str]:
    """What the leading record and the identity records say against the labels of the images."""
    order = np.argsort(keys, kind="stable")
    ranked, labels = keys[order], np.array(found.label)[order]
    wrong = seen = 0
    for start, stop in (one for one in found.ranges[1:] if len(one) == 2):
        low, high = np.searchsorted(ranked, [start, stop])
        seen += high - low
        if seen > 2 * len(keys):
            return ["the identity records name ranges that overlap; they were not checked any further"]
        if high > low:
            wrong += high - low - int(np.unique(labels[low:high], return_counts=True)[1].max())
    return [f"{counted(wrong, 'image')} with another label than the rest of its identity's range"] if wrong else []


def _ids(path: Path, keys: np.ndarray, identities: list[str], labels: list[float], notes: list[str]) -> list[str]:
    ids = [f"{identity}/{key:08d}" for identity, key in zip(identities, keys.tolist(), strict=True)]
    listing = path.with_suffix(".lst")
    if not listing.is_file():
        return ids
    lines, bad = parse_lst(listing.read_bytes())
    if bad:
        notes.append(f"{counted(len(bad), 'line')} of {listing.name} are not `key, label, path` (first: line {bad[0]})")
    by_key = {line.key: line for line in lines}
    differ = sum(
        1 for key, label in zip(keys.tolist(), labels, strict=True)
        if key in by_key and by_key[key].label is not None and by_key[key].label != label
    )  # fmt: skip
    if differ:
        notes.append(f"{counted(differ, 'label')} of {listing.name} that the records do not have; theirs count")
    named = [by_key[key].path.replace("\\", "/") if key in by_key else name
             for key, name in zip(keys.tolist(), ids, strict=True)]  # fmt: skip
    # A name that stands twice, or would not do as a path, names nobody.
    often = Counter(named)
    return [new if often[new] == 1 and not path_problem(new) else old for new, old in zip(named, ids, strict=True)]


def read_bin_source(params: BinParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected:
    """Read a verification set; images 2i and 2i + 1 are pair i.

    Nothing is unpickled. Identities come from a manifest `lfw.bin.parquet` beside it, as `curate convert` writes one;
    without it they are not known: a pair says only whether two images show one person.
    """
    path = _checked(params.path)
    spans, same = read_bin(path)
    members = [f"{path.name}#{span.offset}:{span.size}" for span in spans]
    notes = [f"{counted(len(same), 'pair')}, {sum(same):,} of one person"]
    sidecar = path.with_name(path.name + ".parquet")
    if sidecar.is_file():
        return _from_sidecar(sidecar, members, levels, params.dataset, notes)
    ids = [f"{at:06d}.jpg" for at in range(len(spans))]
    return _collected(path, ids, members, [None] * len(ids), params.dataset, levels, notes)


def _checked(path: Path) -> Path:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Check the path; relative ones start at the current folder")
    if path.stat().st_size == 0:
        raise InputError("the file is empty", file=path)
    return path


def _name(label: float) -> str:
    return str(int(label)) if label == label and abs(label) < 2**53 and label == int(label) else str(label)


def _collected(
    path: Path, ids: list[str], members: list[str], identities: list[str | None], dataset: str | None,
    levels: Mapping[str, str] | None, notes: list[str],
) -> Collected:  # fmt: skip
    if levels:
        raise InputError("these files have no labels, but the recipe asks for " + ", ".join(sorted(levels)), file=path)
    frame = pd.DataFrame({
        col.IMAGE_ID: pd.array(pa.array(ids, pa.large_string()), dtype="str"),
        col.PATH: pd.array(pa.array(members, pa.large_string()), dtype="str"),
        col.IDENTITY: pd.Categorical(identities), col.DATASET: dataset or path.stem,
    })  # fmt: skip
    return Collected(Manifest.from_frame(frame, root=path.parent, levels={}, origin=path), tuple(notes))


def _from_sidecar(
    sidecar: Path, members: list[str], levels: Mapping[str, str] | None, dataset: str | None, notes: list[str]
) -> Collected:
    """The manifest beside the file, for the images that are really there."""
    manifest = read_manifest(sidecar, root=sidecar.parent, levels=levels)
    if col.PATH not in manifest.frame:
        raise InputError("the manifest beside the images has no column 'path'", file=sidecar)
    there = manifest.frame[col.PATH].isin(set(members)).to_numpy()
    if lost := int((~there).sum()):
        notes.append(f"{counted(lost, 'row')} of {sidecar.name} without an image, left out")
        manifest = manifest.take(there)
    if unnamed := len(members) - int(there.sum()):
        notes.append(f"{counted(unnamed, 'image')} that {sidecar.name} does not name, left out")
    if dataset is not None:
        frame = manifest.frame.assign(**{col.DATASET: dataset})
        manifest = Manifest.from_frame(frame, root=manifest.root, levels=manifest.levels)
    return Collected(manifest, tuple(notes))


SOURCES = (Source("records", RecordsParams, read_records), Source("bin", BinParams, read_bin_source))
