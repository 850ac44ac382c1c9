"""What confirmed copies mean: who stays, who is flagged, and which identity a photograph of several should have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.manifest import Manifest
from curate.core.shapes import Features
from curate.search.linkage import chain_linkage, components, star_linkage

Linkage = Literal["star", "chain"]
#: Columns of the evidence that steps keep about pairs; `keep` is the image kept in favour of the other, or null.
PAIR_COLUMNS = (
    "image_id_a", "image_id_b", "kind", "method", "distance", "similarity", "same_identity", "keep",
)  # fmt: skip

#: Beside them in the evidence: labels in which the two images differ, as `age: 24 / 26; gender: f / m`, or null.
CONFLICTS = "conflicts"

#: How the two images of a pair stand to each other; only SAME lets one of them be dropped.
RELATIONS = ("same", "other_identity", "unknown_identity", "other_split", "other_dataset")
SAME, OTHER, UNKNOWN, SPLIT, DATASET = range(len(RELATIONS))


@dataclass(frozen=True)
class Population:
    """The images that are compared: those of the manifest, then those of the set that they are held against.

    ids: `(N + M,)`. identity, dataset, split: codes `(N + M,)` int64, -1 where missing, the same for both sets. old:
    mask of the M images, which are compared with the N but not with each other, and never dropped or flagged.
    Against another set dataset and split are not compared: the new images are to join what it holds. labels: of the
    manifest, null for old images.
    """

    ids: pa.Array
    identity: np.ndarray
    names: pd.Index
    dataset: np.ndarray
    split: np.ndarray
    originals: np.ndarray
    old: np.ndarray
    labels: Mapping[str, pd.Categorical]

    @property
    def cell(self) -> np.ndarray:
        """A number `(N + M,)` for each identity within a dataset and split; -1 without an identity."""
        combined = np.stack([self.identity, self.dataset, self.split])
        cell = np.unique(combined, axis=1, return_inverse=True)[1].reshape(-1) if combined.shape[1] else self.identity
        return np.where(self.identity < 0, -1, cell)


def population(manifest: Manifest, features: Features) -> Population:
    """The images of a manifest, and behind them those of `features.reference`, if there is one."""
    n = len(manifest)

    def codes(name: str) -> np.ndarray:
        return manifest.codes(name).astype(np.int64) if name in manifest.frame else np.full(n, -1)

    identity, names = codes(col.IDENTITY), manifest.frame[col.IDENTITY].cat.categories
    if features.reference is None:
        nothing = np.zeros(n, dtype=bool)
        return Population(manifest.ids, identity, names, codes(col.DATASET), codes(col.SPLIT), manifest.originals(),
                          nothing, _labels(manifest, 0))  # fmt: skip
    other = features.reference[0]
    theirs = other.frame[col.IDENTITY].cat.categories
    names = manifest.frame[col.IDENTITY].cat.categories.union(theirs)
    mine = np.append(names.get_indexer(manifest.frame[col.IDENTITY].cat.categories), -1)[identity]
    yours = np.append(names.get_indexer(theirs), -1)[other.codes(col.IDENTITY)]
    m = len(other)
    one = np.zeros(n + m, dtype=np.int64)
    return Population(
        pa.concat_arrays([manifest.ids, other.ids]), np.concatenate([mine, yours]), names, one, one,
        np.concatenate([manifest.originals(), other.originals()]), np.repeat([False, True], [n, m]),
        _labels(manifest, m),
    )  # fmt: skip


def _labels(manifest: Manifest, more: int) -> dict[str, pd.Categorical]:
    """Every label but the identity, with nulls behind it for so many rows more."""
    names = (name for name in manifest.labels if name != col.IDENTITY)
    return {
        name: pd.Categorical.from_codes(
            np.append(manifest.codes(name), np.full(more, -1)), categories=manifest.frame[name].cat.categories
        )
        for name in names
    }


def stacked(features: Features, name: str) -> np.ndarray:
    """A feature of the manifest's images, and behind them that of the set that they are held against."""
    if features.reference is None:
        return features[name]
    return np.concatenate([features[name], features.reference[1][name]])


def own_vectors(people: Population, features: Features) -> np.ndarray:
    """The vectors that the user brought `(N + M, D)`, zeros for old images; D is 0 where there are none."""
    vectors = features["vectors"] if "vectors" in features else np.zeros((int((~people.old).sum()), 0))
    return np.concatenate([vectors, np.zeros((int(people.old.sum()), vectors.shape[1]), vectors.dtype)])


def relations(people: Population, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The relation of each pair `(P,)`, an index into RELATIONS: the last of them that holds."""
    identity = people.identity
    relation = np.where(identity[i] == identity[j], SAME, OTHER)
    relation[(identity[i] < 0) | (identity[j] < 0)] = UNKNOWN
    relation[people.split[i] != people.split[j]] = SPLIT
    relation[people.dataset[i] != people.dataset[j]] = DATASET
    return relation


def decide(
    people: Population,
    order: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    score: np.ndarray,
    *,
    reason: str,
    threshold: float,
    linkage: Linkage,
    vectors: np.ndarray,
) -> tuple[Decisions, np.ndarray]:
    """What confirmed pairs mean: the decisions, and for each pair the row that is kept in favour of the other, or -1.

    order: all rows of the population, best first. i, j, score: `(P,)` confirmed pairs, none of two old images.
    Within an identity (of one dataset and split) the linkage says who drops whom: `reason`, or `reason_chained` where
    the pair of the two is not itself confirmed. Any other pair is flagged on both sides, as `reason_other_identity`
    and so on (RELATIONS); new_value is the identity that `suggestions` names. Warns of chained drops with their number.
    """
    order = np.concatenate([order[people.old[order]], order[~people.old[order]]])
    relation = relations(people, i, j)
    same = relation == SAME
    link = star_linkage if linkage == "star" else chain_linkage
    keeper = link(order, i[same], j[same])
    keeper[people.old] = -1
    gone = np.flatnonzero(keeper >= 0)
    place, direct = _find(i, j, gone, keeper[gone], len(people.old))
    chained = int((~direct).sum())
    if chained:
        warnings.warn(
            f"{chained:,} of {len(gone):,} images are dropped by chained linkage: other copies lie between them and "
            "the image that stays, and the two themselves are not confirmed as copies", stacklevel=2,
        )  # fmt: skip
    ids = people.ids
    parts = [
        Decisions.of(
            ids.take(gone[which]), col.DROP, name, related_id=ids.take(keeper[gone[which]]),
            score=score[place[which]] if name == reason else np.nan, threshold=threshold,
        )
        for name, which in ((reason, direct), (f"{reason}_chained", ~direct))
    ]  # fmt: skip
    suggested = suggestions(people, i, j, vectors)
    for at in range(1, len(RELATIONS)):
        which = relation == at
        one, two = np.concatenate([i[which], j[which]]), np.concatenate([j[which], i[which]])
        new = ~people.old[one]
        parts.append(flags(people, one[new], two[new], f"{reason}_{RELATIONS[at]}", suggested,
                           score=np.tile(score[which], 2)[new], threshold=threshold))  # fmt: skip
    # Of a pair whose one image goes and whose other stays, the other is kept; that need not be the keeper itself.
    stays = keeper < 0
    kept = np.where(stays[i] & ~stays[j], i, np.where(stays[j] & ~stays[i], j, -1))
    return Decisions.concat(parts), np.where(same, kept, -1)


def flags(
    people: Population, one: np.ndarray, two: np.ndarray, reason: str, suggested: np.ndarray, **more: Any
) -> Decisions:
    """Flags of rows `one` for rows `two`; new_value: the name of the identity suggested for `one`, if any.

    Copies in two splits or datasets are no evidence about a label: those get no suggestion.
    """
    code = suggested[one] if reason.endswith("_identity") else np.full(len(one), -1)
    names = pa.array(people.names, pa.large_string()).take(pa.array(code, mask=code < 0))
    return Decisions.of(
        people.ids.take(one), col.FLAG, reason, related_id=people.ids.take(two), new_value=names, **more
    )


def suggestions(people: Population, i: np.ndarray, j: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The identity that each photograph should have: codes `(N + M,)`, -1 where nothing speaks for one.

    Images tied by pairs (i, j), directly or through others, show one photograph. Of the identities that claim it,
    vectors `(N + M, D)` decide where at least two have other images: the one whose mean vector, without this
    photograph's, is nearest by cosine to the mean of the photograph's. Otherwise the one with most of the images.
    Ties: -1.
    """
    group = components(len(people.old), i, j)
    inside = np.unique(np.concatenate([i, j]))
    known = inside[people.identity[inside] >= 0]
    k = max(len(people.names), 1)
    claims, votes = np.unique(group[known] * k + people.identity[known], return_counts=True)
    of, identity = np.divmod(claims, k)
    best = _unique_best(of, votes.astype(np.float64))
    if vectors.shape[1]:
        score = _nearness(people.identity, group, inside, of, identity, vectors)
        comparable = np.bincount(of[np.isfinite(score)], minlength=len(group))[of] > 1
        by_vectors = _unique_best(of, np.where(np.isfinite(score), score, -np.inf))
        best = np.where(comparable, by_vectors, best)
    winner = np.full(len(group), -1, dtype=np.int64)
    winner[of[best]] = identity[best]
    result = np.full(len(people.old), -1, dtype=np.int64)
    result[inside] = winner[group[inside]]
    return result


def _unique_best(of: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Mask of the rows whose value is the largest of their group and shared by no other of it."""
    top = np.full(of.max(initial=-1) + 1, -np.inf)
    np.maximum.at(top, of, value)
    at_top = value == top[of]
    return at_top & (np.bincount(of[at_top], minlength=len(top))[of] == 1)


def _nearness(
    identity: np.ndarray, group: np.ndarray, inside: np.ndarray, of: np.ndarray, claimed: np.ndarray,
    vectors: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Cosine of each claim's photograph and the other images of the identity claimed; NaN where there are none."""
    wanted, place = np.unique(claimed, return_inverse=True)
    total = np.zeros((len(wanted), vectors.shape[1]))
    spot = np.full(max(identity.max(initial=-1), wanted.max(initial=-1)) + 2, -1, dtype=np.int64)
    spot[wanted] = np.arange(len(wanted))
    mine = np.flatnonzero(spot[identity] >= 0)
    np.add.at(total, spot[identity[mine]], vectors[mine])
    groups, where = np.unique(of, return_inverse=True)
    photo = np.zeros((len(groups), vectors.shape[1]))
    slot = np.full(len(group), -1, dtype=np.int64)
    slot[groups] = np.arange(len(groups))
    shown = inside[slot[group[inside]] >= 0]
    np.add.at(photo, slot[group[shown]], vectors[shown])
    others = total[place]
    key, claim = group[shown] * len(spot) + identity[shown], of * len(spot) + claimed
    at = np.searchsorted(claim, key)
    hit = (at < len(claim)) & (claim[np.minimum(at, max(len(claim) - 1, 0))] == key) if len(claim) else at < 0
    np.subtract.at(others, at[hit], vectors[shown[hit]])
    length = np.linalg.norm(others, axis=1) * np.linalg.norm(photo[where], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.einsum("nd,nd->n", others, photo[where]) / length
    return np.where(length > 1e-6, cosine, np.nan)


def evidence(
    people: Population,
    i: np.ndarray,
    j: np.ndarray,
    *,
    kind: Any,
    method: str,
    distance: Any,
    similarity: Any,
    kept: np.ndarray,
) -> pd.DataFrame:
    """Pairs as a table of PAIR_COLUMNS and CONFLICTS in order of their ids, `image_id_a` before `image_id_b`.

    kept: the row of each pair's image that is kept in favour of the other, -1 for none. `same_identity` is null where
    an identity is missing.
    """
    n = len(i)
    rank = np.empty(len(people.ids), dtype=np.int64)
    rank[pc.sort_indices(people.ids).to_numpy()] = np.arange(len(rank))
    a, b = np.where(rank[i] < rank[j], i, j), np.where(rank[i] < rank[j], j, i)
    unknown = (people.identity[i] < 0) | (people.identity[j] < 0)
    kinds = np.broadcast_to(np.asarray(kind, dtype=object), n)
    table = pd.DataFrame({
        "image_id_a": pd.array(people.ids.take(pa.array(a)), "str"),
        "image_id_b": pd.array(people.ids.take(pa.array(b)), "str"),
        "kind": pd.Categorical(kinds, categories=pd.Index(sorted(set(kinds)), dtype="str")),
        "method": pd.Categorical.from_codes(np.zeros(n, np.int8), categories=pd.Index([method], dtype="str")),
        "distance": np.broadcast_to(np.asarray(distance, dtype=np.float64), n),
        "similarity": np.broadcast_to(np.asarray(similarity, dtype=np.float64), n),
        "same_identity": pd.arrays.BooleanArray((people.identity[i] == people.identity[j]) & ~unknown, unknown),
        "keep": pd.array(people.ids.take(pa.array(kept, mask=kept < 0)), "str"),
        CONFLICTS: pd.array(_conflicts(people, a, b), "str"),
    })  # fmt: skip
    return table.take(np.lexsort((rank[b], rank[a]))).reset_index(drop=True)


def _conflicts(people: Population, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What labels each pair differs in, as text; None where none. A missing label differs from nothing."""
    told = np.full(len(a), None, dtype=object)
    for name, values in people.labels.items():
        one, two = values.codes[a], values.codes[b]
        rows = np.flatnonzero((one >= 0) & (two >= 0) & (one != two))
        texts = values.categories.to_numpy(dtype=object)
        for row in rows.tolist():  # one turn for each contradiction
            text = f"{name}: {texts[one[row]]} / {texts[two[row]]}"
            told[row] = text if told[row] is None else f"{told[row]}; {text}"
    return told


def _find(i: np.ndarray, j: np.ndarray, one: np.ndarray, two: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pair (one, two), in either order, stands among the pairs (i, j), and whether it is there."""
    key = np.minimum(i, j) * n + np.maximum(i, j)
    order = np.argsort(key, kind="stable")
    wanted = np.minimum(one, two) * n + np.maximum(one, two)
    if not len(key):
        return np.zeros(len(one), np.int64), np.zeros(len(one), bool)
    at = order[np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)]
    return at, key[at] == wanted
