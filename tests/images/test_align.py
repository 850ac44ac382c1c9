"""Alignment against Umeyama's own formula, and against known turns of an image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.images.align import TEMPLATE, aligned, numbers_of, similarity


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama 1991, equations 34 to 42, as it stands."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(source))
    sign = np.diag([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(d) @ sign) / a.var(0).sum()
    return np.column_stack([scale * rotation, target.mean(0) - scale * rotation @ source.mean(0)])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 9]))
def test_the_similarity_is_umeyamas(seed: int, count: int):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, count, 2)) * rng.uniform(0.1, 200)
    np.testing.assert_allclose(similarity(source, target), umeyama(source, target), rtol=1e-6, atol=1e-6)


def test_a_known_turn_is_found_and_undone():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(aligned(image, TEMPLATE), image)
    np.testing.assert_array_equal(aligned(image[::-1, ::-1], 111 - TEMPLATE), image)
    np.testing.assert_array_equal(aligned(np.ascontiguousarray(image[::-1, ::-1]), (111 - TEMPLATE)[:2]), image)


def test_unusable_landmarks_are_no_face():
    image = np.zeros((20, 20, 3), np.uint8)
    assert aligned(image, np.full((5, 2), np.nan)) is None
    assert aligned(image, np.full((5, 2), 7.0)) is None


def test_numbers_from_lists_and_text():
    found = numbers_of(["1,2", None, "[3.5, 4]", "5 6", "(7;8)"], 2, name="bbox")
    np.testing.assert_array_equal(found, [[1, 2], [np.nan, np.nan], [3.5, 4], [5, 6], [7, 8]])
    with pytest.raises(InputError, match=r"row 2, column bbox: not 2 numbers"):
        numbers_of(["1 2", "1 2 3"], 2, name="bbox")
