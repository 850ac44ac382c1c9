"""All pairs of images as a source to audit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curate.audit.faces import Faces
from curate.audit.genuine import genuine_of
from curate.audit.screened import BINS, MAX_TAIL, Scan, Screen, scan
from curate.audit.sides import Crossed, Side, Within
from curate.audit.source import Genuine, Pair, Tail, Target, code_of
from curate.core.errors import InputError
from curate.core.shapes import Executor
from curate.stats.rates import allowed_matches

#: So few impostors are all scored in float64: curves are then exact from end to end.
EVERY = 5_000_000
#: Images on which a first guess is made of how far down the tail reaches.
_SAMPLE = 4096


class FacePairs:
    """Every image of `faces` with every other; see `Source`. names: of the identities."""

    def __init__(self, faces: Faces, names: Sequence[str], executor: Executor) -> None:
        self.faces, self.groups, self.people = faces, faces.groups, faces.people
        self.counted = faces.people
        self._names, self._executor = names, executor
        self.screen = Screen.of(faces)
        self._scan: Scan | None = None

    def sides(self, pair: Pair) -> tuple[Side, Side]:
        """See Source."""
        a = self.faces.per_identity(None if pair is None else pair[0])
        if pair is None or pair[0] == pair[1]:
            return Crossed(a), Within(a * (a - 1) // 2)
        b = self.faces.per_identity(pair[1])
        return Crossed(a, b), Within(a * b)

    def identity_names(self, codes: np.ndarray) -> list[str]:
        """See Source."""
        return [str(self._names[code]) for code in codes.tolist()]

    def scan(self, targets: Sequence[Target], thresholds: Sequence[float]) -> None:
        """See Source: one pass, and a second where the guess from a sample was not low enough."""
        least = self._guess(targets, thresholds)
        self._scan = scan(self.faces, self.screen, least, self._executor)
        needed = min([self._needed(self._scan.counts, target) for target in targets]
                     + [self.screen.least(value) for value in thresholds] + [least])  # fmt: skip
        if needed < least and not self._reaches(targets, thresholds):
            if (expected := int(self._scan.counts[:, :, needed:].sum())) > MAX_TAIL:
                raise InputError(
                    "too many impostor pairs reach the lowest threshold", value=expected, allowed=f"{MAX_TAIL:,}",
                    remedy="Ask for a smaller FAR, or audit fewer images",
                )  # fmt: skip
            self._scan = scan(self.faces, self.screen, needed, self._executor)
        found = self._scan
        group, width = self.faces.group, len(self.groups) + 1
        one, two = group[found.left], group[found.right]
        self.tail = Tail(
            found.score, self.faces.identity[found.left], self.faces.identity[found.right],
            np.minimum(one, two) * width + np.maximum(one, two), found.left, found.right, found.floor,
        )  # fmt: skip

    def _reaches(self, targets: Sequence[Target], thresholds: Sequence[float]) -> bool:
        """Whether the tail holds the score that each target's threshold is made of, whatever the screen's error."""
        found = self._scan
        if any(value < found.floor for value in thresholds):
            return False
        group, width = self.faces.group, len(self.groups) + 1
        codes = group[found.left] * width + group[found.right]
        for target in targets:
            matches = allowed_matches(self.sides(target.pair)[0].total, target.rate)
            there = len(codes) if target.pair is None else int((codes == code_of(target.pair, len(self.groups))).sum())
            if matches >= there:
                return False
        return True

    def _guess(self, targets: Sequence[Target], thresholds: Sequence[float]) -> int:
        """A bin from which on impostors are likely to be needed."""
        total = self.sides(None)[0].total
        if total <= EVERY:
            return 0
        places = np.unique(np.linspace(0, len(self.faces) - 1, _SAMPLE).astype(np.int64))
        faces = self.faces
        few = Faces(faces.vectors.take(places), faces.identity[places], faces.group[places], faces.groups, places)
        counts = scan(few, self.screen._replace(scale=self.screen.scale[places]), BINS, self._executor).counts
        bins = [self.screen.least(value) for value in thresholds]
        for target in targets:
            mine = _counts(counts, target.pair)
            wanted = target.rate * mine.sum()
            if target.pair is None or wanted >= 1:  # a small group's sample says too little
                bins.append(_bin_of_rank(mine, 1.5 * wanted + 3 * wanted**0.5 + 10) if mine.any() else BINS)
        return min([*bins, BINS - 1])

    def _needed(self, counts: np.ndarray, target: Target) -> int:
        """The bin from which on all impostors must be known to find the threshold, by the screen's bound."""
        mine = _counts(counts, target.pair)
        matches = allowed_matches(int(mine.sum()), target.rate)
        if matches >= mine.sum():
            return 0
        at = _bin_of_rank(mine, matches + 1)
        # The screened scores of that rank and up are at least so large; the true one of that rank is, less the error.
        return self.screen.least(-self.screen.highest(BINS - 1 - at))

    def coarse(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """See Source."""
        counts = _counts(self._scan.counts, pair)
        matched = np.cumsum(counts[::-1])[::-1]
        starts = self.screen.starts()
        low = np.flatnonzero((starts < self._scan.floor) & (np.diff(matched, prepend=-1) != 0))[::-1]
        return starts[low], matched[low]

    def genuine(self, by_identity: np.ndarray, others: np.ndarray, lenders: np.ndarray) -> Genuine:
        """See Source."""
        return genuine_of(self.faces, by_identity, others, lenders, self._executor)


def _counts(counts: np.ndarray, pair: Pair) -> np.ndarray:
    return counts.sum(axis=(0, 1)) if pair is None else counts[pair]


def _bin_of_rank(counts: np.ndarray, rank: float) -> int:
    """The highest bin at and above which there are at least so many; 0 where there are not."""
    above = np.cumsum(counts[::-1])
    at = int(np.searchsorted(above, rank))
    return max(0, len(counts) - 1 - at)
