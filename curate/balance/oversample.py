"""Iterative multi-label oversampling until the inter-decile ratio of every label is at most a target.

The label with the largest IDR asks; its rarest category gives; one of its photographs, drawn uniformly, is replicated,
and every label of that photograph gains one. See `curate.balance.kernel` for how one replica costs O(labels).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.balance.pool import check_labels, dense_codes, split_rows
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step

#: Replicas for each original row where no budget is given.
DEFAULT_BUDGET = 3
_FIRST_BLOCK, _LARGEST_BLOCK = 256, 1 << 20


@dataclass(frozen=True)
class Draws:
    """What the oversampling drew, in order.

    rows: `(R,)` int32, the original behind each replica. labels: `(R,)` uint8, the place of the label that asked.
    ratios: `(R,)` float64, the IDR of that label before the replica. ended: `target` (reached), `budget` (used up) or
    `cap` (every row of the rarest category has as many replicas as it may).
    history: columns replicas, label (its place), idr, max_min; some hundred points, spaced evenly in proportion.
    """

    rows: np.ndarray
    labels: np.ndarray
    ratios: np.ndarray
    ended: str
    history: pd.DataFrame


def draw_replicas(
    codes: np.ndarray, target: float, budget: int, rng: np.random.Generator, max_per_image: int | None = None
) -> Draws:
    """Oversample rows with label codes `(N, L)`, -1 missing: the pure function behind the step and the class.

    Codes of each label run over 0..K-1 in sorted category order, each in use. The draws are `floor(u * n)` of
    `rng.random()`, over the rows of the category in order, those at `max_per_image` left out. A row without a value
    in a label joins no category of it.
    """
    from curate.balance import kernel

    n, labels = codes.shape
    history: list[tuple[int, int, float, float]] = []
    if n == 0 or labels == 0:
        empty = np.zeros(0)
        return Draws(empty.astype(np.int32), empty.astype(np.uint8), empty, "target", _history(history))
    state = kernel.make_state(codes, max_per_image)
    arrays = state.arrays()
    made, why, blocks = 0, kernel.GOING, []
    _record(history, 0, state)
    while why == kernel.GOING and made < budget:
        # Blocks grow with what is made, so that the history is even on a logarithmic axis and never long.
        size = min(max(_FIRST_BLOCK, made // 32), _LARGEST_BLOCK, budget - made)
        block = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.uint8), np.empty(size)
        count, why = kernel.draw(rng.random(size), float(target), *block, *arrays)
        blocks.append([part[:count] for part in block])
        made += count
        if count:
            _record(history, made, state)
    if why == kernel.GOING and (state.ratio <= target).all():
        why = kernel.TARGET
    ended = {kernel.GOING: "budget", kernel.TARGET: "target", kernel.CAP: "cap"}[why]
    types = (np.int32, np.uint8, np.float64)
    rows, asked, ratios = (
        np.concatenate([np.zeros(0, dtype=kind), *(block[i] for block in blocks)]) for i, kind in enumerate(types)
    )
    return Draws(rows, asked, ratios, ended, _history(history))


def _record(history: list[tuple[int, int, float, float]], made: int, state: Any) -> None:
    for label in range(len(state.ratio)):
        lo, hi = state.base[label], state.base[label + 1]
        if hi > lo:
            max_min = float(state.count_at[hi - 1] / state.count_at[lo])
            history.append((made, label, float(state.ratio[label]), max_min))


def _history(points: list[tuple[int, int, float, float]]) -> pd.DataFrame:
    kinds = {"replicas": np.int64, "label": np.int64, "idr": np.float64, "max_min": np.float64}
    return pd.DataFrame(points, columns=list(kinds)).astype(kinds)


def _check_limits(target: float, budget: int | None, max_per_image: int | None) -> None:
    if not (isinstance(target, int | float) and np.isfinite(target) and target >= 1):
        raise InputError("the target can't be reached by any table", value=target, allowed="a ratio of at least 1")
    for name, value in (("budget", budget), ("max_per_image", max_per_image)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
            raise InputError(f"the {name} allows no replica", value=value, allowed="a whole number of at least 1",
                             remedy="Leave it out for the default, or leave the step out")  # fmt: skip


def _ended_early(draws: Draws, names: Sequence[str], target: float, budget: int) -> str | None:
    """The sentence to warn with where the target was not reached."""
    if draws.ended == "target":
        return None
    final = draws.history[draws.history["replicas"] == draws.history["replicas"].max()]
    reached = ", ".join(f"{names[row.label]} {row.idr:.3g}" for row in final.itertuples())
    why = f"the budget of {budget:,} replicas is used up" if draws.ended == "budget" else (
        "each image of the rarest category has as many replicas as an image may")  # fmt: skip
    return f"oversampling ended above the target IDR of {target:g}: {why}; IDR reached: {reached}"


class IDROversampler:
    """Oversample a table with several labels until the IDR of each is at most the target.

    Follows imbalanced-learn's API, whose own samplers refuse several labels.

    target: IDR, at least 1. budget: replicas at most; default: 3 for each row. max_per_image: replicas of one row at
        most; default: any number. random_state: an int seeds `numpy.random.Generator(PCG64(seed))`; a Generator
        is used as it is; None draws a fresh seed.

    After `fit_resample`: `sample_indices_` `(M,)` int64, the original rows, then the replicas in the order drawn;
    `history_` DataFrame (replicas, label, idr, max_min), thinned; `ended_`: `target`, `budget` or `cap`.

    >>> y = pd.DataFrame({"identity": list("aaaabbbc"), "gender": list("ffffmmmf")})
    >>> sampler = IDROversampler(target=1.5, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(np.arange(8)[:, None], y)
    >>> y_resampled["identity"].value_counts().to_dict()
    {'b': 5, 'a': 4, 'c': 3}
    """

    def __init__(
        self,
        *,
        target: float = 1.5,
        budget: int | None = None,
        max_per_image: int | None = None,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.target = target
        self.budget = budget
        self.max_per_image = max_per_image
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, as scikit-learn's estimators give them."""
        return {name: getattr(self, name) for name in ("target", "budget", "max_per_image", "random_state")}

    def set_params(self, **params: Any) -> IDROversampler:
        """Set parameters by name. Raises InputError for an unknown one."""
        for name, value in params.items():
            if name not in self.get_params():
                raise InputError(f"unknown parameter {name!r}", allowed=", ".join(self.get_params()))
            setattr(self, name, value)
        return self

    def fit_resample(self, X: Any, y: pd.DataFrame) -> tuple[Any, pd.DataFrame]:
        """Replicate rows: X and y with the replicas after the originals.

        X: anything with N rows (array, DataFrame, sparse matrix, list) or None. y: DataFrame `(N, L)`, one column for
        each label; a missing value joins no category; values of one column must sort. Raises InputError where the
        numbers of rows differ, y is no table or a parameter is out of bounds. Warns where the target is not
        reached.
        """
        _check_limits(self.target, self.budget, self.max_per_image)
        if isinstance(y, pd.Series):
            y = y.to_frame()
        if not isinstance(y, pd.DataFrame) or not y.shape[1]:
            raise InputError("y must be a DataFrame with one column for each label", value=type(y).__name__)
        if X is not None and _length(X) != len(y):
            raise InputError("X and y differ in their number of rows", value=(_length(X), len(y)))
        codes = np.empty((len(y), y.shape[1]), dtype=np.int32)
        for place in range(y.shape[1]):
            codes[:, place] = _sorted_codes(y.iloc[:, place])
            if len(y) and codes[:, place].max() < 0:
                warnings.warn(f"the label {y.columns[place]!r} has no value: it takes no part", stacklevel=2)
        budget = DEFAULT_BUDGET * len(y) if self.budget is None else int(self.budget)
        rng = self.random_state
        if not isinstance(rng, np.random.Generator):
            rng = np.random.Generator(np.random.PCG64(rng))
        draws = draw_replicas(codes, self.target, budget, rng, self.max_per_image)
        names = [str(name) for name in y.columns]
        early = _ended_early(draws, names, self.target, budget)
        if early:
            warnings.warn(early, stacklevel=2)
        self.sample_indices_ = np.concatenate([np.arange(len(y), dtype=np.int64), draws.rows])
        self.history_ = draws.history.assign(label=np.array(names, dtype=object)[draws.history["label"]])
        self.ended_ = draws.ended
        resampled = y.take(self.sample_indices_).reset_index(drop=True)
        return (None if X is None else _take(X, self.sample_indices_)), resampled


def _sorted_codes(column: pd.Series) -> np.ndarray:
    """Codes of the values in sorted order (a categorical's own order), over those present; -1 missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return dense_codes(column.cat.codes.to_numpy())
    codes, values = pd.factorize(column, use_na_sentinel=True)
    try:
        order = sorted(range(len(values)), key=values.__getitem__)
    except TypeError as error:
        raise InputError("the values of a label can't be put in order", column=str(column.name),
                         remedy="Give text, numbers or a categorical, not a mixture") from error  # fmt: skip
    rank = np.empty(len(values) + 1, dtype=np.int32)
    rank[order] = np.arange(len(values), dtype=np.int32)
    rank[-1] = -1
    return rank[codes]


def _length(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _take(X: Any, rows: np.ndarray) -> Any:
    if isinstance(X, pd.DataFrame | pd.Series):
        return X.take(rows).reset_index(drop=True)
    return X[rows] if hasattr(X, "shape") else [X[row] for row in rows]


class OversampleParams(StrictParams):
    """What to balance, how far and by how much work."""

    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # default: the identity, then each label
    target: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5  # IDR of each label at most
    budget: Annotated[int, Field(ge=1)] | None = None  # replicas; default: 3 for each image of the split
    max_replicas_per_image: Annotated[int, Field(ge=1)] | None = None  # default: any number
    split: str | None = col.TRAIN  # None: all images; where no image has a split yet: all images too


@step("oversample", needs=())
def oversample(manifest: Manifest, features: Features, params: OversampleParams, rng: np.random.Generator) -> Decisions:
    """Add replicas of images of rare categories until the inter-decile ratio of every label is at most the target.

    Replicas that are there already are no photographs and take no part; those of the split that this seed draws again
    stay, the others are dropped (`stale_replica`), so that applying the step again changes nothing. The reason of a
    replica is the label that asked for it, the score that label's IDR before it, the threshold the target.
    Raises InputError for an unknown label or split. Warns where the target is not reached or nothing can be balanced.
    """
    labels = params.labels or (col.IDENTITY, *(name for name in manifest.labels if name != col.IDENTITY))
    check_labels(manifest, labels)
    in_split = split_rows(manifest, params.split)
    rows = np.flatnonzero(in_split & manifest.originals())
    stale = in_split & ~manifest.originals()
    codes = np.empty((len(rows), len(labels)), dtype=np.int32)
    for place, label in enumerate(labels):
        codes[:, place] = dense_codes(manifest.codes(label)[rows])
        if len(rows) and codes[:, place].max() < 0:
            warnings.warn(f"the label {label!r} has no value among the images: it takes no part", stacklevel=2)
    if not len(rows) and len(manifest):
        warnings.warn(f"no image is in the split {params.split!r}: nothing to balance", stacklevel=2)
    seed = int(rng.bit_generator.jumped().random_raw()) if len(rows) else 0  # without a draw from the stream
    budget = params.budget or DEFAULT_BUDGET * len(rows)
    draws = draw_replicas(codes, params.target, budget, rng, params.max_replicas_per_image)
    early = _ended_early(draws, labels, params.target, budget)
    if early:
        warnings.warn(early, stacklevel=2)
    return _replica_decisions(manifest, rows, draws, labels, seed, params.target, stale)


def _replica_decisions(
    manifest: Manifest, rows: np.ndarray, draws: Draws, labels: Sequence[str], seed: int, target: float,
    stale: np.ndarray,
) -> Decisions:  # fmt: skip
    """`add` for each draw, `drop` for the replicas that are there and were not drawn again."""
    from curate.balance.seeds import augment_seeds

    parents = rows[draws.rows]
    order = np.argsort(parents, kind="stable")
    parents = parents[order]
    ids = manifest.ids
    parent_ids = ids.take(pa.array(parents))
    number = _running_number(parents)
    seeds = augment_seeds(ids, parents, number, seed)
    new_ids = pc.binary_join_element_wise(
        parent_ids, pc.cast(pa.array(number), pa.large_string()), pa.scalar("~r", pa.large_string())
    )
    there = manifest.rows_of(new_ids)
    clash = (there >= 0) & manifest.originals()[there]
    if clash.any():
        at = int(there[clash][0])
        raise InputError("an image bears the name of a replica", row=at + 1, column=col.IMAGE_ID, value=ids[at].as_py(),
                         allowed="ids that do not end in ~r and a number", remedy="Rename the image")  # fmt: skip
    reasons = pd.Categorical.from_codes(
        draws.labels[order].astype(np.int16), categories=pd.Index([f"rare_{label}" for label in labels], dtype="str")
    )
    added = Decisions.of(new_ids, col.ADD, reasons, score=draws.ratios[order], threshold=target,
                         related_id=parent_ids, new_value=pc.cast(pa.array(seeds), pa.large_string()))  # fmt: skip
    if not stale.any():
        return added
    if col.AUGMENT_SEED in manifest.frame:
        same = there >= 0
        same[same] = manifest.frame[col.AUGMENT_SEED].to_numpy()[there[same]] == seeds[same]
        stale = stale.copy()
        stale[there[same]] = False
    gone = np.flatnonzero(stale)
    dropped = Decisions.of(ids.take(pa.array(gone)), col.DROP, "stale_replica")
    return Decisions.concat([added, dropped])


def _running_number(parents: np.ndarray) -> np.ndarray:
    """1, 2, ... within each run of equal, sorted `parents`: int64."""
    place = np.arange(len(parents))
    first = np.ones(len(parents), dtype=bool)
    first[1:] = parents[1:] != parents[:-1]
    return place - np.maximum.accumulate(np.where(first, place, 0)) + 1
