"""The report `reach`: what a target needs at least, before anything is replicated."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.balance.bound import bounds
from curate.balance.draw import DEFAULT_BUDGET
from curate.balance.oversample import OversampleParams, caps_of
from curate.balance.pool import chosen_labels, label_codes, split_rows
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, report
from curate.stats import imbalance as measure

TABLE = "balance/reach"
TOGETHER = "all labels"


class ReachParams(OversampleParams):
    """Those of the oversampling that is to come."""


@report("reach", needs=())
def reach(manifest: Manifest, features: Features, params: ReachParams, rng: np.random.Generator) -> Report:
    """Say how many replicas the target of an oversampling needs at least, and whether it is proven out of reach.

    Table `balance/reach`, a row for each label alone and one for all together: label, idr (before), replicas_at_least,
    out_of_reach (`proven` or `not proven`), why. The bounds are those of `curate.balance.bound` and hold for any choice
    of replicas; where a target is proven out of reach, the notes name the label that prevents it.
    Raises InputError for an unknown label or split.
    """
    labels = chosen_labels(manifest, params.labels)
    rows = np.flatnonzero(split_rows(manifest, params.split) & manifest.originals())
    codes = label_codes(manifest, labels, rows)
    budget, caps = params.budget or DEFAULT_BUDGET * len(rows), caps_of(manifest, rows, params)
    lines, notes = [], []
    for name, places in [*((label, [place]) for place, label in enumerate(labels)), (TOGETHER, range(len(labels)))]:
        found = bounds(codes[:, list(places)], [labels[place] for place in places], params.target, budget=budget,
                       max_per_image=params.max_replicas_per_image, caps=caps, quantile=params.quantile)  # fmt: skip
        ratios = [measure.idr(np.bincount(codes[codes[:, place] >= 0, place]), params.quantile) for place in places]
        lines.append({"label": name, "idr": np.nanmax([*ratios, -np.inf]) if np.isfinite(ratios).any() else np.nan,
                      "replicas_at_least": found.replicas,
                      "out_of_reach": "proven" if found.unreachable else "not proven",
                      "why": found.unreachable})  # fmt: skip
        if found.unreachable and name == TOGETHER:
            notes.append(f"The target IDR of {params.target:g} can't be reached: {found.unreachable}.")
    table = pd.DataFrame(lines).astype({"label": "str", "out_of_reach": "str", "why": "str"})
    figure = Figure("table", TABLE, f"What an IDR of {params.target:g} needs at least", {"formats": {"idr": ".2f"}})
    return Report({TABLE: table}, (figure,), {"replicas at least": lines[-1]["replicas_at_least"]}, tuple(notes))
