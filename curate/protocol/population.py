"""Who may be compared: the images of each group's folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curate.core import columns as col
from curate.core.groups import cells
from curate.core.manifest import Manifest


@dataclass(frozen=True)
class Population:
    """The images that may be compared, in order of (group, fold, identity, image_id).

    row: `(M,)` rows of the manifest. group, fold, identity: `(M,)` codes. stratum: `(M,)` codes of what is matched, all
    0 where nothing is. copy: `(M,)` the same code for images that are copies of each other, -1 for those that are not.
    groups, strata: the names. left_out: why rows of the split are not here, and how many.
    """

    row: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    identity: np.ndarray
    stratum: np.ndarray
    copy: np.ndarray
    groups: tuple[str, ...]
    strata: tuple[str, ...]
    folds: int
    left_out: dict[str, int]

    def places(self, group: int, fold: int, stratum: int | None = None) -> np.ndarray:
        """Where the images of one group's fold stand, all of them or those of one stratum: ascending."""
        start, stop = self._ends[group * self.folds + fold : group * self.folds + fold + 2].tolist()
        if stratum is None or len(self.strata) == 1:
            return np.arange(start, stop)
        return start + np.flatnonzero(self.stratum[start:stop] == stratum)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Where each fold of each group begins, and the end of the last."""
        key = self.group * self.folds + self.fold
        return np.searchsorted(key, np.arange(len(self.groups) * self.folds + 1))

    def count(self, group: int) -> tuple[int, int]:
        """The images and the identities of a group."""
        start, stop = self._ends[[group * self.folds, (group + 1) * self.folds]].tolist()
        # In order of identity within each fold, and each identity in one fold.
        return stop - start, int(np.count_nonzero(np.diff(self.identity[start:stop]))) + (stop > start)


def population(
    manifest: Manifest,
    group_by: Sequence[str],
    folds: int,
    split: str | None,
    rng: np.random.Generator,
    *,
    matched: tuple[np.ndarray, tuple[str, ...]] | None = None,
    copy: np.ndarray | None = None,
) -> Population:
    """The images that a protocol may compare, each identity in one group and one fold.

    Originals of the split with an identity and all the labels of `group_by`. An identity whose images lie in several
    groups stays in the one where it has most (ties: the first in order); its other images are left out and counted.
    Folds: the identities of a group, shuffled by `rng` and put in order of their number of images, are dealt to the
    folds forth and back (0, 1, ..., 1, 0, 0, 1, ...), so that folds can give about equally many pairs.
    matched: codes `(N,)` of what is to be matched, -1 where it is missing (left out), and their names. copy: `(N,)`.
    """
    n = len(manifest)
    cell = cells(manifest, group_by)
    group, identity = cell.codes.astype(np.int64), manifest.codes(col.IDENTITY).astype(np.int64)
    stratum, strata = matched if matched is not None else (np.zeros(n, dtype=np.int64), ("all",))
    copy = np.full(n, -1, dtype=np.int64) if copy is None else copy
    rows = np.flatnonzero(manifest.in_split(split))
    left_out = {}
    for why, bad in (
        ("replicas", ~manifest.originals()), ("without_identity", identity < 0), ("without_group", group < 0),
        ("without_match", stratum < 0),
    ):  # fmt: skip
        lost = bad[rows]
        left_out[why] = int(np.count_nonzero(lost))
        rows = rows[~lost]
    home = _homes(identity[rows], group[rows])
    at_home = group[rows] == home[identity[rows]] if len(rows) else np.zeros(0, dtype=bool)
    left_out["in_another_group"] = int(np.count_nonzero(~at_home))
    rows = rows[at_home]
    fold_of = _deal(identity[rows], home, folds, rng)
    fold = fold_of[identity[rows]] if len(rows) else rows
    # One number for all three; rows ascend already, and the sort is stable.
    key = (group[rows] * folds + fold) * (int(identity.max(initial=-1)) + 1) + identity[rows]
    order = np.argsort(key, kind="stable")
    rows = rows[order]
    return Population(rows, group[rows], fold[order], identity[rows], stratum[rows], copy[rows],
                      tuple(map(str, cell.categories)), strata, folds, left_out)  # fmt: skip


def _homes(identity: np.ndarray, group: np.ndarray) -> np.ndarray:
    """For each identity code the group where it has most images, -1 for none."""
    home = np.full(int(identity.max(initial=-1)) + 1, -1, dtype=np.int64)
    groups = int(group.max(initial=-1)) + 1
    keys = np.sort(identity * groups + group)  # faster than numpy.unique, which hashes first
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else keys
    keys, counts = keys[first], np.diff(np.r_[first, len(keys)])
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
