"""All steps and reports: the ones that come with curate, and plug-ins."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from curate.core.errors import CurateError, InputError, nearest
from curate.core.shapes import STEPS, Step

#: Modules that register the built-in steps; none of them imports a heavy library before it runs.
BUILTIN = (
    "curate.clean.labels",
    "curate.clean.unreadable",
    "curate.clean.exact",
    "curate.clean.near",
    "curate.clean.small",
    "curate.clean.planted",
    "curate.protocol.holdout",
    "curate.protocol.certificate",
    "curate.balance.oversample",
    "curate.balance.imbalance",
    "curate.audit.report",
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
