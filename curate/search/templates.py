"""Identity templates: how well vectors fit their own identity, and which other one they fit best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from curate.core.shapes import Executor
from curate.stats.two_covariance import sums_of, template_terms

#: Values of one block of ratios: 64 MB. Rows that one task takes, several blocks of them.
_BLOCK, _TASK = 16_000_000, 16_384
#: Rows of which a few arrays stay in the cache of a core.
_CACHED = 512
#: Ratios that take one process a few seconds.
_WORTH = 400_000_000
#: Other identities that are kept for each vector.
TOP = 2


@dataclass(frozen=True)
class Templates:
    """What is known of each identity: `count` `(K,)`, the weights of its vectors, and `sums` `(K, d)` of them.

    between: of the model on whose axes the vectors lie.
    """

    count: np.ndarray
    sums: np.ndarray
    between: np.ndarray

    @classmethod
    def of(
        cls, vectors: np.ndarray, identity: np.ndarray, weight: np.ndarray, identities: int, between: np.ndarray
    ) -> Templates:
        """Add up projected vectors `(N, d)` of identities `(N,)` with weights `(N,)`."""
        count = np.bincount(identity, weight, identities)
        return cls(count, sums_of(vectors, identity, weight, identities), between)

    def directions(self, rows: np.ndarray) -> np.ndarray:
        """The mean person of some identities as unit vectors, float32 `(R, d)`: shrunk the more the fewer vectors."""
        result = np.empty((len(rows), self.sums.shape[1]), np.float32)
        for start in range(0, len(rows), _CACHED):
            here = rows[start : start + _CACHED]
            person = self.sums[here]
            person /= self.count[here][:, None] + 1 / self.between
            length = np.sqrt(np.einsum("ij,ij->i", person, person))
            person /= np.maximum(length, 1e-12)[:, None]
            result[start : start + _CACHED] = person
        return result

    def same_person(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The log-likelihood ratio that identities a and b are one person rather than two: `(P,)` float64, exact."""
        from curate.search.template_kernels import pair_ratios

        order = np.lexsort((self.count[b], self.count[a]))  # equal counts stand together
        result = np.empty(len(a))
        result[order] = pair_ratios(self.count, self.sums, a[order], b[order], self.between)
        return result

    def fit_of_own(self, vectors: np.ndarray, identity: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The log-likelihood ratio of each vector being of its identity rather than of a stranger: `(N,)` float64.

        Its own part, `weight`, is first taken out of the template (leave one out); an identity without another vector
        gives 0.
        """
        from curate.search.template_kernels import own_ratio

        return own_ratio(vectors, identity, np.asarray(weight, np.float64), self.count, self.sums, self.between)


@dataclass(frozen=True)
class Others:
    """Of M vectors: the other identities that fit best, `who` `(M, 2)` int64 (-1: none), by how much, `ratio`
    `(M, 2)` float32 (log-likelihood ratios against a stranger), and `total` `(M,)` float64: the log of the sum over
    all other identities of exp(temperature * ratio).
    """

    who: np.ndarray
    ratio: np.ndarray
    total: np.ndarray


def best_other(
    vectors: np.ndarray, identity: np.ndarray, temperature: np.ndarray, templates: Templates, executor: Executor
) -> Others:
    """Compare each vector `(M, d)` with the template of every identity but its own; exact, tile by tile.

    temperature: `(M,)`. Memory: one block of 16 million ratios a worker.
    """
    square, linear, constant = template_terms(templates.count, templates.sums, templates.between)
    terms = np.concatenate([linear, square, constant[None]])  # one product instead of two and two passes over the block
    tasks = _tasks(vectors, identity, temperature)
    results = list(_map(executor, partial(_compare, terms=terms), tasks, len(vectors) * len(templates.count)))
    who = np.concatenate([np.zeros((0, TOP), np.int64), *(result[0] for result in results)])
    ratio = np.concatenate([np.zeros((0, TOP), np.float32), *(result[1] for result in results)])
    return Others(who, ratio, np.concatenate([np.zeros(0), *(result[2] for result in results)]))


def _map(executor: Executor, function: Callable[[Any], Any], items: Iterable[Any], ratios: int) -> Iterator[Any]:
    """In this process where starting others would take longer than the work."""
    return executor.map(function, items) if ratios > _WORTH else map(function, items)


def _tasks(vectors: np.ndarray, identity: np.ndarray, temperature: np.ndarray) -> Iterator[tuple]:
    for start in range(0, len(vectors), _TASK):
        here = slice(start, start + _TASK)
        yield vectors[here], identity[here], np.asarray(temperature[here], np.float64)


def _compare(task: tuple, terms: np.ndarray) -> tuple[np.ndarray, ...]:
    from curate.search.template_kernels import best_others

    vectors, identity, temperature = task
    n, d = vectors.shape
    best, value, total = np.empty((n, TOP), np.int64), np.empty((n, TOP), np.float32), np.empty(n)
    rows = max(1, min(4096, _BLOCK // terms.shape[1]))
    for start in range(0, n, rows):
        here = slice(start, start + rows)
        tile = np.ones((len(vectors[here]), 2 * d + 1), np.float32)
        tile[:, :d], tile[:, d : 2 * d] = vectors[here], vectors[here] ** 2
        total[here] = best_others(tile @ terms, identity[here], temperature[here], best[here], value[here])
    return best, value, total


def similar_templates(
    templates: Templates, rows: np.ndarray, executor: Executor, *, neighbours: int = 5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of identities that may be one person: (a, b, ratio) with a < b, in order of (a, b).

    rows: the identities that take part. Each proposes those `neighbours` whose mean persons have the highest cosine;
    the ratio of a proposed pair is `same_person` of both sets, exact. Returns int64, int64, float64 `(P,)`.
    """
    near = nearest_templates(templates, rows, executor, neighbours)
    one, two = np.repeat(np.arange(len(rows)), near.shape[1]), near.ravel()
    pairs = np.unique(np.minimum(one, two) * len(rows) + np.maximum(one, two))
    a, b = rows[pairs // len(rows)], rows[pairs % len(rows)]
    return a, b, templates.same_person(a, b)


def nearest_templates(templates: Templates, rows: np.ndarray, executor: Executor, neighbours: int) -> np.ndarray:
    """The identities whose mean persons have the highest cosine, of each identity in `rows` `(R,)`.

    Returns places in `rows`, nearest first, int64 `(R, min(neighbours, R - 1))`; ties go to the earlier place.
    """
    neighbours = min(neighbours, len(rows) - 1)
    if neighbours < 1:
        return np.zeros((len(rows), 0), np.int64)
    step = max(1, min(4096, _BLOCK // len(rows)))
    find = partial(_nearest, person=templates.directions(rows), step=step, top=neighbours)
    return np.concatenate(list(_map(executor, find, range(0, len(rows), step), len(rows) ** 2)))


def _nearest(start: int, person: np.ndarray, step: int, top: int) -> np.ndarray:
    score = person[start : start + step] @ person.T
    score[np.arange(len(score)), start + np.arange(len(score))] = -np.inf
    chosen = np.empty((len(score), top), np.int64)
    for place in range(top):
        chosen[:, place] = score.argmax(1)
        score[np.arange(len(score)), chosen[:, place]] = -np.inf
    return chosen
