"""Pairs that compete: each member of a set is at most one member of the other."""

from __future__ import annotations

import numpy as np

#: Share of the smaller set that is taken to stand in the other before anything is known.
EXPECTED = 0.05


def log_prior(n: int, m: int, known: float = 0) -> float:
    """Log odds that a member of one set and one of the other, picked at random, are one person.

    Taken for shared: 5% of the smaller set, or `known` where that is more.
    """
    return float(np.log(max(known, EXPECTED * min(n, m), 0.5) / max(n * m, 1)))


def competing(i: np.ndarray, j: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    """Probability of each pair (i, j): its odds over 1 and those of all pairs that share a member with it: `(P,)`."""
    if not len(i):
        return np.zeros(0)
    odds = np.exp(np.clip(log_odds, -60, 60))
    rivals = np.bincount(i, weights=odds)[i] + np.bincount(j, weights=odds)[j] - odds
    return odds / (1 + np.maximum(rivals, odds))
