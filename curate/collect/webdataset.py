"""WebDataset: shards of tar, files of one name up to the first dot belong together."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from curate.collect.folder import EXTENSIONS
from curate.collect.source import Collected, Source
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import path_problem
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, StrictParams

_IMAGES = tuple(extension.decode() for extension in EXTENSIONS)
_SMALL = 1 << 20  # bytes of a `.json` or `.cls`; more is no label


class WebDatasetParams(StrictParams):
    """A tar, or a folder of them: `KEY.jpg` with `KEY.json`, `KEY.cls` or `KEY.txt` beside it."""

    kind: Literal["webdataset"] = "webdataset"
    path: Path
    columns: dict[str, str] = Field(default_factory=dict)  # our name -> the key in `.json`, or `cls`, `txt`, `folder`
    dataset: str | None = None  # default: the name of the path


class _Shards:
    """What all shards hold, and what was refused."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.refused: dict[str, list] = {}

    def refuse(self, why: str, where: str) -> None:
        entry = self.refused.setdefault(why, [0, where])
        entry[0] += 1

    def notes(self) -> list[str]:
        return [f"{number:,} {why}, left out (first: {first})" for why, (number, first) in sorted(self.refused.items())]


def read_webdataset(
    params: WebDatasetParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """Read tar shards by their headers and small members; images stay where they are, and nothing is extracted.

    The identity is the `identity` of `KEY.json`, else `KEY.cls`, else the folder of the key; `columns` names another
    key, `cls`, `txt` or `folder`. The image_id is that of `KEY.json`, else the name of the image, with the shard's name
    before it where a name stands in two shards. Labels are keys of `KEY.json`. Members with absolute names or `..`,
    links and devices are refused, samples without an image and broken `.json` counted, and a damaged shard is read up
    to the damage.
    """
    path = params.path.expanduser().resolve()
    shards = sorted(path.rglob("*.tar")) if path.is_dir() else [path]
    if not shards or not all(shard.is_file() for shard in shards):
        raise InputError("no tar here", file=path, remedy="Give a .tar, or a folder that holds some")
    root = path if path.is_dir() else path.parent
    found = _Shards()
    for shard in shards:
        _read_shard(shard, shard.relative_to(root).as_posix(), found)
    if not found.rows:
        raise InputError("no image in these shards", file=path, value=found.notes() or None)
    frame = pd.DataFrame(found.rows)
    several = frame["name"].duplicated(keep=False).any()
    frame["name"] = frame["shard"] + "/" + frame["name"] if several else frame["name"]
    given = pd.json_normalize(frame.pop("json").map(lambda value: value or {}).tolist(), max_level=0)
    mapped = {"identity": "identity", "image_id": "image_id", **params.columns}
    identity = _column(mapped["identity"], frame, given)
    if "identity" not in params.columns:
        identity = identity.combine_first(frame["cls"]).combine_first(frame["folder"])
    ids = _column(mapped["image_id"], frame, given)
    ids = frame["name"] if ids.isna().any() or ids.duplicated().any() else ids
    labels = dict(levels) if levels is not None else {
        name: col.default_level(name) for name in (*params.columns, *col.IDENTITY_LABELS)
        if name not in col.RESERVED and (name in params.columns or name in given)
    }  # fmt: skip
    data: dict[str, Any] = {col.IMAGE_ID: ids, col.PATH: frame["path"], col.IDENTITY: identity.to_numpy()}
    data[col.DATASET] = params.dataset or path.stem
    for name in labels:
        data[name] = _column(mapped.get(name, name), frame, given).to_numpy()
        if pd.isna(data[name]).all():
            raise InputError(f"no sample has the label {name!r}", file=path, allowed=", ".join(map(str, given.columns)))
    used = {*data, *mapped.values(), col.PATH, col.PARENT_ID, col.REPLICA, col.AUGMENT_SEED}
    for name in given.columns:  # what is no label comes along all the same
        if name not in used:
            values = given[name].map(
                lambda value: json.dumps(value) if isinstance(value, dict | list | bool) else value
            )
            data[name] = values.to_numpy() if name in col.RESERVED else values.astype("str").to_numpy()
    manifest = Manifest.from_frame(pd.DataFrame(data), root=root, levels=labels, origin=path)
    return Collected(manifest, tuple(found.notes()))


def _column(name: str, frame: pd.DataFrame, given: pd.DataFrame) -> pd.Series:
    if name in ("cls", "txt", "folder"):
        return frame[name]
    if name not in given:
        return pd.Series([None] * len(frame), dtype=object)
    return given[name].map(lambda value: json.dumps(value) if isinstance(value, dict | bool) else value)


def _read_shard(shard: Path, name: str, found: _Shards) -> None:
    sample: dict[str, Any] = {}

    def finish() -> None:
        if sample and not sample["images"]:
            found.refuse("samples have no image", f"{name}#{sample['key']}")
        for image in sample.get("images", ()):
            found.rows.append({
                "name": image, "path": f"{name}#{image}", "shard": name, "json": sample.get("json"),
                "cls": sample.get("cls"), "txt": sample.get("txt"),
                "folder": sample["key"].rpartition("/")[0].partition("/")[0] or None,
            })  # fmt: skip

    try:
        with tarfile.open(shard, "r:", errorlevel=0) as archive:
            for member in _members(archive):
                why = _refusal(member)
                if why:
                    found.refuse(why, f"{name}#{member.name[:80]}")
                    continue
                folder, slash, base = member.name.rpartition("/")
                stem, _, ending = base.partition(".")
                key = f"{folder}{slash}{stem}"
                if sample.get("key") != key:
                    finish()
                    sample = {"key": key, "images": []}
                _add(archive, member, ending.lower(), sample, found, name)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        found.refuse(f"shards are damaged ({str(error)[:60]}); what stands before is read", name)
    finish()


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        if member.isreg() or not member.isdir():
            yield member
        archive.members = []  # it would keep them all


def _refusal(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "members are links"
    if not member.isreg() or member.issparse():
        return "members are no plain files"
    problem = path_problem(member.name)
    if problem or "\n" in member.name:
        return (
            "members have an absolute name"
            if problem and "absolute" in problem
            else "members have a name that leads out"
        )
    return None


def _add(
    archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str, sample: dict, found: _Shards, shard: str
) -> None:
    if f".{ending}".endswith(_IMAGES):
        sample["images"].append(member.name)
    elif ending in ("json", "cls", "txt") and member.size <= _SMALL:
        data = archive.extractfile(member).read()
        try:
            text = data.decode("utf-8").strip()
            value = json.loads(text) if ending == "json" else text
            if ending == "json" and not isinstance(value, dict):
                raise ValueError("no object")
            sample[ending] = value
        except ValueError:
            found.refuse(f"members .{ending} can't be read", f"{shard}#{member.name}")


SOURCE = Source("webdataset", WebDatasetParams, read_webdataset)
