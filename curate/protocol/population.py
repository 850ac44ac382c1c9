"""Fixed comparisons: how many genuine and impostor pairs a group can give, and a uniform draw of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import StrictParams

#: The columns of `protocol/pairs`, in order.
COLUMNS = (
    "group", "group_a", "group_b", "fold", "image_id_a", "image_id_b", "identity_a", "identity_b", "genuine",
)  # fmt: skip


class ProtocolParams(StrictParams):
    """What is asked of a protocol."""

    group_by: tuple[str, ...] = ()  # labels whose cells are the groups; none: one group, `all`
    pairs_per_group: Annotated[int, Field(ge=1)] = 6000  # as LFW's ten folds of 300 + 300
    genuine: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of genuine pairs
    folds: Annotated[int, Field(ge=1, le=10_000)] = 10
    split: str | None = col.HOLDOUT  # None: every row
    allow_fewer: bool = False  # take what there is where a group is too small


@dataclass(frozen=True)
class Population:
    """The images that may be compared, in order of (group, fold, identity, image_id).

    row: `(M,)` rows of the manifest. group, fold, identity: `(M,)` codes. groups: the names of the groups.
    left_out: why rows of the split are not here, and how many.
    """

    row: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    identity: np.ndarray
    groups: tuple[str, ...]
    folds: int
    left_out: dict[str, int]

    def block(self, group: int, fold: int) -> slice:
        """Where the images of one group's fold stand."""
        key = self.group * self.folds + self.fold
        start, stop = np.searchsorted(key, [group * self.folds + fold, group * self.folds + fold + 1])
        return slice(int(start), int(stop))


def population(
    manifest: Manifest, group_by: Sequence[str], folds: int, split: str | None, rng: np.random.Generator
) -> Population:
    """The images that a protocol may compare, each identity in one group and one fold.

    Originals of the split with an identity and all the labels of `group_by`. An identity whose images lie in several
    groups stays in the one where it has most (ties: the first in order); its other images are left out and counted.
    Folds: the identities of a group, shuffled by `rng` and put in order of their number of images, are dealt to the
    folds forth and back (0, 1, ..., 1, 0, 0, 1, ...), so that folds can give about equally many pairs.
    """
    cell = cells(manifest, group_by)
    group, identity = cell.codes.astype(np.int64), manifest.codes(col.IDENTITY).astype(np.int64)
    asked = manifest.in_split(split)
    original = manifest.originals()
    usable = asked & original & (identity >= 0) & (group >= 0)
    left_out = {
        "replicas": int(np.count_nonzero(asked & ~original)),
        "without_identity": int(np.count_nonzero(asked & original & (identity < 0))),
        "without_group": int(np.count_nonzero(asked & original & (identity >= 0) & (group < 0))),
    }
    rows = np.flatnonzero(usable)
    home = _homes(identity[rows], group[rows])
    at_home = group[rows] == home[identity[rows]] if len(rows) else np.zeros(0, dtype=bool)
    left_out["in_another_group"] = int(np.count_nonzero(~at_home))
    rows = rows[at_home]
    fold_of = _deal(identity[rows], home, folds, rng)
    fold = fold_of[identity[rows]] if len(rows) else rows
    order = np.lexsort((rows, identity[rows], fold, group[rows]))
    rows = rows[order]
    return Population(rows, group[rows], fold[order], identity[rows], tuple(map(str, cell.categories)), folds, left_out)


def _homes(identity: np.ndarray, group: np.ndarray) -> np.ndarray:
    """For each identity code the group where it has most images, -1 for none."""
    home = np.full(int(identity.max(initial=-1)) + 1, -1, dtype=np.int64)
    groups = int(group.max(initial=-1)) + 1
    keys, counts = np.unique(identity * groups + group, return_counts=True)
    if len(keys):
        who, where = keys // groups, keys % groups
        order = np.lexsort((where, -counts, who))
        first = np.r_[True, np.diff(who[order]) > 0]
        home[who[order][first]] = where[order][first]
    return home


def _deal(identity: np.ndarray, home: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """For each identity code its fold, -1 for one without images."""
    images = np.bincount(identity, minlength=len(home))
    present = rng.permutation(np.flatnonzero(images))
    present = present[np.lexsort((-images[present], home[present]))]  # stable: ties stay shuffled
    first = np.searchsorted(home[present], home[present], side="left")
    turn, place = np.divmod(np.arange(len(present)) - first, folds)
    fold = np.full(len(home), -1, dtype=np.int64)
    fold[present] = np.where(turn % 2 == 0, place, folds - 1 - place)
    return fold


def quotas(total: int, folds: int) -> np.ndarray:
    """How many pairs each fold gets, `(folds,)`: equally many, the remainder one each to the first folds."""
    return total // folds + (np.arange(folds) < total % folds)


def _ends(identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First place of each identity in a block that is in order of identity, and the number of its images."""
    start = np.flatnonzero(np.r_[True, np.diff(identity) != 0]) if len(identity) else np.zeros(0, dtype=np.int64)
    return start, np.diff(np.r_[start, len(identity)])


def capacity(identity: np.ndarray) -> tuple[int, int]:
    """How many genuine and impostor pairs there are among images `(n,)` in order of their identity codes."""
    _, count = _ends(identity)
    genuine = int((count * (count - 1) // 2).sum())
    return genuine, len(identity) * (len(identity) - 1) // 2 - genuine


def genuine_pairs(identity: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of the genuine pairs number `index`, 0 to (genuine capacity - 1), without listing the others.

    identity: `(n,)` codes in order. The pairs are numbered identity by identity; within one, pair t of images a < b is
    t = b (b - 1) / 2 + a. Returns places a < b, each `(len(index),)`.
    """
    start, count = _ends(identity)
    before = np.concatenate([[0], np.cumsum(count * (count - 1) // 2)])
    who = np.searchsorted(before, index, side="right") - 1
    t = index - before[who]
    b = ((1 + np.sqrt(8.0 * t + 1)) / 2).astype(np.int64)
    b -= b * (b - 1) // 2 > t  # the root of a large number may be off by one
    b += b * (b + 1) // 2 <= t
    return start[who] + t - b * (b - 1) // 2, start[who] + b


def impostor_pairs(identity: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of the impostor pairs number `index`, 0 to (impostor capacity - 1), without listing the others.

    identity: `(n,)` codes in order. Each image is paired with all images of later identities, image by image.
    Returns places a < b, each `(len(index),)`.
    """
    start, count = _ends(identity)
    end = np.repeat(start + count, count)
    before = np.concatenate([[0], np.cumsum(len(identity) - end)])
    a = np.searchsorted(before, index, side="right") - 1
    return a, end[a] + index - before[a]


def feasibility(images: Population, params: ProtocolParams) -> pd.DataFrame:
    """For each group and kind of pair: what was asked, what all folds together can give, what the group holds.

    Columns: group, kind (`genuine`, `impostor`), asked, possible (the sum over folds of the smaller of the fold's quota
    and its pairs), held (pairs within folds).
    """
    rows = []
    genuine = int(np.floor(params.pairs_per_group * params.genuine + 0.5))
    for number, name in enumerate(images.groups):
        held = np.array([capacity(images.identity[images.block(number, fold)]) for fold in range(images.folds)])
        for kind, asked, pairs in (
            ("genuine", genuine, held[:, 0]),
            ("impostor", params.pairs_per_group - genuine, held[:, 1]),
        ):
            possible = int(np.minimum(quotas(asked, images.folds), pairs).sum())
            rows.append((name, kind, asked, possible, int(pairs.sum())))
    return pd.DataFrame(rows, columns=["group", "kind", "asked", "possible", "held"])


def refuse_shortage(table: pd.DataFrame, params: ProtocolParams) -> None:
    """Raise InputError, naming every group that can't give what is asked, unless fewer pairs are allowed."""
    short = table[table["possible"] < table["asked"]]
    if params.allow_fewer or not len(short):
        return
    lines = [
        f"{row.group}: {row.asked:,} {row.kind} pairs asked, {row.possible:,} possible" for row in short.itertuples()
    ]
    share = {"genuine": params.genuine, "impostor": 1 - params.genuine}
    enough = min(int(row.possible / share[row.kind]) for row in short.itertuples())
    raise InputError(
        f"too few pairs in {params.folds} identity-disjoint folds: {'; '.join(lines)}",
        remedy=f"Ask for about pairs_per_group: {max(enough, 1):,} or fewer, use fewer folds, merge groups, hold out "
        "more identities, or set allow_fewer: true",
    )


def draw(manifest: Manifest, images: Population, params: ProtocolParams, rng: np.random.Generator) -> pd.DataFrame:
    """The table of pairs: each fold's quota, drawn uniformly without replacement from all pairs within the fold.

    Returns the columns `COLUMNS`; image_id_a < image_id_b; rows in order of group, fold, genuine first, then ids.
    A fold with fewer pairs than its quota gives all it has.
    """
    parts = []
    genuine = int(np.floor(params.pairs_per_group * params.genuine + 0.5))
    wanted = {True: quotas(genuine, images.folds), False: quotas(params.pairs_per_group - genuine, images.folds)}
    for group in range(len(images.groups)):
        for fold in range(images.folds):
            block = images.block(group, fold)
            identity, row = images.identity[block], images.row[block]
            held = capacity(identity)
            for kind, count, unrank in ((True, held[0], genuine_pairs), (False, held[1], impostor_pairs)):
                quota = min(int(wanted[kind][fold]), count)
                a, b = unrank(identity, rng.choice(count, quota, replace=False, shuffle=False) if quota else _none())
                first, second = np.minimum(row[a], row[b]), np.maximum(row[a], row[b])
                order = np.lexsort((second, first))
                parts.append((group, fold, kind, first[order], second[order]))
    sizes = [len(part[3]) for part in parts]
    group, fold, kind = (np.repeat([part[i] for part in parts] or _none(), sizes or _none()) for i in range(3))
    first, second = (np.concatenate([part[i] for part in parts] or [_none()]) for i in (3, 4))
    return _table(manifest, images.groups, group, fold, kind.astype(bool), first, second)


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


def _table(
    manifest: Manifest,
    groups: tuple[str, ...],
    group: np.ndarray,
    fold: np.ndarray,
    genuine: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
) -> pd.DataFrame:
    used = np.unique(group)
    names = pd.Index([groups[code] for code in used.tolist()], dtype="str")
    cell = pd.Categorical.from_codes(np.searchsorted(used, group), categories=names)
    identity = manifest.frame[col.IDENTITY].array
    ids = manifest.ids
    data = {
        "group": cell,
        "group_a": cell,
        "group_b": cell,
        "fold": fold.astype(np.int32),
        "image_id_a": pd.array(ids.take(first), dtype="str"),
        "image_id_b": pd.array(ids.take(second), dtype="str"),
        "identity_a": identity.take(first).remove_unused_categories(),
        "identity_b": identity.take(second).remove_unused_categories(),
        "genuine": genuine,
    }
    return pd.DataFrame(data)[list(COLUMNS)]
