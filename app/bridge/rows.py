"""What each sample says of its image, from the run folder alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import json_digest, locate
from curate.core.tables import read_columns
from curate.report.runs import RunFolder

TAG = "curate:"  # begins every tag that has to do with the run; a person's other tags are never touched
#: Tags by which a person decides: drop, keep, or move to the identity named.
_DECIDES = re.compile(r"curate:(?:(drop)|(keep)|move=(.*))", re.DOTALL)
#: Marks a sample whose image the run no longer has.
GONE = f"{TAG}not_in_the_run:any_more"
#: Names that FiftyOne or the run uses for something else than a label.
_TAKEN = frozenset(("id", "filepath", "tags", "metadata", "media_type", "created_at", "last_modified_at", "kept",
                    "split", "step", "duplicate_group", "vector", "curate_digest"))  # fmt: skip
KEYS = ("action", "reason", "score", "related_id", "new_value")


@dataclass
class Row:
    """One image as a sample: its file, its Classifications, its tags and its plain fields."""

    image_id: str
    filepath: str
    labels: dict[str, str | None]
    tags: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What changes whenever the sample would say something else."""
        return json_digest([self.filepath, self.labels, self.tags, self.fields])[:16]


def decision_of(tag: str) -> tuple[str, str | None] | None:
    """(action, identity) of a tag by which a person decides, None for any other tag."""
    found = _DECIDES.fullmatch(tag)
    if found is None:
        return None
    drop, keep, identity = found.groups()
    if drop or keep:
        return (col.DROP if drop else col.KEEP), None
    return col.MOVE, identity.strip()


def is_ours(tag: str) -> bool:
    """Whether the run itself writes (and takes away) this tag."""
    return tag.startswith(TAG) and decision_of(tag) is None


def label_field(name: str) -> str:
    """The field of a label; one whose name is taken gets a prefix."""
    return f"label_{name}" if name in _TAKEN else name


def rows_of(run: RunFolder) -> list[Row]:
    """The originals whose file is there, with all that the run decided about them."""
    source, _ = read_columns(run.path / "steps" / "00-source" / "manifest.parquet")
    final = run.path / "manifest.parquet"
    outcome = _outcome(read_columns(final)[0]) if final.is_file() else {}
    names = [name for name in (col.IDENTITY, col.DATASET, *run.labels) if name in source.column_names]
    wanted = [col.IMAGE_ID, *([col.PATH] if col.PATH in source.column_names else []), *dict.fromkeys(names)]
    decided = _decided(run)
    groups = duplicate_groups(run)
    rows = []
    for values in source.select(wanted).to_pylist():
        try:
            file = locate(run.root or "", values.get(col.PATH) or "")
        except (InputError, OSError):
            continue  # a sample needs a file; the report page says why there is none
        image = values[col.IMAGE_ID]
        tags, fields = decided.get(image, ([], {}))
        row = Row(image, str(file), {name: values[name] for name in names}, tags, fields)
        row.fields |= {
            "kept": image in outcome, "split": outcome.get(image), "duplicate_group": groups.get(image),
            "step": next((name for name, action in fields.get("_steps", []) if action == col.DROP), None),
        }  # fmt: skip
        row.fields.pop("_steps", None)
        rows.append(row)
    return rows


def _outcome(final: pa.Table) -> dict[str, str | None]:
    """The split of each image that came out."""
    split = final[col.SPLIT].to_pylist() if col.SPLIT in final.column_names else [None] * len(final)
    return dict(zip(final[col.IMAGE_ID].to_pylist(), split, strict=True))


def _decided(run: RunFolder) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """Tags and fields by image id; splits have a field of their own, and a replica's decisions belong to no file."""
    result: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for step in run.steps:
        table = step.decisions(["image_id", *KEYS])
        plain = pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in table.schema])
        for row in table.cast(plain).to_pylist():
            if row["action"] in (col.ADD, col.ASSIGN):
                continue
            tags, fields = result.setdefault(row["image_id"], ([], {"_steps": []}))
            tag = f"{TAG}{row['action']}:{row['reason']}"
            if tag not in tags:
                tags.append(tag)
            fields["_steps"].append((step.name, row["action"]))
            for key in KEYS:
                value = row[key]
                if key == "score":
                    value = float(value) if value is not None and np.isfinite(value) else None
                fields[f"{step.name}_{key}"] = value
    return result


def duplicate_groups(run: RunFolder) -> dict[str, str]:
    """For each image with a copy the image that stands for its group: the one that was kept, else the first id."""
    parent: dict[str, str] = {}

    def root(image: str) -> str:
        while parent.get(image, image) != image:
            parent[image] = parent.get(parent[image], parent[image])
            image = parent[image]
        return image

    for step in run.steps:
        if "duplicate" not in step.name:
            continue
        table = step.decisions(["image_id", "action", "related_id"])
        columns = (table[name].cast(pa.string()).to_pylist() for name in ("image_id", "action", "related_id"))
        for image, action, other in zip(*columns, strict=True):
            if other and action in (col.DROP, col.FLAG):
                one, two = root(image), root(other)
                if one != two:
                    # A dropped image joins the one that was kept; of two flagged ones the first id leads.
                    lead, follow = (two, one) if action == col.DROP else (min(one, two), max(one, two))
                    parent[follow] = lead
                    parent.setdefault(lead, lead)
    return {image: root(image) for image in parent}


__all__ = ["GONE", "KEYS", "TAG", "Row", "decision_of", "duplicate_groups", "is_ours", "label_field", "rows_of"]
