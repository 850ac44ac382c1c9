"""From pairs of copies and images to a table of thresholds, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from curate.clean.false_matches import false_rate, tail_of
from curate.clean.proposals import METHODS
from curate.stats.intervals import wilson

#: Agreements that are tried.
CORRELATIONS = tuple(round(0.9 + 0.005 * at, 3) for at in range(20))


class Found(NamedTuple):
    """Pairs, each `(P,)`: of a copy and an image, or of two images."""

    query: np.ndarray
    image: np.ndarray
    measure: np.ndarray
    similarity: np.ndarray

    def where(self, mask: np.ndarray) -> Found:
        """The pairs of a mask."""
        return Found(*(part[mask] for part in self))


@dataclass(frozen=True)
class Sample:
    """What was compared: for each copy its alteration and its own image; how many images took part, and of how many."""

    alteration: np.ndarray
    source: np.ndarray
    sampled: int
    compared: int
    images: int


def without_known(copies: Found, pairs: Found, sample: Sample) -> Found:
    """The pairs of copies but those that repeat a pair of their own images."""
    n = sample.compared
    keys = pairs.query * n + pairs.image  # query < image
    source = sample.source[copies.query]
    key = np.minimum(source, copies.image) * n + np.maximum(source, copies.image)
    return copies.where(~np.isin(key, keys))


def thresholds_table(
    method: str, copies: Found, pairs: Found, sample: Sample, prevalence: float, known: float
) -> pd.DataFrame:
    """One row for each pair of thresholds of a method."""
    own = sample.source[copies.query] == copies.image
    made, n = len(sample.source), sample.compared
    thresholds = np.array(CORRELATIONS)
    parts = []
    for within in METHODS[method].grid:
        near = METHODS[method].close(copies.measure, within)
        hits = np.sort(copies.similarity[near & own])
        hits = len(hits) - np.searchsorted(hits, thresholds)
        wrong = copies.where(near & ~own & (copies.similarity < known))
        alike = pairs.where(METHODS[method].close(pairs.measure, within) & (pairs.similarity < known))
        touched = len(np.unique(np.concatenate([alike.query, alike.image])))
        rates = (
            _rates(wrong, known, false_rate(len(wrong.query), len(np.unique(sample.source[wrong.query])),
                                            sample.sampled, made * max(n - 1, 0))),
            _rates(alike, known, false_rate(len(alike.query), touched, n, n * (n - 1) // 2)),
        )  # fmt: skip
        part = pd.DataFrame([recall_of(int(hit), made, sample.sampled) for hit in hits])
        part.insert(0, "method", method)
        part.insert(1, "max_distance", float(within) if METHODS[method].most else np.nan)
        part.insert(2, "min_similarity", np.nan if METHODS[method].most else within)
        part.insert(3, "min_correlation", thresholds)
        for name, found in (("copies", wrong), ("images", alike)):
            part[f"false_of_{name}"] = (found.similarity[None] >= thresholds[:, None]).sum(axis=1)
        for name, *values in zip(("", "_low", "_high"), *rates, strict=True):
            part[f"false_match_rate{name}"] = np.maximum(*values)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    each = max(sample.images - 1, 1) / 2  # a false pair belongs to two images
    for end, recall, rate in (("", "recall", "false_match_rate"), ("_low", "recall_low", "false_match_rate_high"),
                              ("_high", "recall_high", "false_match_rate_low")):  # fmt: skip
        true = prevalence * table[recall]
        table[f"precision{end}"] = (true / (true + each * table[rate])).where(true > 0)
    return table


def _rates(found: Found, known: float, base: tuple[float, float, float]) -> tuple[np.ndarray, ...]:
    """The false match rate at each agreement, and its limits."""
    tail = tail_of(found.similarity, CORRELATIONS[0], known, np.array(CORRELATIONS))
    return tuple(rate * share for rate, share in zip(base, tail, strict=True))


def recall_of(hits: int, copies: int, sampled: int) -> dict[str, Any]:
    if not copies:
        return {"copies": 0, "found": 0, "recall": np.nan, "recall_low": 0.0, "recall_high": 1.0}
    low, high = wilson(hits / copies * sampled, sampled)
    return {"copies": copies, "found": hits, "recall": hits / copies, "recall_low": low, "recall_high": high}


def choose(table: pd.DataFrame, wanted: float) -> int:
    """The row with the highest recall among those precise enough, then the strictest; else the most precise."""
    precise = (table["precision"] >= wanted).to_numpy()
    order = table.assign(at=np.arange(len(table)))  # a method's loosest threshold stands first
    if precise.any():
        order = order[precise].sort_values(["recall", "min_correlation", "at"], ascending=False, kind="stable")
    else:
        order = order.sort_values(
            ["precision", "recall", "min_correlation"], ascending=False, kind="stable", na_position="last"
        )
    return int(order["at"].iloc[0])


def by_alteration(copies: Found, sample: Sample, best: pd.Series) -> dict[int, tuple[int, int]]:
    """For each alteration the copies made and those found at the chosen thresholds."""
    method = METHODS[best["method"]]
    within = best["max_distance"] if method.most else best["min_similarity"]
    passed = method.close(copies.measure, within) & (copies.similarity >= best["min_correlation"])
    hit = copies.query[passed & (sample.source[copies.query] == copies.image)]
    return {
        int(at): (int((sample.alteration == at).sum()), int((sample.alteration[hit] == at).sum()))
        for at in np.unique(sample.alteration)
    }
