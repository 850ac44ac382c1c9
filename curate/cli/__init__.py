"""The command line: one thin function per verb, a module for each room."""

from __future__ import annotations

import sys

from rich.console import Console

from curate.cli import (  # noqa: F401  (importing registers the verbs)
    audits,
    balancing,
    cleaning,
    collecting,
    looking,
    noise,
    overlap,
    protocols,
    runs,
)
from curate.cli.shared import app, plain
from curate.core.errors import CurateError


def main() -> None:
    """Entry point: errors that a user can mend are one line, without a traceback."""
    try:
        app()
    except CurateError as error:
        Console(stderr=True, soft_wrap=True, emoji=False).print(f"[red]error:[/] {plain(error)}", highlight=False)
        sys.exit(2)
