"""Replicas as files, where a trainer cannot draw them itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from curate.balance.augment import Augmenter, resized
from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.core.files import atomic_path, json_digest, read_json, write_json
from curate.core.manifest import Manifest, text_array
from curate.core.shapes import Executor, SerialExecutor
from curate.images.decode import decode
from curate.images.files import read_bytes
from curate.images.reasons import REASONS

_SHARD = 256
_MARK = "materialise.json"


@dataclass(frozen=True)
class Written:
    """What was written: the manifest of all files, files made now and found from before, and images left out."""

    manifest: Manifest
    made: int
    found: int
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Task:
    root: str
    out: str
    sources: tuple[str | None, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    augment: Augmenter
    size: int | None
    quality: int


def materialise(
    manifest: Manifest,
    out: Path | str,
    augment: str | Path | Augmenter,
    *,
    size: int | None = 112,
    format: Literal["png", "jpg"] = "jpg",
    quality: int = 95,
    executor: Executor | None = None,
) -> Written:
    """Write every row's picture below `OUT/images/IDENTITY/`, replicas augmented, and `OUT/manifest.parquet`.

    The pixels are those that `ManifestDataset` gives for the same augment and size; `png` keeps them bit for bit. Each
    file is written whole or not at all, and the same call goes on where an earlier one ended. In the new manifest
    `augment_seed` is 0 and `path` leads to the file, so nothing augments it twice; rows whose file can't be read are
    left out. Raises InputError without pixels, or where OUT holds files of other images or settings.
    """
    import os

    if manifest.root is None or col.PATH not in manifest.frame:
        raise InputError("the manifest says nothing of pixels", remedy="Give it a root, and a column `path`")
    out = Path(out)
    augment = augment if isinstance(augment, Augmenter) else Augmenter(augment)
    seeds = _seeds(manifest)
    frame = manifest.frame
    names = _names(manifest, format)
    digest = json_digest([augment.fingerprint, size, format, quality, str(Path(manifest.root).resolve()),
                          names, seeds.tolist(), text_array(frame[col.PATH]).to_pylist()])  # fmt: skip
    mark = out / _MARK
    if mark.exists() and read_json(mark).get("digest") != digest:
        raise InputError("the folder holds files of other images or settings", file=out, remedy="Give another --out")
    if not mark.exists() and out.exists() and any(out.iterdir()):
        raise InputError("the folder is not empty", file=out, remedy="Give a new one as --out")
    write_json(mark, {"augment": augment.name, "digest": digest, "format": format, "size": size})
    there = np.array([os.path.exists(out / "images" / name) for name in names], dtype=bool)
    todo = np.flatnonzero(~there)
    paths = text_array(frame[col.PATH])
    tasks = (
        _Task(str(manifest.root), str(out / "images"), tuple(paths.take(pa.array(rows)).to_pylist()),
              tuple(names[row] for row in rows), tuple(int(seeds[row]) for row in rows), augment, size, quality)
        for rows in (todo[start : start + _SHARD] for start in range(0, len(todo), _SHARD))
    )  # fmt: skip
    reasons = np.zeros(len(frame), dtype=np.int64)
    done = 0
    for found in (executor or SerialExecutor()).map(_write, tasks):
        reasons[todo[done : done + len(found)]] = found
        done += len(found)
    good = reasons == 0
    new = frame.assign(**{col.PATH: pd.array(names, dtype="str")})
    if col.AUGMENT_SEED in new:
        new[col.AUGMENT_SEED] = np.uint64(0)
    result = Manifest.from_frame(new[good], root=out / "images", levels=manifest.levels)
    result.write(out / "manifest.parquet")
    ids = frame[col.IMAGE_ID]
    bad = tuple((str(ids[row]), REASONS[reasons[row]]) for row in np.flatnonzero(~good).tolist())
    return Written(result, int(len(todo) - len(bad)), int(there.sum()), bad)


def _seeds(manifest: Manifest) -> np.ndarray:
    replicas = ~manifest.originals()
    if not replicas.any():
        return np.zeros(len(manifest), dtype=np.uint64)
    if col.AUGMENT_SEED not in manifest.frame:
        raise InputError("the manifest has replicas without augment_seed", column=col.AUGMENT_SEED)
    return np.where(replicas, manifest.frame[col.AUGMENT_SEED].to_numpy(), np.uint64(0))


def _names(manifest: Manifest, format: str) -> list[str]:
    """Where each row's file goes: `IDENTITY/NAME.format`, whatever the ids hold; `_` for no identity."""
    identity = manifest.frame[col.IDENTITY].astype("str").fillna("_").tolist()
    ids = manifest.ids.to_pylist()
    names = []
    for who, image in zip(identity, ids, strict=True):
        stem = image.removeprefix(f"{who}/")
        names.append(f"{_safe(who)}/{_safe(stem)}.{format}")
    if len({name.lower() for name in names}) < len(names):
        # Two ids that differ in what a file name can't show, or only in case: number them apart.
        names = [f"{name[: -len(format) - 1]}-{row}.{format}" for row, name in enumerate(names)]
    return names


def _safe(text: str) -> str:
    kept = "".join(char if char.isalnum() or char in "-_.~ " else "_" for char in text).strip(". ")
    return (kept or "_")[:120]


def _write(task: _Task) -> list[int]:
    """Write the files of one shard: for each the index into REASONS, 0 for a file that is there."""
    import cv2

    reasons = []
    for source, target, seed in zip(task.sources, task.targets, task.seeds, strict=True):
        reason, data = read_bytes(task.root, source)
        found = decode(data) if not reason else None
        if found is None or found.pixels is None:
            reasons.append(reason or found.reason)
            continue
        picture = resized(found.pixels, task.size)
        if seed:
            picture = task.augment(picture, seed)
        options = [cv2.IMWRITE_JPEG_QUALITY, task.quality] if target.endswith("jpg") else []
        good, encoded = cv2.imencode(Path(target).suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
        if not good:
            raise CurateError(f"the picture of {target} can't be encoded")
        with atomic_path(Path(task.out) / target) as temporary:
            temporary.write_bytes(encoded.tobytes())
        reasons.append(0)
    return reasons
