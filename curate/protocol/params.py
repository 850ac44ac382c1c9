"""What may be asked of a protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from curate.core import columns as col
from curate.core.shapes import StrictParams

#: The name in `match` that means the feature `quality`, which comes from pixels.
QUALITY = "quality"


class ProtocolParams(StrictParams):
    """What is asked of a protocol."""

    group_by: tuple[str, ...] = ()  # labels whose cells are the groups; none: one group, `all`
    pairs_per_group: Annotated[int, Field(ge=1)] = 6000  # as LFW's ten folds of 300 + 300
    genuine: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of genuine pairs
    folds: Annotated[int, Field(ge=1, le=10_000)] = 10
    split: str | None = col.HOLDOUT  # None: every row
    uniform: Literal["images", "identities"] = "images"  # what is equally likely
    across: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of the impostor pairs that are of two groups
    hard: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of those within a group that are the nearest by vectors
    max_per_identity: Annotated[int, Field(ge=1)] | None = None  # pairs of a kind that an identity takes part in
    max_per_image: Annotated[int, Field(ge=1)] | None = None  # pairs of a kind that an image takes part in
    match: tuple[str, ...] = ()  # `quality`, or columns, whose values are spread alike over the groups' pairs
    duplicates: Path | None = None  # the `pairs.parquet` of duplicates: two copies are never compared
    training: Path | None = None  # a manifest that was trained on: what it shares with the pairs is listed
    correlation: Annotated[float, Field(ge=0, le=1)] = 0.01  # of comparisons that share identities: for N_eff
    allow_fewer: bool = False  # take what there is where a group is too small
    equal: bool = False  # and then equally much of each group
    folder: Literal["protocol", "."] = "protocol"  # where in the run folder the tables go

    @model_validator(mode="after")
    def _agree(self) -> ProtocolParams:
        if self.equal and not self.allow_fewer:
            raise ValueError("`equal` says how fewer pairs are shared out: set `allow_fewer` too")
        if self.match and (self.across or self.hard):
            raise ValueError("`match` compares groups within themselves: leave out `across` and `hard`")
        return self

    @property
    def capped(self) -> bool:
        """Whether an identity or an image may be in so many pairs only."""
        return self.max_per_identity is not None or self.max_per_image is not None

    def asked(self) -> dict[str, int]:
        """Pairs of each kind asked of a group: genuine, impostor, hard, and across (to all other groups together)."""
        genuine = _nearest(self.pairs_per_group * self.genuine)
        across = _nearest((self.pairs_per_group - genuine) * self.across)
        within = self.pairs_per_group - genuine - across
        hard = _nearest(within * self.hard)
        return {"genuine": genuine, "impostor": within - hard, "hard": hard, "across": across}


def _nearest(value: float) -> int:
    return int(np.floor(value + 0.5))
