"""The draws of the oversampling: the pure function over label codes behind the step, the class and the reports."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from curate.balance.state import Cap, State

#: How the freedom that the definition leaves is used.
Choice = Literal["uniform", "lookahead"]
#: NumPy's definitions of a quantile: those of Hyndman and Fan (1996), and its own.
Quantile = Literal[
    "linear", "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen",
    "weibull", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
]  # fmt: skip
#: Replicas for each original row where no budget is given.
DEFAULT_BUDGET = 3
_FIRST_BLOCK, _LARGEST_BLOCK = 16, 1 << 20


@dataclass(frozen=True)
class Draws:
    """What the oversampling drew, in order.

    rows: `(R,)` int32, the original behind each replica. labels: `(R,)` uint8, the place of the label that asked.
    ratios: `(R,)` float64, the IDR of that label before the replica. ended: `target` (reached), `budget` (used up),
    `cap` (no category up to D1 of the label that asks may have more) or `stall`.
    history: columns replicas, label (its place), idr, max_min; some hundred points, spaced evenly in proportion.
    """

    rows: np.ndarray
    labels: np.ndarray
    ratios: np.ndarray
    ended: str
    history: pd.DataFrame

    def effective_size(self, originals: int) -> float:
        """The effective sample size of `originals` rows and these replicas of them."""
        from curate.stats.imbalance import effective_sample_size

        return effective_sample_size(np.bincount(self.rows, minlength=originals) + 1)


def draw_replicas(
    codes: np.ndarray,
    target: float,
    budget: int,
    rng: np.random.Generator,
    max_per_image: int | None = None,
    *,
    caps: Sequence[Cap] = (),
    choice: Choice = "uniform",
    quantile: Quantile = "linear",
    stall: int | None = None,
) -> Draws:
    """Oversample rows with label codes `(N, L)`, -1 missing: the pure function behind the step and the class.

    Codes of each label run over 0..K-1 in sorted category order, each in use. A row without a value in a label joins
    no category of it. The draws of `uniform` are `floor(u * n)` of `rng.random()`, over the rows of the category in
    order; rows that a cap stops are left out, and so is a category whose rows are all stopped. Where the rarest
    category that may still be replicated lies above D1, a replica can't lower the ratio any more, and the cap ends it.
    `lookahead` takes the same labels and only rows of equally rare categories that the definition allows, but those
    that help the other labels (`curate.balance.lookahead`); where the `uniform` draws of the same seed come to the
    target with fewer replicas, it returns those. stall: end after so many replicas in which the largest IDR
    had no new low.
    """
    from curate.balance.state import make_state

    n, labels = codes.shape
    if n == 0 or labels == 0:
        empty = np.zeros(0)
        return Draws(empty.astype(np.int32), empty.astype(np.uint8), empty, "target", _history([]))

    def run(choice: Choice, budget: int, rng: np.random.Generator) -> Draws:
        state = make_state(codes, per_row=max_per_image, caps=caps, quantile=quantile, stall=stall, budget=budget)
        return _run(state, target, budget, rng, choice)

    if choice == "uniform":
        return run("uniform", budget, rng)
    same = copy.deepcopy(rng)
    ahead = run("lookahead", budget, rng)
    # A greedy choice can be unlucky, by a replica or two: then the plain draws of the same seed are the better ones.
    limit = len(ahead.rows) - 1 if ahead.ended == "target" else budget
    plain = run("uniform", limit, same) if limit > 0 else ahead
    return plain if plain.ended == "target" else ahead


def _run(state: State, target: float, budget: int, rng: np.random.Generator, choice: Choice) -> Draws:
    from curate.balance import kernel

    arrays, function = state.arrays(), kernel.draw
    if choice == "lookahead":
        from curate.balance import lookahead

        function = lookahead.draw
        arrays += lookahead.make_kinds(state, rng).arrays()
    history: list[tuple[int, int, float, float]] = []
    made, why = 0, kernel.GOING
    blocks: tuple[list[np.ndarray], ...] = ([], [], [])
    _record(history, 0, state)
    while why == kernel.GOING and made < budget:
        # Blocks grow with what is made, so that the history is even on a logarithmic axis and never long.
        size = min(max(_FIRST_BLOCK, made // 32), _LARGEST_BLOCK, budget - made)
        block = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.uint8), np.empty(size)
        count, why = function(rng.random(size), float(target), *block, *arrays)
        for parts, part in zip(blocks, block, strict=True):
            parts.append(part[:count])
        made += count
        if count:
            _record(history, made, state)
    if why == kernel.GOING and (state.ratio <= target).all():
        why = kernel.TARGET
    ended = {kernel.GOING: "budget", kernel.TARGET: "target", kernel.CAP: "cap", kernel.STALL: "stall"}[why]
    types = (np.int32, np.uint8, np.float64)
    rows, asked, ratios = (_join(parts, kind) for parts, kind in zip(blocks, types, strict=True))
    return Draws(rows, asked, ratios, ended, _history(history))


def _join(parts: list[np.ndarray], kind: type) -> np.ndarray:
    joined = np.concatenate([np.zeros(0, dtype=kind), *parts])
    parts.clear()
    return joined


def _record(history: list[tuple[int, int, float, float]], made: int, state: State) -> None:
    from curate.balance.kernel import COUNT

    for label in range(len(state.ratio)):
        lo, hi = state.base[label], state.base[label + 1]
        if hi > lo:
            max_min = float(state.slots[hi - 1, COUNT] / state.slots[lo, COUNT])
            history.append((made, label, float(state.ratio[label]), max_min))


def _history(points: list[tuple[int, int, float, float]]) -> pd.DataFrame:
    kinds = {"replicas": np.int64, "label": np.int64, "idr": np.float64, "max_min": np.float64}
    return pd.DataFrame(points, columns=list(kinds)).astype(kinds)
