"""The report `rivals`: every method on the same images, in one table."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from curate.balance.draw import draw_replicas
from curate.balance.pool import chosen_labels
from curate.balance.resample import METHODS, LimitParams, limits_of, make_pool, needs_of_methods
from curate.balance.rivals import BY_LABELS, Pool
from curate.core.errors import CurateError, InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, report, step_rng
from curate.stats import imbalance as measure

#: The table as it is, and the project's own method with its two ways to choose, by name.
NONE, IDR, LOOKAHEAD = "none", "idr", "idr_lookahead"
OURS = (NONE, IDR, LOOKAHEAD)
TABLE = "balance/rivals"


class RivalParams(LimitParams):
    """Which methods are compared, and the limits that all are told."""

    methods: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # default: those that look at labels alone
    target: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5  # IDR of each label at most, for `idr`


@report("rivals", needs=lambda params: needs_of_methods(params.methods or ()), version=2)
def rivals(manifest: Manifest, features: Features, params: RivalParams, rng: np.random.Generator) -> Report:
    """Compare methods of balancing on the same images: what each leaves, adds, and makes of the imbalance.

    Table `balance/rivals`: method, images and identities (originals that stay), replicas, samples (both), distinct
    (the effective sample size over originals, (sum n)^2 / sum n^2), most_copies (of one original, itself included),
    then `LABEL_idr` and `LABEL_max_min` for each label. A method that can't run here has its reason in the notes.
    Raises InputError for an unknown method, label or split.
    """
    names = params.methods or (*OURS, *BY_LABELS)
    for name in names:
        if name not in (*OURS, *METHODS):
            raise InputError("no such method", value=name, allowed=", ".join((*OURS, *METHODS)))
    vectors = features["embedding"] if needs_of_methods(names) else None
    rows, pool = make_pool(manifest, params, vectors)
    labels = chosen_labels(manifest, params.labels)
    limits = limits_of(params, len(rows))
    # Each method draws from a stream of its own, so that one more in the table changes no other.
    seed = int(rng.bit_generator.jumped().random_raw())
    lines: list[dict[str, Any]] = []
    notes: list[str] = []
    for name in names:
        own = step_rng(seed, name)
        try:
            if name == NONE:
                times = np.ones(len(pool), dtype=np.int64)
            elif name in OURS:
                choice = "lookahead" if name == LOOKAHEAD else "uniform"
                drawn = draw_replicas(pool.codes, params.target, limits.budget, own, choice=choice)
                times = 1 + np.bincount(drawn.rows, minlength=len(pool))
            else:
                times = METHODS[name](pool, limits, own)
        except CurateError as error:
            notes.append(f"{name} is not in the table: {error}")
            continue
        lines.append({"method": name, **outcome(pool, times, labels)})
    table = pd.DataFrame(lines).astype({"method": "str"}) if lines else pd.DataFrame({"method": pd.array([], "str")})
    notes.append(f"Limits: {limits.budget:,} replicas; thinning leaves at most {limits.keep:.0%} of the images; "
                 f"{limits.images} images of an identity; target IDR {params.target:g}.")  # fmt: skip
    formats = {"distinct": ",.0f"} | {name: ".2f" for name in table if name.endswith(("_idr", "_max_min"))}
    figure = Figure("table", TABLE, "Methods of balancing on the same images", {"formats": formats})
    return Report({TABLE: table}, (figure,), {"methods": len(table)}, tuple(notes))


def outcome(pool: Pool, times: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    """One row of the table: what `times` `(N,)` makes of the pool."""
    kept = times > 0
    there = pool.identity[kept & (pool.identity >= 0)]
    figures: dict[str, Any] = {
        "images": int(kept.sum()),
        "identities": len(np.unique(there)),
        "replicas": int((times[kept] - 1).sum()),
        "samples": int(times.sum()),
        "distinct": measure.effective_sample_size(times),
        "most_copies": int(times.max(initial=0)),
    }
    for place, label in enumerate(labels):
        codes = pool.codes[:, place]
        counts = np.bincount(codes[codes >= 0], weights=times[codes >= 0]).astype(np.int64)
        figures[f"{label}_idr"] = measure.idr(counts)
        figures[f"{label}_max_min"] = measure.max_min(counts)
    return figures
