from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("datasketch")
pytest.importorskip("rapidfuzz")

from curate.core.errors import InputError
from curate.search.names import check_names, is_code, match_names, parse
from curate.search.names.blocking import candidates, gram_set, signatures, token_set
from curate.search.names.fold import fold, skeleton, sound
from curate.search.names.parse import Form
from curate.search.names.score import Vocabulary, log_weights
from tests.search.names_reference import weight


@pytest.mark.parametrize(
    ("text", "tokens", "suffix"),
    [
        ("William_H._Macy", ("william", "h", "macy"), 0),
        ("Hardy_Krüger_Jr.", ("hardy", "kruger"), 2),
        ("Julio César Chávez, Jr.", ("julio", "cesar", "chavez"), 2),
        ("Macy, William H.", ("william", "h", "macy"), 0),
        ("Jason_'Wee_Man'_Acuña", ("jason", "acuna"), 0),
        ("T'Keyah_Crystal_Keymáh", ("tkeyah", "crystal", "keymah"), 0),
        ("Abdüllatif_Şener", ("abdullatif", "sener"), 0),
        ("Acun_Ilıcalı", ("acun", "ilicali"), 0),
        ("Владимир Путин", ("vladimir", "putin"), 0),
        ("ＪＯＨＮ　ＳＭＩＴＨ", ("john", "smith"), 0),
        ("Dr. A.J._Cook", ("a", "j", "cook"), 0),
        ("Björk", ("bjork",), 0),
        ("Ludwig van Beethoven III", ("ludwig", "van", "beethoven"), 13),
    ],
)
def test_a_name_is_taken_apart(text: str, tokens: tuple[str, ...], suffix: int):
    assert parse(text) == (Form(tokens, suffix),)


def test_brackets_hold_other_names_of_the_person():
    assert parse("William_H._Macy(William Hall Macy Jr)") == (
        Form(("william", "h", "macy")), Form(("william", "hall", "macy"), 2, alias=True),
    )  # fmt: skip
    assert parse("Cher [born Cherilyn Sarkisian]")[1].tokens == ("cherilyn", "sarkisian")
    assert parse("(...)") == ()


@pytest.mark.parametrize(
    ("one", "two"),
    [("Sergey", "Sergei"), ("Yuri", "Yury"), ("Jürgen", "Juergen"), ("John", "Jon"), ("Schewtschenko", "Shevchenko"),
     ("Philipp", "Filip"), ("Zinedine", "Zinedin")],
)  # fmt: skip
def test_spellings_of_one_sound_meet(one: str, two: str):
    assert skeleton(fold(one)) == skeleton(fold(two)) or sound(fold(one)) == sound(fold(two))


@given(st.text(max_size=30))
def test_any_text_can_be_read_and_folding_twice_changes_nothing(text: str):
    for form in parse(text):
        assert form.tokens
        assert all(token and fold(token) == token for token in form.tokens if token.isascii())


@pytest.mark.parametrize("code", ["n000123", "0000045", "m.01abc", "id_17", "42"])
def test_codes_are_no_names(code: str):
    assert is_code(code)
    assert not len(match_names([code, "Ann Lee"], [code, "Bo Ek"]).pairs)


def test_names_are_not_taken_for_codes():
    assert not any(map(is_code, ("50_Cent", "14th_Dalai_Lama", "Maggie_Q", "U2 Bono", "Björk")))


def test_sets_of_codes_and_empty_names_are_refused():
    with pytest.raises(InputError, match=r"'vgg'.*numbers, not names.*n000123.*name.*--by image,identity"):
        check_names(["n000123", "n000124", "Ann Lee"], "vgg")
    with pytest.raises(InputError, match=r"row 2.*empty name.*' '"):
        check_names(["Ann Lee", " "], "mine")


words = st.sampled_from((
    "ana", "anna", "mary", "marie", "william", "h", "j", "macy", "mac", "donald", "macdonald", "van", "der", "berg",
    "sergey", "sergei", "kim", "dae", "jung", "jong", "smith", "smyth", "schmidt", "mohamed", "muhammad", "de", "la",
    "cruz", "elena", "li",
))  # fmt: skip
forms = st.builds(Form, st.lists(words, min_size=1, max_size=5).map(tuple), st.sampled_from([0, 0, 0, 1, 2]))


@settings(deadline=None, max_examples=150)
@given(st.lists(forms, min_size=1, max_size=6), st.lists(forms, min_size=1, max_size=6))
def test_weights_equal_the_slow_reference(left: list[Form], right: list[Form]):
    vocabulary = Vocabulary([left, right])
    i, j = (grid.ravel() for grid in np.indices((len(left), len(right))))
    got, _ = log_weights(vocabulary.side(left), vocabulary.side(right), i, j, vocabulary)
    names = {form.tokens for form in [*left, *right]}
    wanted = [weight(left[x], right[y], names) for x, y in zip(i, j, strict=True)]
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def drawn(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    given = np.array([a + b + c for a in "bdklmnrst" for b in ("ar", "el", "io", "un") for c in ("a", "o", "is", "en")])
    family = np.array([a + b + c for a in given[::4] for b in ("s", "l", "t") for c in ("berg", "son", "ova", "ini")])
    share = 1 / (np.arange(len(given)) + 5.0)
    first = rng.choice(given, n, p=share / share.sum())
    return [f"{a}_{b}" if k < 0.8 else f"{a}_{c}_{b}" for a, b, c, k in zip(
        first, rng.choice(family, n), rng.choice(given, n), rng.random(n), strict=True)]  # fmt: skip


def test_signatures_and_buckets_are_those_of_datasketch():
    from datasketch import MinHash, MinHashLSH

    tokens = [parse(name)[0].tokens for name in drawn(150, 1)]
    left, right = tokens[:75], tokens[75:]
    sets = [[gram_set(one) for one in side] for side in (left, right)]
    empty = MinHash(num_perm=30, hashfunc=int)
    hashes = []
    for side in sets:
        hashes.append([])
        for one in side:
            hashes[-1].append(empty.copy())
            hashes[-1][-1].update_batch(one)
    for side, theirs in zip(sets, hashes, strict=True):
        np.testing.assert_array_equal(signatures(side, 30), [one.hashvalues for one in theirs])
    from curate.search.names.blocking import _buckets

    lsh = MinHashLSH(num_perm=30, params=(10, 3))
    for number, one in enumerate(hashes[1]):
        lsh.insert(number, one)
    wanted = {(i, j) for i, one in enumerate(hashes[0]) for j in lsh.query(one)}
    keys, out = _buckets(*(signatures(side, 30) for side in sets), 10, 3)
    assert set(zip(*(part.tolist() for part in np.divmod(keys, len(right))), strict=True)) == wanted
    assert out == 0


def test_blocking_finds_what_comparing_all_finds_in_far_fewer_comparisons():
    left, right = drawn(800, 2), drawn(700, 3)
    for row in range(0, 400, 2):  # the same persons, written otherwise
        parts = left[row].split("_")
        right[row] = "_".join([[parts[-1], *parts[:-1]], [parts[0], "Q", *parts[1:]],
                               [*parts[:-1], parts[-1][:2] + parts[-1][3:]]][row // 2 % 3])  # fmt: skip
    every, some = match_names(left, right, exhaustive=True), match_names(left, right)
    keys = [set(zip(found.pairs["i"], found.pairs["j"], strict=True)) for found in (every, some)]
    assert len(keys[0]) >= 190
    assert len(keys[0] & keys[1]) >= 0.99 * len(keys[0])
    assert some.compared * 20 < every.compared == 800 * 700


def test_the_order_of_the_names_does_not_matter():
    left, right = drawn(120, 4), drawn(100, 5) + drawn(120, 4)[:40]
    rng = np.random.default_rng(0)
    one, two = rng.permutation(len(left)), rng.permutation(len(right))
    first = match_names(left, right).pairs
    again = match_names([left[x] for x in one], [right[x] for x in two]).pairs
    again = again.assign(i=one[again["i"]], j=two[again["j"]]).sort_values(["i", "j"], ignore_index=True)
    assert len(first) >= 40
    np.testing.assert_allclose(first["score"], again["score"])
    assert first.drop(columns="score").equals(again.drop(columns="score"))


COMMON = [f"{given}_{name}" for given in ("John", "Kevin", "Michael", "Anna") for name in drawn(40, 10)]
COMMON += [f"{name}_{family}" for family in ("Smith", "Richardson", "Kim") for name in drawn(40, 11)]
BACKGROUND = [*COMMON, *drawn(500, 9)]


def matched(left: str, right: str) -> tuple[str, str]:
    """(verdict, why) of two names among many others; `no` where they are not listed."""
    found = match_names([left, *BACKGROUND[:300]], [right, *BACKGROUND[300:600]], others=BACKGROUND).pairs
    mine = found[(found["i"] == 0) & (found["j"] == 0)]
    return (mine["verdict"].item(), mine["why"].item()) if len(mine) else ("no", "")


@pytest.mark.parametrize(
    ("left", "right", "why"),
    [
        ("Téa_Leoni", "tea leoni", "exact after normalisation"),
        ("William_Macy", "William_H._Macy", "middle name"),
        ("Mary Jane Blige", "Mary_J._Blige", "initial"),
        ("Zhang_Ziyi", "Ziyi_Zhang", "order"),
        ("Gerhard_Schroeder", "Gerhard_Schröder", "transliteration"),
        ("Phillip_Seymor_Hoffmann", "Philip_Seymour_Hoffman", "transliteration"),
        ("Wanda_de_la_Jesus", "Wanda_De_Jesus", "particle"),
        ("AJ_Buckley", "A.J._Buckley", "written together or apart"),
        ("Robert_Pattison", "Robert_Pattinson", "spelling"),
        ("Laura_Harring", "Laura_Martinez(Laura Harring)", "alias"),
    ],
)
def test_one_person_written_in_two_ways_is_found_and_it_says_why(left: str, right: str, why: str):
    verdict, said = matched(left, right)
    assert verdict in ("same", "likely")
    assert why in said


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Kim_Dae-jung", "Kim_Jong-un"),
        ("Kevin_Scott_Richardson", "Kevin_Michael_Richardson"),
        ("Anna_Nicole_Smith", "Anna_Deavere_Smith"),
        ("Madonna", "Diego_Maradona"),
        ("Michael_Bolton", "Michael_Boston_Kral"),
    ],
)
def test_two_persons_are_not_called_the_same(left: str, right: str):
    assert matched(left, right)[0] in ("no", "look")


def test_a_common_name_says_less_than_a_rare_one():
    common, rare = (match_names([name, *BACKGROUND[::2]], [name, *BACKGROUND[1::2]]).pairs.iloc[0]["score"]
                    for name in ("John_Smith", "Wolfgang_Zuckermandel"))  # fmt: skip
    assert rare > 0.99 > common


def test_names_compete_and_a_name_borne_twice_decides_nothing():
    found = match_names(["Michael_Weintraub"], ["Michael_Weintraub", "Michael_T._Weintraub"]).pairs
    assert found["verdict"].tolist()[0] == "same"
    assert len(found) == 1 or found["score"][1] < 0.2
    twice = match_names(["Michael_Weintraub"], ["Michael_Weintraub", "Michael_Weintraub"]).pairs
    assert twice["score"].tolist() == pytest.approx([0.5, 0.5], abs=0.01)


def test_empty_lists():
    assert len(match_names([], ["Ann Lee"]).pairs) == len(match_names(["Ann Lee"], []).pairs) == 0
    assert candidates([], []).left_out == 0
    assert token_set(("de", "la")) == token_set(("de", "la"))
