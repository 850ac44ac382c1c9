"""What went into a run, image by image, and what became of it: arrays that answer at once for a million rows."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.files import read_json
from curate.core.manifest import text_array
from curate.core.tables import read_columns
from curate.report.groups import dropped_mask
from curate.report.runs import RunFolder, read_run


@dataclass(frozen=True)
class Opened:
    """A run folder that is looked at: its tables, and its images by row of the source."""

    run: RunFolder
    images: Images


def stamp_of(path: Path | str) -> str:
    """What changes whenever a run writes something that the pages show; empty where there is no run."""
    folder = Path(path)
    plan = folder / "plan.json"
    if not plan.is_file():
        return ""
    steps = [folder / step["folder"] / "summary.json" for step in read_json(plan).get("steps", [])]
    marks = []
    for file in (plan, folder / "manifest.parquet", folder / "rejected.parquet", *steps):
        try:
            found = file.stat()
        except OSError:
            marks.append("-")
        else:
            marks.append(f"{found.st_mtime_ns:x}.{found.st_size:x}")
    return " ".join(marks)


def open_run(path: Path | str) -> Opened:
    """Read a run folder for looking. Raises InputError where it is none."""
    run = read_run(path)
    return Opened(run, Images(run))


class Images:
    """The images of a run's source, in order of `image_id`, one row each.

    Rows are found by bisection, for the source is sorted; identities are those of now: the manifest's where an image
    came out, else the source's.
    """

    def __init__(self, run: RunFolder) -> None:
        self._table, _ = read_columns(run.path / "steps" / "00-source" / "manifest.parquet")
        self.root = run.root
        self.ids: pa.Array = text_array(self._table[col.IMAGE_ID])
        self.dropped: np.ndarray = dropped_mask(run)
        self._before = run.source[col.IDENTITY]
        self._labels = {name: run.source[name] for name in run.labels}
        final = run.path / "manifest.parquet"
        self._final = read_columns(final)[0] if final.is_file() else None

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, image_id: str) -> int:
        """The row of an image, -1 where the source has none of that id."""
        at = bisect_left(range(len(self.ids)), image_id, key=lambda row: self.ids[row].as_py())
        return at if at < len(self.ids) and self.ids[at].as_py() == image_id else -1

    def rows(self, image_ids: Any) -> np.ndarray:
        """The row of each id `(n,)`, -1 where there is none; for many ids at once."""
        found = pc.index_in(text_array(image_ids), value_set=self.ids)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    def id_of(self, row: int) -> str:
        """The image_id of a row."""
        return self.ids[int(row)].as_py()

    def final_id(self, place: int) -> str:
        """The image_id of a row of the manifest that came out."""
        return self._final[col.IMAGE_ID][int(place)].as_py()

    def path_of(self, row: int) -> str | None:
        """The path below the root, None where the source has none."""
        return self._table[col.PATH][int(row)].as_py() if col.PATH in self._table.column_names else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the label columns."""
        return tuple(self._labels)

    def label(self, name: str) -> pd.Series:
        """A label of every image, as it went in: a categorical `(N,)`."""
        return self._labels[name]

    def labels_of(self, row: int) -> dict[str, str | None]:
        """The labels of one image."""
        values = {name: series.iloc[int(row)] for name, series in self._labels.items()}
        return {name: None if pd.isna(value) else str(value) for name, value in values.items()}

    @cached_property
    def _now(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """For each row its place in the manifest or -1, the code of its identity now, and the identities by code."""
        names = [str(name) for name in self._before.cat.categories]
        codes = self._before.cat.codes.to_numpy().astype(np.int64)
        place = np.full(len(self.ids), -1, dtype=np.int64)
        if self._final is not None:
            place = pc.index_in(self.ids, value_set=text_array(self._final[col.IMAGE_ID]))
            place = pc.fill_null(place, -1).to_numpy(zero_copy_only=False).astype(np.int64)
            after = self._final[col.IDENTITY].combine_chunks().cast(pa.string()).dictionary_encode()
            known = {name: code for code, name in enumerate(names)}
            for name in after.dictionary.to_pylist():
                if name not in known:
                    known[name] = len(names)
                    names.append(name)
            new = np.array([known[name] for name in after.dictionary.to_pylist()] or [-1], dtype=np.int64)
            taken = pc.fill_null(after.indices, 0).to_numpy(zero_copy_only=False)
            codes = np.where(place >= 0, new[taken[np.maximum(place, 0)]] if len(taken) else -1, codes)
        return place, codes, names

    @property
    def identity_codes(self) -> np.ndarray:
        """The code of each image's identity now `(N,)`; see `identities`."""
        return self._now[1]

    @property
    def identities(self) -> list[str]:
        """The names of all identities; those that the run made come last."""
        return self._now[2]

    def identity_of(self, row: int) -> str | None:
        """The identity of an image now, None where it has none."""
        code = int(self._now[1][int(row)])
        return self._now[2][code] if code >= 0 else None

    def came_as(self, row: int) -> str | None:
        """The identity under which the image went in."""
        value = self._before.iloc[int(row)]
        return None if pd.isna(value) else str(value)

    @property
    def codes_before(self) -> np.ndarray:
        """The code of the identity under which each image went in `(N,)`, -1 where none."""
        return self._before.cat.codes.to_numpy()

    def rows_of_identity(self, name: str) -> np.ndarray:
        """The rows of the images of an identity now, ascending; those that were dropped are among them."""
        code = self._codes_by_name.get(name)
        return np.flatnonzero(self._now[1] == code) if code is not None else np.zeros(0, dtype=np.int64)

    @cached_property
    def _codes_by_name(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self._now[2])}

    def find_identities(self, text: str, limit: int = 50) -> list[str]:
        """Identities whose name holds the text, in any case: those that begin with it first."""
        names = pa.array(self.identities, pa.large_string())
        if not text:
            return names.slice(0, limit).to_pylist()
        found = names.filter(pc.match_substring(names, text, ignore_case=True)).to_pylist()
        folded = text.casefold()
        return sorted(found, key=lambda name: (not name.casefold().startswith(folded), name))[:limit]

    def split_of(self, row: int) -> str | None:
        """The split of an image that came out, None where it has none."""
        place = int(self._now[0][int(row)])
        if place < 0 or self._final is None or col.SPLIT not in self._final.column_names:
            return None
        return self._final[col.SPLIT][place].as_py()

    def fate_of(self, row: int) -> str:
        """What became of an image: dropped, in (a split of) the manifest, or not decided yet."""
        if self.dropped[int(row)]:
            return "dropped"
        if self._final is None:
            return "in the run"
        if self._now[0][int(row)] < 0:
            return "not in the manifest"
        split = self.split_of(row)
        return f"in {split}" if split else "kept"


__all__ = ["Images", "Opened", "open_run", "stamp_of"]
