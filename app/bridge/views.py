"""Saved views per queue and cell, and the groups of the sidebar."""

from __future__ import annotations

from typing import Any

from curate.core import columns as col
from curate.report.runs import RunFolder, StepRecord

from .rows import KEYS, label_field

_ACTIONS = [col.DROP, col.MOVE, col.MERGE, col.FLAG]
_MAX_CELLS = 60


def arrange(fo: Any, dataset: Any, run: RunFolder) -> None:
    """Save a view for each queue and cell, and group the fields in the sidebar.

    Queues are named as the step and as the reason (`near_duplicates`, `mislabelled`), cells as `cell f/Asian`. Views
    that a person saved under other names stay.
    """
    there = set(dataset.list_saved_views())
    for name, view in _queues(fo, dataset, run) + _cells(fo, dataset, run):
        # One that is as it should be stays: somebody may be looking through it.
        if name not in there or _stages(dataset.load_saved_view(name)) != _stages(view):
            dataset.save_view(name, view, overwrite=True)
    _sidebar(fo, dataset, run)


def _stages(view: Any) -> Any:
    return view._serialize(include_uuids=False)


def _queues(fo: Any, dataset: Any, run: RunFolder) -> list[tuple[str, Any]]:
    found: dict[str, Any] = {}
    for step in _deciding(run):
        mine = dataset.match(fo.ViewField(f"{step.name}_action").is_in(_ACTIONS)).sort_by(f"{step.name}_score")
        found[step.name] = mine
        field = fo.ViewField(f"{step.name}_reason")
        for reason in sorted({key.split("/", 1)[1] for key in step.actions if key.split("/", 1)[0] in _ACTIONS}):
            name = reason if reason and reason not in found else f"{step.name}: {reason}"
            found[name] = mine.match(field == reason)
    return list(found.items())


def _cells(fo: Any, dataset: Any, run: RunFolder) -> list[tuple[str, Any]]:
    names = [name for name, level in run.labels.items() if level == "identity"]
    if not names:
        return []
    present = run.source[names].dropna().drop_duplicates().astype("str").sort_values(names)
    found = []
    for values in present.head(_MAX_CELLS).itertuples(index=False):
        view = dataset
        for name, value in zip(names, values, strict=True):
            view = view.match(fo.ViewField(f"{label_field(name)}.label") == value)
        found.append((f"cell {'/'.join(values)}", view))
    return found


def _deciding(run: RunFolder) -> list[StepRecord]:
    return [step for step in run.steps if any(key.split("/", 1)[0] in _ACTIONS for key in step.actions)]


def _sidebar(fo: Any, dataset: Any, run: RunFolder) -> None:
    schema = dataset.get_field_schema()
    groups = {
        "tags": ["tags"],
        "what became of it": ["kept", "split", "step", "duplicate_group"],
        "labels": [label_field(name) for name in (col.IDENTITY, col.DATASET, *run.labels)],
    }
    for step in _deciding(run):
        groups[step.name.replace("_", " ")] = [f"{step.name}_{key}" for key in KEYS]
    used: set[str] = set()
    documents = []
    for name, paths in groups.items():
        there = [path for path in dict.fromkeys(paths) if path in schema and path not in used]
        used |= set(there)
        # Steps stay folded until somebody asks: there are many of them.
        documents.append(fo.SidebarGroupDocument(name=name, paths=there, expanded=name in list(groups)[:3]))
    rest = [path for path in schema if path not in used and path != "vector"]
    documents.append(fo.SidebarGroupDocument(name="other", paths=rest, expanded=False))
    dataset.app_config.sidebar_groups = documents
    dataset.save()


__all__ = ["arrange"]
