"""A table of scores as a source to audit: every row one comparison, all of them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from curate.audit.genuine import LOWEST
from curate.audit.sides import Listed, Side
from curate.audit.source import Genuine, Pair, Tail, Target, code_of


@dataclass
class ScoreTable:
    """Scored comparisons; see `Source`.

    score: `(C,)` float64 similarities. genuine: `(C,)` bool. group_a, group_b: `(C,)` codes of `groups`, len(groups)
    for none. first, second: `(C,)` codes of who is compared; `independent`: of rows, where nobody is named. names: of
    the codes. fold: `(C,)` text, or None.
    """

    score: np.ndarray
    genuine_rows: np.ndarray
    group_a: np.ndarray
    group_b: np.ndarray
    groups: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    names: Sequence[str] | None
    fold: np.ndarray | None = None
    tail: Tail = field(init=False)

    def __post_init__(self) -> None:
        low, high = np.minimum(self.group_a, self.group_b), np.maximum(self.group_a, self.group_b)
        self._pair = low * (len(self.groups) + 1) + high
        rows = np.flatnonzero(~self.genuine_rows)
        rows = rows[np.argsort(-self.score[rows], kind="stable")]
        nobody = np.full(len(rows), -1)
        self.tail = Tail(self.score[rows], self.first[rows], self.second[rows], self._pair[rows], nobody, nobody,
                         float("-inf"))  # fmt: skip

    @property
    def independent(self) -> bool:
        """Whether nobody is named: each comparison then stands for itself."""
        return self.names is None

    @property
    def people(self) -> int:
        """How many codes there are."""
        return len(self.score) if self.names is None else len(self.names)

    def sides(self, pair: Pair) -> tuple[Side, Side]:
        """See Source."""
        here = np.ones(len(self.score), bool) if pair is None else self._pair == code_of(pair, len(self.groups))
        return tuple(
            Listed(self.first[rows], self.second[rows], self.people, self.independent)
            for rows in (here & ~self.genuine_rows, here & self.genuine_rows)
        )

    def scan(self, targets: Sequence[Target], thresholds: Sequence[float]) -> None:
        """See Source: all scores are here."""

    def coarse(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """See Source: the tail has no end."""
        return np.zeros(0), np.zeros(0, np.int64)

    @property
    def counted(self) -> int:
        """See Source."""
        return int(self.genuine_rows.sum())

    def genuine(self, by_identity: np.ndarray, others: np.ndarray, lenders: np.ndarray) -> Genuine:
        """See Source."""
        told = np.unique(by_identity)
        thresholds = np.unique(np.concatenate([told, others]))
        made = Genuine(thresholds, told, {}, {}, {}, {}, np.unique(lenders))
        for code in np.unique(self._pair[self.genuine_rows]).tolist():
            rows = np.flatnonzero(self.genuine_rows & (self._pair == code))
            pair, score = divmod(code, len(self.groups) + 1), np.sort(self.score[rows])
            made.below[pair] = np.searchsorted(score, thresholds, side="left")
            missed = self.score[rows][:, None] < told
            made.misses[pair] = self.first[rows], self.second[rows], missed
            nobody = np.full(min(len(rows), LOWEST), -1)
            made.lowest[pair] = score[:LOWEST], nobody, nobody
            made.scores[pair] = score
        return made

    def identity_names(self, codes: np.ndarray) -> list[str]:
        """See Source."""
        return [f"row {code + 1}" if self.names is None else str(self.names[code]) for code in codes.tolist()]
