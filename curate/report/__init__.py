"""Draws what reports measured."""

from __future__ import annotations

from pathlib import Path


def write_report(run: Path | str) -> Path:
    """Write `RUN/report/index.html` from a run folder and return its path.

    Raises InputError where the folder is not a run folder, CurateError where the file can't be written.
    """
    from curate.report.html import write_report as write

    return write(run)


__all__ = ["write_report"]
