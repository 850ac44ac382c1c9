"""curate: face identity data that a team can train on and be judged by.

Importing it loads no heavy library: the public names below come from their rooms on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "Manifest": "curate.core.manifest",
    "read_manifest": "curate.core.manifest",
    "Decisions": "curate.core.decisions",
    "apply_decisions": "curate.core.apply",
    "StrictParams": "curate.core.shapes",
    "Features": "curate.core.shapes",
    "Report": "curate.core.shapes",
    "step": "curate.core.shapes",
    "report": "curate.core.shapes",
    "load_recipe": "curate.recipe.schema",
    "run_recipe": "curate.recipe.run",
    "check_step": "curate.recipe.check",
    "IDROversampler": "curate.balance.sampler",
}

__all__ = list(_NAMES)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'curate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
