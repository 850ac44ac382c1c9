"""Thresholds measured on the user's own images: known copies are made of a sample, and looked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from curate.clean.calibration_table import (
    CORRELATIONS,
    Found,
    Sample,
    by_alteration,
    choose,
    recall_of,
    thresholds_table,
    without_known,
)
from curate.clean.confirmed import PIXELS, ConfirmParams, confirmed_pairs, needs_of, textured
from curate.clean.known_copies import known_copies
from curate.clean.proposals import METHODS, MethodName
from curate.core import columns as col
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, Features, Figure, Report, StrictParams, report
from curate.images.alter import ALTERATIONS


class DuplicateCalibrationParams(StrictParams):
    """Parameters of `duplicate_calibration`."""

    method: MethodName = "phash"  # whose thresholds are chosen
    beside: tuple[MethodName, ...] = ("phash", "phash256", "dhash")  # methods measured too, to be compared with it
    precision: Annotated[float, Field(gt=0, lt=1)] = 0.99  # wanted share of true pairs among the confirmed ones
    sample: Annotated[int, Field(ge=1, le=20_000)] = 400  # images of which copies are made
    compared: Annotated[int, Field(ge=1)] = 50_000  # images that the copies are compared with, at most
    alterations: tuple[str, ...] = tuple(ALTERATIONS)  # names of `curate.images.alter.ALTERATIONS`
    strength: str = "medium"  # light, medium or strong
    known: Annotated[float, Field(gt=0, le=1)] = 0.945  # two images that agree so well as they are may be copies
    prevalence: Annotated[float, Field(gt=0, le=1)] | None = None  # pairs of copies per image; null: the known ones
    mirrored: bool = True  # as in `near_duplicates`; and crops
    crops: bool = True

    @model_validator(mode="after")
    def _measurable(self) -> DuplicateCalibrationParams:
        if "embedding" in self.methods:
            raise ValueError("copies that are made for a calibration have no vectors: measure another method")
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods measured, the one whose thresholds are chosen first."""
        return tuple(dict.fromkeys((self.method, *self.beside)))


def _facts(params: DuplicateCalibrationParams) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*PIXELS, *(name for method in params.methods for name in METHODS[method].needs))))


@report("duplicate_calibration", needs=lambda params: (*_facts(params), "decoded"), version=2)
def duplicate_calibration(
    manifest: Manifest, features: Features, params: DuplicateCalibrationParams, rng: np.random.Generator
) -> Report:
    """Measure on altered copies of the images themselves which thresholds find copies, and choose some.

    Of `sample` images each alteration makes one copy. The copies are compared with all images (or `compared` of them),
    and these with each other, by `method` and those `beside` it. Recall: the share of copies confirmed with their own
    original. A false pair: two images confirmed with each other, or a copy confirmed with an image that its own image
    is not paired with even at the loosest thresholds. But pairs that agree to `known` may well be copies which the
    set holds already, so nothing is concluded from them: the number of false pairs beyond is that of the tail of the
    others (`curate.clean.false_matches.tail_of`).

    Table `calibration/thresholds`, one row for each method, max_distance or min_similarity, and min_correlation:
    recall; false_match_rate, the share of comparisons of different photographs that are confirmed (of copies with
    images, or of images with each other, whichever is higher); precision = p R / (p R + F / 2), R being the recall, F
    the expected number of false pairs of one image with all others, and p `prevalence`, the pairs of copies per image.
    95% intervals (Wilson 1927; fewer than 10: Clopper and Pearson 1934; widened for the tail's scale) count an image
    once however often it errs. Table `calibration/alterations`: recall of each alteration at the thresholds chosen
    for each method; `calibration/methods`: those thresholds. Document `calibration/chosen`: the parameters of `method`:
    of those with the wanted precision (as estimated, not its lower limit) the highest recall, then the strictest;
    where none has it, the most precise.
    Raises InputError for an unknown alteration or strength.
    """
    usable = np.flatnonzero(
        (features["decoded"]["reason"] == 0) & manifest.originals() & textured(features["thumbnail"])
    )
    if len(usable) > params.compared:
        usable = np.sort(rng.choice(usable, params.compared, replace=False))
    drawn = np.sort(rng.choice(len(usable), min(params.sample, len(usable)), replace=False))
    paths = manifest.frame[col.PATH].take(usable[drawn]).tolist() if len(drawn) else []
    made = known_copies(
        manifest.root or "", paths, params.alterations, params.strength, _facts(params), int(rng.integers(2**62)),
        features.executor,
    )  # fmt: skip
    source = drawn[made["image"]] if len(drawn) else made["image"]
    sample = Sample(made["alteration"], source, len(np.unique(source)), len(usable), len(manifest))
    images = {name: features[name][usable] for name in _facts(params)}
    tables, found, known = [], {}, 0
    for method in params.methods:
        copies, pairs = _search(images, made, method, params, features.executor)
        known = max(known, int((pairs.similarity >= params.known).sum()))
        found[method] = without_known(copies, pairs, sample), pairs
    prevalence = params.prevalence or max(known, 1) / max(len(usable), 1)
    for method, (copies, pairs) in found.items():
        table = thresholds_table(method, copies, pairs, sample, prevalence, params.known)
        table["chosen"] = np.arange(len(table)) == choose(table, params.precision)
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    best = table[table["chosen"]].reset_index(drop=True)
    counts = {row["method"]: by_alteration(found[row["method"]][0], sample, row) for _, row in best.iterrows()}
    return _report(table, best, counts, known, prevalence, params, sample)


def _search(
    images: Mapping[str, np.ndarray], made: Mapping[str, np.ndarray], method: str, params: DuplicateCalibrationParams,
    executor: Executor,
) -> tuple[Found, Found]:  # fmt: skip
    """At the loosest thresholds, every pair of a copy and an image, and every pair of two images."""
    key = "max_distance" if METHODS[method].most else "min_similarity"
    loosest = ConfirmParams(
        method=method, **{key: METHODS[method].grid[0]}, min_correlation=CORRELATIONS[0], mirrored=params.mirrored,
        crops=params.crops,
    )  # fmt: skip
    n = len(images["phash"])
    both = {name: np.concatenate([images[name], made[name]]) for name in needs_of(loosest)}
    new = np.arange(len(both["phash"])) >= n
    image, copy, *more = confirmed_pairs(both, loosest, executor, new=new, between=True)
    return Found(copy - n, image, *more), Found(*confirmed_pairs(images, loosest, executor))


def _chosen(best: pd.Series) -> dict[str, Any]:
    """The parameters of `near_duplicates` that a row stands for."""
    if METHODS[best["method"]].most:
        return {"max_distance": int(best["max_distance"]), "min_correlation": float(best["min_correlation"])}
    return {"min_similarity": float(best["min_similarity"]), "min_correlation": float(best["min_correlation"])}


def _report(
    table: pd.DataFrame, best: pd.DataFrame, counts: dict[str, dict[int, tuple[int, int]]], known: int,
    prevalence: float, params: DuplicateCalibrationParams, sample: Sample,
) -> Report:  # fmt: skip
    alterations = pd.DataFrame(
        [{"method": method, "alteration": params.alterations[at], "strength": params.strength,
          **recall_of(hits, copies, copies)}
         for method, of in counts.items() for at, (copies, hits) in of.items()],
        columns=["method", "alteration", "strength", "copies", "found", "recall", "recall_low", "recall_high"],
    )  # fmt: skip
    chosen = best.iloc[0]
    same = (table["method"] == params.method) & (
        (table["max_distance"] == chosen["max_distance"]) | (table["min_similarity"] == chosen["min_similarity"])
    )
    curve = table[same].melt("min_correlation", ["recall", "precision"], "measure", "value")
    loosest = table.groupby("method", sort=False).head(len(CORRELATIONS))
    trade = loosest[["method", "max_distance", "min_similarity", "min_correlation", "false_match_rate", "recall"]]
    rate = {"x": "false_match_rate", "y": "recall", "color": "method", "log_x": True}
    options = {"x": "alteration", "y": "recall", "low": "recall_low", "high": "recall_high", "color": "method"}
    said = ", ".join(f"{name} {value:g}" for name, value in _chosen(chosen).items() if name != "min_correlation")
    return Report(
        tables={"calibration/thresholds": table, "calibration/methods": best.drop(columns="chosen"),
                "calibration/alterations": alterations, "calibration/curve": curve, "calibration/trade": trade},
        figures=(
            Figure("lines", "calibration/curve", f"Recall and precision against the threshold, {params.method}, {said}",
                   {"x": "min_correlation", "y": "value", "color": "measure"}),
            Figure("lines", "calibration/trade", "Recall against the rate of false matches, loosest proposals", rate),
            Figure("bars", "calibration/alterations", "Copies found at the thresholds chosen for each method", options),
        ),
        summary={"method": params.method, **_chosen(chosen), "recall": float(chosen["recall"]),
                 "precision": float(chosen["precision"]), "precision_low": float(chosen["precision_low"]),
                 "prevalence": float(prevalence)},
        notes=tuple(_notes(chosen, known, prevalence, params, sample)),
        documents={"calibration/chosen": {
            "method": params.method, "params": _chosen(chosen), "wanted_precision": params.precision,
            "precision": _number(chosen["precision"]), "recall": _number(chosen["recall"]),
        }},
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _notes(
    best: pd.Series, known: int, prevalence: float, params: DuplicateCalibrationParams, sample: Sample
) -> Iterator[str]:
    if not best["copies"]:
        yield "No image could be altered: the thresholds are the strictest, and nothing is known of them"
        return
    within = (
        f"at most {best['max_distance']:.0f} bits" if METHODS[best["method"]].most
        else f"a similarity of at least {best['min_similarity']:g}"
    )  # fmt: skip
    reached = "reach" if best["precision"] >= params.precision else "come nearest to, and miss,"
    yield (
        f"The thresholds chosen for {best['method']}, {within} and an agreement of at least "
        f"{best['min_correlation']:.3f}, {reached} a precision of {params.precision:g} where there are "
        f"{prevalence:.2g} pairs of copies per image: {best['precision']:.4f} is estimated, and at least "
        f"{best['precision_low']:.2f} is certain at 95%; recall {best['recall']:.3f} on {best['copies']:,.0f} copies. "
        f"False pairs seen below {params.known:g}: {best['false_of_copies']:,.0f} of copies with {sample.compared:,} "
        f"images, and {best['false_of_images']:,.0f} of these with each other"
    )
    if known:
        yield (
            f"{known:,} pairs of images agree to {params.known:g} or more as they are and count as copies that the set "
            "holds already: look at them before you trust the rate of false matches, which is carried on from below"
        )
