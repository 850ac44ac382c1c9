"""The table of wrong names that the step before it found."""

from __future__ import annotations

import numpy as np
import pandas as pd

from curate.clean.noise.label_noise import EVIDENCE
from curate.core import columns as col
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report

COLUMNS = (
    col.IMAGE_ID, "identity", "kind", "score", "threshold", "confidence", "suggested_identity", "runner_up", "action",
)  # fmt: skip


class NoiseParams(StrictParams):
    """`noise` has no parameters."""


@report("noise", needs=("evidence", "decisions"))
def noise(manifest: Manifest, features: Features, params: NoiseParams, rng: np.random.Generator) -> Report:
    """List what `label_noise` found: wrong names, names of two persons, persons of two names.

    Table `noise`, one row for each image and fault, in order of (kind, image_id): kind `mislabelled`, `mixed` or
    `split`; score, the log-likelihood ratio of the fault; threshold, the score from which the step acts; confidence,
    the calibrated probability of the fault; suggested_identity, the identity that fits (null: none does; of a mixed
    identity, the second person's new name), runner_up the next best; action: what is done, `flag` where nothing is, or
    where a person overruled it.
    Table `noise_thresholds`, one row for each kind, and for mislabelled images for each group: threshold, its shift
    against that of all images, the share of such faults that was found, the 1% point of the scores of believed images
    for their own identity and the 99% point for an identity drawn at random (the impostors).
    """
    evidence = features["evidence"].get("label_noise", pd.DataFrame(columns=list(EVIDENCE)))
    limit = (evidence["kind"] == "threshold").to_numpy(bool)
    table = evidence[~limit].reset_index(drop=True)
    made = features["decisions"]
    made = made[((made["step"] == "label_noise") & (made["source"] != col.HUMAN_SOURCE)).to_numpy(bool)]
    keys = [col.IMAGE_ID, "reason"]
    done = made[[*keys, "action"]].astype("str").drop_duplicates(keys)
    table = table.astype(dict.fromkeys(keys, "str")).merge(done, on=keys, how="left")
    table = table.sort_values(["kind", col.IMAGE_ID], ignore_index=True)[list(COLUMNS)]
    limits = evidence.loc[limit, ["reason", "group", "threshold", "shift", "images", "share", "genuine_low",
                                  "impostor_high"]].reset_index(drop=True)  # fmt: skip
    counts = table.groupby(["kind", "action"], observed=True).size()
    figures = (Figure("table", "noise_thresholds", "From which score a name counts as wrong, per kind and group"),)
    return Report(
        tables={"noise": table, "noise_thresholds": limits},
        figures=figures if len(limits) else (),
        summary={f"{kind}, {action}": int(count) for (kind, action), count in counts.items()},
    )
