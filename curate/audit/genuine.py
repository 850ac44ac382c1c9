"""All genuine comparisons, in float64: there are few enough of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from curate.audit.faces import Faces, directions_of
from curate.audit.source import Genuine
from curate.core.shapes import Executor
from curate.search.directions import cosines

#: Genuine comparisons of a task, about; fewer than `FEW` of all keep their scores; of the lowest, `LOWEST` are kept.
TASK, FEW, LOWEST = 1_000_000, 2_000_000, 100
_SPLIT = 1024  # images a side: what one identity with more is cut into


def genuine_of(faces: Faces, told: np.ndarray, others: np.ndarray, lenders: np.ndarray, executor: Executor) -> Genuine:
    """Compare each face with the others of its identity.

    told: thresholds at which misses of each identity are counted; others: more thresholds; lenders: see `Genuine`.
    """
    told = np.unique(told)
    thresholds = np.unique(np.concatenate([told, others]))
    images = np.bincount(faces.identity, minlength=1)
    keep = int((images * (images - 1) // 2).sum()) <= FEW
    below: dict[tuple[int, int], np.ndarray] = {}
    misses: dict[tuple[int, int], dict[int, np.ndarray]] = {}
    lowest: dict[tuple[int, int], list] = {}
    scores: dict[tuple[int, int], list] = {}
    for found in executor.map(partial(_compare, told=told, thresholds=thresholds, keep=keep), _tasks(faces)):
        for pair, (under, codes, missed, low, all_scores) in found.items():
            below[pair] = below.get(pair, 0) + under
            store = misses.setdefault(pair, {})
            for code, row in zip(codes.tolist(), missed, strict=True):
                store[code] = store[code] + row if code in store else row
            lowest[pair] = _lowest([*lowest.get(pair, []), low])
            if keep:
                scores.setdefault(pair, []).append(all_scores)
    return Genuine(
        thresholds, told, below, {pair: _as_arrays(store, len(told)) for pair, store in misses.items()},
        {pair: low[0] for pair, low in lowest.items()},
        {pair: np.concatenate(part) for pair, part in scores.items()} if keep else None, np.unique(lenders),
    )  # fmt: skip


def _as_arrays(store: dict[int, np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    codes = np.array(sorted(store), np.int64)
    return codes, codes, np.array([store[code] for code in codes.tolist()], np.int64).reshape(len(codes), size)


def _lowest(parts: list) -> list:
    score, left, right = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((right, left, score))[:LOWEST]
    return [(score[order], left[order], right[order])]


def _tasks(faces: Faces) -> Iterator[tuple]:
    """Places of whole identities, in order of identity, or two parts of a large one."""
    order = np.argsort(faces.identity, kind="stable")
    bounds = np.append(np.flatnonzero(np.diff(faces.identity[order], prepend=-1)), len(order))
    waiting: list[np.ndarray] = []
    work = 0
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        places = order[start:stop]
        if len(places) < 2:
            continue
        if len(places) > _SPLIT:
            cuts = [places[at : at + _SPLIT] for at in range(0, len(places), _SPLIT)]
            for a, part in enumerate(cuts):
                for other in cuts[a:]:
                    yield _task(faces, [part], None if other is part else other)
            continue
        waiting.append(places)
        work += len(places) * (len(places) - 1) // 2
        if work >= TASK:
            yield _task(faces, waiting, None)
            waiting, work = [], 0
    if waiting:
        yield _task(faces, waiting, None)


def _task(faces: Faces, runs: list[np.ndarray], other: np.ndarray | None) -> tuple:
    places = np.concatenate([*runs, *([other] if other is not None else [])])
    lengths = np.array([len(run) for run in runs])
    return (places, lengths, other is not None, faces.vectors.take(places), faces.identity[places],
            faces.group[places], len(faces.groups))  # fmt: skip


def _compare(task: tuple, *, told: np.ndarray, thresholds: np.ndarray, keep: bool) -> dict[tuple[int, int], tuple]:
    from curate.audit.kernels import genuine_scores

    places, lengths, crossed, vectors, identity, group, groups = task
    directions = directions_of(vectors)
    if crossed:
        size = int(lengths[0])
        a, b = (part.ravel() for part in np.meshgrid(np.arange(size), np.arange(size, len(places)), indexing="ij"))
        score = cosines(directions, directions, a, b)
    else:
        a, b = (np.empty(int((lengths * (lengths - 1) // 2).sum()), np.int64) for _ in range(2))
        starts = np.concatenate([[0], np.cumsum(lengths)])
        score = genuine_scores(directions.vectors, directions.scale, starts, a, b)
    first, second = np.minimum(group[a], group[b]), np.maximum(group[a], group[b])
    left, right = np.minimum(places[a], places[b]), np.maximum(places[a], places[b])
    pair = first * (groups + 1) + second
    result = {}
    for code in np.unique(pair).tolist():
        here = np.flatnonzero(pair == code)
        values = score[here]
        under = np.zeros(len(thresholds) + 1, np.int64)
        np.add.at(under, np.searchsorted(thresholds, values, side="right"), 1)  # thresholds[rank:] are above a score
        codes, inverse = np.unique(identity[a[here]], return_inverse=True)
        missed = np.zeros((len(codes), len(told) + 1), np.int64)
        np.add.at(missed, (inverse, np.searchsorted(told, values, side="right")), 1)
        low = _lowest([(values, left[here], right[here])])[0]
        result[divmod(code, groups + 1)] = (
            under.cumsum()[:-1], codes, missed.cumsum(axis=1)[:, :-1], low, values if keep else None
        )  # fmt: skip
    return result
