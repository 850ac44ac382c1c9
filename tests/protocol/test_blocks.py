"""Blocks of pairs between strata and groups, with copies: counted and drawn as if they were listed."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.protocol.blocks import Block, blocks_of
from curate.protocol.draw import draw_block
from curate.protocol.params import ProtocolParams
from curate.protocol.population import Population

images = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 1), st.integers(-1, 3)), min_size=2, max_size=14
)


def population(rows: list[tuple[int, int, int, int]]) -> Population:
    """Images of (group, identity, stratum, copy): identity i of group g has the code 4 g + i; one fold."""
    table = np.array(sorted((group, 4 * group + who, stratum, copy) for group, who, stratum, copy in rows))
    n = len(table)
    return Population(np.arange(n), table[:, 0], np.zeros(n, dtype=int), table[:, 1], table[:, 2], table[:, 3],
                      ("f", "m"), ("sharp", "blurred"), 1, {})  # fmt: skip


def listed(block: Block) -> set[tuple[int, int]]:
    """Every pair of the block, by trying all."""
    sides = combinations(block.left.tolist(), 2) if block.right is None else product(block.left, block.right)
    people, copy = block.images.identity, block.images.copy
    return {
        (int(min(a, b)), int(max(a, b)))
        for a, b in sides
        if (people[a] == people[b]) == (block.kind == "genuine") and not (copy[a] >= 0 and copy[a] == copy[b])
    }


@settings(deadline=None, max_examples=50)
@given(images, st.sampled_from(["images", "identities"]), st.integers(0, 3), st.floats(0, 1))
def test_blocks_hold_and_give_what_a_list_would(rows, uniform, seed, part):
    people = population(rows)
    params = ProtocolParams(uniform=uniform)
    rng = np.random.default_rng(seed)
    for kind, group, other in (
        ("genuine", 0, 0),
        ("genuine", 1, 1),
        ("impostor", 0, 0),
        ("impostor", 1, 1),
        ("across", 0, 1),
    ):
        blocks = blocks_of(people, kind, group, other, 0)
        assert len(blocks) == (3 if group == other else 1)
        for block in blocks:
            every = listed(block)
            assert block.free == len(every)
            for quota in {len(every), int(part * len(every))}:
                a, b = draw_block(block, quota, params, rng, None)
                got = set(zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), strict=True))
                assert len(a) == len(got) == quota
                assert got <= every


@settings(deadline=None, max_examples=30)
@given(images, st.integers(0, 3), st.floats(0, 1))
def test_over_identities_shares_are_even_with_copies_too(rows, seed, part):
    """Nobody gives fewer than another who gave at least two more, unless it has no more."""
    people = population(rows)
    params = ProtocolParams(uniform="identities")
    rng = np.random.default_rng(seed)
    for kind in ("genuine", "impostor", "across"):
        for block in blocks_of(people, kind, 0, 1 if kind == "across" else 0, 0):
            every = listed(block)
            a, b = draw_block(block, int(part * len(every)), params, rng, None)

            def unit(i: int, j: int) -> tuple[int, int]:
                who = sorted((int(people.identity[i]), int(people.identity[j])))
                return who[0], who[1]

            held: dict[tuple[int, int], int] = {}
            given_: dict[tuple[int, int], int] = {}
            for i, j in every:
                held[unit(i, j)] = held.get(unit(i, j), 0) + 1
            for i, j in zip(a.tolist(), b.tolist(), strict=True):
                given_[unit(i, j)] = given_.get(unit(i, j), 0) + 1
            most = max(given_.values(), default=0)
            for who, number in held.items():
                assert given_.get(who, 0) >= min(number, most - 1)
