from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.search.linkage import chain_linkage, components, star_linkage


@st.composite
def graphs(draw):
    n = draw(st.integers(0, 9))
    pairs = draw(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=14))
    pairs = sorted((a, b) for a, b in pairs if a < b < n)
    order = draw(st.permutations(range(n)))
    i, j = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    return np.array(order, np.int64), i, j, pairs


@settings(deadline=None, max_examples=150)
@given(case=graphs())
def test_star_equals_the_definition(case):
    order, i, j, pairs = case
    keeper = [-1] * len(order)
    seen = set()
    for image in order.tolist():
        seen.add(image)
        if keeper[image] < 0:
            for other in range(len(order)):
                tied = (image, other) in pairs or (other, image) in pairs
                if tied and other not in seen and keeper[other] < 0:
                    keeper[other] = image
    assert star_linkage(order, i, j).tolist() == keeper


@settings(deadline=None, max_examples=150)
@given(case=graphs())
def test_chain_keeps_the_best_of_each_component(case):
    order, i, j, pairs = case
    groups = [{image} for image in range(len(order))]
    for a, b in pairs:
        one, two = (next(group for group in groups if image in group) for image in (a, b))
        if one is not two:
            groups.remove(two)
            one |= two
    place = {image: at for at, image in enumerate(order.tolist())}
    expected = [-1] * len(order)
    for group in groups:
        best = min(group, key=place.__getitem__)
        for image in group - {best}:
            expected[image] = best
    assert chain_linkage(order, i, j).tolist() == expected
    number = components(len(order), i, j)
    assert len(set(number.tolist())) == len(groups)
