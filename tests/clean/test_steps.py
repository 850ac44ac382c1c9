from __future__ import annotations

from collections import defaultdict

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.clean.exact_duplicates import ExactDuplicatesParams, exact_duplicates
from curate.clean.label_conflicts import LabelConflictsParams, label_conflicts
from curate.clean.near_duplicates import NearDuplicatesParams, near_duplicates
from curate.clean.small_identities import SmallIdentitiesParams, small_identities
from curate.clean.unreadable import UnreadableParams, unreadable
from curate.core.apply import apply_decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features
from curate.images.facts import DECODED, FEATURES, ShardTask, facts_of_shard
from curate.images.quality import QUALITY
from tests.clean.pictures import face

RNG = np.random.default_rng(0)


def manifest_of(identities, **columns):
    ids = [f"{row:03d}" for row in range(len(identities))]
    frame = pd.DataFrame({"image_id": pd.array(ids, "str"), "identity": pd.array(identities, "str"), **columns})
    return Manifest.from_frame(frame)


def rows(decisions, *columns):
    frame = decisions.frame[["image_id", "action", "reason", *columns]]
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame.itertuples(index=False)]


# unreadable


def decoded(*values):
    return Features({"decoded": np.array(list(values), DECODED)})


def test_unreadable_says_why():
    manifest = manifest_of(["a"] * 5)
    features = decoded((0, 24, 90), (6, 0, 0), (8, 0, 0), (0, 90, 23), (0, 100, 100))
    found = unreadable(manifest, features, UnreadableParams(min_side=24), RNG)
    assert rows(found, "score", "threshold") == [
        ("001", "drop", "unreadable:empty_file", None, None), ("002", "drop", "unreadable:not_an_image", None, None),
        ("003", "drop", "too_small", 23.0, 24.0),
    ]  # fmt: skip


# exact duplicates


@st.composite
def copies(draw):
    n = draw(st.integers(0, 14))
    pixels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    header = draw(st.lists(st.integers(1, 2), min_size=n, max_size=n))
    identities = draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=n, max_size=n))
    return pixels, header, identities


@settings(deadline=None, max_examples=60)
@given(case=copies(), level=st.sampled_from(["bytes", "pixels"]))
def test_exact_duplicates_equal_the_definition(case, level):
    pixels, header, identities = case  # pixels 0: unreadable
    n = len(pixels)
    content = np.array([[10 * p + h, 1] for p, h in zip(pixels, header, strict=True)], np.uint64).reshape(n, 2)
    digest = np.array([[p, 2 * (p > 0)] for p in pixels], np.uint64).reshape(n, 2)
    quality = np.array([(p / 10, 100 * p) for p in pixels], QUALITY)
    manifest = manifest_of(identities)
    features = Features({"content": content, "pixels": digest, "quality": quality})
    found = exact_duplicates(manifest, features, ExactDuplicatesParams(level=level), RNG)

    groups = defaultdict(list)
    for row in range(n):
        if pixels[row]:
            groups[pixels[row] if level == "pixels" else tuple(content[row])].append(row)
    expected = []
    name = "{:03d}".format
    for members in groups.values():
        stays = []
        for identity in sorted({identities[row] for row in members} - {None}):
            mine = [row for row in members if identities[row] == identity]
            stays.append(mine[0])
            for row in mine[1:]:
                reason = "exact_bytes" if header[row] == header[mine[0]] else "exact_pixels"
                expected.append((name(row), "drop", reason, name(mine[0])))
        stays = sorted(stays) + [row for row in members if identities[row] is None]
        for row in stays if len(stays) > 1 else []:
            other = stays[1] if row == stays[0] else stays[0]
            reason = "exact_bytes" if header[row] == header[other] else "exact_pixels"
            unknown = identities[row] is None or identities[other] is None
            expected.append((name(row), "flag", f"{reason}_{'unknown' if unknown else 'other'}_identity", name(other)))
    assert rows(found, "related_id") == sorted(expected)


def test_the_better_of_exact_pixels_stays_and_replicas_are_left_alone():
    manifest = manifest_of(["a"] * 3, parent_id=pd.array([None, None, "000"], "str"))
    same = np.ones((3, 2), np.uint64)
    quality = np.array([(0.1, 50), (0.2, 50), (0.3, 50)], QUALITY)
    features = Features({"content": same, "pixels": same, "quality": quality})
    found = exact_duplicates(manifest, features, ExactDuplicatesParams(), RNG)
    assert rows(found, "related_id") == [("000", "drop", "exact_bytes", "001")]


# small identities


@settings(deadline=None, max_examples=60)
@given(identities=st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=12), least=st.integers(1, 4))
def test_small_identities_equal_a_count(identities, least):
    found = small_identities(manifest_of(identities), Features(), SmallIdentitiesParams(min_images=least), RNG)
    expected = [
        (f"{row:03d}", "drop", "small_identity", float(identities.count(identity)), float(least))
        for row, identity in enumerate(identities)
        if identity is not None and identities.count(identity) < least
    ]
    assert rows(found, "score", "threshold") == expected


def test_replicas_do_not_count_and_go_with_their_parent():
    parents = pd.array([None, None, None, "000", "000"], "str")
    manifest = manifest_of(["a", "b", "b", "a", "b"], parent_id=parents)
    found = small_identities(manifest, Features(), SmallIdentitiesParams(), RNG)
    assert found.frame["image_id"].tolist() == ["000", "003", "004"]


# label conflicts


@settings(deadline=None, max_examples=40)
@given(
    cells=st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["f", "m", "x", None])), max_size=12),
    policy=st.sampled_from(["null", "majority"]),
)
def test_label_conflicts_equal_the_definition(cells, policy):
    identities, genders = [list(part) for part in zip(*cells, strict=True)] or ([], [])
    manifest = manifest_of(identities, gender=pd.array(genders, "str"))
    found = label_conflicts(manifest, Features(), LabelConflictsParams(conflict={"gender": policy}), RNG)
    settled, expected = list(genders), set()
    for identity in sorted(set(identities) - {None}):
        mine = [row for row in range(len(cells)) if identities[row] == identity]
        votes = [genders[row] for row in mine if genders[row] is not None]
        if len(set(votes)) < 2:
            continue
        counts = sorted((votes.count(value) for value in set(votes)), reverse=True)
        best = [value for value in set(votes) if votes.count(value) == counts[0]]
        value = best[0] if policy == "majority" and len(best) == 1 else None
        for row in mine:
            expected.add((f"{row:03d}", "label_conflict:gender", counts[0] / len(votes)))
            if genders[row] is not None:
                settled[row] = value
    flags = found.having("flag")
    assert set(zip(flags["image_id"], flags["reason"], flags["score"], strict=True)) == expected
    after, rejected = apply_decisions(manifest, found)
    assert not len(rejected)
    assert [None if pd.isna(value) else value for value in after.frame["gender"]] == settled
    assert not len(label_conflicts(after, Features(), LabelConflictsParams(), RNG))


def test_only_labels_of_the_identity_may_be_named():
    manifest = manifest_of(["a"], gender=pd.array(["f"], "str"))
    with pytest.raises(InputError, match="gender"):
        label_conflicts(manifest, Features(), LabelConflictsParams(conflict={"gendre": "null"}), RNG)


# near duplicates


def altered(image):
    size = image.shape[0]
    cut = image[3 : size - 2, 2 : size - 4]
    return {
        "brightness": np.clip(image * 0.8 + 30, 0, 255).astype(np.uint8),
        "cropped": cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA),
        "flipped": np.ascontiguousarray(image[:, ::-1]),
        "resized": cv2.resize(image, (80, 80), interpolation=cv2.INTER_AREA),
    }


def features_of(folder, names):
    wanted = tuple(FEATURES)
    return Features(facts_of_shard(ShardTask(str(folder), tuple(names), wanted)))


def photo_manifest(folder, pictures):
    """pictures: (identity, image or None) in order of image_id; None writes no file."""
    names = []
    for row, (_, image) in enumerate(pictures):
        names.append(f"{row:03d}.png")
        if image is not None:
            Image.fromarray(image).save(folder / names[-1])
    manifest = manifest_of([identity for identity, _ in pictures], path=pd.array(names, "str"))
    return manifest, features_of(folder, names)


def test_altered_copies_are_confirmed_and_the_original_stays(tmp_path):
    pictures = []
    for seed in range(6):
        image = face(seed)
        pictures += [("a", copy) for copy in (image, *altered(image).values())]
    manifest, features = photo_manifest(tmp_path, pictures)
    found = near_duplicates(manifest, features, NearDuplicatesParams(), RNG)
    groups = {image: int(image) // 5 for image in manifest.frame["image_id"]}
    assert set(found.frame["reason"]) == {"near_duplicate"}
    assert all(groups[i] == groups[r] for i, r in zip(found.frame["image_id"], found.frame["related_id"], strict=True))
    assert len(found) >= 22  # of 24 copies
    assert found.frame["score"].between(0.95, 1.0001).all()
    assert set(found.frame["related_id"]).isdisjoint(found.frame["image_id"])
    unmirrored = near_duplicates(manifest, features, NearDuplicatesParams(mirrored=False), RNG)
    assert len(unmirrored) <= len(found) - 5


def test_copies_across_identities_are_flagged_on_both_sides(tmp_path):
    image = face(1)
    copy = altered(image)["brightness"]
    manifest, features = photo_manifest(tmp_path, [("a", image), ("b", copy), (None, image), ("b", face(2))])
    found = near_duplicates(manifest, features, NearDuplicatesParams(), RNG)
    assert rows(found, "related_id") == [
        ("000", "flag", "near_duplicate_other_identity", "001"),
        ("000", "flag", "near_duplicate_unknown_identity", "002"),
        ("001", "flag", "near_duplicate_other_identity", "000"),
        ("001", "flag", "near_duplicate_unknown_identity", "002"),
        ("002", "flag", "near_duplicate_unknown_identity", "000"),
        ("002", "flag", "near_duplicate_unknown_identity", "001"),
    ]


def test_one_colour_unreadable_and_replicas_take_part_in_nothing(tmp_path):
    flat = [("a", np.full((60, 60, 3), level, np.uint8)) for level in (0, 0, 90, 255)]
    manifest, features = photo_manifest(tmp_path, [*flat, ("a", None), ("a", None)])
    assert not len(near_duplicates(manifest, features, NearDuplicatesParams(max_distance=32), RNG))
    image = face(1)
    manifest, features = photo_manifest(tmp_path, [("a", image), ("a", image)])
    replica = Manifest.from_frame(manifest.frame.assign(parent_id=pd.array([None, "000"], "str")))
    assert len(near_duplicates(manifest, features, NearDuplicatesParams(), RNG)) == 1
    assert not len(near_duplicates(replica, features, NearDuplicatesParams(), RNG))


# every step


STEPS = [
    (unreadable, UnreadableParams(min_side=90)), (exact_duplicates, ExactDuplicatesParams()),
    (near_duplicates, NearDuplicatesParams()), (small_identities, SmallIdentitiesParams(min_images=3)),
    (label_conflicts, LabelConflictsParams()),
]  # fmt: skip


@pytest.mark.parametrize(("step", "params"), STEPS, ids=[step.name for step, _ in STEPS])
def test_steps_work_on_none_and_one_and_repeat_nothing(step, params, tmp_path):
    image = face(1)
    pictures = [("a", image), ("a", image), ("b", image), ("b", altered(image)["resized"]), ("c", face(2)), ("c", None)]
    whole, facts = photo_manifest(tmp_path, pictures)
    gender = pd.array(["f", "m", None, "f", "f", "f"], "str")
    whole = Manifest.from_frame(whole.frame.assign(gender=gender))
    for n in (0, 1, len(whole)):
        manifest = whole.take(np.arange(len(whole)) < n)
        features = Features({name: facts[name][:n] for name in step.needs_of() if name in facts})
        before = manifest.frame.copy(), {name: features[name].copy() for name in features}
        found = step(manifest, features, params, RNG)
        pd.testing.assert_frame_equal(manifest.frame, before[0])
        assert all(np.array_equal(features[name], before[1][name]) for name in features)
        pd.testing.assert_frame_equal(found.frame, step(manifest, features, params, RNG).frame)
        dropped = found.having("drop")
        assert set(dropped["related_id"].dropna()).isdisjoint(dropped["image_id"])
        once, _ = apply_decisions(manifest, found)
        rest = Features({name: features[name][manifest.rows_of(once.ids)] for name in features})
        assert not len(step(once, rest, params, RNG).having("drop"))
    assert len(found)
