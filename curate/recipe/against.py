"""A finished run that new images are held against: what it kept is looked up, never computed again or changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.files import file_digest, json_digest
from curate.core.manifest import Manifest, read_manifest, text_array
from curate.core.shapes import Executor, Features
from curate.recipe.features import FeatureStore
from curate.recipe.needs import CONTENT, pixel_features
from curate.recipe.pixels import Progress
from curate.recipe.store import RunFolder
from curate.report.runs import AGAINST


class Against:
    """The images that a finished run kept, with their features from the cache that it filled.

    Raises InputError where the folder holds no finished run.
    """

    def __init__(self, run: Path | str, executor: Executor, progress: Progress | None = None) -> None:
        folder = RunFolder(run)
        plan = folder.plan()
        self.path = folder.path.resolve()
        table = folder.path / "manifest.parquet"
        if not table.is_file():
            raise InputError("the run is not finished", file=run, remedy="Run its command again, then this one")
        self.root = Path(plan["source"]["root"]) if plan["source"]["root"] else None
        kept = read_manifest(table, root=self.root)
        self._kept = kept.take(kept.originals())
        self._seen = read_manifest(folder.path / "steps" / "00-source" / "manifest.parquet").ids
        self._digest = file_digest(table)
        self._store = FeatureStore(self._kept, Path(plan["cache"]), executor, None, progress)
        self._shown, self._order = self._kept, np.arange(len(self._kept))

    def receive(self, manifest: Manifest) -> tuple[Manifest, tuple[str, ...]]:
        """The new images, and what a reader must know of them.

        Where both sets have one root, images whose id the run's source had are not new and are left out. Elsewhere an
        image of the run is called `against:ID` where a new one has its id.
        """
        notes: tuple[str, ...] = ()
        if self.root is not None and manifest.root is not None and manifest.root.resolve() == self.root.resolve():
            known = pc.is_in(manifest.ids, value_set=self._seen).to_numpy(zero_copy_only=False)
            if known.any():
                manifest = manifest.take(~known)
                notes = (f"{int(known.sum()):,} images that the run held against has seen already are left out",)
        clash = pc.is_in(self._kept.ids, value_set=manifest.ids)
        if pc.any(clash).as_py():
            ids = pc.if_else(
                clash, pc.binary_join_element_wise(_text(AGAINST), self._kept.ids, _text("")), self._kept.ids
            )
            self._order = pc.sort_indices(ids).to_numpy()
            frame = self._kept.frame.assign(**{col.IMAGE_ID: ids.to_pandas().array})
            self._shown = Manifest.from_frame(frame, root=self.root, levels=self._kept.levels)
            notes += (f"{pc.sum(clash).as_py():,} ids stand in both sets: those of the older one are shown with "
                      f"'{AGAINST}' before them",)  # fmt: skip
        return manifest, notes

    def key(self, needs: Sequence[str]) -> str:
        """What the images and their features depend on, as a digest."""
        features = {need: self._store.key(need, self._kept) for need in self._needs(needs)}
        return json_digest([self._digest, features])

    def bound(self, needs: Sequence[str]) -> tuple[Manifest, Features]:
        """The run's images and those of the needs that come from pixels, row for row."""
        values = {need: self._store.get(need, self._kept, self._order) for need in self._needs(needs)}
        return self._shown, Features(values)

    def _needs(self, needs: Sequence[str]) -> list[str]:
        return [need for need in needs if need in pixel_features() or need == CONTENT]


def _text(value: str) -> pa.Scalar:
    return text_array([value])[0]
