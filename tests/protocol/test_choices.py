"""The choices of a protocol: uniform over images or identities, caps, across groups, copies, hard pairs, matching."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from curate.core.errors import InputError
from curate.core.files import write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Features, step_rng
from curate.protocol.feasibility import feasibility
from curate.protocol.given import copy_codes
from curate.protocol.pairs import ProtocolParams, draw, verification_protocol
from curate.protocol.population import population
from tests.protocol.conftest import make_faces as faces


def drawn(manifest: Manifest, seed: int = 0, features: dict | None = None, **settings) -> pd.DataFrame:
    params = ProtocolParams(**{"group_by": ("gender",), "split": None, **settings})
    made = verification_protocol(manifest, Features(features), params, step_rng(seed, "protocol"))
    assert made.documents["protocol/certificate"]["valid"]
    return made.tables["protocol/pairs"].astype({"identity_a": "str", "identity_b": "str"})


def copies(tmp_path, *pairs: tuple[str, str]):
    path = tmp_path / "pairs.parquet"
    write_table(path, pd.DataFrame(pairs, columns=["image_id_a", "image_id_b"], dtype="str"))
    return path


def all_pairs(manifest: Manifest, genuine: bool) -> list[tuple[str, str]]:
    """Every pair of a kind within a group, listed."""
    rows = manifest.frame[["image_id", "identity", "gender"]].astype("str").to_numpy().tolist()
    return [
        (a[0], b[0])
        for a, b in combinations(rows, 2)
        if a[2] == b[2] and (a[1] == b[1]) == genuine
    ]  # fmt: skip


def frequencies(manifest: Manifest, runs: int, **settings) -> Counter:
    """How often each pair is drawn."""
    params = ProtocolParams(**{"split": None, "folds": 1, **settings})
    copy = None if params.duplicates is None else copy_codes(manifest, params.duplicates)
    images = population(manifest, params.group_by, 1, None, np.random.default_rng(0), copy=copy)
    plan = feasibility(images, params)
    ids = manifest.frame["image_id"].tolist()
    counts: Counter = Counter()
    for seed in range(runs):
        pairs = draw(manifest, images, plan, Features(), params, np.random.default_rng(seed))
        counts.update((ids[a], ids[b]) for a, b in zip(pairs.image_a, pairs.image_b, strict=True))
    return counts


def assert_uniform(counts: list[int], each: int, runs: int):
    """Counts of a draw of `each` without replacement, repeated, against equal ones."""
    population = len(counts)
    observed, expected = np.array(counts), runs * each / population
    # Drawn without replacement, counts vary less than multinomial ones by (1 - each / population).
    statistic = ((observed - expected) ** 2 / expected).sum() / (1 - each / population)
    assert stats.chi2(population - 1).sf(statistic * (population - 1) / population) > 1e-3


@pytest.mark.parametrize("genuine", [1.0, 0.0])
@pytest.mark.parametrize("each", [4, 15])
def test_over_images_every_pair_is_equally_likely(genuine, each):
    manifest = faces([1, 2, 3, 5, 4, 2], groups=1)
    counts = frequencies(manifest, 500, genuine=genuine, pairs_per_group=each)
    listed = all_pairs(manifest, bool(genuine))
    assert set(counts) == set(listed)
    assert_uniform([counts[pair] for pair in listed], each, 500)


def test_with_copies_every_other_pair_is_equally_likely(tmp_path):
    manifest = faces([4, 5, 3], groups=1)
    path = copies(tmp_path, ("p0000/000.jpg", "p0000/001.jpg"), ("p0000/001.jpg", "p0000/002.jpg"),
                  ("p0001/000.jpg", "p0002/000.jpg"), ("p0001/000.jpg", "gone"), ("gone", "p0001/001.jpg"))  # fmt: skip
    banned = {("p0000/000.jpg", "p0000/001.jpg"), ("p0000/001.jpg", "p0000/002.jpg"),
              ("p0000/000.jpg", "p0000/002.jpg"), ("p0001/000.jpg", "p0001/001.jpg")}  # fmt: skip
    crossing = {("p0001/000.jpg", "p0002/000.jpg"), ("p0001/001.jpg", "p0002/000.jpg")}
    for genuine, lost in ((1.0, banned), (0.0, crossing)):
        listed = [pair for pair in all_pairs(manifest, bool(genuine)) if pair not in lost]
        settings = {"genuine": genuine, "folds": 1, "duplicates": path}
        counts = frequencies(manifest, 500, pairs_per_group=5, **settings)
        assert set(counts) == set(listed)
        assert_uniform([counts[pair] for pair in listed], 5, 500)
        for uniform in ("images", "identities"):
            whole = drawn(manifest, pairs_per_group=1000, allow_fewer=True, uniform=uniform, **settings)
            assert set(zip(whole["image_id_a"], whole["image_id_b"], strict=True)) == set(listed)


def test_over_identities_each_gives_equally_many():
    manifest = faces([2, 3, 12, 1, 5], groups=1)
    table = drawn(manifest, uniform="identities", genuine=1.0, pairs_per_group=8, folds=1)
    sizes = table["identity_a"].value_counts()
    assert sizes["p0000"] == 1  # all that it has
    assert sorted(sizes.drop("p0000")) == [2, 2, 3]
    counts = frequencies(manifest, 400, uniform="identities", genuine=1.0, pairs_per_group=4)
    by = Counter()
    for (a, _), number in counts.items():
        by[a[:5]] += number
    assert set(by.values()) == {400}
    within = [counts[pair] for pair in all_pairs(manifest, True) if pair[0].startswith("p0002")]
    assert stats.chisquare(within).pvalue > 1e-3


def test_over_identities_each_two_give_equally_many_impostor_pairs():
    manifest = faces([2, 3, 6, 1], groups=1)
    counts = frequencies(manifest, 600, uniform="identities", genuine=0.0, pairs_per_group=2)
    by = Counter()
    for (a, b), number in counts.items():
        by[a[:5], b[:5]] += number
    assert len(by) == 6
    assert_uniform(list(by.values()), 2, 600)
    within = [number for (a, b), number in counts.items() if (a[:5], b[:5]) == ("p0001", "p0002")]
    assert len(within) == 18
    assert stats.chisquare(within).pvalue > 1e-3
    many = drawn(manifest, uniform="identities", genuine=0.0, pairs_per_group=20, folds=1)
    sizes = many.groupby(["identity_a", "identity_b"]).size()
    # 2 x 1 are all that p0000 and p0003 have, and 3 x 1; the others share the rest.
    assert sizes["p0000", "p0003"] == 2
    assert sizes["p0001", "p0003"] == 3
    assert set(sizes.drop([("p0000", "p0003"), ("p0001", "p0003")])) <= {3, 4}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 8), min_size=2, max_size=14), st.integers(1, 3), st.integers(1, 40), st.integers(0, 3),
    st.integers(1, 6), st.integers(1, 4), st.sampled_from(["images", "identities"]), st.sampled_from([0.0, 0.4]),
)  # fmt: skip
def test_caps_hold_and_nothing_more_could_be_taken(counts, folds, wanted, seed, each, image, uniform, across):
    manifest = faces(counts)
    if manifest.frame["gender"].nunique() < 2 or len(counts) < folds:
        return
    table = drawn(manifest, seed, folds=folds, pairs_per_group=wanted, allow_fewer=True, uniform=uniform,
                  max_per_identity=each, max_per_image=image, across=across)  # fmt: skip
    for genuine in (True, False):
        part = table[table["genuine"] == genuine]
        people = Counter(part["identity_a"]) + (Counter() if genuine else Counter(part["identity_b"]))
        photos = Counter(part["image_id_a"]) + Counter(part["image_id_b"])
        assert max(people.values(), default=0) <= each
        assert max(photos.values(), default=0) <= image
        if across or folds > 1:
            continue
        for group in "fm":
            here = part[part["group"] == group]
            if len(here) == round(wanted / 2 + (0.1 if genuine else -0.1)):
                continue  # all that was asked
            there = set(zip(here["image_id_a"], here["image_id_b"], strict=True))
            for a, b in all_pairs(manifest, genuine):
                if a[:5] in set(manifest.frame["identity"][(manifest.frame["gender"] == group).to_numpy()]):
                    full = people[a[:5]] >= each or people[b[:5]] >= each or photos[a] >= image or photos[b] >= image
                    assert (a, b) in there or full


def test_pairs_across_groups_have_stated_shares():
    manifest = faces([3] * 30, groups=3)
    table = drawn(manifest, folds=2, pairs_per_group=80, genuine=0.25, across=0.5)
    crossing = table[table["group"].isna()]
    assert not crossing["genuine"].any()
    assert (crossing["group_a"].astype("str") != crossing["group_b"].astype("str")).all()
    sides = Counter(crossing["group_a"]) + Counter(crossing["group_b"])
    assert set(sides.values()) == {30}  # of 60 impostor pairs of a group, 30 are across
    assert Counter(table["group"].dropna()) == dict.fromkeys("fmx", 50)
    home = manifest.frame.set_index("image_id")["gender"].astype("str")
    for side in "ab":
        assert (home.loc[table[f"image_id_{side}"]].to_numpy() == table[f"group_{side}"].astype("str")).all()
    with pytest.raises(InputError, match="two groups"):
        drawn(faces([3] * 8, groups=1), folds=1, pairs_per_group=4, across=0.5)


def slow_hardest(manifest: Manifest, vectors: np.ndarray, drawn_already: set, quota: int, group: str) -> list:
    """The nearest impostor pairs of a group by comparing all."""
    rows = np.flatnonzero((manifest.frame["gender"] == group).to_numpy())
    ids, who = manifest.frame["image_id"].tolist(), manifest.frame["identity"].tolist()
    found = [
        (-float(np.float32(vectors[i] @ vectors[j])), ids[i], ids[j])
        for i, j in combinations(rows.tolist(), 2)
        if who[i] != who[j] and (ids[i], ids[j]) not in drawn_already
    ]
    return [(a, b) for _, a, b in sorted(found)[:quota]]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 50), st.integers(1, 60))
def test_hard_impostors_are_the_nearest_and_a_stratum_apart(seed, quota):
    manifest = faces([3] * 16)
    rng = np.random.default_rng(seed)
    # Whole numbers: equal similarities come out equal in any order of summing.
    vectors = rng.integers(-3, 4, (len(manifest), 6)).astype(np.float32)
    table = drawn(manifest, seed, {"embedding": vectors}, folds=1, genuine=0.0, pairs_per_group=2 * quota, hard=0.5)
    for group in "fm":
        part = table[table["group"] == group]
        random = part[part["stratum"] == "random"]
        assert len(random) == quota
        already = set(zip(random["image_id_a"], random["image_id_b"], strict=True))
        hard = part[part["stratum"] == "hard"]
        expected = slow_hardest(manifest, vectors, already, quota, group)
        assert set(zip(hard["image_id_a"], hard["image_id_b"], strict=True)) == set(expected)


def unordered(values: pd.Series, pairs: pd.DataFrame) -> Counter:
    """How often two values meet."""
    sides = [values.loc[pairs[f"image_id_{side}"]] for side in "ab"]
    return Counter(tuple(sorted(both)) for both in zip(*sides, strict=True))


def test_matching_gives_groups_the_same_spread():
    rng = np.random.default_rng(0)
    frame = faces([6] * 60).frame.copy()
    male = (frame["gender"] == "m").to_numpy()
    frame["age"] = np.where(rng.random(len(frame)) < np.where(male, 0.8, 0.4), "old", "young")
    frame["blur"] = rng.normal(male * 1.0, 1.0)
    manifest = Manifest.from_frame(frame, levels={"gender": "identity", "age": "image"})
    age = frame.set_index("image_id")["age"]
    plain = drawn(manifest, folds=3, pairs_per_group=120)
    matched = drawn(manifest, folds=3, pairs_per_group=120, match=("age", "blur"))

    def spread(table: pd.DataFrame, group: str, genuine: bool) -> Counter:
        part = table[(table["group"] == group) & (table["genuine"] == genuine)]
        return Counter(
            tuple(sorted((age[a], age[b]))) for a, b in zip(part["image_id_a"], part["image_id_b"], strict=True)
        )

    for genuine in (True, False):
        assert spread(matched, "f", genuine) == spread(matched, "m", genuine)
        assert sum(spread(matched, "f", genuine).values()) == 60
        assert spread(plain, "f", genuine) != spread(plain, "m", genuine)
    edges = np.quantile(frame["blur"], [0.25, 0.5, 0.75])
    bins = pd.Series(np.searchsorted(edges, frame["blur"], side="right"), index=frame["image_id"])
    for fold in range(3):
        part = matched[matched["fold"] == fold]
        cells = {
            group: Counter(
                tuple(sorted((bins[a], bins[b]))) for a, b in zip(rows["image_id_a"], rows["image_id_b"], strict=True)
            )
            for group, rows in part.groupby("group", observed=True)
        }
        assert cells["f"] == cells["m"]


def test_matching_quality_takes_the_feature():
    manifest = faces([4] * 20)
    quality = np.zeros(len(manifest), dtype=[("sharpness", "<f4"), ("pixels", "<i4")])
    quality["sharpness"], quality["pixels"] = np.linspace(0.1, 1, len(manifest)), 112 * 112
    table = drawn(manifest, features={"quality": quality}, folds=1, pairs_per_group=20, match=("quality",))
    assert len(table) == 40
    assert verification_protocol.needs_of(ProtocolParams(match=("quality",))) == ("quality",)
    assert verification_protocol.needs_of(ProtocolParams(hard=0.1)) == ("embedding",)
    assert verification_protocol.needs_of(ProtocolParams()) == ()
    with pytest.raises(InputError, match="no column 'agee'"):
        drawn(manifest, folds=1, pairs_per_group=4, match=("agee",))


def test_fewer_pairs_are_all_there_are_or_equally_many():
    manifest = faces([9, 2, 8, 2, 7, 3, 2, 2])
    settings = {"folds": 2, "genuine": 1.0, "pairs_per_group": 1000, "allow_fewer": True}
    held = {group: sum(1 for a, _ in all_pairs(manifest, True)
                       if manifest.frame.set_index("image_id")["gender"][a] == group) for group in "fm"}  # fmt: skip
    assert Counter(drawn(manifest, **settings)["group"]) == held
    assert Counter(drawn(manifest, **settings, equal=True)["group"]) == dict.fromkeys("fm", min(held.values()))
    with pytest.raises(ValueError, match="allow_fewer"):
        ProtocolParams(equal=True)


def test_shared_training_images_are_listed(tmp_path):
    manifest = faces([3] * 8)
    trained = pd.DataFrame({"image_id": ["p0001/000.jpg", "other/1.jpg"], "identity": ["p0001", "other"]})
    path = tmp_path / "training.csv"
    trained.to_csv(path, index=False)
    params = ProtocolParams(split=None, folds=1, pairs_per_group=40, training=path)
    made = verification_protocol(manifest, Features(), params, step_rng(0, "protocol"))
    listed = made.tables["protocol/training_overlap"]
    assert listed.to_numpy().tolist() == [["identity", "p0001"], ["image", "p0001/000.jpg"]]
    said = made.documents["protocol/certificate"]["training"]
    assert (said["identities_shared"], said["images_shared"], said["none_shared"]) == (1, 1, False)
    assert any("in the training manifest too" in note for note in made.notes)
    trained.assign(image_id=["x/1.jpg", "other/1.jpg"], identity=["x", "other"]).to_csv(path, index=False)
    made = verification_protocol(manifest, Features(), params, step_rng(0, "protocol"))
    assert made.documents["protocol/certificate"]["training"]["none_shared"]


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        (
            [5, 1, 1, 1, 1],
            {"groups": 2},
            "f: 4 genuine pairs asked, 10 can be had, 2 in equal folds",
        ),
        ([5], {"folds": 1}, "1 identity, and an impostor pair needs two"),
        ([1] * 9, {"folds": 1, "groups": 1}, "each of its identities has one image, and a genuine pair needs two"),
        ([3, 3], {"folds": 4, "groups": 1}, "2 identities are fewer than 4 folds"),
        ([3, 3, 3], {"folds": 1, "group_by": ("gendre",)}, "no label 'gendre'"),
    ],
)
def test_what_can_not_be_had_is_refused_with_the_reason(counts, settings, message):
    groups = settings.pop("groups", 1)
    with pytest.raises(InputError, match=message):
        drawn(faces(counts, groups=groups), pairs_per_group=8, **{"folds": 2, **settings})


@pytest.mark.parametrize(
    "bad", [{"genuine": 1.2}, {"genuine": -0.1}, {"across": 2}, {"hard": -1}, {"uniform": "faces"}]
)
def test_shares_outside_their_range_are_refused(bad):
    with pytest.raises(ValueError, match="Input should be"):
        ProtocolParams(**bad)
