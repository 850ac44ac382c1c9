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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.core import columns as col
from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.errors import CurateError, InputError
from curate.core.files import file_digest, json_digest, read_json, read_table, write_json, write_table
from curate.core.manifest import Manifest

#: Libraries whose version can change a result.
LIBRARIES = ("curate", "numpy", "pandas", "pyarrow", "scikit-learn", "opencv-python-headless", "pillow", "numba")

#: The reason of a person's row that takes back what was said of the image before.
WITHDRAWN = "withdrawn"

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
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_strangers()
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CurateError(
                f"cannot use {self.path} as a run folder: {error.strerror}. Choose another --out"
            ) from None
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
            for leftover in self.path.rglob(".*.part"):  # of a killed run: the lock is ours
                leftover.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    def _refuse_strangers(self) -> None:
        """A folder that is no run may hold the user's own files: nothing is written among them."""
        others = [name for name in os.listdir(self.path) if name not in (".lock", "review")]
        if others and not (self.path / "plan.json").exists():
            raise InputError("the folder is no run and is not empty", file=self.path, value=sorted(others)[0],
                             remedy="Choose a new or an empty folder as --out")  # fmt: skip

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

    def replace_plan(self, plan: dict[str, Any]) -> None:
        """Write `plan.json`; what only the old plan made goes, so that nothing tells of a step that is no more."""
        path = self.path / "plan.json"
        old = read_json(path) if path.exists() else plan
        kept = {step["folder"] for step in plan["steps"]}
        for step in old["steps"]:
            if step["folder"] not in kept:
                self.remove_outputs(step["folder"])
                shutil.rmtree(self.path / step["folder"], ignore_errors=True)
        if old != plan:
            self.unfinish()
        write_json(path, plan)

    def remove_outputs(self, folder: str) -> None:
        """Remove the tables, documents and vectors that a report's summary names."""
        path = self.path / folder / "summary.json"
        if path.exists():
            summary = read_json(path)
            names = [f"{name}.parquet" for name in summary.get("tables", [])]
            documents = [f"{name}.json" for name in summary.get("documents", [])]
            for name in [*names, *documents, *summary.get("files", [])]:
                (self.path / name).unlink(missing_ok=True)

    def unfinish(self) -> None:
        """Take away what tells of a whole run: it is written again when all steps are done."""
        for name in ("manifest.parquet", "rejected.parquet", "report/index.html"):
            (self.path / name).unlink(missing_ok=True)

    @property
    def is_finished(self) -> bool:
        """Whether the last run of this folder came to its end."""
        return (self.path / "manifest.parquet").exists() and (self.path / "rejected.parquet").exists()

    def check_finished(self) -> None:
        """Raise CurateError where the last run did not come to its end."""
        self.plan()
        if not self.is_finished:
            raise CurateError(f"the run in {self.path} is not finished: run its command again, it goes on from there")

    # ---- what people decided --------------------------------------------------------------------------------------

    def review(self) -> pd.DataFrame:
        """The rows that people wrote, oldest first; empty where there are none."""
        path = self.path / "review" / "decisions.parquet"
        if path.exists():
            return read_table(path).astype("str")
        return pd.DataFrame({name: pd.Series(dtype="str") for name in _review_columns()})

    def append_review(self, rows: pd.DataFrame) -> None:
        """Append rows (image_id, action, reason, and where known step, related_id, new_value, reviewer, time).

        Raises InputError, and appends nothing, for an image or a step that the run does not have, and for a decision
        that could not be carried out.
        """
        path = self.path / "review" / "decisions.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.parent / ".lock", "a") as guard:
            # Its own lock: people review while a run goes on, in several windows at once.
            fcntl.flock(guard, fcntl.LOCK_EX)
            rows = rows.reindex(columns=_review_columns()).astype("str").reset_index(drop=True)
            rows["source"] = col.HUMAN_SOURCE
            self._check_review(rows)
            write_table(path, pd.concat([self.review(), rows], ignore_index=True))

    def _check_review(self, rows: pd.DataFrame) -> None:
        steps = [step["name"] for step in self.plan()["steps"]]
        unknown = rows["step"].notna() & ~rows["step"].isin(steps)
        if unknown.any():
            raise InputError("the run has no such step", row=int(unknown.argmax()) + 1, column="step",
                             value=rows["step"][int(unknown.argmax())], allowed=", ".join(steps))  # fmt: skip
        source = self._source_rows(rows[col.IMAGE_ID])
        absent = source.rows_of(rows[col.IMAGE_ID]) < 0
        if absent.any():
            raise InputError("the run's source has no such image", row=int(absent.argmax()) + 1, column=col.IMAGE_ID,
                             value=rows[col.IMAGE_ID][int(absent.argmax())])  # fmt: skip
        # Tried out, of each image one row at a time: what can't be done is refused now, not by the next run.
        turn = rows.groupby(col.IMAGE_ID).cumcount().to_numpy()
        for number in range(int(turn.max(initial=-1)) + 1):
            part = rows[turn == number].drop(columns=[*_REVIEW, "step"]).reset_index(drop=True)
            apply_decisions(source, Decisions.from_frame(part))

    def _source_rows(self, image_ids: pd.Series) -> Manifest:
        """The source's rows of some images: a click must not cost what reading a million rows does."""
        wanted = pc.field(col.IMAGE_ID).isin(image_ids.dropna().unique().tolist())
        found = pq.read_table(self.path / "steps" / "00-source" / "manifest.parquet", filters=wanted)
        return Manifest.from_frame(found.to_pandas(), levels=self.plan()["levels"])

    def standing(self) -> pd.DataFrame:
        """The review's rows that hold: the latest word on each image's fate, and on each of its labels, by step.

        A `flag` whose reason is `withdrawn` takes the word on the image's fate back, as if nobody had spoken.
        """
        rows = self.review()
        withdrawn = (rows["action"] == col.FLAG) & (rows["reason"] == WITHDRAWN)
        fate = rows["action"].isin([col.DROP, col.KEEP, col.MOVE, col.MERGE]) | withdrawn
        column = rows["new_value"].str.replace("=.*", "", regex=True)
        slot = rows["action"].where(rows["action"] != col.ASSIGN, column).mask(fate, "fate")
        latest = ~rows.assign(slot=slot).duplicated([col.IMAGE_ID, "step", "slot"], keep="last")
        return rows[(latest & ~withdrawn).to_numpy(bool)]

    def human(self, step: str, first: bool) -> Decisions:
        """What people decided that reaches a step.

        A row that names no step reaches every step if it keeps an image, else the first step of the run.
        """
        rows = self.standing()
        general = rows["step"].isna()
        reaches = (rows["step"] == step) | (general & ((rows["action"] == col.KEEP) | first))
        return Decisions.from_frame(
            rows[reaches.to_numpy(bool)].drop(columns=[*_REVIEW, "step"]).reset_index(drop=True)
        )


def _review_columns() -> list[str]:
    return [col.IMAGE_ID, "action", "reason", "related_id", "new_value", "step", "source", *_REVIEW]
