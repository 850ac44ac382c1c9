"""Folders that travel with the package: beside it in a checkout, inside it in a wheel."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from curate.core.errors import CurateError, nearest

Kind = Literal["app", "recipes", "data_manifests"]

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled(kind: Kind, *, package: Path | None = None) -> Path:
    """The folder `kind` as the wheel carries it (`curate/_bundled/kind`), else as it lies in the checkout.

    package: the folder of the `curate` package; default: this one. Raises CurateError where neither is there.
    """
    if kind not in get_args(Kind):
        raise CurateError(f"no folder {kind!r} comes with curate. {nearest(kind, get_args(Kind))}")
    package = package or _PACKAGE
    inside = package / "_bundled" / kind
    if inside.is_dir():
        return inside
    beside = package.parent / kind
    # Beside an installed package lies everybody's site-packages: an `app` there may be anyone's.
    if beside.is_dir() and (package.parent / "pyproject.toml").is_file():
        return beside
    raise CurateError(
        f"this installation of curate lacks its folder {kind!r} (looked for {inside} and {beside}). "
        "Reinstall the wheel, or run from a complete checkout"
    )


def bundled_module(kind: Kind, name: str) -> ModuleType:
    """Import the file `name.py` of a bundled folder, wherever that folder lies.

    Raises CurateError where there is no such file.
    """
    file = bundled(kind) / f"{name}.py"
    if not file.is_file():
        raise CurateError(f"{kind}/{name}.py is missing from this installation of curate. Reinstall it")
    full_name = f"curate_bundled_{kind}_{name}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    spec = importlib.util.spec_from_file_location(full_name, file)
    if spec is None or spec.loader is None:
        raise CurateError(f"{file} can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full_name]
        raise
    return module
