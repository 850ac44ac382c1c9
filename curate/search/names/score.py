"""How likely two written names are one person's: Fellegi and Sunter's weights from how common each token is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.core.errors import MissingExtra
from curate.search.names.blocking import distinct
from curate.search.names.fold import skeleton, sound
from curate.search.names.parse import PARTICLES, Form

#: What `kernels.weights` adds for each finding, as log likelihood ratios: P(finding | one person) / P(... | chance).
#: Beside them stands the rarity of the tokens that agree, learned from the lists themselves.
MODEL = {
    "same": 0.9,  # P(a token is written the same way), a probability: its weight is log(0.9 / share of persons)
    "variant": 0.02,  # P(written as this other spelling of one sound)
    "vowels": 0.002,  # P(written with other vowels)
    "edit": 5e-4,  # P(written with one certain letter wrong), for each letter
    "initial": 2.3,  # a first letter that fits: one in ten does by chance
    "missing": -0.8,  # a token less on one side; half for an initial
    "contradiction": -7.0,  # tokens that do not fit one another, and again where they stand at an end
    "missing_end": -2.5,  # the missing one stands first or last
    "swapped": -2.5,  # the family name first; twice for any other order
    "suffix": -4.0,  # Jr. on one side: father and son; twice for two that differ
    "particle_missing": -0.2,
    "particle": 0.5,
}
#: How two tokens are spellings of one another, the surest last.
WRONG_LETTERS, OTHER_VOWELS, ONE_SOUND = 1, 2, 3
_UNIT = 1_000_000  # pairs compared at a time


@dataclass(frozen=True)
class Side:
    """The forms of one list, as arrays. tokens `(F, T)` int32 ids, -1 for none; suffix, key, joined `(F,)`."""

    tokens: np.ndarray
    suffix: np.ndarray
    key: np.ndarray
    joined: np.ndarray


class Vocabulary:
    """Tokens of all lists with what is known of each; ids are in order of the text, so no order of rows matters."""

    def __init__(self, lists: Sequence[Sequence[Form]]) -> None:
        distinct = sorted({form.tokens for forms in lists for form in forms})
        self.keys = {tokens: number for number, tokens in enumerate(distinct)}
        self.words = sorted({token for tokens in distinct for token in tokens})
        self.ids = {word: number for number, word in enumerate(self.words)}
        self.total = len(distinct)
        count = np.zeros(len(self.words))
        for tokens in distinct:
            for token in set(tokens):
                count[self.ids[token]] += 1
        first = {letter: number for number, letter in enumerate(sorted({word[0] for word in self.words}))}
        self.facts = np.array(
            [(count[number], len(word), first[word[0]], word in PARTICLES) for number, word in enumerate(self.words)],
            dtype=np.float64,
        ).reshape(-1, 4)
        self.sounds = [sound(word) for word in self.words]
        bones = [skeleton(word) for word in self.words]
        numbers = {bone: number for number, bone in enumerate(sorted(set(bones)))}
        self.bones = np.array([numbers[bone] for bone in bones], np.int64)
        self.letters = np.array([sum({1 << ord(letter) % 64 for letter in word}) for word in self.words], np.uint64)
        self._joined: dict[str, int] = {}

    def side(self, forms: Sequence[Form]) -> Side:
        """The forms as arrays."""
        longest = max((len(form.tokens) for form in forms), default=1)
        tokens = np.full((len(forms), longest), -1, np.int32)
        joined = np.empty(len(forms), np.int64)
        for row, form in enumerate(forms):
            tokens[row, : len(form.tokens)] = [self.ids[token] for token in form.tokens]
            joined[row] = self._joined.setdefault("".join(form.tokens), len(self._joined))
        key = np.array([self.keys[form.tokens] for form in forms], np.int64)
        return Side(tokens, np.array([form.suffix for form in forms], np.int64), key, joined)


def log_weights(
    left: Side, right: Side, i: np.ndarray, j: np.ndarray, vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood ratio of each pair of forms, float64 `(C,)`, and what was found, bits of `kernels`, int32 `(C,)`.

    Fellegi and Sunter (1969), with weights by the frequency of each value (Winkler 2000): two rare tokens that agree
    say more than two common ones. A token's frequency is the share of all lists' distinct names that bear it, the two
    names compared left out. Spellings are told by rapidfuzz (optimal string alignment). Raises MissingExtra without it.
    """
    from curate.search.names.kernels import weights

    model = np.array(list(MODEL.values()))
    weight, why = np.empty(len(i)), np.empty(len(i), np.int32)
    for start in range(0, len(i), _UNIT):
        part = slice(start, start + _UNIT)
        weights(left.tokens, right.tokens, left.suffix, right.suffix, left.key, right.key, left.joined, right.joined,
                i[part], j[part], vocabulary.facts, *_spellings(left, right, i[part], j[part], vocabulary),
                float(vocabulary.total), model, weight[part], why[part])  # fmt: skip
    return weight, why


def _spellings(
    left: Side, right: Side, i: np.ndarray, j: np.ndarray, vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of tokens of these names that are spellings of one another: key, kind, letters wrong."""
    from curate.search.names.kernels import unlike_tokens

    try:
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import cpdist
    except ImportError:
        raise MissingExtra("rapidfuzz", "overlap", "Comparing names") from None
    length = vocabulary.facts[:, 1].astype(np.int64)
    given = (left.tokens, right.tokens, i, j, length, vocabulary.letters, vocabulary.bones)
    found = np.empty(1 << 20, np.int64)
    count = unlike_tokens(*given, found)
    if count > len(found):
        found = np.empty(count, np.int64)
        unlike_tokens(*given, found)
    keys = distinct(found[:count])
    if not len(keys):
        return keys, np.zeros(0, np.int64), np.zeros(0, np.int64)
    a, b = np.divmod(keys, np.int64(len(length)))
    words, sounds, pairs = vocabulary.words, vocabulary.sounds, list(zip(a.tolist(), b.tolist(), strict=True))
    edits, heard = (
        cpdist(
            [texts[x] for x, _ in pairs],
            [texts[y] for _, y in pairs],
            scorer=OSA.distance,
            score_cutoff=3,
            dtype=np.int32,
        )
        for texts in (words, sounds)
    )
    shorter = np.minimum(length[a], length[b])
    same_bones = vocabulary.bones[a] == vocabulary.bones[b]
    # Anna and Ann, Mario and Maria: a vowel at the end tells persons apart more often than it is a slip.
    ending = np.array([words[x][-1] != words[y][-1] and bool({words[x][-1], words[y][-1]} & {*"aeio"})
                       for x, y in pairs])  # fmt: skip
    edits, vowels = edits + ending, heard + ending
    # One letter of four to seven, two of eight and more; as many vowels as that where the consonants sound alike.
    kind = np.where(edits <= np.where(shorter >= 8, 2, 1), WRONG_LETTERS, 0)
    kind = np.where(same_bones & (vowels <= np.where(shorter >= 7, 2, 1)) & (shorter >= 5), OTHER_VOWELS, kind)
    kind = np.where(heard == 0, ONE_SOUND, kind)
    keep = kind > 0
    return keys[keep], kind[keep].astype(np.int64), edits[keep].astype(np.int64)
