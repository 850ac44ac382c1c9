"""Which rows a training epoch sees, in which order, on which rank; arrays and seeds only, no torch needed.

All randomness comes from (seed, epoch), so every rank computes the same epoch and takes its own part of it, whatever
the number of loading workers. Nothing goes through `torch.multinomial`, which refuses more than 2^24 rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from curate.core.errors import InputError


class BalancedSampler:
    """Rows drawn in proportion to their weights, for `DataLoader(sampler=...)`.

    An epoch is one systematic draw (Madow, On the theory of systematic sampling, 1949): a row with expected count e is
    there floor(e) or ceil(e) times, and so is, within a sample or two, every group. Ranks are disjoint: no row is seen
    by two of them, and each has the same number of samples.

    weights: `(N,)` of at least 0; None: the weight of each row is 1 over the size of its group, so that groups are
        even. groups: `(N,)` codes of cells, -1: in none, drawn with the mean weight; None: one group.
    num_samples: of one rank and epoch; default: N divided by the ranks. rank, ranks: default those of
        torch.distributed where it is initialised, else 0 of 1.
    Raises InputError where no row can be drawn, or fewer rows than ranks.
    """

    def __init__(
        self,
        weights: Any = None,
        groups: Any = None,
        *,
        num_samples: int | None = None,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        if weights is None and groups is None:
            raise InputError("give weights, or groups to be made even")
        self.groups = None if groups is None else np.asarray(groups, dtype=np.int64)
        self.weights = _even(self.groups) if weights is None else np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1 or (self.groups is not None and self.groups.shape != self.weights.shape):
            raise InputError("weights and groups must be one number for each row", value=self.weights.shape)
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise InputError("weights must be finite numbers of at least 0")
        self.rank, self.ranks = _place(rank, ranks)
        drawable = int(np.count_nonzero(self.weights))
        if drawable < self.ranks:
            raise InputError("too few rows with a weight", value=drawable, allowed=f"at least {self.ranks}, the ranks")
        self.num_samples = max(len(self.weights) // self.ranks, 1) if num_samples is None else int(num_samples)
        if self.num_samples < 1:
            raise InputError("num_samples must be at least 1", value=num_samples)
        self.seed, self.epoch = int(seed), 0

    def set_epoch(self, epoch: int) -> None:
        """Draw anew: call it before each epoch, on every rank, with the same number."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        return self.num_samples

    def rows(self) -> np.ndarray:
        """The rows of this rank's epoch in order `(num_samples,)` int64."""
        rng = _rng(self.seed, self.epoch)
        total = self.num_samples * self.ranks
        # Rows of a group stand together, in random order: one comb over them takes a fair number from each group.
        key = rng.random(len(self.weights))
        order = np.argsort(key) if self.groups is None else np.lexsort((key, self.groups))
        sums = np.cumsum(self.weights[order])
        teeth = np.floor(sums * (total / sums[-1]) + rng.random()).astype(np.int64)
        teeth[-1 if self.weights[order[-1]] else np.flatnonzero(self.weights[order])[-1] :] = total
        counts = np.diff(teeth, prepend=0)
        there = np.flatnonzero(counts)
        there = there[rng.permutation(len(there))]
        drawn = np.repeat(order[there], counts[there])
        mine = drawn[self.rank * self.num_samples : (self.rank + 1) * self.num_samples]
        mine = _own(drawn, mine, self.rank * self.num_samples)
        return mine[_rng(self.seed, self.epoch, self.rank + 1).permutation(len(mine))]

    def __iter__(self) -> Iterator[int]:
        return _integers(self.rows())


class IdentityBatchSampler:
    """Batches of P identities with K images each, for `DataLoader(batch_sampler=...)` and losses over all pairs.

    A batch of k = P x K images has k(k - 1)/2 pairs, all of use: its identities are distinct and its images, too,
    unless an identity has fewer than K. The cells take turns, so that each gives the same number of identities to a
    batch, within one. In an epoch the identities of a cell come round in random order. Ranks have no identity in
    common.

    identity: `(N,)` codes, -1 missing (such a row is never drawn). cells: `(N,)` codes; an identity belongs to the cell
        where it has most rows; rows with -1 are not drawn; None: one cell. min_images: identities with fewer are left
        out. batches: of one rank and epoch; default: N / (P K ranks), at least 1.
    Raises InputError where a cell has too few identities for distinct ones in a batch.
    """

    def __init__(
        self,
        identity: Any,
        cells: Any = None,
        *,
        identities: int = 16,
        images: int = 4,
        min_images: int = 2,
        batches: int | None = None,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        if min(identities, images, min_images) < 1 or (batches is not None and batches < 1):
            raise InputError("identities, images, min_images and batches must be at least 1")
        identity = np.asarray(identity, dtype=np.int64)
        cell = np.zeros(len(identity), dtype=np.int64) if cells is None else np.asarray(cells, dtype=np.int64)
        if identity.ndim != 1 or cell.shape != identity.shape:
            raise InputError("identity and cells must be one code for each row", value=(identity.shape, cell.shape))
        self.identities, self.images = int(identities), int(images)
        self.rank, self.ranks = _place(rank, ranks)
        rows = np.flatnonzero((identity >= 0) & (cell >= 0))
        home, size = _homes(identity[rows], cell[rows])
        # Images of an identity in another cell than its own would unbalance the batch.
        rows = rows[cell[rows] == home[identity[rows]]]
        rows = rows[size[identity[rows]] >= min_images]
        order = np.argsort(identity[rows], kind="stable")
        self._rows = rows[order]
        present, first = np.unique(identity[self._rows], return_index=True)
        self._start = np.append(first, len(self._rows))
        home = home[present]
        self._by_cell = [np.flatnonzero(home == code) for code in np.unique(home)]
        cells_there = len(self._by_cell)
        need = -(-self.identities // cells_there) if cells_there else 1
        fewest = min((len(members) for members in self._by_cell), default=0)
        if fewest // self.ranks < need:
            raise InputError(
                f"a cell has {fewest} identities of {min_images} images or more, for {self.ranks} ranks",
                value=f"{self.identities} identities a batch from {cells_there} cells",
                allowed=f"at most {fewest // self.ranks * cells_there} identities a batch",
                remedy="Use smaller batches, merge cells, or lower min_images",
            )
        whole = len(identity) // (self.identities * self.images * self.ranks)
        self.batches = int(batches) if batches is not None else max(whole, 1)
        self.seed, self.epoch = int(seed), 0

    def set_epoch(self, epoch: int) -> None:
        """Draw anew: call it before each epoch, on every rank, with the same number."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        shared, own = _rng(self.seed, self.epoch), _rng(self.seed, self.epoch, self.rank + 1)
        # Dealt once an epoch by the shared generator: each rank has identities of its own.
        mine = [shared.permutation(members)[self.rank :: self.ranks] for members in self._by_cell]
        turns = shared.permutation(len(mine))
        queues = [_Rounds(members, own) for members in mine]
        slot = self.rank * self.batches * self.identities
        for _ in range(self.batches):
            wanted = np.bincount((slot + np.arange(self.identities)) % len(mine), minlength=len(mine))
            slot += self.identities
            batch: list[int] = []
            for cell, count in zip(turns.tolist(), wanted.tolist(), strict=True):
                for number in queues[cell].take(count):
                    batch.extend(self._draw(number, own))
            yield batch

    def _draw(self, number: int, rng: np.random.Generator) -> list[int]:
        rows = self._rows[self._start[number] : self._start[number + 1]]
        rounds = -(-self.images // len(rows))
        picked = [rng.permutation(rows) for _ in range(rounds)]
        return np.concatenate(picked)[: self.images].tolist()


class _Rounds:
    """Members of a cell round after round, each round in a new order, never one twice in a batch."""

    def __init__(self, members: np.ndarray, rng: np.random.Generator) -> None:
        self._members, self._rng, self._queue = members, rng, rng.permutation(members).tolist()

    def take(self, count: int) -> list[int]:
        taken = self._queue[:count]
        self._queue = self._queue[count:]
        if len(taken) < count:
            fresh = self._rng.permutation(self._members).tolist()
            there = set(taken)
            # Those already in the batch wait for the end of the new round.
            fresh = [n for n in fresh if n not in there] + [n for n in fresh if n in there]
            more = count - len(taken)
            taken, self._queue = taken + fresh[:more], fresh[more:]
        return taken


def pairs_of_batch(identity: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All k(k - 1)/2 pairs i < j of a batch of k identity codes: `i`, `j` int64 and `genuine` bool.

    A pair with a missing identity (-1) is left out, for it is neither genuine nor impostor.
    """
    identity = np.asarray(identity)
    i, j = np.triu_indices(len(identity), 1)
    known = (identity[i] >= 0) & (identity[j] >= 0)
    i, j = i[known], j[known]
    return i, j, identity[i] == identity[j]


def _own(drawn: np.ndarray, mine: np.ndarray, start: int) -> np.ndarray:
    """A rank's part, its copies of a row that began in an earlier part replaced by rows of its own.

    Where all of the part is copies of that row there is nothing to replace them with, and they stay.
    """
    if start and drawn[start - 1] == mine[0]:
        shared = mine == mine[0]
        rest = mine[~shared]
        if len(rest):
            # A row that reaches into the next part is the earlier rank's, which is this one: it may be repeated.
            mine = np.where(shared, np.resize(rest, len(mine)), mine)
    return mine


def _even(groups: np.ndarray | None) -> np.ndarray:
    known = groups >= 0
    sizes = np.bincount(groups[known])
    weights = np.zeros(len(groups))
    weights[known] = 1 / sizes[groups[known]]
    weights[~known] = weights[known].mean() if known.any() else 1.0
    return weights


def _homes(identity: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each identity code the cell where it has most rows (ties: the first), -1 for none, and how many."""
    home = np.full(int(identity.max(initial=-1)) + 1, -1, dtype=np.int64)
    size = np.zeros(len(home), dtype=np.int64)
    cells = int(cell.max(initial=-1)) + 1
    pairs, counts = np.unique(identity * cells + cell, return_counts=True)
    if len(pairs):
        who, where = pairs // cells, pairs % cells
        order = np.lexsort((where, -counts, who))
        first = order[np.r_[True, np.diff(who[order]) > 0]]
        home[who[first]], size[who[first]] = where[first], counts[first]
    return home, size


def _place(rank: int | None, ranks: int | None) -> tuple[int, int]:
    if rank is None and ranks is None:
        distributed = getattr(sys.modules.get("torch"), "distributed", None)  # who uses it has imported it
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return 0, 1
    if rank is None or ranks is None or not 0 <= rank < ranks:
        raise InputError("rank and ranks go together", value=(rank, ranks), allowed="0 <= rank < ranks")
    return int(rank), int(ranks)


def _rng(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _integers(rows: np.ndarray) -> Iterator[int]:
    """Plain integers, a block at a time: a list of fifty million of them would take gigabytes."""
    for start in range(0, len(rows), 65_536):
        yield from rows[start : start + 65_536].tolist()
