"""Every method proposes planted copies, says what it needs, and refuses what is not its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.clean.compared import population
from curate.clean.confirmed import ConfirmParams, confirmed_pairs, needs_of
from curate.clean.crowds import crowds_of, tied
from curate.clean.near_duplicates import NearDuplicatesParams, near_duplicates
from curate.clean.proposals import METHODS
from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.core.shapes import Features, SerialExecutor
from curate.images.alter import ALTERATIONS
from curate.images.facts import FEATURES, ShardTask, facts_of_shard
from curate.search.linkage import components
from tests.clean.pictures import face

PLANTED = ("recompressed", "resized", "cropped", "flipped", "brightness", "gamma")
N = 24


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict[str, np.ndarray]:
    """Facts of 24 photographs and of one light copy of each, with vectors that copies share but for noise."""
    root = tmp_path_factory.mktemp("methods")
    names = [f"{at:03d}.jpg" for at in range(2 * N)]
    for at in range(N):
        image = face(at)
        (root / names[at]).write_bytes(ALTERATIONS["recompressed"].file(image, "light", np.random.default_rng(at)))
        alteration = ALTERATIONS[PLANTED[at % len(PLANTED)]]
        (root / names[N + at]).write_bytes(alteration.file(image, "light", np.random.default_rng(at)))
    facts = facts_of_shard(ShardTask(str(root), tuple(names), tuple(FEATURES)))
    rng = np.random.default_rng(0)
    vectors = np.tile(rng.normal(size=(N, 64)), (2, 1)) + 0.2 * rng.normal(size=(2 * N, 64))
    facts["embedding"] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return facts


def found(facts, new=None, **params):
    i, j, measure, score = confirmed_pairs(facts, ConfirmParams(**params), SerialExecutor(), new=new)
    assert (i < j).all()
    return {(int(a), int(b)): (float(m), float(s)) for a, b, m, s in zip(i, j, measure, score, strict=True)}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_finds_copies_and_nothing_else(copies, method):
    if method == "minhash":
        pytest.importorskip("datasketch")
    pairs = found(copies, method=method)
    own = {(at, N + at) for at in range(N)}
    if method in ("dhash", "phash256"):  # which know of no crops
        own -= {(at, N + at) for at in range(PLANTED.index("cropped"), N, len(PLANTED))}
    assert len(own & set(pairs)) >= 0.9 * len(own)
    assert all(b == N + a for a, b in pairs)
    params = ConfirmParams(method=method)
    within = params.within(2 * N)
    assert all(METHODS[method].close(np.array([measure]), within)[0] for measure, _ in pairs.values())
    assert set(needs_of(params)) <= {*FEATURES, "embedding"}
    assert found(copies, method=method) == pairs
    flipped = {(at, N + at) for at in range(PLANTED.index("flipped"), N, len(PLANTED))}
    assert not flipped & set(found(copies, method=method, mirrored=False))


@pytest.mark.parametrize("method", METHODS)
def test_new_images_meet_old_ones_and_one_another_alone(copies, method):
    if method == "minhash":
        pytest.importorskip("datasketch")
    new = np.zeros(2 * N, dtype=bool)
    new[: N // 2] = True
    whole, part = found(copies, method=method), found(copies, new=new, method=method)
    expected = {pair: value for pair, value in whole.items() if new[pair[0]] or new[pair[1]]}
    assert list(part) == list(expected)
    np.testing.assert_allclose(list(part.values()), list(expected.values()))
    assert len(part) < len(whole)


def test_approximate_search_says_its_recall(copies):
    pytest.importorskip("faiss")
    for method in ("vlad", "embedding"):
        with pytest.warns(UserWarning, match="Recall 1.0000"):
            assert set(found(copies, method=method, approximate=True)) == set(found(copies, method=method))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "phashh"}, "phash"),
        ({"method": "vlad", "max_distance": 4}, "min_similarity"),
        ({"method": "dhash", "min_similarity": 0.4}, "max_distance"),
        ({"method": "phash", "max_distance": 33}, "0 to 32"),
        ({"method": "phash256", "max_distance": 129}, "128"),
        ({"method": "phash", "approximate": True}, "vlad or embedding"),
        ({"min_similarity": 1.5}, "1"),
    ],
)
def test_what_a_method_does_not_have_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        ConfirmParams(**params)


def manifest_of(identities):
    ids = pd.array([f"{row:03d}" for row in range(len(identities))], "str")
    return Manifest.from_frame(pd.DataFrame({"image_id": ids, "identity": pd.array(identities, "str")}))


def test_images_without_a_vector_are_counted_and_vectors_need_one_manifest(copies):
    facts = {**copies, "embedding": copies["embedding"].copy(), "vectors": np.zeros((2 * N, 0), np.float32)}
    facts["embedding"][:3] = 0
    manifest = manifest_of([f"p{row % N}" for row in range(2 * N)])
    params = NearDuplicatesParams(method="embedding")
    with pytest.warns(UserWarning, match="3 images have no vector"):
        decided = near_duplicates(manifest, Features(facts), params, np.random.default_rng(0))
    assert not {"000", "001", "002"} & set(decided.frame["image_id"])
    held = Features(facts, reference=(manifest, Features(facts)))
    with pytest.raises(InputError, match="has no vectors"):
        near_duplicates(manifest, held, params, np.random.default_rng(0))


# one picture under many ids


def placeholder_facts(copies, times):
    """The first photograph `times` times, then the others as they are."""
    order = np.concatenate([np.zeros(times, int), np.arange(1, N)])
    facts = {name: copies[name][order] for name in ("phash", "phash_mirror", "thumbnail", "quality", "decoded")}
    return {**facts, "vectors": np.zeros((len(order), 0), np.float32)}


def test_a_placeholder_is_flagged_once_for_each_identity(copies):
    times = 60
    facts = placeholder_facts(copies, times)
    manifest = manifest_of([f"p{row:02d}" for row in range(times + N - 1)])
    with pytest.warns(UserWarning, match="1 pictures stand under more than 20 ids each .* 60 images together"):
        decided = near_duplicates(manifest, Features(facts), NearDuplicatesParams(), np.random.default_rng(0))
    flags = decided.having("flag")
    assert sorted(flags["image_id"]) == [f"{row:03d}" for row in range(times)]
    assert set(flags.loc[flags["image_id"] != "000", "related_id"]) == {"000"}
    assert len(decided.evidence) == times - 1


def test_a_placeholder_of_few_identities_leaves_one_of_each(copies):
    times = 60
    facts = placeholder_facts(copies, times)
    manifest = manifest_of([("a", "b", None)[row % 3] for row in range(times)] + [f"p{row}" for row in range(N - 1)])
    with pytest.warns(UserWarning, match="placeholders"):
        decided = near_duplicates(manifest, Features(facts), NearDuplicatesParams(), np.random.default_rng(0))
    dropped = decided.having("drop")
    assert dict(zip(dropped["image_id"], dropped["related_id"], strict=True)) == {
        f"{row:03d}": f"{row % 3:03d}" for row in range(3, times) if row % 3 < 2
    }
    assert not decided.having("flag")["image_id"].isin(dropped["image_id"]).any()


@settings(deadline=None, max_examples=60)
@given(
    pictures=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", None])), max_size=16),
    more_than=st.integers(1, 4),
)
def test_crowds_equal_their_definition(pictures, more_than):
    n = len(pictures)
    which = np.array([picture for picture, _ in pictures], int)
    small = np.zeros((n, 4, 4), np.uint8) + which[:, None, None].astype(np.uint8)
    crowd = crowds_of((which // 2).astype(np.uint64), small, more_than)  # two pictures share a hash
    sizes = np.bincount(which, minlength=3)
    assert ((crowd >= 0) == (sizes[which] > more_than)).all()
    assert all((crowd[a] == crowd[b]) == (which[a] == which[b]) for a in range(n) for b in range(n) if crowd[a] >= 0)
    people = population(manifest_of([identity for _, identity in pictures]), Features({}))
    one, two, stands = tied(people, crowd, np.arange(n))
    assert (one < two).all()
    assert stands.sum() == (crowd < 0).sum() + len(set(crowd[crowd >= 0].tolist()))
    group = components(n, one, two)  # one tree for each crowd, in which an identity hangs from its first image
    assert len(one) == (crowd >= 0).sum() - len(set(crowd[crowd >= 0].tolist()))
    for row in np.flatnonzero(crowd >= 0).tolist():
        mates = [other for other in range(n) if crowd[other] == crowd[row]]
        assert {other for other in range(n) if group[other] == group[row]} == set(mates)
        identity = pictures[row][1]
        first = next((other for other in mates if pictures[other][1] == identity), row)
        if identity is not None and row != first:
            assert (min(row, first), max(row, first)) in set(zip(one.tolist(), two.tolist(), strict=True))


def test_a_vector_that_is_none_is_refused_by_its_row(tmp_path: Path):
    from curate.core.vectors import load_vectors

    for bad in (np.nan, 0.0):
        matrix = np.eye(4, dtype=np.float32)
        matrix[2] = bad
        np.save(tmp_path / "v.npy", matrix)
        pd.DataFrame({"image_id": list("abcd")}).to_csv(tmp_path / "v.csv", index=False)
        with pytest.raises(InputError, match="row 3: the vector is not of unit length"):
            load_vectors(tmp_path / "v.npy")
