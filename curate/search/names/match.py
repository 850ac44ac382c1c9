"""Names of two lists that may be one person's: blocked, scored, and decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curate.search.names.blocking import candidates
from curate.search.names.parse import Form, is_code, parse
from curate.search.names.score import Side, Vocabulary, log_weights
from curate.search.odds import competing, log_prior

#: From which probability on a pair is called what.
SAME, LIKELY, LOOK = 0.9, 0.5, 0.05
VERDICTS = ("same", "likely", "look")
#: What log odds by the constants of `score.MODEL` are worth: a + b * log odds (Platt 2000), and c more where nothing
#: differs. Fitted to pairs of four public lists that were looked up one by one (docs/names_checked.csv;
#: docs/overlap.md).
CALIBRATION = (-0.65, 0.81, 3.4)


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
    ratio of `score.log_weights`, calibrated (CALIBRATION); one person has one name in a list, so pairs compete:
    p = o / (1 + the odds of all pairs that share one of its two names). Names without letters and codes such as
    `n000123` match nothing.
    """
    pairs, compared, left_out = weighed(left, right, others=others, exhaustive=exhaustive)
    pairs["score"] = probability(pairs, CALIBRATION)
    pairs = pairs[pairs["score"] >= LOOK].reset_index(drop=True)
    score = pairs["score"].to_numpy()
    verdict = np.array(VERDICTS, dtype=object)[2 - (score >= LIKELY) - (score >= SAME)]
    why = [_why(int(found), bool(other)) for found, other in zip(pairs["bits"], pairs["alias"], strict=True)]
    table = pd.DataFrame({"i": pairs["i"], "j": pairs["j"], "score": score, "verdict": pd.array(verdict, "str"),
                          "why": pd.array(why, "str")})  # fmt: skip
    return NameMatches(table, compared, left_out)


def probability(pairs: pd.DataFrame, curve: tuple[float, float, float]) -> np.ndarray:
    """The probability of each of the pairs of two lists, as `weighed` returns them: calibrated, then competing."""
    log_odds, exact = pairs["log_odds"].to_numpy(), (pairs["bits"] == 0).to_numpy()
    # A third name that is almost theirs makes equal names look common, but not those that it is compared with itself.
    best = pairs.groupby("i")["log_odds"].transform("max"), pairs.groupby("j")["log_odds"].transform("max")
    log_odds = curve[0] + curve[1] * np.where(exact, np.maximum(*best), log_odds) + curve[2] * exact
    return competing(pairs["i"].to_numpy(), pairs["j"].to_numpy(), log_odds)


def weighed(
    left: Sequence[str], right: Sequence[str], *, others: Sequence[str] = (), exhaustive: bool = False
) -> tuple[pd.DataFrame, int, int]:
    """What `match_names` decides from: pairs of names (i, j, log_odds, bits, alias), pairs compared, pairs left out.

    log_odds: of the likeliest pair of forms, before calibration and without rivals; only pairs far from certainly two
    persons' are kept. bits: what was found, of `kernels`.
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
    log_odds = weight + log_prior(len(left), len(right), _equal(*sides))
    keep = log_odds > np.log(LOOK / 10)
    i, j, log_odds, bits = i[keep], j[keep], log_odds[keep], bits[keep]
    alias = (
        np.array([one.alias for one in forms[0][0]], bool)[i] | np.array([one.alias for one in forms[1][0]], bool)[j]
    )
    return _best(forms[0][1][i], forms[1][1][j], log_odds, bits, alias), len(keep), left_out


def _forms(names: Sequence[str]) -> tuple[list[Form], np.ndarray]:
    """The forms of all names, and the row of each."""
    forms, rows = [], []
    for row, name in enumerate(names):
        if not is_code(name):
            found = parse(name)
            forms += found
            rows += [row] * len(found)
    return forms, np.array(rows, np.int64)


def _equal(left: Side, right: Side) -> int:
    """How many names of two tokens or more stand in both lists."""
    return len(np.intersect1d(*(side.key[(side.tokens >= 0).sum(axis=1) > 1] for side in (left, right))))


def _best(i: np.ndarray, j: np.ndarray, log_odds: np.ndarray, bits: np.ndarray, alias: np.ndarray) -> pd.DataFrame:
    """Of all pairs of forms of two names the likeliest; ties go to the plain forms."""
    table = pd.DataFrame({"i": i, "j": j, "log_odds": log_odds, "bits": bits, "alias": alias})
    table = table.sort_values(["i", "j", "log_odds", "alias", "bits"], ascending=[True, True, False, True, True])
    return table.drop_duplicates(["i", "j"]).reset_index(drop=True)


def _why(bits: int, alias: bool) -> str:
    from curate.search.names import kernels as k

    said = [words for bit, words in (
        (k.JOINED, "written together or apart"), (k.INITIAL, "initial"), (k.MIDDLE, "middle name"),
        (k.END, "shorter name"), (k.VARIANT, "transliteration"), (k.SPELLING, "spelling"), (k.SWAPPED, "order"),
        (k.PARTICLE, "particle"), (k.SUFFIX, "suffix"), (k.CONFLICT, "another name contradicts"),
    ) if bits & bit]  # fmt: skip
    return ", ".join(["alias", *said] if alias else said) or "exact after normalisation"
