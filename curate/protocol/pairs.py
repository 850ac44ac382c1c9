"""The report that fixes who is compared with whom."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, report
from curate.protocol.certificate import certificate
from curate.protocol.population import COLUMNS, ProtocolParams, draw, feasibility, population, refuse_shortage


@report("verification_protocol", needs=())
def verification_protocol(
    manifest: Manifest, features: Features, params: ProtocolParams, rng: np.random.Generator
) -> Report:
    """Draw fixed genuine and impostor pairs per group, in folds that share no identity.

    Tables: `protocol/pairs` (columns of `pairs.COLUMNS`), `protocol/feasibility`. Document: `protocol/certificate`.
    Raises InputError, listing all groups, where a group can't give what is asked and `allow_fewer` is not set.
    """
    images = population(manifest, params.group_by, params.folds, params.split, rng)
    possible = feasibility(images, params)
    if len(images.row) > 1:
        refuse_shortage(possible, params)
    pairs = draw(manifest, images, params, rng)
    document = certificate(pairs, manifest)
    document["asked"] = params.model_dump(mode="json")
    document["left_out"] = images.left_out
    return Report(
        tables={"protocol/pairs": pairs, "protocol/feasibility": possible},
        figures=(Figure("table", "protocol/feasibility", "Pairs asked and possible, per group"),),
        summary={
            "pairs": len(pairs),
            "genuine": int(pairs["genuine"].sum()),
            "groups": len(document["groups"]),
            "folds": params.folds,
            "fingerprint": document["fingerprint"],
        },
        notes=tuple(_notes(images.left_out, possible, len(images.row), params)),
        documents={"protocol/certificate": document},
    )


def _notes(left_out: dict[str, int], possible: pd.DataFrame, images: int, params: ProtocolParams) -> list[str]:
    notes = []
    if images < 2:
        where = f"in the split {params.split!r}" if params.split is not None else "in the manifest"
        notes.append(f"No two images {where} can be compared: the protocol is empty.")
    else:
        for row in possible[possible["possible"] < possible["asked"]].itertuples():
            notes.append(f"{row.group}: only {row.possible:,} of {row.asked:,} {row.kind} pairs were possible.")
    said = {
        "without_identity": "have no identity",
        "without_group": "have no value of a label asked for and join no group",
        "in_another_group": "lie in another group than most images of their identity",
    }
    notes += [f"{left_out[key]:,} images {text}: left out." for key, text in said.items() if left_out[key]]
    return notes


__all__ = ["COLUMNS", "ProtocolParams", "verification_protocol"]
