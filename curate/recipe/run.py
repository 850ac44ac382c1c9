"""Run a recipe: each step decides, one function applies, and everything can be resumed and explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from curate.collect import SOURCES
from curate.collect.several import SeveralParams
from curate.core import columns as col
from curate.core.apply import apply_decisions
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.files import file_digest, json_digest, path_digest, read_json, read_table, write_json, write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, seed_of
from curate.core.vectors import VECTOR_FILES
from curate.recipe.against import Against
from curate.recipe.cache import default_cache
from curate.recipe.calling import Caller, overruled
from curate.recipe.features import FeatureStore
from curate.recipe.needs import EMBEDDING, OF_THE_RUN
from curate.recipe.pixels import Pending, Progress
from curate.recipe.plan import PlanRow, all_needs, check_labels, check_needs, pixel_needs, plan_document, plan_rows
from curate.recipe.schema import PlannedStep, Recipe, paths_of
from curate.recipe.store import RunFolder, library_versions

_SOURCE = "steps/00-source"


@dataclass(frozen=True)
class StepResult:
    """What one step did: its summary (see `steps/NN-name/summary.json`) and whether it was done before."""

    summary: dict[str, Any]
    cached: bool


@dataclass
class RunResult:
    """A finished run: its folder, the path of its report page, and the result of each step."""

    folder: Path
    page: Path
    manifest: Manifest
    steps: list[StepResult] = field(default_factory=list)
    notes: tuple[str, ...] = ()


Listener = Callable[[StepResult], None]


def run_recipe(
    recipe: Recipe,
    out: Path | str,
    *,
    executor: Executor,
    cache: Path | None = None,
    on_cost: Callable[[Pending], None] | None = None,
    on_step: Listener | None = None,
    progress: Progress | None = None,
    until: str | None = None,
) -> RunResult:
    """Run a recipe into a folder; the same call resumes a run that was interrupted, to the same bytes.

    on_cost is told once, before the work, how many images have to be read and about how long that takes; on_step is
    called after each step; progress(name, done, total) while features are computed and while the tiles of a step's work
    are, of which the total may be None. until: the name of the step to
    stop after; what stands behind it is left as it is, and no page is drawn.
    Raises CurateError where the folder is held by another run, a need is not provided, or a disk is full.
    """
    run = _Run(recipe, RunFolder(out), executor, cache or default_cache(), on_step, progress)
    return run.run(on_cost, until)


def plan_recipe(recipe: Recipe, out: Path | str, *, executor: Executor, cache: Path | None = None
                ) -> tuple[Manifest, list[PlanRow]]:  # fmt: skip
    """The source of a recipe, and for each step what it needs, what that costs, and whether it is done in a folder.

    Raises CurateError where a need is not provided, and InputError for a label that the source has not.
    """
    return _Run(recipe, RunFolder(out), executor, cache or default_cache(), None, None).plan()


class _Run:
    def __init__(self, recipe: Recipe, folder: RunFolder, executor: Executor, cache: Path, on_step: Listener | None,
                 progress: Progress | None) -> None:  # fmt: skip
        self.recipe = recipe
        self.folder = folder
        self.executor = executor
        self.cache = cache
        self.on_step = on_step or (lambda _: None)
        self.progress = progress
        self.versions = library_versions()
        self.rejected: list[pd.DataFrame] = []
        self.against: Against | None = None

    def run(self, on_cost: Callable[[Pending], None] | None, until: str | None) -> RunResult:
        self._refuse_own_source()
        with self.folder.lock():
            manifest, notes = self._collect()
            check_needs(self.recipe, self.store)
            check_labels(self.recipe, manifest)
            self.folder.replace_plan(plan_document(self.recipe, manifest, self.cache, self.versions, self.against))
            chain = self._write_source(manifest, notes)
            if on_cost is not None:
                on_cost(self.store.pending(all_needs(self.recipe)))
            self.store.prepare(pixel_needs(self.recipe))
            result = RunResult(self.folder.path, self.folder.path / "report" / "index.html", manifest)
            result.notes = notes
            for item in self.recipe.steps:
                manifest, chain, done = self._step(item, manifest, chain)
                result.steps.append(done)
                self.on_step(done)
                if item.step.name == until:
                    result.manifest = manifest
                    return result
            manifest.write(self.folder.path / "manifest.parquet")
            write_table(self.folder.path / "rejected.parquet", self._all_rejected(manifest))
            if not result.page.exists():
                from curate.report import write_report

                write_report(self.folder.path)
            result.manifest = manifest
            return result

    def plan(self) -> tuple[Manifest, list[PlanRow]]:
        """The source, and what a run would do with each step; nothing is written."""
        source, _ = self._collect()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "manifest.parquet"
            source.write(path)
            chain = file_digest(path)
        rows = plan_rows(self.recipe, self.store, source)
        manifest, done = source, set()
        for item in self.recipe.steps:
            # Without a fingerprint it is not done: then no image is opened to find out.
            known = (self.folder.path / item.folder / "fingerprint.json").exists()
            if known and self.folder.is_done(item.folder, self._fingerprint(item, manifest, chain, self._human(item))):
                done.add(item.order)
            elif item.step.kind == "step":
                break  # what comes behind it starts from another manifest
            if item.step.kind == "step":
                manifest, _, chain = self._apply(item, manifest, chain)
        return source, [replace(row, done=row.order in done) for row in rows]

    # ---- before the steps -----------------------------------------------------------------------------------------

    def _refuse_own_source(self) -> None:
        out = self.folder.path.resolve()
        source = self.recipe.source
        paths = source.paths() if isinstance(source, SeveralParams) else paths_of(source)
        for key, path in paths.items():
            if path.is_relative_to(out):
                raise InputError(f"source.{key} lies in the run folder {out}, and the run would write over it",
                                 value=str(path), remedy="Choose another --out")  # fmt: skip

    def _write_source(self, manifest: Manifest, notes: tuple[str, ...]) -> str:
        path = self.folder.path / _SOURCE / "manifest.parquet"
        manifest.write(path)
        write_json(path.with_name("summary.json"), {
            "name": "source", "kind": "source", "order": 0, "images_out": len(manifest),
            "identities_out": _identities(manifest), "notes": list(notes),
        })  # fmt: skip
        return file_digest(path)

    def _collect(self) -> tuple[Manifest, tuple[str, ...]]:
        collected = SOURCES[self.recipe.source.kind].read(
            self.recipe.source, self.recipe.levels, self.executor, self.cache
        )
        manifest, notes = collected.manifest, tuple(collected.notes)
        if self.recipe.against is not None:
            self.against = Against(self.recipe.against, self.executor, self.progress)
            manifest, more = self.against.receive(manifest)
            notes += more
        self.store = FeatureStore(manifest, self.cache, self.executor, self.recipe.embedder, self.progress)
        self.caller = Caller(self.recipe, self.folder, self.store, self.executor, self.against, self.progress)
        return manifest, notes

    # ---- one step -------------------------------------------------------------------------------------------------

    def _step(self, item: PlannedStep, manifest: Manifest, chain: str) -> tuple[Manifest, str, StepResult]:
        human = self._human(item)
        fingerprint = self._fingerprint(item, manifest, chain, human)
        cached = self.folder.is_done(item.folder, fingerprint)
        if not cached:
            self.folder.unfinish()
            if item.step.kind == "report":
                self._measure(item, manifest, fingerprint)
            else:
                self._decide(item, manifest, fingerprint, human)
        if item.step.kind == "step":
            manifest, rejected, chain = self._apply(item, manifest, chain)
            self.rejected.append(rejected)
        summary = read_json(self.folder.path / item.folder / "summary.json")
        return manifest, chain, StepResult(summary, cached)

    def _human(self, item: PlannedStep) -> Decisions:
        """What people said of this step's images, and, at the first step, of all."""
        deciding = [other.order for other in self.recipe.steps if other.step.kind == "step"]
        human = self.folder.human(item.step.name, first=item.order == min(deciding, default=0))
        return human.stamped(item.step.name, item.order, col.HUMAN_SOURCE)

    def _fingerprint(self, item: PlannedStep, manifest: Manifest, chain: str, human: Decisions) -> dict[str, Any]:
        fingerprint = {
            "input": chain, "step": item.step.name, "version": item.step.version, "order": item.order,
            "params": item.params.model_dump(mode="json"), "seed": seed_of(self.recipe.seed, item.step.name),
            "features": {need: self.store.key(need, manifest) for need in item.needs if need not in OF_THE_RUN},
            "human": json_digest(human.frame.to_json(orient="split")) if len(human) else None,
            "versions": self.versions,
        }  # fmt: skip
        if item.repeated:
            fingerprint["repeats"] = [other.params.model_dump(mode="json") for other in item.repeated]
        if item.files:
            fingerprint["files"] = {key: path_digest(path) for key, path in item.files.items()}
        if self.against is not None:
            fingerprint["against"] = self.against.key(item.needs)
        return fingerprint

    def _apply(self, item: PlannedStep, manifest: Manifest, chain: str) -> tuple[Manifest, pd.DataFrame, str]:
        """The manifest after a step that is done, the rows it lost, and the digest of all so far."""
        path = self.folder.path / item.folder / "decisions.parquet"
        after, rejected = apply_decisions(manifest, Decisions.from_frame(read_table(path)))
        return after, rejected, json_digest([chain, file_digest(path)])

    def _decide(self, item: PlannedStep, manifest: Manifest, fingerprint: dict[str, Any], human: Decisions) -> None:
        path = self.folder.path / item.folder / "decisions.parquet"
        made, notes = self.caller.call(item, manifest)
        decisions = Decisions.concat([overruled(made.stamped(item.step.name, item.order), human), human])
        tables = {"decisions": decisions.frame}
        if made.evidence is not None:
            tables["evidence"] = made.evidence
        path.with_name("evidence.parquet").unlink(missing_ok=True)
        for name, table in tables.items():
            write_table(path.with_name(f"{name}.parquet"), table)
        after, rejected = apply_decisions(manifest, decisions)
        summary = self._summary(item, manifest, after)
        write_json(path.with_name("summary.json"), {**summary, "actions": _counts(decisions, rejected), "notes": notes})
        files = [*(f"{name}.parquet" for name in tables), "summary.json"]
        self.folder.finish(item.folder, fingerprint, [f"{item.folder}/{name}" for name in files])

    def _measure(self, item: PlannedStep, manifest: Manifest, fingerprint: dict[str, Any]) -> None:
        report, notes = self.caller.call(item, manifest)
        self.folder.remove_outputs(item.folder)
        files = []
        for name, table in report.tables.items():
            write_table(self.folder.path / f"{name}.parquet", table)
            files.append(f"{name}.parquet")
        for name, value in report.documents.items():
            write_json(self.folder.path / f"{name}.json", value)
            files.append(f"{name}.json")
        if report.vectors is not None:
            named = replace(report.vectors, model=self.store.model, fingerprint=self.store.key(EMBEDDING, manifest))
            named.write(self.folder.path)
            files += VECTOR_FILES
        summary = self._summary(item, manifest, manifest)
        summary |= {
            "summary": dict(report.summary), "notes": [*report.notes, *notes], "tables": list(report.tables),
            "documents": list(report.documents), "files": list(VECTOR_FILES) if report.vectors is not None else [],
            "figures": [
                {"kind": f.kind, "table": f.table, "title": f.title, "options": dict(f.options)} for f in report.figures
            ],
        }  # fmt: skip
        write_json(self.folder.path / item.folder / "summary.json", summary)
        self.folder.finish(item.folder, fingerprint, [*files, f"{item.folder}/summary.json"])

    def _summary(self, item: PlannedStep, before: Manifest, after: Manifest) -> dict[str, Any]:
        return {
            "name": item.step.name, "kind": item.step.kind, "order": item.order, "sentence": item.step.sentence,
            "images_in": len(before), "images_out": len(after),
            "identities_in": _identities(before), "identities_out": _identities(after),
        }  # fmt: skip

    def _all_rejected(self, manifest: Manifest) -> pd.DataFrame:
        parts = [part for part in self.rejected if len(part)]
        if not parts:
            return self.rejected[0] if self.rejected else manifest.frame.head(0)
        parts = [
            part.astype({n: "str" for n in part if isinstance(part[n].dtype, pd.CategoricalDtype)}) for part in parts
        ]
        whole = pd.concat(parts, ignore_index=True).sort_values(col.IMAGE_ID, kind="stable", ignore_index=True)
        return whole.astype(
            {n: "category" for n in ("step", "reason", *col.CATEGORIES, *manifest.levels) if n in whole}
        )


def _identities(manifest: Manifest) -> int:
    return len(manifest.frame[col.IDENTITY].cat.categories)


def _counts(decisions: Decisions, rejected: pd.DataFrame) -> dict[str, int]:
    """Rows per `action/reason`; images really dropped as `dropped`."""
    frame = decisions.frame[["action", "reason"]].astype("str").fillna("")
    counted = Counter({f"{action}/{reason}": int(n) for (action, reason), n in frame.value_counts().items()})
    return {**dict(sorted(counted.items())), "dropped": len(rejected)}
