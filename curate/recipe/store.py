"""The run folder: what lies where, who holds it, and whether a step is done."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import CurateError, InputError
from curate.core.files import file_digest, json_digest, read_json, read_table, write_json, write_table

#: Libraries whose version can change a result.
LIBRARIES = ("curate", "numpy", "pandas", "pyarrow", "scikit-learn", "opencv-python-headless", "pillow", "numba")

_REVIEW = ("reviewer", "time")


def library_versions() -> dict[str, str]:
    """The versions that go into every fingerprint."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


class RunFolder:
    """One run's folder."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    # ---- the parts ------------------------------------------------------------------------------------------------

    def plan(self) -> dict[str, Any]:
        """`plan.json`; raises InputError where the folder is no run."""
        path = self.path / "plan.json"
        if not path.exists():
            raise InputError("not a run folder (no plan.json)", file=self.path,
                             remedy="Give the folder that `curate run --out` wrote")  # fmt: skip
        return read_json(path)

    def step_folders(self) -> list[tuple[dict[str, Any], Path]]:
        """The planned steps and reports, in order, with their folders."""
        return [(step, self.path / step["folder"]) for step in self.plan()["steps"]]

    def decisions(self) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
        """The decisions of each finished step, in order."""
        for step, folder in self.step_folders():
            path = folder / "decisions.parquet"
            if step["kind"] == "step" and path.exists():
                yield step, read_table(path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; raises CurateError at once, naming the pid, where another run holds it.

        The lock is the kernel's, so it ends with the process however that ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                raise CurateError(
                    f"another run (pid {pid}) is working in {self.path}. Wait for it, or choose another --out"
                ) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    # ---- done or not ----------------------------------------------------------------------------------------------

    def is_done(self, folder: str, fingerprint: dict[str, Any]) -> bool:
        """Whether a step was finished from exactly these inputs and its files are as they were written."""
        path = self.path / folder / "fingerprint.json"
        if not path.exists():
            return False
        try:
            stored = read_json(path)
            return stored["inputs"] == json_digest(fingerprint) and all(
                file_digest(self.path / name) == digest for name, digest in stored["files"].items()
            )
        except (InputError, KeyError, OSError):
            return False

    def finish(self, folder: str, fingerprint: dict[str, Any], files: list[str]) -> None:
        """Say that a step is done; written last, by one rename."""
        value = {
            "inputs": json_digest(fingerprint), "from": fingerprint,
            "files": {name: file_digest(self.path / name) for name in files},
        }  # fmt: skip
        write_json(self.path / folder / "fingerprint.json", value)

    def remove_strangers(self, folders: set[str]) -> None:
        """Remove the folders of steps that the plan no longer has."""
        for path in sorted((self.path / "steps").glob("*")):
            if f"steps/{path.name}" not in folders:
                shutil.rmtree(path)

    # ---- what people decided --------------------------------------------------------------------------------------

    def review(self) -> pd.DataFrame:
        """The rows that people wrote, oldest first; empty where there are none."""
        path = self.path / "review" / "decisions.parquet"
        if path.exists():
            return read_table(path)
        return pd.DataFrame({name: pd.Series(dtype="str") for name in _review_columns()})

    def append_review(self, rows: pd.DataFrame) -> None:
        """Append rows (image_id, action, reason, and where known step, related_id, new_value, reviewer, time)."""
        path = self.path / "review" / "decisions.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.parent / ".lock", "a") as guard:
            # Its own lock: people review while a run goes on, in several windows at once.
            fcntl.flock(guard, fcntl.LOCK_EX)
            rows = rows.reindex(columns=_review_columns()).astype("str")
            rows["source"] = col.HUMAN_SOURCE
            Decisions.from_frame(rows.drop(columns=list(_REVIEW)).assign(order=-1, score=float("nan"),
                                                                         threshold=float("nan")))  # fmt: skip
            write_table(path, pd.concat([self.review().astype("str"), rows], ignore_index=True))

    def human(self, step: str, first: bool) -> Decisions:
        """What people decided that reaches a step: the latest row for each image and step.

        A row that names no step reaches every step if it keeps an image, else the first step of the run.
        """
        rows = self.review()
        rows = rows.drop_duplicates(["image_id", "step"], keep="last")
        general = rows["step"].isna()
        reaches = (rows["step"] == step) | (general & ((rows["action"] == col.KEEP) | first))
        return Decisions.from_frame(
            rows[reaches.to_numpy(bool)].drop(columns=[*_REVIEW, "step"]).reset_index(drop=True)
        )


def _review_columns() -> list[str]:
    return [col.IMAGE_ID, "action", "reason", "related_id", "new_value", "step", "source", *_REVIEW]
