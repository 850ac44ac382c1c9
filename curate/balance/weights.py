"""Cost-sensitive weights of categories and cells, and labels as integer targets with a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from curate.balance.pool import check_labels, split_rows
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step

Scheme = Literal["inverse_frequency", "effective_number"]


def category_weights(counts: Any, scheme: Scheme = "inverse_frequency", beta: float = 0.999) -> np.ndarray:
    """The weight of a sample of each category `(K,)`, such that the mean over all samples is 1; 0 where none is there.

    `inverse_frequency`: proportional to 1 / n. `effective_number`: to (1 - beta) / (1 - beta^n), between even weights
    (beta = 0) and 1 / n (beta -> 1). Source: Cui, Jia, Lin, Song, Belongie, Class-Balanced Loss Based on Effective
    Number of Samples, CVPR 2019, equation 2; they normalise over categories, here it is over samples, so that the
    learning rate keeps its meaning. Raises ValueError unless beta is in [0, 1) and counts are of at least 0.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if not 0 <= beta < 1 or (counts < 0).any():
        raise ValueError("beta must be in [0, 1) and counts at least 0")
    if scheme not in ("inverse_frequency", "effective_number"):
        raise ValueError(f"unknown scheme {scheme!r}")
    there = counts > 0
    raw = np.zeros(len(counts))
    if scheme == "inverse_frequency":
        raw[there] = 1 / counts[there]
    elif beta == 0:
        raw[there] = 1.0
    else:
        # expm1 keeps the digits that 1 - beta^n loses when beta is near 1
        raw[there] = (1 - beta) / -np.expm1(counts[there] * np.log(beta))
    total = (raw * counts).sum()
    return raw * (counts.sum() / total) if total else raw


class WeightParams(StrictParams):
    """Whose counts weigh, and how."""

    by: Annotated[tuple[str, ...], Field(min_length=1)] = (col.IDENTITY,)  # one label, or several: their cells
    scheme: Scheme = "inverse_frequency"
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.999  # of effective_number only
    split: str | None = col.TRAIN  # None: all images; where no image has a split yet: all images too


@step("weight", needs=())
def weight(manifest: Manifest, features: Features, params: WeightParams, rng: np.random.Generator) -> Decisions:
    """Give each image of the split a weight by how rare its category or cell is, with a mean of 1.

    Replicas count, for the trainer sees them. The score is the weight. An image without a value gets none (the
    manifest says 1). Raises InputError for an unknown label or split.
    """
    check_labels(manifest, params.by)
    cell = cells(manifest, params.by)
    code = cell.codes.astype(np.int64)
    rows = np.flatnonzero(split_rows(manifest, params.split) & (code >= 0))
    counts = np.bincount(code[rows], minlength=len(cell.categories))
    each = category_weights(counts, params.scheme, params.beta)
    texts = pa.array([f"{col.WEIGHT}={value!r}" for value in each.tolist()], pa.large_string())
    return Decisions.of(manifest.ids.take(pa.array(rows)), col.ASSIGN, params.scheme, score=each[code[rows]],
                        new_value=texts.take(pa.array(code[rows])))  # fmt: skip


@dataclass(frozen=True)
class Targets:
    """Labels for a model with one head for each label.

    codes: `(N, L)` int64, the place of each value in `categories`; 0 where the mask is False, so that a loss can be
    computed and then masked. mask: `(N, L)` bool, whether the image has the label. labels: names `(L,)`.
    """

    codes: np.ndarray
    mask: np.ndarray
    labels: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]


def targets(
    manifest: Manifest, labels: tuple[str, ...], categories: tuple[tuple[str, ...], ...] | None = None
) -> Targets:
    """The labels of each image as integer codes, with a mask where one is missing.

    categories: of each label, as an earlier call gave them, so that a second table gets the same codes; default: the
    sorted values of this one. Raises InputError for an unknown label, or a value that `categories` lacks.
    """
    check_labels(manifest, labels)
    codes = np.zeros((len(manifest), len(labels)), dtype=np.int64)
    mask = np.zeros(codes.shape, dtype=bool)
    found = []
    for place, label in enumerate(labels):
        own, names = manifest.codes(label).astype(np.int64), list(map(str, manifest.frame[label].cat.categories))
        given = list(categories[place]) if categories is not None else names
        strange = [name for name in names if name not in set(given)]
        if strange:
            raise InputError("the value has no code", column=label, value=strange[0], allowed=", ".join(given[:20]))
        position = {name: code for code, name in enumerate(given)}
        renumber = np.array([position[name] for name in names] + [0], dtype=np.int64)
        codes[:, place], mask[:, place] = renumber[own], own >= 0
        found.append(tuple(given))
    return Targets(codes, mask, tuple(labels), tuple(found))
