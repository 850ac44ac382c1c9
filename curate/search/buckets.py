"""Pairs of hashes that share a substring but for a few bits, in blocks that go through the executor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from curate.core.shapes import Executor
from curate.search.plan import Part, masks_of

#: Rows of one block, about: a block is a range of values of the leading bits of a substring.
BLOCK = 1 << 18

Found = tuple[np.ndarray, np.ndarray, np.ndarray, int]


def bucket_search(
    left: np.ndarray,
    right: np.ndarray | None,
    parts: tuple[Part, ...],
    max_distance: int,
    most: int,
    executor: Executor,
) -> Iterator[Found]:
    """Per block the rows, rows, distances (uint32, uint32, uint16) of the pairs, each found once, and their count.

    Without `right` the pairs of left's rows among themselves, i and j in either order.
    """
    search = partial(_pairs_of_blocks, max_distance=max_distance, most=most)
    return executor.map(search, _tasks(left, right, parts))


def _tasks(left: np.ndarray, right: np.ndarray | None, parts: tuple[Part, ...]) -> Iterator[tuple]:
    """(substring, earlier substrings, masks' weight, block of left, block of right or None where it is the same)."""
    for number, part in enumerate(parts):
        earlier = np.array([(p.start, p.width, p.radius) for p in parts[:number]], dtype=np.int64).reshape(-1, 3)
        rows = max(len(left), 0 if right is None else len(right))
        leading = min(max(0, (rows - 1) // BLOCK).bit_length(), part.width - 1)
        blocks = _Blocks(left, part, leading)
        partners = blocks if right is None else _Blocks(right, part, leading)
        for b in range(1 << leading):
            for flips in masks_of(leading, min(part.radius, leading)).tolist():
                c, weight = b ^ flips, part.radius - flips.bit_count()
                if (right is None and c < b) or not blocks.size(b) or not partners.size(c):
                    continue
                same = right is None and c == b
                low = Part(part.start, part.width - leading, min(weight, part.width - leading))
                yield low, earlier, blocks.cut(b), None if same else partners.cut(c)


class _Blocks:
    """Hashes in order of the leading bits of a substring."""

    def __init__(self, hashes: np.ndarray, part: Part, leading: int) -> None:
        from curate.search.hamming_kernels import bucketed

        rows = np.arange(len(hashes), dtype=np.uint32)
        start = part.start + part.width - leading
        self._starts, self._hashes, self._rows = (
            bucketed(hashes, rows, start, leading) if leading else (np.array([0, len(hashes)]), hashes, rows)
        )

    def size(self, block: int) -> int:
        return int(self._starts[block + 1] - self._starts[block])

    def cut(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        inside = slice(self._starts[block], self._starts[block + 1])
        return self._hashes[inside], self._rows[inside]


def _pairs_of_blocks(task: tuple, *, max_distance: int, most: int) -> Found:
    from curate.search.hamming_kernels import bucket_pairs, bucketed

    part, earlier, left, right = task
    starts, hashes, rows = bucketed(*left, part.start, part.width)
    other = (starts, hashes, rows) if right is None else bucketed(*right, part.start, part.width)
    return bucket_pairs(
        hashes, rows, starts, other[1], other[2], other[0], masks_of(part.width, part.radius), right is None,
        np.uint64(max_distance), earlier, most,
    )  # fmt: skip
