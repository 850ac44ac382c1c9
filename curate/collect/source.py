"""What every source is: its parameters, and a function that reads them into a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, StrictParams


@dataclass(frozen=True)
class Collected:
    """What a source found.

    manifest: the images. notes: sentences about what was found and left out (skipped files, label rows without images,
    images without labels), to be shown to the user and kept with the run.
    """

    manifest: Manifest
    notes: tuple[str, ...] = ()


class Read(Protocol):
    """Reads a source: `levels` are the recipe's labels (None: the source's default), `cache` is a folder to keep
    generated files in."""

    def __call__(self, params: Any, levels: Mapping[str, str] | None, executor: Executor, cache: Path) -> Collected: ...


@dataclass(frozen=True)
class Source:
    """One kind of source: its name in recipes, its parameters (with `kind: Literal[...]`), and its reader."""

    kind: str
    params: type[StrictParams]
    read: Read


def checked_folder(root: Path) -> Path:
    """The folder, with `~` expanded; raises InputError where there is none."""
    root = root.expanduser()
    if not root.is_dir():
        problem = "not a folder" if root.exists() else "no such folder"
        raise InputError(problem, file=root, remedy="Check the path; relative ones start at the current folder")
    return root


def label_levels(levels: Mapping[str, str] | None, columns: Mapping[str, str]) -> dict[str, str]:
    """The labels asked for: those of the recipe, and every column that the source maps to a name of its own."""
    asked = dict(levels or {})
    for name in columns:
        if name not in col.RESERVED:
            asked.setdefault(name, col.default_level(name))
    return asked


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun: `1 image`, `12,794 images`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
