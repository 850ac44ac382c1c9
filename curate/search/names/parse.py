"""A written name to its parts: tokens, suffix, and the other names in brackets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curate.core.errors import InputError
from curate.search.names.fold import fold

#: Suffixes, as the generation that they mean. A lone `v` or `i` is an initial or a king's number, not a suffix.
SUFFIXES = {"jr": 2, "junior": 2, "sr": 1, "senior": 1, "ii": 12, "iii": 13, "iv": 14}
#: What may stand before a name and says nothing of who it is.
TITLES = frozenset(("mr", "mrs", "ms", "dr", "prof", "sir", "dame", "sen", "rep", "gov", "hon"))
#: What binds a family name to the rest, and is often left out or written differently.
PARTICLES = frozenset((
    "van", "von", "der", "den", "de", "del", "della", "di", "da", "do", "dos", "das", "du", "la", "le", "les", "el",
    "al", "bin", "ben", "ibn", "abu", "und", "of", "the", "ter", "ten", "zu", "zur", "af", "av",
))  # fmt: skip
#: Tokens kept of one name: longer ones lose those in the middle.
MAX_TOKENS = 8

_BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
_QUOTED = re.compile(r"(?<![^\W_])['\"“”]([^'\"“”]+)['\"“”](?![^\W_])")
_BREAKS = re.compile(r"[\W_]+")
_ALIAS_WORDS = re.compile(r"^(born|aka|a\.k\.a\.|née|nee|alias|formerly)[\s_]+", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z]{0,3}[._-]?\d{2,}|m\.[0-9a-z_]+|/m/[0-9a-z_]+")


@dataclass(frozen=True)
class Form:
    """One way to write a person's name.

    tokens: folded, in order, without titles and suffix; a single letter is an initial. suffix: see SUFFIXES, 0: none.
    alias: it stood in brackets.
    """

    tokens: tuple[str, ...]
    suffix: int = 0
    alias: bool = False


def parse(text: str) -> tuple[Form, ...]:
    """The forms of a name, the main one first; none where nothing is left of it.

    `William_H._Macy(William Hall Macy Jr)` has two. Underscores are spaces; what stands in quotes is a nickname and
    left out; `Macy, William H.` is turned round.
    """
    aliases = [_ALIAS_WORDS.sub("", alias.strip()) for alias in _BRACKETS.findall(text)]
    forms: list[Form] = []
    for number, part in enumerate((_BRACKETS.sub(" ", text), *aliases)):
        tokens, suffix = _tokens(part)
        if tokens and all(tokens != form.tokens or suffix != form.suffix for form in forms):
            forms.append(Form(tokens, suffix, alias=number > 0 and bool(forms)))
    return tuple(forms)


def _tokens(text: str) -> tuple[tuple[str, ...], int]:
    text = text.replace("_", " ")
    bare = _QUOTED.sub(" ", text)
    if bare.strip():
        text = bare
    folded = fold(text)
    family, comma, given = folded.partition(",")
    if comma and given.strip():
        first, _, later = given.partition(",")
        folded = (
            f"{family} {given}" if _words(first)[:1] and _words(first)[0] in SUFFIXES else f"{first} {family} {later}"
        )
    words = _words(folded)
    while len(words) > 1 and words[0] in TITLES:
        words = words[1:]
    suffix = 0
    while len(words) > 1 and words[-1] in SUFFIXES:
        suffix = suffix or SUFFIXES[words[-1]]
        words = words[:-1]
    if len(words) > MAX_TOKENS:
        words = words[: MAX_TOKENS // 2] + words[-MAX_TOKENS // 2 :]
    return tuple(words), suffix


def _words(folded: str) -> list[str]:
    # O'Neal is one word; other marks part words.
    return [word for word in _BREAKS.split(folded.replace("'", "")) if word]


def is_code(text: str) -> bool:
    """Whether a name is a number or a code, such as `n000123`, `0000045` or `m.01xyz`, and no name of a person."""
    return _CODE.fullmatch(text.strip()) is not None


def check_names(names: Sequence[str], dataset: str) -> None:
    """Raise InputError where a name is empty, or most of a set's names are codes."""
    empty = next((row for row, name in enumerate(names) if not name or not name.strip()), None)
    if empty is not None:
        raise InputError(f"an identity of {dataset!r} has an empty name", row=empty + 1, column="name",
                         value=names[empty], remedy="Give every identity a name, or take its row out")  # fmt: skip
    codes = [name for name in names if is_code(name)]
    if len(codes) * 2 > len(names):
        raise InputError(
            f"the identities of {dataset!r} are numbers, not names ({len(codes):,} of {len(names):,})",
            column="identity", value=codes[0], allowed="names of persons",
            remedy="Give a list that has names (`id name`, or a CSV with a column `name`), a label `name` for each "
                   "identity, or compare --by image,identity",
        )  # fmt: skip
