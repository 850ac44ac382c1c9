"""All pairs of vectors above a cosine: screened in few bits, decided in float64."""

from __future__ import annotations

from functools import partial

import numpy as np

from curate.core.errors import InputError
from curate.core.shapes import Executor
from curate.search.directions import TIE, Directions, check_similarity, cosines
from curate.search.listing import MAX_PAIRS, Pairs, new_rows
from curate.search.screen import Screened, blocks_of, halves_pay, screen_block, screen_error

#: Fewer comparisons than this are screened in float32: loading torch takes longer.
FEW = 100_000_000
#: What the cosines may be screened in.
SCREENS = ("auto", "bfloat16", "float32")


def similar_pairs(
    vectors: np.ndarray,
    min_similarity: float,
    executor: Executor,
    *,
    new: np.ndarray | None = None,
    max_pairs: int = MAX_PAIRS,
    screen: str = "auto",
) -> Pairs:
    """Every pair of vectors whose cosine is at least `min_similarity`: exactly what float64 finds for all pairs.

    vectors: `(N, D)` float16, float32 or float64 of any length but zero. Returns (i, j, similarity) with i < j, in
    order of (i, j): int64, int64, float64 `(P,)`. A tie counts (within 1e-12). `new`: `(N,)` bool; then only pairs
    with at least one new row, those among old rows being neither sought nor paid for.
    screen: `bfloat16`, `float32`, or `auto`: bfloat16 where torch is installed, the processor has it and there is
    work enough. All give the same pairs, for any number of workers: a screen passes every pair that could reach the
    threshold (`curate.search.screen.screen_error`), and the cosine of those that pass is taken in float64.
    Memory: a copy of the vectors in the screen's numbers (2 or 4 bytes each), two blocks a worker, 60 bytes a pair.
    Raises InputError for a vector that is not finite or of length zero (naming the first), a threshold outside
    -1 to 1, and more than `max_pairs` pairs.
    """
    check_similarity(min_similarity)
    directions = Directions.of(vectors)
    search = partial(_search, min_similarity=min_similarity, executor=executor, screen=screen)
    if new is None:
        return _in_order(*search(directions, None, max_pairs=max_pairs))
    new = new_rows(new, len(vectors))
    fresh, old = np.flatnonzero(new), np.flatnonzero(~new)
    one_side, other_side = directions.take(fresh), directions.take(old)
    i, j, one = search(one_side, None, max_pairs=max_pairs)
    k, m, two = search(one_side, other_side, max_pairs=max_pairs - len(i))
    i, j = np.concatenate([fresh[i], fresh[k]]), np.concatenate([fresh[j], old[m]])
    return _in_order(np.minimum(i, j), np.maximum(i, j), np.concatenate([one, two]))


def similar_between(
    left: np.ndarray,
    right: np.ndarray,
    min_similarity: float,
    executor: Executor,
    *,
    max_pairs: int = MAX_PAIRS,
    screen: str = "auto",
) -> Pairs:
    """Every pair of a vector of `left` `(N, D)` and one of `right` `(M, D)` whose cosine is at least `min_similarity`.

    Returns (i, j, similarity) in order of (i, j), i a row of left and j one of right; otherwise as `similar_pairs`.
    """
    check_similarity(min_similarity)
    one, two = Directions.of(left), Directions.of(right)
    sizes = one.vectors.shape[1], two.vectors.shape[1]
    if sizes[0] != sizes[1]:
        raise InputError("vectors of two sizes", value=sizes, allowed="equal sizes")
    return _in_order(*_search(one, two, min_similarity, executor, max_pairs, screen))


def _search(
    left: Directions,
    right: Directions | None,
    min_similarity: float,
    executor: Executor,
    max_pairs: int,
    screen: str,
) -> Pairs:
    """Pairs in the order of the blocks."""
    if screen not in SCREENS:
        raise InputError("unknown screen", value=screen, allowed=", ".join(SCREENS))
    comparisons = len(left) * len(left) // 2 if right is None else len(left) * len(right)
    halves = screen == "bfloat16" or (screen == "auto" and comparisons >= FEW and halves_pay())
    seen = Screened.of(left, halves)
    seen_right = seen if right is None else Screened.of(right, halves)
    least = min_similarity - TIE - screen_error(max(seen.off, seen_right.off), left.vectors.shape[1])
    blocks = blocks_of(seen.rows, seen_right.rows, right is None)
    parts, total = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))], 0
    for top, across, found in executor.map(partial(screen_block, least=least), blocks):
        if not len(found):
            continue
        i, j = found[:, 0] + np.int64(top), found[:, 1] + np.int64(across)
        score = cosines(left, left if right is None else right, i, j)
        close = score >= min_similarity - TIE
        total += int(close.sum())
        if total > max_pairs:
            raise too_many(min_similarity, max_pairs)
        parts.append((i[close], j[close], score[close]))
    i, j, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    return i, j, score


def too_many(min_similarity: float, max_pairs: int) -> InputError:
    """The refusal of a result that would not fit."""
    return InputError(
        f"more than {max_pairs:,} pairs are that similar", value=min_similarity,
        remedy="Raise min_similarity, drop exact copies first, or raise max_pairs where there is memory for it: 60 "
               "bytes a pair",
    )  # fmt: skip


def _in_order(i: np.ndarray, j: np.ndarray, score: np.ndarray) -> Pairs:
    order = np.lexsort((j, i))
    return i[order], j[order], score[order]
