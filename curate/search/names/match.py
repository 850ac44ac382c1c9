"""Names of two lists that may be one person's: blocked, scored, and decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curate.search.names.blocking import candidates
from curate.search.names.parse import Form, is_code, parse
from curate.search.names.score import Side, Vocabulary, log_weights

#: From which probability on a pair is called what.
SAME, LIKELY, LOOK = 0.9, 0.5, 0.05
VERDICTS = ("same", "likely", "look")
#: Share of the smaller list that is taken to stand in the other, unless more names are equal letter for letter.
EXPECTED = 0.05


@dataclass(frozen=True)
class NameMatches:
    """What two lists of names have in common.

    pairs: i, j (rows of the two lists), score (probability that the two names are one person's), verdict (`same`,
    `likely`, `look`), why; in order of (i, j). compared: pairs of names that were scored. left_out: pairs in buckets
    too large to be scored.
    """

    pairs: pd.DataFrame
    compared: int
    left_out: int


def match_names(
    left: Sequence[str], right: Sequence[str], *, others: Sequence[str] = (), exhaustive: bool = False
) -> NameMatches:
    """Pairs of names that may be one person's, with a probability and a reason.

    left, right: names as written. others: more names, from which is learned how common a token is. exhaustive: compare
    all pairs, without blocking (for measurements; memory grows with their number).
    The probability: prior odds (equal names, at least 5% of the smaller list, among all pairs) times the likelihood
    ratio of `score.log_weights`; one person has one name in a list, so pairs compete: p = o / (1 + the odds of all
    pairs that share one of its two names). Names without letters and codes such as `n000123` match nothing.
    """
    forms = [_forms(names) for names in (left, right)]
    vocabulary = Vocabulary([*(one for one, _ in forms), _forms(others)[0]])
    sides = [vocabulary.side(one) for one, _ in forms]
    if exhaustive:
        i, j = (grid.ravel() for grid in np.indices((len(forms[0][0]), len(forms[1][0]))))
        left_out = 0
    else:
        i, j, left_out = candidates(*([form.tokens for form in one] for one, _ in forms))
    weight, bits = log_weights(*sides, i, j, vocabulary)
    prior = _log_prior(*sides, len(left), len(right))
    keep = weight + prior > np.log(LOOK / 10)
    i, j, weight, bits = i[keep], j[keep], weight[keep] + prior, bits[keep]
    alias = (
        np.array([one.alias for one in forms[0][0]], bool)[i] | np.array([one.alias for one in forms[1][0]], bool)[j]
    )
    pairs = _best(forms[0][1][i], forms[1][1][j], weight, bits, alias)
    pairs["score"] = _competing(pairs)
    pairs = pairs[pairs["score"] >= LOOK].reset_index(drop=True)
    score = pairs["score"].to_numpy()
    verdict = np.where(score >= SAME, VERDICTS[0], np.where(score >= LIKELY, VERDICTS[1], VERDICTS[2]))
    why = [_why(int(found), bool(other)) for found, other in zip(pairs["bits"], pairs["alias"], strict=True)]
    table = pd.DataFrame({"i": pairs["i"], "j": pairs["j"], "score": score, "verdict": pd.array(verdict, "str"),
                          "why": pd.array(why, "str")})  # fmt: skip
    return NameMatches(table, len(keep), left_out)


def _forms(names: Sequence[str]) -> tuple[list[Form], np.ndarray]:
    """The forms of all names, and the row of each."""
    forms, rows = [], []
    for row, name in enumerate(names):
        if not is_code(name):
            found = parse(name)
            forms += found
            rows += [row] * len(found)
    return forms, np.array(rows, np.int64)


def _log_prior(left: Side, right: Side, n: int, m: int) -> float:
    """Log odds that a pair of names picked at random is one person's."""
    long = [side.key[(side.tokens >= 0).sum(axis=1) > 1] for side in (left, right)]
    equal = len(np.intersect1d(*long))
    return float(np.log(max(equal, EXPECTED * min(n, m), 0.5) / max(n * m, 1)))


def _best(i: np.ndarray, j: np.ndarray, weight: np.ndarray, bits: np.ndarray, alias: np.ndarray) -> pd.DataFrame:
    """Of all pairs of forms of two names the likeliest; ties go to the plain forms."""
    table = pd.DataFrame({"i": i, "j": j, "weight": weight, "bits": bits, "alias": alias})
    table = table.sort_values(["i", "j", "weight", "alias", "bits"], ascending=[True, True, False, True, True])
    return table.drop_duplicates(["i", "j"]).reset_index(drop=True)


def _competing(pairs: pd.DataFrame) -> np.ndarray:
    """Probability of each pair, given that each name is at most one person's of the other list."""
    odds = np.exp(np.minimum(pairs["weight"].to_numpy(), 60))
    one = pd.Series(odds).groupby(pairs["i"].to_numpy()).transform("sum").to_numpy()
    two = pd.Series(odds).groupby(pairs["j"].to_numpy()).transform("sum").to_numpy()
    return odds / (1 + one + np.maximum(two - odds, 0))


def _why(bits: int, alias: bool) -> str:
    from curate.search.names import kernels as k

    said = [words for bit, words in (
        (k.JOINED, "written together or apart"), (k.INITIAL, "initial"), (k.MIDDLE, "middle name"),
        (k.END, "shorter name"), (k.VARIANT, "transliteration"), (k.SPELLING, "spelling"), (k.SWAPPED, "order"),
        (k.PARTICLE, "particle"), (k.SUFFIX, "suffix"), (k.CONFLICT, "another name contradicts"),
    ) if bits & bit]  # fmt: skip
    return ", ".join(["alias", *said] if alias else said) or "exact after normalisation"
