"""The vectors and qualities of a run's images, taken from the cache for those who want to look at them."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from curate.core import columns as col
from curate.core.errors import CurateError
from curate.core.files import file_digest, json_digest, write_json, write_table
from curate.core.manifest import Manifest, read_manifest, text_array
from curate.core.shapes import SerialExecutor
from curate.core.tables import read_columns
from curate.core.vectors import Vectors
from curate.recipe.features import FeatureStore
from curate.recipe.needs import DESCRIPTOR
from curate.recipe.schema import make_recipe
from curate.recipe.store import RunFolder

_TILE = 32_768
_FIT = 20_000  # images that a fit sees at most, evenly spaced
_NOTHING = "The run computed no vectors: it has no step that needs them, and the recipe names none."


def pointer(cache: Path, run: Path | str) -> Path:
    """The file that says where a run's vectors are."""
    whole = os.fsencode(os.path.realpath(run))
    return cache / "look" / "runs" / f"{hashlib.blake2b(whole, digest_size=12).hexdigest()}.json"


def prepare(run: Path | str) -> Path | None:
    """Find or make the vectors of a run's images, and note where they are; None where there are none.

    The user's own vectors are taken where they lie. Others are projected from the descriptors in the cache, fitted on
    the training originals; no pixel is read, so an image whose descriptor is not cached has no vector. Beside them
    stands `quality.parquet` (image_id, sharpness, pixels), as far as it is cached.
    Raises InputError where the folder is no run.
    """
    folder = RunFolder(run)
    plan = folder.plan()
    cache = Path(plan["cache"])
    try:
        place, why = _find(folder, plan, cache)
    except CurateError as error:
        place, why = None, str(error)
    write_json(pointer(cache, run), {"vectors": str(place) if place else None, "why": why})
    return place


def _find(folder: RunFolder, plan: dict[str, Any], cache: Path) -> tuple[Path | None, str]:
    recipe = make_recipe(plan["recipe"], origin=str(folder.path / "plan.json"))
    if recipe.embedder.kind == "vectors":
        return Path(recipe.embedder.path), ""
    source = folder.path / "steps" / "00-source" / "manifest.parquet"
    final = folder.path / "manifest.parquet"
    manifest = read_manifest(source, root=plan["source"]["root"], levels=plan["levels"])
    store = FeatureStore(manifest, cache, SerialExecutor(), recipe.embedder)
    if not store.has_pixels:
        return None, _NOTHING
    fingerprint = store.embedder.fingerprint
    known = [file_digest(path) if path.exists() else None for path in (source, final)]
    place = cache / "look" / f"vectors-{json_digest([*known, fingerprint])[:24]}"
    if not (place / "meta.json").exists() and not _write(place, store, _with_split(manifest, final)):
        return None, _NOTHING
    return place, ""


def _with_split(source: Manifest, final: Path) -> Manifest:
    """The source's originals, with the split that the run gave them: a fit sees the training side only."""
    originals = source.take(source.originals())
    if not final.exists():
        return originals
    table, _ = read_columns(final)
    if col.SPLIT not in table.column_names:
        return originals
    rows = originals.rows_of(table[col.IMAGE_ID])
    split = np.full(len(originals), None, dtype=object)
    split[rows[rows >= 0]] = np.asarray(table[col.SPLIT].to_pylist(), dtype=object)[rows >= 0]
    frame = originals.frame.assign(**{col.SPLIT: split})
    return Manifest.from_frame(frame, root=originals.root, levels=originals.levels)


def _write(place: Path, store: FeatureStore, manifest: Manifest) -> bool:
    """Write the vectors of the images whose descriptor is cached; False where there is none."""
    train = manifest.in_split(col.TRAIN)
    rows = np.flatnonzero(train) if train.any() else np.arange(len(manifest))
    if len(rows) > _FIT:
        rows = rows[np.linspace(0, len(rows) - 1, _FIT).astype(np.int64)]
    known, descriptors = store.cached(DESCRIPTOR, manifest.take(rows))
    if not known.any():
        return False
    ids, tiles, qualities = [], [], []
    with threadpool_limits(1):
        state = store.embedder.fit(descriptors[known])
        del descriptors
        for start in range(0, len(manifest), _TILE):
            part = manifest.take(np.arange(start, min(start + _TILE, len(manifest))))
            known, descriptors = store.cached(DESCRIPTOR, part)
            tiles.append(np.asarray(store.embedder.project(descriptors[known], state), dtype=np.float16))
            ids.append(part.frame[col.IMAGE_ID][known])
            measured, quality = store.cached("quality", part)
            qualities.append(pd.DataFrame({
                col.IMAGE_ID: part.frame[col.IMAGE_ID][measured],
                "sharpness": quality["sharpness"][measured], "pixels": quality["pixels"][measured],
            }))  # fmt: skip
    write_table(place / "quality.parquet", pd.concat(qualities, ignore_index=True))
    names = text_array(pd.concat(ids, ignore_index=True))
    Vectors(names, np.concatenate(tiles), type(store.embedder).__name__, place.name).write(place)
    return True


if __name__ == "__main__":
    prepare(sys.argv[1])

__all__ = ["pointer", "prepare"]
