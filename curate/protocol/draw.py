"""Drawing the pairs that a plan asks for."""

from __future__ import annotations

import numpy as np

from curate.protocol.blocks import Block
from curate.protocol.capped import Caps
from curate.protocol.params import ProtocolParams
from curate.protocol.sample import sample, share
from curate.protocol.spaces import IdentityPairs


def draw_block(
    block: Block, quota: int, params: ProtocolParams, rng: np.random.Generator, caps: Caps | None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of a block without replacement: places a and b, each `(quota,)`, fewer where the caps allow no more.

    Uniform over images: every pair is equally likely. Uniform over identities: each identity (of genuine pairs) or pair
    of identities (of impostor pairs) gives equally many, as far as it has them, the remainder at random; of what one
    has, every pair is equally likely. Under caps: such a draw in random order, each pair taken if the caps allow it.
    """
    if caps is None:
        return _draw(block, quota, params, rng)
    candidates = min(block.free, 2 * quota)
    while True:
        a, b = _draw(block, candidates, params, rng)
        order = rng.permutation(len(a))
        a, b = a[order], b[order]
        chosen = caps.try_on(block, a, b, quota)
        if np.count_nonzero(chosen) >= quota or candidates >= min(block.free, Caps.MOST):
            caps.take(block, a[chosen], b[chosen])
            return a[chosen], b[chosen]
        candidates = min(block.free, 4 * candidates, Caps.MOST)


def _draw(block: Block, quota: int, params: ProtocolParams, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if params.uniform == "identities":
        return (_genuine if block.kind == "genuine" else _impostor)(block, quota, rng)
    refuse = block.refuse if block.has_copies else None
    size = np.array([block.space.size])
    return block.ends(sample(size, np.array([quota]), rng, refuse, np.array([block.free])))


def _genuine(block: Block, quota: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Equally many of each identity."""
    units = block.space.units
    refuse, room = None, units
    if block.has_copies:
        refuse = block.refuse
        lost = copies_by_identity(block)
        room = units - lost
    counts = share(quota, room, luck=rng.random(len(room)))
    return block.ends(sample(units, counts, rng, refuse, room))


def copies_by_identity(block: Block) -> np.ndarray:
    """Of each identity with genuine pairs, in order, how many of them are two copies."""
    codes = block.images.identity[block.ends(np.concatenate([[0], np.cumsum(block.space.units)[:-1]])[_some(block)])[0]]
    lost = np.zeros(len(block.space.units), dtype=np.int64)
    copy, identity, here = block.counts(block.left)
    if block.right is None:
        pairs = here * (here - 1) // 2
    else:
        other_copy, other_identity, there = block.counts(block.right)
        width = int(max(identity.max(initial=0), other_identity.max(initial=0))) + 1
        _, i, j = np.intersect1d(copy * width + identity, other_copy * width + other_identity, return_indices=True)
        identity, pairs = identity[i], here[i] * there[j]
    known = np.isin(identity, codes)
    np.add.at(lost, _some(block)[np.searchsorted(codes, identity[known])], pairs[known])
    return lost


def _some(block: Block) -> np.ndarray:
    return np.flatnonzero(block.space.units)


def _impostor(block: Block, quota: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Equally many of each pair of identities."""
    left, right = block.identities
    space = IdentityPairs(left, right)
    lost_unit, lost = copies_by_pair(block, space) if block.has_copies else (np.zeros(0, np.int64), np.zeros(0, int))

    def room_of(unit: np.ndarray) -> np.ndarray:
        room = space.size_of(unit)
        at = np.minimum(np.searchsorted(lost_unit, unit), max(len(lost_unit) - 1, 0))
        return room - np.where(lost_unit[at] == unit, lost[at], 0) if len(lost_unit) else room

    def ends(unit: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = space.pairs_of(unit, number)
        return block.left[a], (block.left if block.right is None else block.right)[b]

    shared = 0 if right is None else len(np.intersect1d(left, right))
    live = space.units - shared - int(np.count_nonzero(lost >= space.size_of(lost_unit)))
    if quota < live:
        unit = sample(np.array([space.units]), np.array([quota]), rng, lambda u: room_of(u) <= 0, np.array([live]))
        unit = rng.permutation(unit)
        number = rng.integers(0, space.size_of(unit)) if quota else unit
        while block.has_copies and (bad := block.are_copies(*ends(unit, number))).any():
            number[bad] = rng.integers(0, space.size_of(unit[bad]))
        return ends(unit, number)
    unit = np.arange(space.units)
    sizes, room = space.size_of(unit), room_of(unit)
    counts = share(quota, room, luck=rng.random(len(unit)))
    start = np.concatenate([[0], np.cumsum(sizes)])

    def spread(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of = np.searchsorted(start, number, side="right") - 1
        return ends(of, number - start[of])

    refuse = (lambda number: block.are_copies(*spread(number))) if block.has_copies else None
    return spread(sample(sizes, counts, rng, refuse, room))


def copies_by_pair(block: Block, space: IdentityPairs) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of identities that share a photograph, as ascending unit numbers, and how many pairs are two copies."""
    import pandas as pd

    def table(side: np.ndarray) -> pd.DataFrame:
        copy, identity, count = block.counts(side)
        place = np.searchsorted(np.unique(block.images.identity[side]), identity)
        return pd.DataFrame({"copy": copy, "who": place, "name": identity, "n": count})

    left = table(block.left)
    right = left if block.right is None else table(block.right)
    both = left.merge(right, on="copy")
    both = both[both["who_x"] < both["who_y"]] if block.right is None else both[both["name_x"] != both["name_y"]]
    i, j = both["who_x"].to_numpy(np.int64), both["who_y"].to_numpy(np.int64)
    width = len(np.unique(block.images.identity[block.left if block.right is None else block.right]))
    unit = j * (j - 1) // 2 + i if block.right is None else i * width + j
    found, inverse = np.unique(unit, return_inverse=True)
    return found, np.bincount(inverse, weights=(both["n_x"] * both["n_y"]).to_numpy(), minlength=len(found)).astype(int)
