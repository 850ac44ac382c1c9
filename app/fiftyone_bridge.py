"""A run's images and decisions as a FiftyOne dataset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.core import columns as col
from curate.core.errors import CurateError, InputError, MissingExtra
from curate.core.files import locate
from curate.core.tables import read_columns
from curate.report.runs import RunFolder, read_run

_BATCH = 2_000
_TAKEN = ("id", "filepath", "tags", "metadata", "media_type", "created_at", "last_modified_at", "kept")
_TAG = "curate:"  # marks the tags that belong to the run; a person's own tags stay


def push(run: Path | str, name: str | None = None) -> Any:
    """Write a run's images into a persistent FiftyOne dataset and return it.

    Each original image of the source whose file is there becomes one sample, found again by `image_id`: pushing twice
    gives the same samples, and tags that a person added stay. Identity and labels are Classifications; each decision
    is a tag `curate:ACTION:REASON` and the last one of each step stands in fields `STEP_action`, `STEP_reason`,
    `STEP_score`, `STEP_related_id`; `kept` says whether the image came out. name: default `curate-` and the run's name.
    Raises MissingExtra without FiftyOne, InputError where the run has no pixels, CurateError where its database fails.
    """
    folder = read_run(run)
    if folder.root is None:
        raise InputError("the run's source has no pixels to show", file=folder.path)
    fo = _fiftyone()
    rows = _rows(folder)
    try:
        dataset = _dataset(fo, name or f"curate-{folder.name}")
        known = dict(zip(*dataset.values(["image_id", "id"]), strict=True)) if len(dataset) else {}
        fresh = [row for row in rows if row["image_id"] not in known]
        for start in range(0, len(fresh), _BATCH):
            batch = fresh[start : start + _BATCH]
            dataset.add_samples([_filled(fo, fo.Sample(filepath=row["filepath"]), row, folder) for row in batch])
        _refresh(fo, dataset, [row for row in rows if row["image_id"] in known], known, folder)
        dataset.info = {"run": str(folder.path.resolve()), "name": folder.name}
        dataset.persistent = True
        dataset.save()
    except OSError as error:
        raise CurateError(f"FiftyOne could not write the dataset: {error}") from error
    return dataset


def _fiftyone() -> Any:
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    try:
        import fiftyone
    except ImportError as error:
        raise MissingExtra("fiftyone", "app", "looking at a run in FiftyOne") from error
    return fiftyone


def _dataset(fo: Any, name: str) -> Any:
    if not fo.dataset_exists(name):
        dataset = fo.Dataset(name, persistent=True)
        dataset.add_sample_field("image_id", fo.StringField)
        dataset.create_index("image_id", unique=True)
        return dataset
    dataset = fo.load_dataset(name)
    if "image_id" not in dataset.get_field_schema():
        raise InputError(f"the FiftyOne dataset {name!r} was not made by curate", remedy="Give another name")
    return dataset


def _rows(run: RunFolder) -> list[dict[str, Any]]:
    """What each sample says: file, identity, labels, tags and fields; images whose file is missing are left out."""
    source, _ = read_columns(run.path / "steps" / "00-source" / "manifest.parquet")
    final, _ = read_columns(run.path / "manifest.parquet")
    kept = set(final[col.IMAGE_ID].to_pylist())
    wanted = [name for name in (col.IMAGE_ID, col.PATH, col.IDENTITY, col.DATASET, *run.labels)
              if name in source.column_names]  # fmt: skip
    decided = _decisions(run)
    rows = []
    for row in source.select(wanted).to_pylist():
        try:
            file = locate(run.root or "", row.pop(col.PATH) or "")
        except (InputError, OSError):
            continue  # a sample needs a file; the report page says why there is none
        tags, fields = decided.get(row["image_id"], ([], {}))
        rows.append(row | {"filepath": str(file), "tags": tags, "fields": {"kept": row["image_id"] in kept} | fields})
    return rows


def _decisions(run: RunFolder) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """Tags and fields by image id; a replica's decisions belong to no file and are left out."""
    result: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for step in run.steps:
        columns = ["image_id", "action", "reason", "score", "related_id", "new_value"]
        table = step.decisions(columns)
        for row in table.cast(_plain(table.schema)).to_pylist():
            if row["action"] == col.ADD:
                continue
            tags, fields = result.setdefault(row["image_id"], ([], {}))
            tag = f"{_TAG}{row['action']}:{row['reason']}"
            if tag not in tags:
                tags.append(tag)
            for key in ("action", "reason", "related_id", "new_value"):
                fields[f"{step.name}_{key}"] = row[key]
            score = row["score"]
            fields[f"{step.name}_score"] = float(score) if score is not None and np.isfinite(score) else None
    return result


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema])


def _filled(fo: Any, sample: Any, row: dict[str, Any], run: RunFolder) -> Any:
    """The sample with what the run says of it; the run's old tags and fields go, a person's stay."""
    sample["image_id"] = row["image_id"]
    for name in (col.IDENTITY, col.DATASET, *run.labels):
        value = row.get(name)
        sample[f"label_{name}" if name in _TAKEN else name] = (
            fo.Classification(label=str(value)) if value is not None else None
        )
    sample.tags = [tag for tag in sample.tags if not tag.startswith(_TAG)] + row["tags"]
    for step in run.steps:
        for key in ("action", "reason", "score", "related_id", "new_value"):
            field = f"{step.name}_{key}"
            value = row["fields"].get(field)
            if value is not None or sample.has_field(field):
                sample[field] = value
    sample["kept"] = row["fields"]["kept"]
    return sample


def _refresh(fo: Any, dataset: Any, rows: list[dict[str, Any]], known: dict[str, str], run: RunFolder) -> None:
    """Bring the samples that are already there up to date."""
    by_sample = {known[row["image_id"]]: row for row in rows}
    if not by_sample:
        return
    for sample in dataset.select(list(by_sample)).iter_samples(autosave=True, batch_size=_BATCH):
        _filled(fo, sample, by_sample[sample.id], run)


__all__ = ["push"]
