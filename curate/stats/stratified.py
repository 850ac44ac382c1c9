"""Rates of a whole from samples of its strata."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curate.core.errors import InputError

_DRAWS = 20_000


class StratifiedRate(NamedTuple):
    """A rate in [0, 1] with its limits."""

    rate: float
    low: float
    high: float


def share_found(
    size: np.ndarray, judged: np.ndarray, faults: np.ndarray, found: np.ndarray, confidence: float = 0.95
) -> tuple[StratifiedRate, StratifiedRate]:
    """Precision and recall of what was found, from judged samples of strata.

    size, judged, faults `(S,)`: members of each stratum, how many of them were judged, drawn at random, and how many of
    those are faults. found `(S,)` bool: whether the stratum is among what was found. Precision: the share of faults in
    the found strata; recall: the share of all faults that lie in them. A stratum's rate has the Jeffreys posterior
    Beta(faults + 1/2, judged - faults + 1/2) of a binomial (Brown, Cai and DasGupta 2001, section 4), times the
    part of it that was not judged; the limits are quantiles of 20,000 draws of a fixed seed, so strata of size zero
    and samples without a fault are no special case. The rates themselves are the plain stratified estimates, NaN where
    there is nothing to estimate from. Raises InputError for impossible counts, or a stratum without a judgement.
    """
    size, judged, faults = (np.asarray(part, np.float64) for part in (size, judged, faults))
    found = np.asarray(found, bool)
    if (faults < 0).any() or (faults > judged).any() or (judged > size).any():
        raise InputError("more faults than judgements, or more judgements than members",
                         value=(size.tolist(), judged.tolist(), faults.tolist()))  # fmt: skip
    if ((judged == 0) & (size > 0)).any():
        at = int(((judged == 0) & (size > 0)).argmax())
        raise InputError("a stratum has no judgement", value=f"stratum {at} of {int(size[at])} members",
                         remedy="Judge at least one of each stratum")  # fmt: skip
    rng = np.random.Generator(np.random.PCG64(0))
    rest = np.maximum(size - judged, 0)
    rates = rng.beta(faults + 0.5, judged - faults + 0.5, (_DRAWS, len(size)))
    # Members that were not judged are themselves draws at that rate.
    drawn = faults + rng.binomial(rest.astype(np.int64), rates)
    plain = np.where(judged > 0, size * faults / np.maximum(judged, 1), 0)
    tails = (0.5 - confidence / 2, 0.5 + confidence / 2)

    def estimate(top: np.ndarray, bottom: np.ndarray, rate: float) -> StratifiedRate:
        share = np.divide(top, bottom, out=np.ones_like(top, dtype=float), where=bottom > 0)
        low, high = np.quantile(share, tails)
        return StratifiedRate(rate, min(float(low), rate) if rate == rate else 0.0,
                              max(float(high), rate) if rate == rate else 1.0)  # fmt: skip

    inside, everything = drawn[:, found].sum(1), drawn.sum(1)
    members = size[found].sum()
    precision = plain[found].sum() / members if members else np.nan
    recall = plain[found].sum() / plain.sum() if plain.sum() else np.nan
    return (
        estimate(inside, np.full(len(inside), members), float(precision)),
        estimate(inside, everything, float(recall)),
    )
