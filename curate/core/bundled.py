"""Folders that travel with the package: beside it in a checkout, inside it in a wheel."""

from __future__ import annotations

import importlib
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
    """Import a module of a bundled folder by its dotted name below it, wherever that folder lies.

    The folder is imported as a package under a name of its own, so that its modules find each other by relative
    imports and nobody else's `app` gets in the way. Raises CurateError where there is no such file.
    """
    folder = bundled(kind)
    file = folder.joinpath(*name.split(".")).with_suffix(".py")
    if not file.is_file():
        raise CurateError(f"{kind}/{file.relative_to(folder).as_posix()} is missing from this installation of curate. "
                          "Reinstall it")  # fmt: skip
    package = f"curate_bundled_{kind}"
    if package not in sys.modules:
        spec = importlib.util.spec_from_file_location(package, folder / "__init__.py",
                                                      submodule_search_locations=[str(folder)])  # fmt: skip
        if spec is None or spec.loader is None:
            raise CurateError(f"{folder} can't be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[package] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{package}.{name}")
