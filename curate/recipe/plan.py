"""The plan: whether every step has what it needs, what is cached, and about what the rest costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from curate.collect.several import SeveralParams
from curate.core import columns as col
from curate.core.errors import CurateError, InputError, nearest
from curate.core.manifest import Manifest
from curate.core.shapes import LABEL_FIELDS
from curate.recipe.against import Against
from curate.recipe.features import FeatureStore
from curate.recipe.needs import (
    DESCRIPTOR,
    EMBEDDING,
    OF_THE_RUN,
    STORED,
    TRUTH,
    VECTORS,
    known_features,
    pixel_features,
)
from curate.recipe.schema import Recipe, paths_of


@dataclass(frozen=True)
class PlanRow:
    """One step of the plan: what it needs, images still to be computed, the seconds that they take,
    about, and whether the run folder has it done."""

    order: int
    name: str
    kind: str
    sentence: str
    needs: tuple[str, ...]
    images: int
    seconds: float
    done: bool = False


def check_needs(recipe: Recipe, store: FeatureStore) -> None:
    """Raise CurateError unless the source and the recipe provide what every step needs."""
    pixels = pixel_features()
    for item in recipe.steps:
        for need in item.needs:
            if need not in known_features():
                raise CurateError(f"step {item.step.name!r} needs {need!r}, which nothing provides. "
                                  f"{nearest(need, known_features())}")  # fmt: skip
            if need == TRUTH:
                store.key(need, None)  # says where the truth table should be
            if need in pixels and not store.has_pixels:
                raise CurateError(
                    f"step {item.step.name!r} needs {need!r}, which comes from pixels, and the source has none. "
                    "Give source.root, or take the step out of the recipe"
                )
            if need in (EMBEDDING, STORED) and recipe.embedder.kind == "vectors" and not recipe.embedder.path.exists():
                raise InputError("no such vectors", file=recipe.embedder.path, remedy="Check embedder.path")
            if need in (EMBEDDING, STORED) and recipe.embedder.kind != "vectors" and not store.has_pixels:
                raise CurateError(
                    f"step {item.step.name!r} needs vectors. Give embedder: {{kind: vectors, path: VECTORS}}, or a "
                    "source with pixels"
                )


def check_labels(recipe: Recipe, manifest: Manifest) -> None:
    """Raise InputError where a step is told of a label that the source has not: now, not when its turn comes."""
    frame = manifest.frame
    known = [name for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    known += [name for name in (*manifest.labels, col.SPLIT) if name not in known]
    for item in recipe.steps:
        for field in LABEL_FIELDS:
            for given in getattr(item.params, field, None) or ():
                for name in str(given).split("/"):
                    if name not in known:
                        raise InputError(f"the source has no label {name!r}; steps.{item.step.name}.{field} asks",
                                         file=recipe.origin, remedy=nearest(name, known))  # fmt: skip


def pixel_needs(recipe: Recipe) -> list[str]:
    """The pixel features of all steps together: computed in one pass, with one decode per image."""
    wanted = {need for item in recipe.steps for need in item.needs} & set(pixel_features())
    return sorted(wanted)


def all_needs(recipe: Recipe) -> list[str]:
    """Every per-image feature of the recipe, the embedder's descriptor included."""
    embeds = any({EMBEDDING, STORED} & set(item.needs) for item in recipe.steps) and recipe.embedder.kind != "vectors"
    return [*pixel_needs(recipe), *([DESCRIPTOR] if embeds else [])]


def plan_rows(recipe: Recipe, store: FeatureStore, manifest: Manifest) -> list[PlanRow]:
    """One row per step; the cost of a feature stands at the first step that needs it. manifest: the source's."""
    check_needs(recipe, store)
    check_labels(recipe, manifest)
    rows = []
    pixels_paid = embedding_paid = False
    for item in recipe.steps:
        images, seconds = 0, 0.0
        if not pixels_paid and set(item.needs) & set(pixel_features()):
            pending = store.pending(pixel_needs(recipe))
            images, seconds = pending.images, pending.seconds
            pixels_paid = True
        if not embedding_paid and {EMBEDDING, STORED} & set(item.needs) and recipe.embedder.kind != "vectors":
            pending = store.pending([DESCRIPTOR])
            images, seconds = max(images, pending.images), seconds + pending.seconds
            embedding_paid = True
        needs = tuple(need for need in item.needs if need not in (*OF_THE_RUN, TRUTH, VECTORS))
        rows.append(PlanRow(item.order, item.step.name, item.step.kind, item.step.sentence, needs, images, seconds))
    return rows


def plan_document(
    recipe: Recipe, manifest: Manifest, cache: Path, versions: dict[str, str], against: Against | None
) -> dict[str, Any]:
    """What `plan.json` says: the recipe with whole paths, so that `undo` finds the same files from any folder."""
    raw = dict(recipe.raw)
    for name, params in (("source", recipe.source), ("embedder", recipe.embedder)):
        paths = {key: str(path) for key, path in paths_of(params).items()}
        if paths:
            raw[name] = {**raw[name], **paths}
    if isinstance(recipe.source, SeveralParams):
        raw["source"] = recipe.source.model_dump(mode="json")
    steps = [
        {"order": item.order, "name": item.step.name, "kind": item.step.kind, "folder": item.folder,
         "sentence": item.step.sentence, "params": item.params.model_dump(mode="json")}
        for item in recipe.steps
    ]  # fmt: skip
    root = str(Path(manifest.root).resolve()) if manifest.root is not None else None
    plan = {
        "name": recipe.name, "seed": recipe.seed, "recipe": raw,
        "source": {"kind": recipe.source.kind, "root": root}, "cache": str(cache.resolve()),
        "levels": dict(manifest.levels), "steps": steps, "versions": versions,
    }  # fmt: skip
    return plan if against is None else {**plan, "against": str(against.path)}
