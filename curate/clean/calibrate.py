"""Thresholds measured on the user's own images: known copies are made of a sample, and looked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from curate.clean.confirmed import ConfirmParams, confirmed_pairs, textured
from curate.clean.known_copies import known_copies
from curate.core import columns as col
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, Features, Figure, Report, StrictParams, report
from curate.images.alter import ALTERATIONS
from curate.stats.intervals import MIN_ERRORS, upper_bound, wilson

_LOOSEST_DISTANCE = 12
_CORRELATIONS = tuple(round(0.9 + 0.005 * at, 3) for at in range(20))
_FACTS = ("phash", "phash_mirror", "thumbnail")


class DuplicateCalibrationParams(StrictParams):
    """Parameters of `duplicate_calibration`."""

    precision: Annotated[float, Field(gt=0, lt=1)] = 0.99  # wanted share of true pairs among the confirmed ones
    sample: Annotated[int, Field(ge=1, le=20_000)] = 400  # images of which copies are made
    compared: Annotated[int, Field(ge=1)] = 50_000  # images that the copies are compared with, at most
    alterations: tuple[str, ...] = tuple(ALTERATIONS)  # names of `curate.images.alter.ALTERATIONS`
    strength: str = "medium"  # light, medium or strong
    known: Annotated[float, Field(gt=0, le=1)] = 0.945  # two images that agree so well as they are count as copies
    prevalence: Annotated[float, Field(gt=0, le=1)] | None = None  # pairs of copies per image; null: the known ones
    mirrored: bool = True  # as in `near_duplicates`; and crops
    crops: bool = True


class _Found(NamedTuple):
    """Pairs, each `(P,)`: of a copy and an image, or of two images."""

    query: np.ndarray
    image: np.ndarray
    distance: np.ndarray
    similarity: np.ndarray

    def where(self, mask: np.ndarray) -> _Found:
        """The pairs of a mask."""
        return _Found(*(part[mask] for part in self))

    def passed(self, row: Mapping[str, Any]) -> np.ndarray:
        """Mask of the pairs confirmed at the thresholds of a row."""
        return (self.distance <= row["max_distance"]) & (self.similarity >= row["min_correlation"])


@dataclass(frozen=True)
class _Sample:
    """What was compared: for each copy its alteration and its own image; how many images took part, and of how many."""

    alteration: np.ndarray
    source: np.ndarray
    sampled: int
    compared: int
    images: int


@report("duplicate_calibration", needs=("phash", "phash_mirror", "thumbnail", "decoded"))
def duplicate_calibration(
    manifest: Manifest, features: Features, params: DuplicateCalibrationParams, rng: np.random.Generator
) -> Report:
    """Measure on altered copies of the images themselves which thresholds find copies, and choose some.

    Of `sample` images each alteration makes one copy. The copies are compared with all images (or `compared` of them),
    and these with each other. Recall: the share of copies confirmed with their own original. A false pair: two images
    confirmed with each other, or a copy confirmed with an image that its own image is not paired with even at the
    loosest thresholds. But two images that agree to `known` as they are may well be copies which the set holds already:
    their pair counts neither way.

    Table `calibration/thresholds`, one row for each max_distance and min_correlation: recall; false_match_rate, the
    share of comparisons of different photographs that are confirmed (of copies with images, or of images with each
    other, whichever is higher); precision = p R / (p R + F / 2), R being the recall, F the expected number of false
    pairs of one image with all others, and p `prevalence`, the pairs of copies per image. 95% intervals (Wilson 1927;
    fewer than 10: Clopper and Pearson 1934) count an image once however often it errs. Table
    `calibration/alterations`: recall of each alteration at the chosen thresholds. Document `calibration/chosen`: the
    parameters chosen: of those with the wanted precision (as estimated, not its lower limit) the highest recall,
    then the strictest; where none has it, the most precise.
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
        manifest.root or "", paths, params.alterations, params.strength, _FACTS, int(rng.integers(2**62)),
        features.executor,
    )  # fmt: skip
    source = drawn[made["image"]] if len(drawn) else made["image"]
    sample = _Sample(made["alteration"], source, len(np.unique(source)), len(usable), len(manifest))
    images = {name: features[name][usable] for name in _FACTS}
    copies, pairs = _search(images, made, params, features.executor)
    copies, pairs, known = _without_known(copies, pairs, sample, params.known)
    prevalence = params.prevalence or max(known, 1) / max(len(usable), 1)
    table = _thresholds(copies, pairs, sample, prevalence)
    chosen = _choose(table, params.precision)
    table["chosen"] = np.arange(len(table)) == chosen
    return _report(table, chosen, _by_alteration(copies, sample, table.iloc[chosen]), known, prevalence, params, sample)


def _search(
    images: Mapping[str, np.ndarray], made: Mapping[str, np.ndarray], params: DuplicateCalibrationParams,
    executor: Executor,
) -> tuple[_Found, _Found]:  # fmt: skip
    """At the loosest thresholds, every pair of a copy and an image, and every pair of two images."""
    loosest = ConfirmParams(
        max_distance=_LOOSEST_DISTANCE, min_correlation=_CORRELATIONS[0], mirrored=params.mirrored, crops=params.crops
    )
    n = len(images["phash"])
    both = {name: np.concatenate([images[name], made[name]]) for name in _FACTS}
    mirror = both["phash_mirror"] if params.mirrored else None
    new = np.arange(len(both["phash"])) >= n
    image, copy, *more = confirmed_pairs(
        both["phash"], mirror, both["thumbnail"], loosest, executor, new=new, between=True
    )
    mirror = images["phash_mirror"] if params.mirrored else None
    pairs = confirmed_pairs(images["phash"], mirror, images["thumbnail"], loosest, executor)
    return _Found(copy - n, image, *more), _Found(*pairs)


def _without_known(copies: _Found, pairs: _Found, sample: _Sample, known: float) -> tuple[_Found, _Found, int]:
    """The pairs but those of images that are copies already, how many such there are, and what copies add to them."""
    alike = pairs.similarity >= known
    n = sample.compared
    keys = pairs.query * n + pairs.image  # query < image
    source = sample.source[copies.query]
    key = np.minimum(source, copies.image) * n + np.maximum(source, copies.image)
    return copies.where(~np.isin(key, keys)), pairs.where(~alike), int(alike.sum())


def _thresholds(copies: _Found, pairs: _Found, sample: _Sample, prevalence: float) -> pd.DataFrame:
    source = sample.source[copies.query]
    own = source == copies.image
    made, n = len(sample.source), sample.compared
    rows = []
    for max_distance in range(0, _LOOSEST_DISTANCE + 1, 2):
        for correlation in _CORRELATIONS:
            row = {"max_distance": max_distance, "min_correlation": correlation}
            passed, alike = copies.passed(row), pairs.passed(row)
            wrong = passed & ~own
            touched = np.unique(np.concatenate([pairs.query[alike], pairs.image[alike]]))
            rates = (
                _false(int(wrong.sum()), len(np.unique(source[wrong])), sample.sampled, made * max(n - 1, 0)),
                _false(int(alike.sum()), len(touched), n, n * (n - 1) // 2),
            )
            rows.append({
                **row, **_recall(int((passed & own).sum()), made, sample.sampled),
                "false_of_copies": int(wrong.sum()), "false_of_images": int(alike.sum()),
                **{name: max(rate[name] for rate in rates) for name in rates[0]},
            })  # fmt: skip
    table = pd.DataFrame(rows)
    each = max(sample.images - 1, 1) / 2  # a false pair belongs to two images
    for end, recall, rate in (("", "recall", "false_match_rate"), ("_low", "recall_low", "false_match_rate_high"),
                              ("_high", "recall_high", "false_match_rate_low")):  # fmt: skip
        true = prevalence * table[recall]
        table[f"precision{end}"] = (true / (true + each * table[rate])).where(true > 0)
    return table


def _recall(hits: int, copies: int, sampled: int) -> dict[str, Any]:
    if not copies:
        return {"copies": 0, "found": 0, "recall": np.nan, "recall_low": 0.0, "recall_high": 1.0}
    low, high = wilson(hits / copies * sampled, sampled)
    return {"copies": copies, "found": hits, "recall": hits / copies, "recall_low": low, "recall_high": high}


def _false(pairs: int, affected: int, images: int, comparisons: int) -> dict[str, float]:
    """The rate of false pairs; its interval is that of the share of images with any, times the pairs of each."""
    each = pairs / affected if affected else 1.0
    low, high = wilson(affected, images) if affected >= MIN_ERRORS else (0.0, upper_bound(affected, images))
    scale = each * images / max(comparisons, 1)
    return {
        "false_match_rate": pairs / max(comparisons, 1), "false_match_rate_low": low * scale,
        "false_match_rate_high": min(high * scale, 1.0),
    }  # fmt: skip


def _choose(table: pd.DataFrame, wanted: float) -> int:
    """The row with the highest recall among those precise enough, then the strictest; else the most precise."""
    precise = (table["precision"] >= wanted).to_numpy()
    order = table.assign(at=np.arange(len(table)))
    if precise.any():
        order = order[precise].sort_values(
            ["recall", "min_correlation", "max_distance"], ascending=[False, False, True], kind="stable"
        )
    else:
        order = order.sort_values(
            ["precision", "recall", "min_correlation"], ascending=False, kind="stable", na_position="last"
        )
    return int(order["at"].iloc[0])


def _by_alteration(copies: _Found, sample: _Sample, best: pd.Series) -> dict[int, tuple[int, int]]:
    """For each alteration the copies made and those found at the chosen thresholds."""
    hit = copies.query[copies.passed(best) & (sample.source[copies.query] == copies.image)]
    return {
        int(at): (int((sample.alteration == at).sum()), int((sample.alteration[hit] == at).sum()))
        for at in np.unique(sample.alteration)
    }


def _report(
    table: pd.DataFrame, chosen: int, counts: dict[int, tuple[int, int]], known: int, prevalence: float,
    params: DuplicateCalibrationParams, sample: _Sample,
) -> Report:  # fmt: skip
    best = table.iloc[chosen]
    distance, correlation = int(best["max_distance"]), float(best["min_correlation"])
    alterations = pd.DataFrame(
        [{"alteration": params.alterations[at], "strength": params.strength, **_recall(hits, copies, copies)}
         for at, (copies, hits) in counts.items()],
        columns=["alteration", "strength", "copies", "found", "recall", "recall_low", "recall_high"],
    )  # fmt: skip
    curve = table[table["max_distance"] == distance].melt(
        "min_correlation", ["recall", "precision"], "measure", "value"
    )
    rate = {"x": "false_match_rate", "y": "recall", "color": "distance", "log_x": True}
    options = {"x": "alteration", "y": "recall", "low": "recall_low", "high": "recall_high"}
    trade = table.assign(distance="at most " + table["max_distance"].astype(str) + " bits")
    trade = trade[["distance", "min_correlation", "false_match_rate", "recall"]]
    return Report(
        tables={"calibration/thresholds": table, "calibration/alterations": alterations, "calibration/curve": curve,
                "calibration/trade": trade},
        figures=(
            Figure("lines", "calibration/curve", f"Recall and precision against the threshold, up to {distance} bits",
                   {"x": "min_correlation", "y": "value", "color": "measure"}),
            Figure("lines", "calibration/trade", "Recall against the rate of false matches", rate),
            Figure("bars", "calibration/alterations", "Copies found at the chosen thresholds", options),
        ),
        summary={"max_distance": distance, "min_correlation": correlation, "recall": float(best["recall"]),
                 "precision": float(best["precision"]), "precision_low": float(best["precision_low"]),
                 "prevalence": float(prevalence)},
        notes=tuple(_notes(best, known, prevalence, params, sample)),
        documents={"calibration/chosen": {
            "params": {"max_distance": distance, "min_correlation": correlation},
            "wanted_precision": params.precision, "precision": _number(best["precision"]),
            "recall": _number(best["recall"]),
        }},
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _notes(
    best: pd.Series, known: int, prevalence: float, params: DuplicateCalibrationParams, sample: _Sample
) -> Iterator[str]:
    if not best["copies"]:
        yield "No image could be altered: the thresholds are the strictest, and nothing is known of them"
        return
    reached = "reach" if best["precision"] >= params.precision else "come nearest to, and miss,"
    yield (
        f"The thresholds chosen, at most {best['max_distance']:.0f} bits and an agreement of at least "
        f"{best['min_correlation']:.3f}, {reached} a precision of {params.precision:g} where there are "
        f"{prevalence:.2g} pairs of copies per image: {best['precision']:.4f} is estimated, and at least "
        f"{best['precision_low']:.2f} is certain at 95%; recall {best['recall']:.3f} on {best['copies']:,.0f} copies. "
        f"False pairs: {best['false_of_copies']:,.0f} of copies with {sample.compared:,} images, and "
        f"{best['false_of_images']:,.0f} of these with each other"
    )
    if known:
        yield (
            f"{known:,} pairs of images agree to {params.known:g} or more as they are and count as copies that the set "
            "holds already: look at them before you trust the rate of false matches"
        )
