"""What confirmed pairs mean, and the evidence that steps keep of them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.clean.compared import population, relations
from curate.clean.copies import CONFLICTS, PAIR_COLUMNS, decide, evidence
from curate.clean.duplicate_pairs import DuplicatePairsParams, duplicate_pairs
from curate.clean.exact_duplicates import ExactDuplicatesParams, exact_duplicates
from curate.clean.suggestions import suggestions
from curate.core.manifest import Manifest
from curate.core.shapes import Features
from curate.images.facts import DECODED
from curate.images.quality import QUALITY

RNG = np.random.default_rng(0)
NO_VECTORS = np.zeros((0, 0))


def manifest_of(identities, names=None, **columns):
    ids = names or [f"{row:03d}" for row in range(len(identities))]
    frame = pd.DataFrame({"image_id": pd.array(ids, "str"), "identity": pd.array(identities, "str"), **columns})
    return Manifest.from_frame(frame)


def people_of(identities, reference=None, **columns):
    features = Features({}, reference=None if reference is None else (reference, Features()))
    return population(manifest_of(identities, **columns), features)


def decided(people, pairs, *, linkage="star", order=None, vectors=None):
    i, j = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    n = len(people.old)
    return decide(
        people, np.arange(n) if order is None else np.array(order), i, j, np.linspace(0.96, 0.99, len(pairs)),
        reason="near_duplicate", threshold=0.95, linkage=linkage,
        vectors=np.zeros((n, 0)) if vectors is None else vectors,
    )  # fmt: skip


def told(decisions, *columns):
    frame = decisions.frame[["image_id", "action", "reason", "related_id", *columns]]
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame.itertuples(index=False)]


def test_star_and_chain_and_what_chain_says():
    people = people_of(["a"] * 3)
    found, kept = decided(people, [(0, 1), (1, 2)])
    assert told(found) == [("001", "drop", "near_duplicate", "000")]
    assert kept.tolist() == [0, 2]  # 1 went, so 2 is what is left of the second pair
    with pytest.warns(UserWarning, match="1 of 2 images are dropped by chained linkage"):
        found, kept = decided(people, [(0, 1), (1, 2)], linkage="chain")
    assert told(found) == [("001", "drop", "near_duplicate", "000"), ("002", "drop", "near_duplicate_chained", "000")]
    assert np.isnan(found.frame["score"].to_numpy()[1])
    assert kept.tolist() == [0, -1]


def test_copies_in_two_splits_or_datasets_are_flags_only():
    people = people_of(
        ["a"] * 4 + ["b"],
        split=pd.array(["train", "train", "holdout", None, None], "str"),
        dataset=pd.array(["x", "x", "x", "y", "x"], "str"),
    )
    assert relations(people, np.array([0, 0, 0, 2]), np.array([1, 2, 3, 4])).tolist() == [0, 3, 4, 3]
    found, kept = decided(people, [(0, 1), (0, 2), (0, 3)])
    reasons = found.frame.groupby("reason", observed=True)["image_id"].agg(list).to_dict()
    assert reasons == {
        "near_duplicate": ["001"], "near_duplicate_other_split": ["000", "002"],
        "near_duplicate_other_dataset": ["000", "003"],
    }  # fmt: skip
    assert found.frame["new_value"].isna().all()
    assert kept.tolist() == [0, -1, -1]


def test_majority_is_suggested_and_a_tie_is_not():
    people = people_of(["a", "a", "b", None, "c", "d"])
    found, _ = decided(people, [(0, 1), (1, 2), (2, 3), (4, 5)])
    suggested = {(image, other): value for image, _, _, other, value in told(found, "new_value")}
    assert suggested[("002", "001")] == suggested[("001", "002")] == "a"
    assert suggested[("003", "002")] == "a"  # the photograph of an image without an identity
    assert suggested[("004", "005")] is None


def test_vectors_overrule_the_majority_where_templates_can_be_compared():
    # Rows 0 to 2 show one photograph that two images call a and one calls b; b's other images look like it.
    people = people_of(["a", "a", "b", "a", "b", "b"])
    near, far = [1.0, 0.0], [0.0, 1.0]
    vectors = np.array([near, near, near, far, near, near])
    pair = np.array([0, 0]), np.array([1, 2])
    assert people.names[suggestions(people, *pair, vectors)[2]] == "b"
    assert people.names[suggestions(people, *pair, np.zeros((6, 0)))[2]] == "a"
    lonely = people_of(["a", "a", "b", "a"])  # nothing to compare b with: the majority
    assert lonely.names[suggestions(lonely, *pair, vectors[:4])[2]] == "a"


@settings(deadline=None, max_examples=80)
@given(
    identities=st.lists(st.sampled_from(["a", "b", "c", None]), max_size=8),
    pairs=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=9),
)
def test_decisions_equal_the_definition(identities, pairs):
    n = len(identities)
    pairs = sorted((a, b) for a, b in pairs if a < b < n)
    found, kept = decided(people_of(identities), pairs)
    name = "{:03d}".format
    groups = [{image} for image in range(n)]
    for a, b in pairs:
        one, two = (next(group for group in groups if image in group) for image in (a, b))
        if one is not two:
            groups.remove(two)
            one |= two
    keeper = {}
    for image in range(n):
        if image not in keeper:
            for other in range(image + 1, n):
                same = identities[image] == identities[other] is not None
                if (image, other) in pairs and same and other not in keeper:
                    keeper[other] = image
    expected = {(name(image), "drop", "near_duplicate", name(best), None) for image, best in keeper.items()}
    for a, b in pairs:
        if identities[a] == identities[b] is not None:
            continue
        group = next(group for group in groups if a in group)
        votes = [identities[image] for image in group if identities[image] is not None]
        most = [who for who in set(votes) if votes.count(who) == max(votes.count(other) for other in set(votes))]
        suggestion = most[0] if len(most) == 1 else None
        reason = "unknown_identity" if None in (identities[a], identities[b]) else "other_identity"
        for one, two in ((a, b), (b, a)):
            expected.add((name(one), "flag", f"near_duplicate_{reason}", name(two), suggestion))
    assert set(told(found, "new_value")) == expected
    for (a, b), kept_one in zip(pairs, kept.tolist(), strict=True):
        stay = [image for image in (a, b) if image not in keeper]
        same = identities[a] == identities[b] is not None
        assert kept_one == (stay[0] if same and len(stay) == 1 else -1)


def exact_features(content, pixels=None):
    content = np.array([[value, 1] for value in content], np.uint64).reshape(-1, 2)
    pixels = content if pixels is None else np.array([[value, 1] for value in pixels], np.uint64).reshape(-1, 2)
    n = len(content)
    return {"content": content, "pixels": pixels, "quality": np.array([(0.5, 100)] * n, QUALITY)}


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1), st.sampled_from(["a", "b", None])), max_size=9),
    limit=st.integers(1, 4),
)
def test_evidence_of_exact_copies_lists_every_pair(rows, limit):
    pixels = [row[0] for row in rows]
    features = Features(exact_features([2 * row[0] + row[1] for row in rows], pixels))
    with (
        pytest.warns(UserWarning, match="groups of equal")
        if max(map(pixels.count, pixels), default=0) > limit
        else _nothing()
    ):
        found = exact_duplicates(
            manifest_of([row[2] for row in rows]), features, ExactDuplicatesParams(max_listed=limit), RNG
        )
    table = found.evidence
    assert tuple(table.columns) == (*PAIR_COLUMNS, CONFLICTS)
    expected = set()
    for value in set(pixels):
        members = [at for at, row in enumerate(rows) if row[0] == value]
        if len(members) > limit:
            listed = [pair for pair in _tuples(table) if int(pair[0]) in members]
            assert len(listed) == len(members) - 1
            expected |= set(listed)
        else:
            expected |= {(f"{a:03d}", f"{b:03d}") for a, b in itertools.combinations(members, 2)}
    assert set(_tuples(table)) == expected
    dropped = set(found.having("drop")["image_id"])
    for pair in table.itertuples():
        a, b = rows[int(pair.image_id_a)], rows[int(pair.image_id_b)]
        assert pair.kind == ("exact_bytes" if a == b or a[:2] == b[:2] else "exact_pixels")
        assert (pair.distance, pair.similarity) == (0.0, 1.0)
        same = None if None in (a[2], b[2]) else a[2] == b[2]
        assert (None if pair.same_identity is pd.NA else pair.same_identity) == same
        stay = [image for image in (pair.image_id_a, pair.image_id_b) if image not in dropped]
        assert pair.keep == stay[0] if same and len(stay) == 1 else pd.isna(pair.keep)


def _tuples(table):
    return list(zip(table["image_id_a"], table["image_id_b"], strict=True))


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_new_images_meet_old_ones_and_old_ones_stay():
    old = manifest_of(["a", "a", "b"], names=["o1", "o2", "o3"], dataset=pd.array(["old"] * 3, "str"))
    new = manifest_of(["a", "a", "c"], dataset=pd.array(["new"] * 3, "str"))
    features = Features(exact_features([7, 8, 7]), reference=(old, Features(exact_features([7, 7, 9]))))
    found = exact_duplicates(new, features, ExactDuplicatesParams(), RNG)
    # Nothing is said of the two old images that are equal, and nothing is decided about an old one.
    assert told(found, "new_value") == [
        ("000", "drop", "exact_bytes", "o1", None), ("002", "flag", "exact_bytes_other_identity", "o1", "a"),
    ]  # fmt: skip
    assert _tuples(found.evidence) == [("000", "002"), ("000", "o1"), ("000", "o2"), ("002", "o1"), ("002", "o2")]
    assert found.evidence["keep"].tolist()[1:3] == ["o1", "o2"]
    people = population(new, features)
    found, kept = decided(people, [(0, 3), (1, 4)], order=[0, 1, 2, 3, 4, 5])  # the new ones are better, and go
    assert told(found) == [("000", "drop", "near_duplicate", "o1"), ("001", "drop", "near_duplicate", "o2")]
    assert kept.tolist() == [3, 4]


def test_contradicting_labels_of_copies_are_told():
    manifest = manifest_of(["a"] * 3, gender=pd.array(["f", "m", None], "str"), age=pd.array(["1", "2", "2"], "str"))
    manifest = Manifest.from_frame(manifest.frame, levels={"gender": "identity", "age": "image"})
    made = exact_duplicates(manifest, Features(exact_features([1, 1, 1])), ExactDuplicatesParams(), RNG)
    given = Features({"evidence": {"exact_duplicates": made.evidence}, "decoded": np.zeros(3, DECODED)})
    found = duplicate_pairs(manifest, given, DuplicatePairsParams(), RNG)
    assert found.tables["duplicates/conflicts"]["conflicts"].tolist() == ["age: 1 / 2; gender: f / m", "age: 1 / 2"]
    assert "2 pairs of copies contradict each other in a label: age 2, gender 1" in found.notes


def test_pairs_are_listed_once_and_keep_says_what_became_of_them():
    manifest = manifest_of(["a", "a", "a", "b"])
    people = population(manifest, Features())
    pairs = np.array([0, 0, 1, 0]), np.array([1, 2, 2, 3])
    near = evidence(people, *pairs, kind="near", method="phash", distance=[0, 2, 3, 4],
                    similarity=[1, 0.98, 0.97, 0.96], kept=np.array([0, 0, -1, -1]))  # fmt: skip
    exact = evidence(people, pairs[0][:1], pairs[1][:1], kind="exact_bytes", method="pixels", distance=0.0,
                     similarity=1.0, kept=np.array([0]))  # fmt: skip
    after = manifest.take(np.array([0, 2, 3]))  # a person kept 002
    reasons = np.zeros(3, DECODED)
    reasons["reason"][2] = 9
    given = Features({"evidence": {"near_duplicates": near, "exact_duplicates": exact}, "decoded": reasons})
    found = duplicate_pairs(after, given, DuplicatePairsParams(), RNG)
    table = found.tables["pairs"]
    assert table["kind"].tolist() == ["exact_bytes", "near", "near", "near"]
    assert table["keep"].fillna("").tolist() == ["000", "", "", ""]
    assert table["same_identity"].tolist() == [True, True, False, True]
    assert found.summary == {"exact_bytes": 1, "exact_pixels": 0, "near": 3, "of one identity": 3,
                             "of two identities": 1, "identity unknown": 0}  # fmt: skip
    assert any("003 (truncated)" in note for note in found.notes)
    assert [figure.kind for figure in found.figures] == ["pairs"]
    nothing = duplicate_pairs(after, Features({"evidence": {}, "decoded": reasons}), DuplicatePairsParams(), RNG)
    assert tuple(nothing.tables["pairs"].columns) == PAIR_COLUMNS
    assert not nothing.figures
