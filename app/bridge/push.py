"""A run's images and decisions as a FiftyOne dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curate.core import columns as col
from curate.core.errors import InputError
from curate.report.runs import RunFolder, read_run

from .database import connected, dataset_name, fiftyone, open_dataset
from .rows import GONE, KEYS, Row, is_ours, label_field, rows_of
from .vectors import push_vectors
from .views import arrange

_BATCH = 2_000


def push(run: Path | str, name: str | None = None) -> Any:
    """Write a run's images into a persistent FiftyOne dataset and return it.

    Each original image of the source whose file is there becomes one sample, found again by `image_id`: pushing twice
    gives the same samples, only those that say something new are written, and what a person tagged stays. Identity and
    labels are Classifications; each decision is a tag `curate:ACTION:REASON`, and the last one of each step stands in
    fields `STEP_action`, `STEP_reason`, `STEP_score`, `STEP_related_id`, `STEP_new_value`; `kept`, `split` and `step`
    (the one that dropped it) say what became of the image, `duplicate_group` which image stands for its copies.
    Vectors, where the run has any, come as the field `vector` with a similarity index and a map; saved views per queue
    and cell, and groups in the sidebar. name: default `curate-` and the run's name.
    Raises MissingExtra without FiftyOne, InputError where the run has no pixels, CurateError where its database fails.
    """
    folder = read_run(run)
    if folder.root is None:
        raise InputError("the run's source has no pixels to show", file=folder.path)
    fo = fiftyone()
    rows = rows_of(folder)
    with connected(fo):
        dataset = open_dataset(fo, dataset_name(folder.name, name), create=True)
        _declare(fo, dataset, folder)
        known = dict(zip(*dataset.values(["image_id", "id"]), strict=True)) if len(dataset) else {}
        fresh = [row for row in rows if row.image_id not in known]
        for start in range(0, len(fresh), _BATCH):
            _add(fo, dataset, fresh[start : start + _BATCH], folder)
        _refresh(fo, dataset, rows, known, folder)
        dataset.info = {**dataset.info, "run": str(folder.path.resolve()), "name": folder.name}
        dataset.persistent = True
        dataset.save()
        push_vectors(fo, dataset, folder)
        arrange(fo, dataset, folder)
    return dataset


def _add(fo: Any, dataset: Any, rows: list[Row], run: RunFolder) -> None:
    """Write new samples. None of them outlives this: FiftyOne would read each anew at every later write."""
    samples = [_filled(fo, fo.Sample(filepath=row.filepath), row, run) for row in rows]
    # Every field is declared, and filled with its own kind.
    dataset.add_samples(samples, expand_schema=False, validate=False, progress=False)


def _declare(fo: Any, dataset: Any, run: RunFolder) -> None:
    """Every field, also those that no image of this run fills, so that the sidebar is always the same."""
    there = dataset.get_field_schema()
    kinds = {"curate_digest": fo.StringField, "split": fo.StringField, "step": fo.StringField,
             "duplicate_group": fo.StringField, "kept": fo.BooleanField}  # fmt: skip
    for step in run.steps:
        if any(key.split("/")[0] not in ("add", "assign") for key in step.actions):
            for key in KEYS:
                kinds[f"{step.name}_{key}"] = fo.FloatField if key == "score" else fo.StringField
    for name, kind in kinds.items():
        if name not in there:
            dataset.add_sample_field(name, kind)
    for name in (label_field(name) for name in (col.IDENTITY, col.DATASET, *run.labels)):
        if name not in there:
            dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)


def _filled(fo: Any, sample: Any, row: Row, run: RunFolder) -> Any:
    """The sample with what the run says of it; the run's old tags and fields go, a person's stay."""
    sample["image_id"] = row.image_id
    sample["filepath"] = row.filepath
    for name, value in row.labels.items():
        sample[label_field(name)] = fo.Classification(label=str(value)) if value is not None else None
    sample.tags = [tag for tag in sample.tags if not is_ours(tag)] + row.tags
    for step in run.steps:
        for key in KEYS:
            field = f"{step.name}_{key}"
            value = row.fields.get(field)
            if value is not None or sample.has_field(field):
                sample[field] = value
    for name in ("kept", "split", "step", "duplicate_group"):
        sample[name] = row.fields.get(name)
    sample["curate_digest"] = row.digest
    return sample


def _refresh(fo: Any, dataset: Any, rows: list[Row], known: dict[str, str], run: RunFolder) -> None:
    """Bring the samples that are already there up to date: those that would say something else, and no other."""
    old = dict(zip(*dataset.values(["id", "curate_digest"]), strict=True)) if known else {}
    present = {row.image_id for row in rows}
    changed = {
        known[row.image_id]: row for row in rows if row.image_id in known and old[known[row.image_id]] != row.digest
    }
    if changed:
        for sample in dataset.select(list(changed)).iter_samples(autosave=True, batch_size=_BATCH):
            _filled(fo, sample, changed[sample.id], run)
    gone = [sample for image, sample in known.items() if image not in present]
    if gone:
        dataset.select(gone).tag_samples(GONE)
        dataset.select(gone).set_values("curate_digest", [None] * len(gone))


__all__ = ["push"]
