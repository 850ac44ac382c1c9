"""The rivals of iterative oversampling: how often each photograph is to stand in the training set.

Every method is one pure function `(Pool, Limits, rng) -> (N,) int64`: 0 leaves a row out, 1 keeps it, k keeps it and
adds k - 1 replicas. Rows with a missing label join no category of it; a method that works on whole labelsets, or on
identities, leaves rows that have none as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curate.balance.pool import joint_codes
from curate.core.errors import InputError, MissingExtra


@dataclass(frozen=True)
class Pool:
    """What a method sees of N originals.

    codes: `(N, L)` int32, one column for each label, dense over 0..K-1, -1 missing. identity, cell: `(N,)` dense
    codes, -1 missing; cell_names: of the codes of cells. vectors: `(N, D)` float32 of unit length, a zero row where
    there is none; None without pixels.
    """

    codes: np.ndarray
    identity: np.ndarray
    cell: np.ndarray
    vectors: np.ndarray | None = None
    cell_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Limits:
    """How much a method may add or leave.

    budget: replicas at most, for methods that add. keep: share of the rows that thinning methods leave, in (0, 1].
    images: photographs of one identity, at most or exactly. identities: of each cell (None: as many as the poorest
    cell has).
    """

    budget: int
    keep: float = 0.5
    images: int = 20
    identities: int | None = None


Method = Callable[[Pool, Limits, np.random.Generator], np.ndarray]


def random_over(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Raise the rare labelsets to one common size, the largest or the highest that the budget allows.

    Source: RandomOverSampler of imbalanced-learn (Lemaitre, Nogueira, Aridas, JMLR 18(17), 2017), which takes one
    label: here the labelset, the combination of all labels; one labelset alone stays as it is. Raises MissingExtra
    without imbalanced-learn.
    """
    return _imbalanced_learn("RandomOverSampler", pool, rng, lambda sizes: _raise(sizes, limits.budget))


def random_under(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Cut the frequent labelsets to one common size, the highest that leaves at most the share `keep`, at least 1.

    Source: RandomUnderSampler of imbalanced-learn, see `random_over`.
    """
    size = int(limits.keep * len(pool))
    return _imbalanced_learn("RandomUnderSampler", pool, rng, lambda sizes: _cut(sizes, size))


def ml_ros(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Replicate rows of every category whose IRLbl is above MeanIR, in turn, until it is not.

    Every category of every label is a label of the source; a replica is drawn uniformly from the originals of its
    category, and MeanIR is that of the start. Source: ML-ROS of Charte, Rivera, del Jesus, Herrera, Addressing
    imbalance in multilabel classification: Measures and random resampling algorithms, Neurocomputing 163 (2015).
    """
    from curate.balance import rival_kernels as kernels

    flat, counts = _flat(pool.codes)
    times = np.ones(len(pool), dtype=np.int64)
    if not len(counts):
        return times
    mean_ir = (counts.max() / counts).mean()
    members, start = _members(flat, counts)
    bags = np.flatnonzero(counts.max() / counts > mean_ir)
    done = 0
    while len(bags) and done < limits.budget:
        block = min(limits.budget - done, 1 << 20)
        drawn, bags = kernels.ml_ros(rng.random(block), flat, counts, members, start, bags, mean_ir, times)
        done += drawn
    return times


def lp_ros(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Replicate rows of labelsets smaller than the mean one, each by an equal share but not beyond the mean.

    What a labelset can't take goes to the rarer ones after it. Source: LP-ROS of Charte et al. 2015 (see `ml_ros`).
    """
    times = np.ones(len(pool), dtype=np.int64)
    sets, sizes = labelsets(pool.codes)
    if not len(sizes):
        return times
    mean = int(sizes.sum() // len(sizes))
    small = np.flatnonzero(sizes < mean)
    small = small[np.lexsort((small, -sizes[small]))]
    more = np.zeros(len(sizes), dtype=np.int64)
    left = limits.budget
    for place, name in enumerate(small.tolist()):
        more[name] = min(mean - int(sizes[name]), left // (len(small) - place))
        left -= int(more[name])
    rows, begin = _members(sets[:, None], sizes)
    drawn = np.repeat(np.arange(len(sizes)), more)
    picked = rows[begin[drawn] + (rng.random(len(drawn)) * sizes[drawn]).astype(np.int64)]
    return times + np.bincount(picked, minlength=len(pool))


def ml_rus(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Remove rows of every category whose IRLbl is below MeanIR, in turn, until it is not.

    At least the share `keep` of the rows stays. A row to remove is drawn uniformly from those that the category still
    has. Source: ML-RUS of Charte et al. 2015 (see `ml_ros`); their later R package mldr.resampling removes rows
    uniformly from those without a rare category instead.
    """
    from curate.balance import rival_kernels as kernels

    flat, counts = _flat(pool.codes)
    times = np.ones(len(pool), dtype=np.int64)
    if not len(counts):
        return times
    mean_ir = (counts.max() / counts).mean()
    # One key for each row and label: "the next in a shuffled bag that is still there" is a uniform draw from it.
    members, start = _members(flat, counts, rng.random(flat.shape))
    bags = np.flatnonzero(counts.max() / counts < mean_ir)
    kernels.ml_rus(len(pool) - int(limits.keep * len(pool)), flat, counts, members, start, bags, mean_ir, times)
    return times


def cap(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Keep at most `images` photographs of each identity, drawn uniformly."""
    place = places(pool.identity, rng.random(len(pool)))
    return ((place < limits.images) | (pool.identity < 0)).astype(np.int64)


def wider(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Keep a share of the rows, wider rather than deeper: a first photograph of every identity, then a second, ...

    Within an identity, and among those that could have one more at the end, the draw is uniform. Source: with a fixed
    number of images, more identities serve recognition better than more images of each (Bansal, Castillo, Ranjan,
    Chellappa, The Do's and Don'ts for CNN-based Face Verification, ICCV Workshops 2017).
    """
    known = pool.identity >= 0
    place = places(pool.identity, rng.random(len(pool)))
    order = np.lexsort((rng.random(len(pool)), place, ~known))
    times = (~known).astype(np.int64)
    times[order[: int(limits.keep * known.sum())]] = 1
    return times


def quota(pool: Pool, limits: Limits, rng: np.random.Generator) -> np.ndarray:
    """Keep `identities` identities of each cell with `images` photographs each, all drawn uniformly.

    An identity belongs to the cell where it has most images (ties: the first) and counts with its images there.
    Rows outside the quota are left out. Source: how BFW is built (Robinson et al., Face Recognition: Too Bias, or Not
    Too Bias?, CVPR Workshops 2020). Raises InputError where a cell has too few identities with enough images.
    """
    times = np.zeros(len(pool), dtype=np.int64)
    known = (pool.identity >= 0) & (pool.cell >= 0)
    if not known.any():
        return times
    cells = int(pool.cell.max()) + 1
    pairs, sizes = np.unique(pool.identity[known].astype(np.int64) * cells + pool.cell[known], return_counts=True)
    who, where = pairs // cells, pairs % cells
    order = np.lexsort((where, -sizes, who))
    first = order[np.r_[True, np.diff(who[order]) > 0]]
    fit = first[sizes[first] >= limits.images]
    have = np.bincount(where[fit], minlength=cells)
    wanted = int(have.min()) if limits.identities is None else limits.identities
    if (have < max(wanted, 1)).any():
        worst = int(have.argmin())
        raise InputError(
            f"the cell {pool.cell_names[worst] if pool.cell_names else worst} has {int(have[worst])} identities with "
            f"{limits.images} images or more",
            value=f"{wanted or 'any'} identities x {limits.images} images",
            remedy="Ask for fewer images or identities, or merge cells",
        )
    chosen = fit[places(where[fit], rng.random(len(fit))) < wanted]
    home = np.full(int(pool.identity.max()) + 1, -1, dtype=np.int64)
    home[who[chosen]] = where[chosen]
    inside = np.flatnonzero(known)
    inside = inside[home[pool.identity[inside]] == pool.cell[inside]]
    place = places(pool.identity[inside], rng.random(len(inside)))
    times[inside[place < limits.images]] = 1
    return times


#: Methods that look at labels alone.
BY_LABELS: dict[str, Method] = {
    "random_over": random_over, "random_under": random_under, "ml_ros": ml_ros, "lp_ros": lp_ros, "ml_rus": ml_rus,
    "cap": cap, "wider": wider, "quota": quota,
}  # fmt: skip


def labelsets(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labelset of each row `(N,)`, numbered in order of the codes, -1 where a label is missing; their sizes."""
    sets = joint_codes(list(codes.T))
    return sets, np.bincount(sets[sets >= 0])


def places(group: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The place 0, 1, ... of each row `(N,)` among those of its group, in order of `key`; ties by row: int64."""
    order = np.lexsort((key, group))
    at = np.arange(len(group))
    arranged = group[order]
    first = np.ones(len(group), dtype=bool)
    first[1:] = arranged[1:] != arranged[:-1]
    place = np.empty(len(group), dtype=np.int64)
    place[order] = at - np.maximum.accumulate(np.where(first, at, 0))
    return place


def _imbalanced_learn(
    name: str, pool: Pool, rng: np.random.Generator, strategy: Callable[[np.ndarray], dict[int, int]]
) -> np.ndarray:
    try:
        from imblearn import over_sampling, under_sampling
    except ImportError:
        raise MissingExtra("imbalanced-learn", "balance", name) from None
    sets, sizes = labelsets(pool.codes)
    times = np.ones(len(pool), dtype=np.int64)
    wanted = strategy(sizes)
    if len(sizes) < 2 or not wanted:
        return times
    rows = np.flatnonzero(sets >= 0)
    kind = getattr(over_sampling, name, None) or getattr(under_sampling, name)
    sampler = kind(sampling_strategy=wanted, random_state=int(rng.integers(2**31 - 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many small labelsets are no sign of a regression here
        sampler.fit_resample(rows[:, None], sets[rows])
    times[rows] = np.bincount(sampler.sample_indices_, minlength=len(rows))
    return times


def _raise(sizes: np.ndarray, budget: int) -> dict[int, int]:
    level = _highest(lambda size: int(np.maximum(size - sizes, 0).sum()) <= budget, int(sizes.max(initial=0)))
    return dict.fromkeys(np.flatnonzero(sizes < level).tolist(), level)


def _cut(sizes: np.ndarray, size: int) -> dict[int, int]:
    level = max(_highest(lambda top: int(np.minimum(sizes, top).sum()) <= size, int(sizes.max(initial=0))), 1)
    return dict.fromkeys(np.flatnonzero(sizes > level).tolist(), level)


def _highest(holds: Callable[[int], bool], top: int) -> int:
    """The highest whole number up to `top` for which it holds; 0 where it never does."""
    low = 0
    while low < top:
        middle = (low + top + 1) // 2
        low, top = (middle, top) if holds(middle) else (low, middle - 1)
    return low


def _flat(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes that run on from label to label, -1 missing; the count of each: every one is in use."""
    sizes = [int(column.max(initial=-1)) + 1 for column in codes.T]
    base = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    flat = np.where(codes >= 0, codes + base[:-1], -1).astype(np.int64)
    return np.ascontiguousarray(flat), np.bincount(flat[flat >= 0], minlength=base[-1]).astype(np.int64)


def _members(flat: np.ndarray, counts: np.ndarray, key: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows of category k at `start[k]:start[k + 1]`, in row order or in order of `key` (of the shape of `flat`)."""
    rows, columns = np.nonzero(flat >= 0)
    names = flat[rows, columns]
    order = np.lexsort((rows, names) if key is None else (key[rows, columns], names))
    return rows[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
