"""Which identity a photograph should have that stands under several."""

from __future__ import annotations

import numpy as np

from curate.clean.compared import Population
from curate.search.linkage import components


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
