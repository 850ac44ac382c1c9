"""Draws with what a user must not miss: said before, where the target is out of reach, and after, where it falls short.

What the step and the class share: both warn with the same sentences.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.balance.bound import Bound, bounds
from curate.balance.draw import Draws, draw_replicas

if TYPE_CHECKING:
    from curate.balance.state import Cap

#: Above this max/min a label is uneven, whatever its deciles say.
UNEVEN = 3.0
#: Below this share of the images the effective sample size is said: the rest is repetition.
FEW = 0.1


def announced_draws(
    codes: np.ndarray,
    names: Sequence[str],
    target: float,
    budget: int,
    rng: np.random.Generator,
    max_per_image: int | None = None,
    *,
    caps: Sequence[Cap] = (),
    quantile: Any = "linear",
    stacklevel: int = 3,
    **more: Any,
) -> tuple[Bound, Draws]:
    """The bound and the draws for labels of these names; arguments as `curate.balance.draw.draw_replicas` takes them.

    Warns before drawing where the target is proven out of reach, with the label that prevents it. Warns afterwards
    where it was not reached, where the deciles of a label are level but its largest category has more than UNEVEN times
    the samples of its smallest, and where the effective sample size is less than FEW of the images.
    """
    bound = bounds(codes, names, target, budget=budget, max_per_image=max_per_image, caps=caps, quantile=quantile)
    if bound.unreachable:
        warnings.warn(f"the target IDR of {target:g} can't be reached: {bound.unreachable}", stacklevel=stacklevel)
    draws = draw_replicas(codes, target, budget, rng, max_per_image, caps=caps, quantile=quantile, **more)
    size = draws.effective_size(len(codes))
    said = [_ended_early(draws, names, target, budget, bound), *_still_uneven(draws, names, target)]
    if size < FEW * len(codes):
        said.append(f"the replicas come from few images: the effective sample size is {size:,.0f} of {len(codes):,}; "
                    f"a cap on the replicas of an image spreads them")  # fmt: skip
    for sentence in filter(None, said):
        warnings.warn(sentence, stacklevel=stacklevel)
    return bound, draws


def _ended_early(draws: Draws, names: Sequence[str], target: float, budget: int, bound: Bound) -> str | None:
    """The sentence to warn with where the target was not reached; says where that was not proven beforehand."""
    if draws.ended == "target":
        return None
    final = draws.history[draws.history["replicas"] == draws.history["replicas"].max()]
    reached = ", ".join(f"{names[row.label]} {row.idr:.3g}" for row in final.itertuples())
    why = {
        "budget": f"the budget of {budget:,} replicas is used up",
        "cap": "the caps allow no more replicas of the rare categories",
        "stall": "the largest IDR fell no further",
    }[draws.ended]
    proven = "" if bound.unreachable else " (not proven to be out of reach)"
    return f"oversampling ended above the target IDR of {target:g}{proven}: {why}; IDR reached: {reached}"


def _still_uneven(draws: Draws, names: Sequence[str], target: float) -> list[str]:
    """A sentence for each label that ends with a level IDR, but whose largest and smallest category are far apart."""
    final = draws.history[draws.history["replicas"] == draws.history["replicas"].max()]
    return [
        f"{names[row.label]}: the deciles look level (IDR {row.idr:.2f}), but the largest category has "
        f"{row.max_min:.1f} times the samples of the smallest"
        for row in final.itertuples()
        if row.idr <= target and row.max_min > UNEVEN
    ]
