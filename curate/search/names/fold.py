"""Letters to a common form: case, accents, other alphabets, and spellings that sound alike."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

#: Letters that Unicode does not take apart.
_LETTERS = {
    "ı": "i", "ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŋ": "ng",
    "ə": "a", "ŧ": "t", "ĸ": "k", "ſ": "s", "ʻ": "", "ʼ": "", "’": "'", "‘": "'", "`": "'", "´": "'",
}  # fmt: skip
#: Cyrillic as in passports (ICAO Doc 9303, table B), and modern Greek (ISO 843, simplified).
_CYRILLIC = (
    "аa бb вv гg дd еe жzh зz иi йi кk лl мm нn оo пp рr сs тt уu фf хkh цts чch шsh щshch ъie ыy ь эe юiu яia ёe "
    "іi їi єie ґg ўu ђdj јj љlj њnj ћc џdz ѓg ќk ѕdz"
)
_GREEK = "αa βv γg δd εe ζz ηi θth ιi κk λl μm νn ξx οo πp ρr σs τt υy φf χch ψps ωo ςs"
_TABLE = str.maketrans(_LETTERS | {pair[0]: pair[1:] for pair in f"{_CYRILLIC} {_GREEK}".split()})


def fold(text: str) -> str:
    """Text in lower case without accents; Latin, Cyrillic and Greek letters become a to z, others stay as they are.

    Compatible forms are made one first (Unicode NFKC, so that full-width letters and ligatures are plain ones).
    """
    lower = unicodedata.normalize("NFKC", text).casefold().translate(_TABLE)
    if lower.isascii():
        return lower
    apart = unicodedata.normalize("NFKD", lower)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).translate(_TABLE)


#: Rewritten from top to bottom: what is written differently for one sound, in transliterations above all.
_SOUNDS = tuple((re.compile(pattern), into) for pattern, into in (
    (r"tsch|tch", "C"), (r"shch|sch|sh|sz", "S"), (r"ch|cz", "C"), (r"dzh|dj", "j"), (r"zh", "Z"), (r"kh", "h"),
    (r"ph", "f"), (r"gh", "g"), (r"th", "t"), (r"tz|ts", "s"), (r"ck|q", "k"), (r"x", "ks"), (r"c(?=[eiy])", "s"),
    (r"c", "k"), (r"w", "v"), (r"z", "s"), (r"[ij]?y|ij", "i"), (r"(?<=[aeo])j", "i"), (r"oo|ou|ue", "u"), (r"oe", "o"),
    (r"ae", "a"), (r"ie|ii|ee", "i"), (r"(?<=[aeou])h(?![aeiou])|(?<=[bdgkprt])h", ""), (r"(.)\1+", r"\1"),
))  # fmt: skip
_VOWELS = re.compile(r"(?<=.)[aeiou]")


@lru_cache(maxsize=1 << 18)
def sound(token: str) -> str:
    """A folded token with spellings of one sound made alike: `sergey` and `sergej` to `sergei`, `john` to `jon`."""
    for pattern, into in _SOUNDS:
        token = pattern.sub(into, token)
    return token


def skeleton(token: str) -> str:
    """The sound without the vowels after the first letter: `mohamed` and `muhammad` are both `mhmd`."""
    return _VOWELS.sub("", sound(token))
