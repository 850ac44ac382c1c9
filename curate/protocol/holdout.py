"""The step `holdout`: set identities aside for evaluation, a share of every cell, none of them left in training."""

from __future__ import annotations

import warnings
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError, nearest
from curate.core.groups import cells
from curate.core.manifest import Manifest, text_array
from curate.core.shapes import Features, StrictParams, step

#: A flag whose reason holds this says that its two images, of two identities, are one photograph.
OTHER_IDENTITY = "_other_"
#: The same of an image that has no identity: it goes where its copy goes.
NO_IDENTITY = "_unknown_identity"


class HoldoutParams(StrictParams):
    """How many identities are held out, and in equal shares of what."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2  # of the identities of each cell
    stratify: tuple[str, ...] | None = None  # labels of the cells; default: the identity-level ones


@step("holdout", needs=("decisions",))
def holdout(manifest: Manifest, features: Features, params: HoldoutParams, rng: np.random.Generator) -> Decisions:
    """Split the identities into `train` and `holdout`, the same share of each cell, keeping tied identities together.

    Identities are tied where a flag of an earlier step says that a photograph stands under both, also by way of copies
    that were dropped since. Each cell's number is the nearest integer to its share (largest remainder); tied
    identities go as one, so a cell may miss it by less than its largest group of tied identities, where no group
    spans two cells. An identity is of the cell of most of its images (ties: the first in order); identities without a
    cell form a stratum of their own. A split that the images had is replaced. An image without identity goes to
    `train`, unless it is a copy of a held-out one. A replica follows its identity to `train`; in the holdout it is
    dropped.
    Raises InputError for an unknown label. Warns where no identity could be held out.
    """
    stratify = params.stratify
    if stratify is None:
        stratify = tuple(name for name in manifest.labels if manifest.levels[name] == "identity")
    for name in stratify:
        if name not in manifest.levels:
            raise InputError(f"the manifest has no label {name!r}. {nearest(name, manifest.labels)}")
    original = manifest.originals()
    codes = manifest.codes(col.IDENTITY).astype(np.int64)
    size = len(manifest.frame[col.IDENTITY].cat.categories)
    strata = identity_strata(codes, cells(manifest, stratify), size, original)
    group, nameless = tied_identities(manifest, features["decisions"])
    held = choose_groups(strata, group, params.fraction, rng)
    if size and not held.any():
        warnings.warn(f"no identity is held out: {params.fraction:g} of {size:,} identities is none, or they are all "
                      "tied together", stacklevel=2)  # fmt: skip
    reasons = np.where(np.bincount(group, minlength=size)[group] > 1, 1, 0)
    reason = np.where(codes >= 0, reasons[codes], 2) if size else np.full(len(manifest), 2)
    side = (codes >= 0) & held[codes] if size else np.zeros(len(manifest), dtype=bool)
    # A nameless copy of a held-out image must not be trained on.
    held_groups = np.unique(group[held])
    side |= original & np.isin(nameless, held_groups)
    return _decisions(manifest, original, side, reason)


def _decisions(manifest: Manifest, original: np.ndarray, side: np.ndarray, reason: np.ndarray) -> Decisions:
    reasons = pd.Index(["drawn", "tied_identity", "no_identity"], dtype="str")
    rows = np.flatnonzero(original | ~side)
    splits = pa.array([f"{col.SPLIT}={col.TRAIN}", f"{col.SPLIT}={col.HOLDOUT}"], pa.large_string())
    assigned = Decisions.of(
        manifest.ids.take(pa.array(rows)), col.ASSIGN,
        pd.Categorical.from_codes(reason[rows].astype(np.int8), categories=reasons),
        new_value=splits.take(pa.array(side[rows].astype(np.int8))),
    )  # fmt: skip
    gone = np.flatnonzero(~original & side)
    if not len(gone):
        return assigned
    parents = text_array(manifest.frame[col.PARENT_ID]).take(pa.array(gone))
    dropped = Decisions.of(manifest.ids.take(pa.array(gone)), col.DROP, "replica_of_holdout", related_id=parents)
    return Decisions.concat([assigned, dropped])


def identity_strata(identity: np.ndarray, cell: pd.Categorical, size: int, mask: np.ndarray) -> np.ndarray:
    """The stratum `(size,)` of each identity: the cell code of most of its rows in `mask`, -1 where they have none."""
    strata = np.full(size, -1, dtype=np.int64)
    known = mask & (identity >= 0) & (cell.codes >= 0)
    width = max(len(cell.categories), 1)
    pairs, rows = np.unique(identity[known] * width + cell.codes[known], return_counts=True)
    # The most rows last, and of equals the first cell last: the last write of each identity stays.
    order = np.lexsort((-(pairs % width), rows))
    person, first = np.unique((pairs // width)[order][::-1], return_index=True)
    strata[person] = (pairs % width)[order][::-1][first]
    return strata


def tied_identities(manifest: Manifest, decisions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The group `(identities,)` of each identity, the same for those that decisions tie together, and `(N,)` the group
    that an image without identity is tied to, -1 where it has an identity or is tied to nobody: int64.

    Ties are flags whose reason holds `_other_` or `_unknown_identity` and that name the other image. A drop that names
    another image stands for a copy of that image, so a flag about a copy that is gone still ties.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    codes = manifest.codes(col.IDENTITY).astype(np.int64)
    size = len(manifest.frame[col.IDENTITY].cat.categories)
    nameless = np.full(len(manifest), -1, dtype=np.int64)
    if not size or not len(decisions):
        return np.arange(size), nameless
    action = text_array(decisions["action"])
    ties = pc.match_substring_regex(text_array(decisions["reason"]), f"{OTHER_IDENTITY}|{NO_IDENTITY}")
    flag = pc.and_(pc.equal(action, col.FLAG), ties)
    edge = pc.and_(pc.or_(flag, pc.equal(action, col.DROP)), pc.is_valid(text_array(decisions["related_id"])))
    edges = decisions[pc.fill_null(edge, False).to_numpy(zero_copy_only=False)]
    images = pa.concat_arrays([text_array(edges[col.IMAGE_ID]), text_array(edges["related_id"])])
    if not len(images):
        return np.arange(size), nameless
    encoded = pc.dictionary_encode(images)
    node = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64) + size
    rows = manifest.rows_of(encoded.dictionary)
    anonymous = rows >= 0
    anonymous[anonymous] = codes[rows[anonymous]] < 0
    known = rows >= 0
    known[known] = codes[rows[known]] >= 0
    n = size + len(encoded.dictionary)
    start = np.concatenate([node[: len(edges)], np.flatnonzero(known) + size])
    end = np.concatenate([node[len(edges) :], codes[rows[known]]])
    _, component = connected_components(coo_matrix((np.ones(len(start), np.int8), (start, end)), shape=(n, n)), False)
    groups, group = np.unique(component[:size], return_inverse=True)
    theirs = component[size:][anonymous]
    at = np.minimum(np.searchsorted(groups, theirs), len(groups) - 1)
    nameless[rows[anonymous]] = np.where(groups[at] == theirs, at, -1)
    return group, nameless


def quotas(sizes: np.ndarray, fraction: float) -> np.ndarray:
    """How many of each stratum to hold out: integers near the shares, that add up to the one nearest the whole share.

    Largest remainder (Hamilton's method), ties to the first; at least one identity of all stays in training.
    """
    share = sizes * fraction
    quota = np.floor(share).astype(np.int64)
    total = min(int(np.floor(sizes.sum() * fraction + 0.5)), max(int(sizes.sum()) - 1, 0))
    more = np.argsort(-(share - quota), kind="stable")[: max(total - int(quota.sum()), 0)]
    quota[more] += 1
    return quota


def choose_groups(strata: np.ndarray, group: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Mask `(identities,)` of those held out, whole groups of tied identities at a time.

    First groups of several, each with the chance of a single identity and where it fits into what is left of the quotas
    of its strata; then single identities at random; last, where those ran out, further groups in random order as long
    as they bring the numbers nearer to the quotas.
    """
    n = len(strata)
    held = np.zeros(n, dtype=bool)
    if not n:
        return held
    stratum = np.unique(strata, return_inverse=True)[1]
    left = quotas(np.bincount(stratum), fraction)
    luck = rng.random(n)
    single = np.bincount(group)[group] == 1
    members = np.flatnonzero(~single)
    members = members[np.argsort(group[members], kind="stable")]
    groups = np.split(members, np.flatnonzero(np.diff(group[members])) + 1) if len(members) else []
    groups.sort(key=lambda rows: luck[rows[0]])
    unfit = []
    for rows in groups:
        need = np.bincount(stratum[rows], minlength=len(left))
        if luck[rows[0]] < fraction and (need <= left).all():
            held[rows] = True
            left -= need
        else:
            unfit.append((rows, need))
    alone = np.flatnonzero(single)
    alone = alone[np.lexsort((luck[alone], stratum[alone]))]
    first = np.searchsorted(stratum[alone], np.arange(len(left)))
    rank = np.arange(len(alone)) - first[stratum[alone]]
    taken = alone[rank < left[stratum[alone]]]
    held[taken] = True
    left -= np.bincount(stratum[taken], minlength=len(left))
    for rows, need in unfit:
        if np.abs(left - need).sum() < np.abs(left).sum() and held.sum() + len(rows) < n:
            held[rows] = True
            left -= need
    return held
