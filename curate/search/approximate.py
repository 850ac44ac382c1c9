"""Most pairs of vectors above a cosine, and how many of them that is: faiss, only where it is asked for by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.core.errors import InputError, MissingExtra
from curate.core.shapes import Executor
from curate.search.cosine import similar_between, too_many
from curate.search.directions import TIE, Directions, check_similarity, cosines, parts_of
from curate.search.listing import MAX_PAIRS, Pairs
from curate.stats.intervals import Interval, clustered_interval, variance_from_sums

#: Vectors searched for at a time, and vectors that the cells are fitted on, for each cell.
_QUERIES, _FITTED_ON = 16_384, 64


@dataclass(frozen=True)
class ApproximatePairs:
    """Pairs (i, j, similarity) with i < j, in order, all of them true; and the share of all true pairs that they are.

    recall: of the pairs with a vector of a random sample, which the exact search lists too; the interval allows
    for pairs that share a vector. `rate` is NaN, between 0 and 1, where the sample has no pair.
    sampled, sampled_pairs: how many vectors and exact pairs it rests on.
    """

    pairs: Pairs
    recall: Interval
    sampled: int
    sampled_pairs: int

    def sentence(self) -> str:
        """The recall in words."""
        if not self.sampled_pairs:
            return f"Recall unknown: none of {self.sampled:,} sampled vectors has an exact pair."
        return (f"Recall {self.recall.rate:.4f} ({self.recall.low:.4f} to {self.recall.high:.4f}), measured on the "
                f"{self.sampled_pairs:,} exact pairs of {self.sampled:,} sampled vectors.")  # fmt: skip


def approximate_pairs(
    vectors: np.ndarray,
    min_similarity: float,
    executor: Executor,
    rng: np.random.Generator,
    *,
    probes: int = 16,
    sample: int = 1000,
    max_pairs: int = MAX_PAIRS,
) -> ApproximatePairs:
    """Pairs of vectors whose cosine is at least `min_similarity`, sought only in the cells nearest to each vector.

    vectors: `(N, D)` float16, float32 or float64, D at least 1. The cells are those of an inverted file (faiss
    IndexIVFFlat; Douze et al. 2024) of about 4 sqrt(N) centroids; `probes` of them are visited for each vector.
    Similarities are taken again in float64, so that every pair listed is one. rng: draws the vectors that the
    centroids are fitted on and the `sample` of vectors that the exact search is run for, on `executor`. faiss runs in
    this process, on all its threads.
    Raises MissingExtra without faiss, else as `curate.search.cosine.similar_pairs`; InputError for fewer than one
    probe or sampled vector.
    """
    faiss = _faiss()
    check_similarity(min_similarity)
    directions = Directions.of(vectors)
    for name, value in (("probes", probes), ("sample", sample)):
        if value < 1:
            raise InputError(f"{name} is out of range", value=value, allowed="1 or more")
    n = len(directions)
    units = np.empty(directions.vectors.shape, np.float32)
    for part, rows in parts_of(directions.vectors):
        units[part] = rows * directions.scale[part, None]
    cells = max(1, min(int(4 * n**0.5), n // 39))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(units.shape[1]), units.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = min(probes, cells)
    if n:
        index.cp.seed = int(rng.integers(2**31))
        index.cp.min_points_per_centroid = 1
        chosen = np.sort(rng.choice(n, min(n, cells * _FITTED_ON), replace=False))
        index.train(units[chosen])
        index.add(units)
    pairs = _range_search(index, units, directions, min_similarity, max_pairs)
    queries = np.sort(rng.choice(n, min(n, sample), replace=False)) if n else np.zeros(0, np.int64)
    recall, exact = _recall(pairs, directions.vectors, queries, min_similarity, executor, max_pairs)
    return ApproximatePairs(pairs, recall, len(queries), exact)


def _range_search(index, units: np.ndarray, directions: Directions, min_similarity: float, max_pairs: int) -> Pairs:
    """The pairs that the index finds, each once, decided in float64."""
    found, total = [np.zeros((0, 2), np.int64)], 0
    for start in range(0, len(units), _QUERIES):
        limits, _, other = index.range_search(units[start : start + _QUERIES], float(min_similarity) - 1e-5)
        one = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64)))
        apart = one != other
        both = np.stack([np.minimum(one, other)[apart], np.maximum(one, other)[apart]], axis=1)
        found.append(both)
        total += len(both)
        if total > 2 * max_pairs + len(units):
            raise too_many(min_similarity, max_pairs)
    every = np.concatenate(found)
    every = every[np.lexsort((every[:, 1], every[:, 0]))]
    first = np.append(True, (every[1:] != every[:-1]).any(axis=1))[: len(every)]
    i, j = every[first].T
    score = cosines(directions, directions, i, j)
    close = score >= min_similarity - TIE
    return i[close], j[close], score[close]


def _recall(
    pairs: Pairs, vectors: np.ndarray, queries: np.ndarray, min_similarity: float, executor: Executor, max_pairs: int
) -> tuple[Interval, int]:
    """Share of the exact pairs of the queries that are among `pairs`, and their number."""
    n = len(vectors)
    i, j, _ = similar_between(vectors[queries], vectors, min_similarity, executor, max_pairs=max_pairs + len(queries))
    i, at = queries[i], i
    apart = i != j
    i, j, at = i[apart], j[apart], at[apart]
    missed = ~np.isin(np.minimum(i, j) * n + np.maximum(i, j), pairs[0] * n + pairs[1])
    counted = np.bincount(at, minlength=len(queries))
    errors = np.bincount(at, weights=missed, minlength=len(queries))
    none = np.zeros(0)
    variance = variance_from_sums(counted, errors, none, none, 0.0, between=False)
    miss = clustered_interval(int(missed.sum()), len(missed), variance, int(np.count_nonzero(counted)))
    return Interval(1 - miss.rate, 1 - miss.high, 1 - miss.low, miss.n_eff, miss.bound), len(missed)


def _faiss():
    try:
        import faiss
    except ImportError:
        raise MissingExtra("faiss", "faiss", "the approximate search") from None
    return faiss
