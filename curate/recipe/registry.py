"""All steps and reports: the ones that come with curate, and plug-ins."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from curate.core.errors import CurateError, InputError, nearest
from curate.core.shapes import STEPS, Step

#: Modules that register the built-in steps; none of them imports a heavy library before it runs.
BUILTIN = (
    "curate.audit.all_pairs",
    "curate.audit.scored_pairs",
    "curate.balance.compare",
    "curate.balance.imbalance",
    "curate.balance.oversample",
    "curate.balance.reach",
    "curate.balance.resample",
    "curate.balance.training_batch",
    "curate.balance.weights",
    "curate.clean.calibrate",
    "curate.clean.duplicate_pairs",
    "curate.clean.exact_duplicates",
    "curate.clean.keep_datasets",
    "curate.clean.label_conflicts",
    "curate.clean.near_duplicates",
    "curate.clean.noise.filter_impact",
    "curate.clean.noise.label_noise",
    "curate.clean.noise.table",
    "curate.clean.overlap",
    "curate.clean.overlap_pairs",
    "curate.clean.planted",
    "curate.clean.ranking",
    "curate.clean.small_identities",
    "curate.clean.unreadable",
    "curate.embed.report",
    "curate.protocol.holdout",
    "curate.protocol.pairs",
)
GROUP = "curate.steps"


def all_steps() -> dict[str, Step]:
    """Every registered step and report, by name; plug-ins come from the entry points `curate.steps`.

    Raises CurateError where a plug-in can't be imported.
    """
    for module in BUILTIN:
        importlib.import_module(module)
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            raise CurateError(
                f"the plug-in {entry.name!r} ({entry.value}) can't be loaded: {error}. Mend or uninstall it"
            ) from error
    return STEPS


def find_step(name: str, *, file: object = None) -> Step:
    """The step of that name; raises InputError with the nearest valid name."""
    steps = all_steps()
    if name not in steps:
        raise InputError(f"there is no step {name!r}. {nearest(name, steps)}", file=file)
    return steps[name]
