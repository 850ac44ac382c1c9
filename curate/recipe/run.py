"""Run a recipe: each step decides, one function applies, and everything can be resumed and explained."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from curate.collect import SOURCES
from curate.collect.several import SeveralParams
from curate.core import columns as col
from curate.core.decisions import Decisions, apply_decisions
from curate.core.errors import CurateError, InputError
from curate.core.files import file_digest, json_digest, path_digest, read_json, read_table, write_json, write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, Features, Report, seed_of, step_rng
from curate.core.vectors import VECTOR_FILES
from curate.recipe.against import Against
from curate.recipe.features import (
    DECISIONS,
    EMBEDDING,
    EVIDENCE,
    OF_THE_RUN,
    SOURCE,
    STEPS_RUN,
    FeatureStore,
    Pending,
    Progress,
    default_cache,
)  # fmt: skip
from curate.recipe.plan import all_needs, check_labels, check_needs, pixel_needs
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
    called after each step; progress(feature, done, total) while features are computed. until: the name of the step to
    stop after; what stands behind it is left as it is, and no page is drawn.
    Raises CurateError where the folder is held by another run, a need is not provided, or a disk is full.
    """
    run = _Run(recipe, RunFolder(out), executor, cache or default_cache(), on_step, progress)
    return run.run(on_cost, until)


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
            kind = self.recipe.source.kind
            collected = SOURCES[kind].read(self.recipe.source, self.recipe.levels, self.executor, self.cache)
            manifest, notes = collected.manifest, tuple(collected.notes)
            if self.recipe.against is not None:
                self.against = Against(self.recipe.against, self.executor, self.progress)
                manifest, more = self.against.receive(manifest)
                notes += more
            self.store = FeatureStore(manifest, self.cache, self.executor, self.recipe.embedder, self.progress)
            check_needs(self.recipe, self.store)
            check_labels(self.recipe, manifest)
            self._write_plan(manifest)
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

    # ---- before the steps -----------------------------------------------------------------------------------------

    def _write_plan(self, manifest: Manifest) -> None:
        root = str(Path(manifest.root).resolve()) if manifest.root is not None else None
        steps = [
            {"order": item.order, "name": item.step.name, "kind": item.step.kind, "folder": item.folder,
             "sentence": item.step.sentence, "params": item.params.model_dump(mode="json")}
            for item in self.recipe.steps
        ]  # fmt: skip
        recipe = dict(self.recipe.raw)
        for name, params in (("source", self.recipe.source), ("embedder", self.recipe.embedder)):
            # Absolute, so that `undo` finds the same files from any folder.
            paths = {key: str(path) for key, path in paths_of(params).items()}
            if paths:
                recipe[name] = {**recipe[name], **paths}
        if isinstance(self.recipe.source, SeveralParams):
            recipe["source"] = self.recipe.source.model_dump(mode="json")
        plan = {
            "name": self.recipe.name, "seed": self.recipe.seed, "recipe": recipe,
            "source": {"kind": self.recipe.source.kind, "root": root}, "cache": str(self.cache.resolve()),
            "levels": dict(manifest.levels), "steps": steps, "versions": self.versions,
        }  # fmt: skip
        if self.against is not None:
            plan["against"] = str(self.against.path)
        self.folder.replace_plan(plan)

    def _refuse_own_source(self) -> None:
        out = self.folder.path.resolve()
        for key, path in paths_of(self.recipe.source).items():
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

    # ---- one step -------------------------------------------------------------------------------------------------

    def _step(self, item: PlannedStep, manifest: Manifest, chain: str) -> tuple[Manifest, str, StepResult]:
        deciding = [other.order for other in self.recipe.steps if other.step.kind == "step"]
        human = self.folder.human(item.step.name, first=item.order == min(deciding, default=0))
        human = human.stamped(item.step.name, item.order, col.HUMAN_SOURCE)
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
        cached = self.folder.is_done(item.folder, fingerprint)
        if not cached:
            self.folder.unfinish()
        if item.step.kind == "report":
            if not cached:
                self._measure(item, manifest, fingerprint)
            summary = read_json(self.folder.path / item.folder / "summary.json")
            return manifest, chain, StepResult(summary, cached)
        path = self.folder.path / item.folder / "decisions.parquet"
        if cached:
            decisions = Decisions.from_frame(read_table(path))
        else:
            made, notes = self._call(item, manifest)
            stamped = made.stamped(item.step.name, item.order)
            decisions = Decisions.concat([_overruled(stamped, human), human])
            write_table(path, decisions.frame)
            path.with_name("evidence.parquet").unlink(missing_ok=True)
            if made.evidence is not None:
                write_table(path.with_name("evidence.parquet"), made.evidence)
        after, rejected = apply_decisions(manifest, decisions)
        self.rejected.append(rejected)
        if not cached:
            summary = self._summary(item, manifest, after)
            summary |= {"actions": _counts(decisions, rejected), "notes": notes}
            write_json(path.with_name("summary.json"), summary)
            names = ["decisions.parquet", "summary.json", *(["evidence.parquet"] if made.evidence is not None else [])]
            self.folder.finish(item.folder, fingerprint, [f"{item.folder}/{name}" for name in names])
        summary = read_json(path.with_name("summary.json"))
        return after, json_digest([chain, file_digest(path)]), StepResult(summary, cached)

    def _call(self, item: PlannedStep, manifest: Manifest) -> tuple[Any, list[str]]:
        """What the step returned, and what it warned of."""
        values = {need: self.store.get(need, manifest) for need in item.needs if need not in OF_THE_RUN}
        if DECISIONS in item.needs:
            values[DECISIONS] = self._earlier(item.order)
        if STEPS_RUN in item.needs:
            values[STEPS_RUN] = {done.step.name: done.params for done in self.recipe.steps if done.order < item.order}
        if EVIDENCE in item.needs:
            values[EVIDENCE] = self._evidence(item.order)
        if SOURCE in item.needs:
            values[SOURCE] = self.store.source
        reference = self.against.bound(item.needs) if self.against is not None else None
        with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            rng = step_rng(self.recipe.seed, item.step.name)
            try:
                made = item.step(manifest, Features(values, self.executor, reference), item.params, rng)
            except CurateError:
                raise
            except Exception as error:
                error.add_note(f"raised by step {item.order:02d} {item.step.name!r}")
                raise
        expected = Report if item.step.kind == "report" else Decisions
        if not isinstance(made, expected):
            raise CurateError(f"step {item.step.name!r} returned {type(made).__name__}, not {expected.__name__}")
        return made, [str(warning.message) for warning in caught if warning.category is UserWarning]

    def _earlier(self, order: int) -> pd.DataFrame:
        frames = [
            Decisions.from_frame(read_table(self.folder.path / item.folder / "decisions.parquet"))
            for item in self.recipe.steps
            if item.order < order and item.step.kind == "step"
        ]
        return Decisions.concat(frames).frame

    def _evidence(self, order: int) -> dict[str, pd.DataFrame]:
        """The evidence of earlier steps by name; that of a step that stands twice is put together."""
        found: dict[str, pd.DataFrame] = {}
        for item in self.recipe.steps:
            path = self.folder.path / item.folder / "evidence.parquet"
            if item.order < order and path.exists():
                parts = [found[item.step.name]] if item.step.name in found else []
                found[item.step.name] = pd.concat([*parts, read_table(path)], ignore_index=True)
        return found

    def _measure(self, item: PlannedStep, manifest: Manifest, fingerprint: dict[str, Any]) -> None:
        report, notes = self._call(item, manifest)
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


def _overruled(made: Decisions, human: Decisions) -> Decisions:
    """A step's decisions where a person decided otherwise: theirs becomes a `flag`, so that it is seen and not done.

    A `keep` needs nothing of the kind: `apply_decisions` knows it.
    """
    mine, theirs = human.frame, made.frame
    slots = {col.DROP: "fate", col.MOVE: "fate", col.MERGE: "fate"}

    def keys(frame: pd.DataFrame) -> pd.MultiIndex:
        column = frame["new_value"].str.replace("=.*", "", regex=True)
        slot = frame["action"].astype("str")
        return pd.MultiIndex.from_arrays([frame[col.IMAGE_ID], slot.map(slots).fillna(column).fillna(slot)])

    acting = mine["action"].isin([col.DROP, col.MOVE, col.MERGE, col.ASSIGN]).to_numpy(bool)
    if not acting.any():
        return made
    acts = theirs["action"].isin([col.DROP, col.MOVE, col.MERGE, col.ASSIGN]).to_numpy(bool)
    lost = acts & keys(theirs).isin(keys(mine[acting]))
    return Decisions.from_frame(theirs.assign(action=theirs["action"].astype("str").mask(lost, col.FLAG)))


def _identities(manifest: Manifest) -> int:
    return len(manifest.frame[col.IDENTITY].cat.categories)


def _counts(decisions: Decisions, rejected: pd.DataFrame) -> dict[str, int]:
    """Rows per `action/reason`; images really dropped as `dropped`."""
    frame = decisions.frame[["action", "reason"]].astype("str").fillna("")
    counted = Counter({f"{action}/{reason}": int(n) for (action, reason), n in frame.value_counts().items()})
    return {**dict(sorted(counted.items())), "dropped": len(rejected)}
