"""What confirmed copies mean: who stays, who is flagged, and which identity a photograph of several should have."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.clean.compared import RELATIONS, SAME, Population, relations
from curate.clean.suggestions import suggestions
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.search.linkage import chain_linkage, star_linkage

Linkage = Literal["star", "chain"]
#: Columns of the evidence that steps keep about pairs; `keep` is the image kept in favour of the other, or null.
PAIR_COLUMNS = (
    "image_id_a", "image_id_b", "kind", "method", "distance", "similarity", "same_identity", "keep",
)  # fmt: skip

#: Images of one picture from which on only pairs with its best image are listed, and flags of an image for one reason.
LISTED = 20
#: Beside them in the evidence: labels in which the two images differ, as `age: 24 / 26; gender: f / m`, or null.
CONFLICTS = "conflicts"


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
    max_listed: int = LISTED,
) -> tuple[Decisions, np.ndarray]:
    """What confirmed pairs mean: the decisions, and for each pair the row that is kept in favour of the other, or -1.

    order: all rows of the population, best first. i, j, score: `(P,)` confirmed pairs, none of two old images.
    Within an identity (of one dataset and split) the linkage says who drops whom: `reason`, or `reason_chained` where
    the pair of the two is not itself confirmed. Any other pair is flagged on both sides, as `reason_other_identity`
    and so on (RELATIONS); new_value is the identity that `suggestions` names. An image with more than `max_listed`
    flags for one reason keeps the one of the highest score: it is a placeholder, and its pairs repeat each other. Warns
    of chained drops with their number.
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
        both = np.tile(score[which], 2)
        told = ~people.old[one] & _few_or_best(one, two, both, max_listed)
        parts.append(flags(people, one[told], two[told], f"{reason}_{RELATIONS[at]}", suggested,
                           score=both[told], threshold=threshold))  # fmt: skip
    # Of a pair whose one image goes and whose other stays, the other is kept; that need not be the keeper itself.
    stays = keeper < 0
    kept = np.where(stays[i] & ~stays[j], i, np.where(stays[j] & ~stays[i], j, -1))
    return Decisions.concat(parts), np.where(same, kept, -1)


def _few_or_best(one: np.ndarray, two: np.ndarray, score: np.ndarray, most: int) -> np.ndarray:
    """Mask of the rows `(P,)` whose `one` has at most so many, and of the others that with the highest score."""
    few = np.bincount(one, minlength=one.max(initial=-1) + 1)[one] <= most
    order = np.lexsort((two, -score, one))
    best = np.zeros(len(one), dtype=bool)
    best[order] = np.append(True, one[order][1:] != one[order][:-1])[: len(one)]
    return few | best


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
