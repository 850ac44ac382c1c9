"""Identities whose images disagree about the person."""

from __future__ import annotations

from typing import Literal

import numpy as np

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError, nearest
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step


class LabelConflictsParams(StrictParams):
    """Parameters of `label_conflicts`."""

    default: Literal["null", "majority"] = "null"  # what becomes of a conflicting label that `conflict` doesn't name
    conflict: dict[str, Literal["null", "majority"]] = {}  # label -> what becomes of it


@step("label_conflicts")
def label_conflicts(
    manifest: Manifest, features: Features, params: LabelConflictsParams, rng: np.random.Generator
) -> Decisions:
    """Report identities with two values of a label that belongs to the person, and settle them.

    For each label of level `identity`: every image of an identity with two values or more is flagged
    `label_conflict:LABEL`, score = the share of the most frequent value among the identity's originals that have one.
    Then `null` empties the label on all images of the identity, and `majority` sets the most frequent value (a tie:
    null); only rows whose value changes get an `assign`. A missing value conflicts with nothing, and is not
    filled: under `majority` too it stays null. Images without an identity are left alone.
    Raises InputError where `conflict` names no label of level `identity`.
    """
    labels = [label for label, level in manifest.levels.items() if level == "identity" and label != col.IDENTITY]
    for name in params.conflict:
        if name not in labels:
            raise InputError(f"conflict: {name!r} is not a label of the identity. {nearest(name, labels)}")
    return Decisions.concat(
        part for label in labels for part in _settle(manifest, label, params.conflict.get(label, params.default))
    )


def _settle(manifest: Manifest, label: str, policy: str) -> list[Decisions]:
    identity, value = manifest.codes(col.IDENTITY).astype(np.int64), manifest.codes(label).astype(np.int64)
    values = manifest.frame[label].cat.categories
    known = (identity >= 0) & (value >= 0)
    # Replicas repeat their parent's value; they would give it more votes.
    voting = known & manifest.originals()
    cell, votes = np.unique(identity[voting] * max(len(values), 1) + value[voting], return_counts=True)
    voter, choice = np.divmod(cell, max(len(values), 1))
    n = int(identity.max(initial=-1)) + 1
    distinct, most, total = np.bincount(voter, minlength=n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    np.maximum.at(most, voter, votes)
    np.add.at(total, voter, votes)
    top = votes == most[voter]
    winner = np.full(n, -1, dtype=np.int64)
    winner[voter[top]] = choice[top]
    winner[np.bincount(voter[top], minlength=n) > 1] = -1
    if policy == "null":
        winner[:] = -1
    conflicting = np.append(distinct > 1, False)[identity]
    rows = np.flatnonzero(conflicting)
    if not len(rows):
        return []
    ids = manifest.ids
    share = most[identity[rows]] / total[identity[rows]]
    parts = [Decisions.of(ids.take(rows), "flag", f"label_conflict:{label}", score=share)]
    changing = np.flatnonzero(conflicting & (value >= 0) & (value != np.append(winner, -1)[identity]))
    if len(changing):
        texts = np.array([f"{label}={name}" for name in values] + [f"{label}="], dtype=object)
        parts.append(
            Decisions.of(
                ids.take(changing),
                "assign",
                f"label_conflict:{label}",
                score=most[identity[changing]] / total[identity[changing]],
                new_value=texts[winner[identity[changing]]].tolist(),
            )
        )
    return parts
