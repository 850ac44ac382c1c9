"""Thresholds measured on the user's own images: known copies are made of a sample, and looked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from curate.clean.near_duplicates import textured
from curate.core import columns as col
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report
from curate.images.alter import ALTERATIONS, STRENGTHS
from curate.search.confirm import correlate_pairs
from curate.search.hamming import pairs_between
from curate.stats.intervals import MIN_ERRORS, upper_bound, wilson

#: What every copy is made of; `unaltered` is the image itself, which tells what the set holds already.
UNALTERED = "unaltered"
_LOOSEST_DISTANCE = 16
_CORRELATIONS = tuple(round(0.80 + 0.01 * at, 2) for at in range(20))
#: Images of one task: each is read once, altered, written and measured.
_TASK = 32


class DuplicateCalibrationParams(StrictParams):
    """Parameters of `duplicate_calibration`."""

    precision: Annotated[float, Field(gt=0, lt=1)] = 0.99  # wanted share of true pairs among the confirmed ones
    sample: Annotated[int, Field(ge=1, le=20_000)] = 400  # images of which copies are made
    compared: Annotated[int, Field(ge=1)] = 100_000  # images that the copies are compared with, at most
    alterations: tuple[str, ...] = tuple(ALTERATIONS)  # names of `curate.images.alter.ALTERATIONS`
    strength: str = "medium"  # light, medium or strong
    prevalence: Annotated[float, Field(gt=0, le=1)] = 0.05  # share of the images that are copies, for the precision
    known_correlation: Annotated[float, Field(gt=0, le=1)] = 0.95  # two images that correlate so well as they are and
    known_distance: Annotated[int, Field(ge=0)] = 6  # lie no more bits apart count as copies that the set holds already
    mirrored: bool = True  # as in `near_duplicates`


class _Found(NamedTuple):
    """Pairs of a query (a copy, or a sampled image itself) and an image: each `(P,)`."""

    query: np.ndarray
    image: np.ndarray
    distance: np.ndarray
    similarity: np.ndarray


@report("duplicate_calibration", needs=("phash", "phash_mirror", "thumbnail", "decoded", "pixels"))
def duplicate_calibration(
    manifest: Manifest, features: Features, params: DuplicateCalibrationParams, rng: np.random.Generator
) -> Report:
    """Measure on altered copies of the images themselves which thresholds find copies, and choose some.

    Of `sample` images each alteration makes one copy, which is compared with all images (or `compared` of them), as is
    the sampled image itself. Recall: the share of copies confirmed with their own original. A false pair is a query
    confirmed with another image. Two images whose pixels are equal, or which unaltered are within `known_distance` and
    `known_correlation`, may well be copies that the set holds already: they and their copies count neither way, and
    how many they are is said.

    Table `calibration/thresholds`, one row for each max_distance and min_correlation: recall; false_match_rate, the
    share of comparisons of different photographs that are confirmed; precision = p R / (p R + F / 2), p being
    `prevalence`, R the recall and F the expected number of false pairs of one image with all others. 95% intervals
    (Wilson 1927; fewer than 10: Clopper and Pearson 1934) count a sampled image once however many of its copies err.
    Table `calibration/alterations`: recall of each alteration at the chosen thresholds. Document `calibration/chosen`:
    the parameters chosen: of those with the wanted precision (as estimated, not its lower limit) the highest
    recall, then the strictest; where none has it, the most precise.
    Raises InputError for an unknown alteration or strength.
    """
    _check(params)
    usable = np.flatnonzero(
        (features["decoded"]["reason"] == 0) & manifest.originals() & textured(features["thumbnail"])
    )
    if len(usable) > params.compared:
        usable = np.sort(rng.choice(usable, params.compared, replace=False))
    sample = np.sort(rng.choice(len(usable), min(params.sample, len(usable)), replace=False))
    seed = int(rng.integers(2**62))
    made = _copies(manifest, usable[sample], features, params, seed)
    found = _search(usable, features, made, params)
    alteration, source = made["alteration"], sample[made["image"]] if len(sample) else made["image"]
    pixels = features["pixels"][usable]
    found, known = _without_known(found, alteration, source, pixels, params)
    table = _thresholds(found, alteration, source, max(len(manifest), 2), len(usable), params)
    chosen = _choose(table, params.precision)
    table["chosen"] = np.arange(len(table)) == chosen
    return _report(table, chosen, _by_alteration(found, alteration, source, table, chosen), known, params, len(usable))


def _check(params: DuplicateCalibrationParams) -> None:
    for name in params.alterations:
        if name not in ALTERATIONS:
            raise InputError(f"there is no alteration {name!r}. {nearest(name, ALTERATIONS)}")
    if params.strength not in STRENGTHS:
        raise InputError("unknown strength", value=params.strength, allowed=", ".join(STRENGTHS))


def _copies(
    manifest: Manifest, rows: np.ndarray, features: Features, params: DuplicateCalibrationParams, seed: int
) -> dict[str, np.ndarray]:
    """The facts of every copy that could be made, its alteration (index, -1: unaltered) and its image (of `rows`)."""
    paths = manifest.frame[col.PATH].take(rows).tolist() if len(rows) else []
    tasks = [(str(manifest.root), tuple(enumerate(paths))[at : at + _TASK], seed) for at in range(0, len(paths), _TASK)]
    make = partial(_copies_of_task, alterations=params.alterations, strength=params.strength)
    parts = list(features.executor.map(make, tasks))
    names = ("phash", "phash_mirror", "thumbnail", "decoded", "alteration", "image")
    if not parts:
        empty = {name: features[name][:0] for name in names[:4]}
        return {**empty, "alteration": np.zeros(0, np.int64), "image": np.zeros(0, np.int64)}
    made = {name: np.concatenate([part[name] for part in parts]) for name in names}
    unaltered = {name: features[name][rows] for name in names[:4]}
    unaltered |= {"alteration": np.full(len(rows), -1), "image": np.arange(len(rows))}
    return {name: np.concatenate([made[name], unaltered[name]]) for name in names}


def _copies_of_task(
    task: tuple[str, tuple[tuple[int, str], ...], int], *, alterations: tuple[str, ...], strength: str
) -> dict[str, np.ndarray]:
    """Copies are written as files and read back, so that what is measured is what a run would meet."""
    import tempfile

    from curate.images.decode import decode, read_bytes
    from curate.images.facts import ShardTask, facts_of_shard

    root, images, seed = task
    names, alteration, image = [], [], []
    with tempfile.TemporaryDirectory(prefix="curate-calibration-") as folder:
        for number, path in images:
            pixels = decode(read_bytes(root, path)[1]).pixels
            if pixels is None:
                continue
            for at, name in enumerate(alterations):
                # The copy depends on the seed, its image's place in the sample and the alteration alone.
                rng = np.random.default_rng((seed, number, list(ALTERATIONS).index(name)))
                names.append(f"{number}-{at}.jpg")
                Path(folder, names[-1]).write_bytes(ALTERATIONS[name].file(pixels, strength, rng))
                alteration.append(at)
                image.append(number)
        facts = facts_of_shard(ShardTask(folder, tuple(names), ("phash", "phash_mirror", "thumbnail", "decoded")))
    return {**facts, "alteration": np.array(alteration, np.int64), "image": np.array(image, np.int64)}


def _search(
    usable: np.ndarray, features: Features, made: dict[str, np.ndarray], params: DuplicateCalibrationParams
) -> _Found:
    """Every pair of a query and an image at the loosest thresholds; a sampled image is no pair with itself."""
    thumbnails = np.concatenate([made["thumbnail"], features["thumbnail"][usable]])
    parts = []
    for name in ("phash", "phash_mirror")[: 2 if params.mirrored else 1]:
        query, image, distance = pairs_between(
            made[name], features["phash"][usable], _LOOSEST_DISTANCE, features.executor
        )
        turned = np.full(len(query), name == "phash_mirror")
        score = correlate_pairs(thumbnails, image + len(made[name]), query, turned, features.executor)
        good = score >= np.float32(_CORRELATIONS[0])
        parts.append((query[good], image[good], distance[good], score[good].astype(np.float64)))
    found = _Found(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    # Of a pair found both ways the higher similarity counts, as in the step.
    order = np.lexsort((-found.similarity, found.image, found.query))
    found = _Found(*(part[order] for part in found))
    again = (found.query[1:] == found.query[:-1]) & (found.image[1:] == found.image[:-1])
    return _Found(*(part[np.append(True, ~again)[: len(order)]] for part in found))


def _without_known(
    found: _Found, alteration: np.ndarray, source: np.ndarray, pixels: np.ndarray, params: DuplicateCalibrationParams
) -> tuple[_Found, int]:
    """The pairs without those of two images that are copies already, and how many such pairs of images there are."""
    own = source[found.query] == found.image
    plain = alteration[found.query] < 0
    equal = (pixels[source[found.query]] == pixels[found.image]).all(axis=1)
    n = len(pixels)
    key = source[found.query] * n + found.image
    alike = plain & (found.similarity >= params.known_correlation) & (found.distance <= params.known_distance)
    one, two = np.divmod(np.unique(key[~own & (equal | alike)]), n)
    known = np.unique(np.concatenate([one * n + two, two * n + one]))
    left = np.where(own, ~plain, ~np.isin(key, known))
    return _Found(*(part[left] for part in found)), len(known) // 2


def _thresholds(
    found: _Found, alteration: np.ndarray, source: np.ndarray, images: int, compared: int,
    params: DuplicateCalibrationParams,
) -> pd.DataFrame:  # fmt: skip
    own = source[found.query] == found.image
    copies, queries = int((alteration >= 0).sum()), len(alteration)
    sampled = len(np.unique(source))
    comparisons = queries * max(compared - 1, 1)
    rows = []
    for max_distance in range(0, _LOOSEST_DISTANCE + 1, 2):
        for correlation in _CORRELATIONS:
            passed = (found.distance <= max_distance) & (found.similarity >= correlation)
            hits = int((passed & own).sum())
            wrong = passed & ~own
            rows.append(
                {"max_distance": max_distance, "min_correlation": correlation,
                 **_recall(hits, copies, sampled),
                 **_false(int(wrong.sum()), len(np.unique(source[found.query[wrong]])), sampled, comparisons)}
            )  # fmt: skip
    table = pd.DataFrame(rows)
    each = max(images - 1, 1) / 2  # false pairs of one image with all others, each counted for two images
    for end, recall, rate in (("", "recall", "false_match_rate"), ("_low", "recall_low", "false_match_rate_high"),
                              ("_high", "recall_high", "false_match_rate_low")):  # fmt: skip
        true = params.prevalence * table[recall]
        table[f"precision{end}"] = (true / (true + each * table[rate])).where(true > 0)
    return table


def _recall(hits: int, copies: int, sampled: int) -> dict[str, Any]:
    if not copies:
        return {"copies": 0, "found": 0, "recall": np.nan, "recall_low": 0.0, "recall_high": 1.0}
    low, high = wilson(hits / copies * sampled, sampled)
    return {"copies": copies, "found": hits, "recall": hits / copies, "recall_low": low, "recall_high": high}


def _false(pairs: int, affected: int, sampled: int, comparisons: int) -> dict[str, Any]:
    """The rate of false pairs; its interval is that of the share of sampled images with any, times pairs of each."""
    each = pairs / affected if affected else 1.0
    low, high = wilson(affected, sampled) if affected >= MIN_ERRORS else (0.0, upper_bound(affected, sampled))
    scale = each * sampled / max(comparisons, 1)
    return {
        "comparisons": comparisons, "false_pairs": pairs, "false_match_rate": pairs / max(comparisons, 1),
        "false_match_rate_low": low * scale, "false_match_rate_high": min(high * scale, 1.0),
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


def _by_alteration(
    found: _Found, alteration: np.ndarray, source: np.ndarray, table: pd.DataFrame, chosen: int
) -> dict[int, tuple[int, int]]:
    """For each alteration the copies made and those found at the chosen thresholds."""
    best = table.iloc[chosen]
    passed = (found.distance <= best["max_distance"]) & (found.similarity >= best["min_correlation"])
    hit = found.query[passed & (source[found.query] == found.image)]
    return {
        int(at): (int((alteration == at).sum()), int((alteration[hit] == at).sum()))
        for at in np.unique(alteration[alteration >= 0])
    }


def _report(
    table: pd.DataFrame, chosen: int, counts: dict[int, tuple[int, int]], known: int,
    params: DuplicateCalibrationParams, compared: int,
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
                 "false pairs": int(best["false_pairs"])},
        notes=tuple(_notes(best, known, params, compared)),
        documents={"calibration/chosen": {
            "params": {"max_distance": distance, "min_correlation": correlation},
            "wanted_precision": params.precision, "precision": _number(best["precision"]),
            "recall": _number(best["recall"]),
        }},
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _notes(best: pd.Series, known: int, params: DuplicateCalibrationParams, compared: int) -> Iterator[str]:
    if not best["copies"]:
        yield "No image could be altered: the thresholds are the strictest, and nothing is known of them"
        return
    reached = "reach" if best["precision"] >= params.precision else "come nearest to, and miss,"
    yield (
        f"The thresholds chosen, at most {best['max_distance']:.0f} bits and a correlation of at least "
        f"{best['min_correlation']:.2f}, {reached} a precision of {params.precision:g} where {params.prevalence:g} of "
        f"the images are copies: {best['precision']:.4f} is estimated, and at least {best['precision_low']:.2f} is "
        f"certain at 95%; recall {best['recall']:.3f} on {best['copies']:,.0f} copies, {best['false_pairs']:,.0f} "
        f"false pairs in {best['comparisons']:,.0f} comparisons with {compared:,} images"
    )
    if known:
        yield (
            f"{known:,} pairs of images with equal pixels, or within {params.known_distance} bits and a correlation of "
            f"{params.known_correlation:g} as they are, count as copies that the set holds already; look at them "
            "before you trust the rate of false matches"
        )
