"""The plan: whether every step has what it needs, what is cached, and about what the rest costs."""

from __future__ import annotations

from dataclasses import dataclass

from curate.core.errors import CurateError, InputError, nearest
from curate.recipe.features import (
    DESCRIPTOR,
    EMBEDDING,
    OF_THE_RUN,
    STORED,
    TRUTH,
    VECTORS,
    FeatureStore,
    known_features,
    pixel_features,
)
from curate.recipe.schema import Recipe


@dataclass(frozen=True)
class PlanRow:
    """One step of the plan: what it needs, images still to be computed, and the seconds that they take, about."""

    order: int
    name: str
    kind: str
    sentence: str
    needs: tuple[str, ...]
    images: int
    seconds: float


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


def pixel_needs(recipe: Recipe) -> list[str]:
    """The pixel features of all steps together: computed in one pass, with one decode per image."""
    wanted = {need for item in recipe.steps for need in item.needs} & set(pixel_features())
    return sorted(wanted)


def all_needs(recipe: Recipe) -> list[str]:
    """Every per-image feature of the recipe, the embedder's descriptor included."""
    embeds = any({EMBEDDING, STORED} & set(item.needs) for item in recipe.steps) and recipe.embedder.kind != "vectors"
    return [*pixel_needs(recipe), *([DESCRIPTOR] if embeds else [])]


def plan_rows(recipe: Recipe, store: FeatureStore) -> list[PlanRow]:
    """One row per step; the cost of a feature stands at the first step that needs it."""
    check_needs(recipe, store)
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
