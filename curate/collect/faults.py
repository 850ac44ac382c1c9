"""The plan of a synthetic dataset: who is photographed how often, and which faults are planted where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from curate.collect.traits import AGE_GROUPS, ETHNICITIES, GENDERS, generator
from curate.core.errors import InputError
from curate.core.shapes import StrictParams

ALTERATIONS = ("resized", "recompressed", "cropped", "flipped", "brightness")
_Rate = Annotated[float, Field(ge=0, le=0.3)]


class FaultRates(StrictParams):
    """How many faults are planted; at least one of each kind whose rate is not 0, where the data has room for it."""

    exact_copy: _Rate = 0.015  # all copies: share of the photographs, on top of them
    resized: _Rate = 0.012
    recompressed: _Rate = 0.012
    cropped: _Rate = 0.015
    flipped: _Rate = 0.010
    brightness: _Rate = 0.012
    exact_copy_other_identity: _Rate = 0.008
    near_copy_other_identity: _Rate = 0.010
    mislabelled: _Rate = 0.025  # share of the photographs, in place of good ones; as are the next two
    corrupt: _Rate = 0.008
    tiny: _Rate = 0.006
    mixed_identity: _Rate = 0.03  # share of the identities; as are the last two
    split_identity: _Rate = 0.04
    shared_identity: _Rate = 0.05


@dataclass
class Plan:
    """Columns of equal length: one row for each file that is to be written.

    person: who it shows. folder: index into `names`. draw: number of the photograph. op: how its file is made (a name
    of `ALTERATIONS`, `corrupt`, `tiny`, or ""). fault: the name for the truth table, or "". related: row of the other
    image, -1 for none. benchmark: it belongs to the benchmark set.
    """

    names: list[str]  # of persons, then of second names
    gender: np.ndarray  # of persons
    ethnicity: np.ndarray
    person: np.ndarray
    folder: np.ndarray
    age: np.ndarray
    draw: np.ndarray
    benchmark: np.ndarray
    op: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    fault: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    related: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    claimed: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # person whose labels a name has

    def __len__(self) -> int:
        return len(self.person)

    def append(self, rows: np.ndarray, folder: np.ndarray, op: Any, fault: str) -> None:
        """Copies of some rows, in the folders given."""
        for name in ("person", "age", "draw", "benchmark"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, column[rows]]))
        self.folder = np.concatenate([self.folder, folder])
        self.op = np.concatenate([self.op, np.broadcast_to(np.asarray(op, dtype=object), len(rows))])
        self.fault = np.concatenate([self.fault, np.full(len(rows), fault, dtype=object)])
        self.related = np.concatenate([self.related, rows])


def shares(weights: dict[str, float], imbalance: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Codes `(n,)` of the categories in these shares, in random order; imbalance 0: equal shares."""
    weight = np.array(list(weights.values())) ** imbalance
    edges = np.round(np.cumsum(weight / weight.sum()) * n).astype(int)
    codes = np.searchsorted(edges, np.arange(n), side="right").clip(max=len(weight) - 1)
    return rng.permutation(codes)


def sizes(n: int, mean: float, imbalance: float, rng: np.random.Generator) -> np.ndarray:
    """Images of each of n identities, at least one each, `round(n * mean)` in all: lognormal, sigma 1.05 by default."""
    total = max(n, round(n * mean))
    raw = np.exp(rng.standard_normal(n) * 1.05 * imbalance)
    raw = raw / raw.sum() * (total - n)
    counts = np.floor(raw).astype(np.int64)
    short = total - n - int(counts.sum())
    counts[np.argsort(counts - raw, kind="stable")[:short]] += 1
    return counts + 1


_START = ("b", "br", "c", "d", "dr", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "th")
_VOWEL = ("a", "e", "i", "o", "u", "ai", "ea", "io")
_END = ("da", "la", "lin", "mar", "na", "nor", "ra", "ren", "ri", "ro", "sa", "shi", "tan", "vi", "vo", "wen")
_LAST = (
    "berg", "dal", "field", "gard", "holm", "lund", "mere", "moor", "ridge", "son", "stad", "thorn", "vale", "wick",
    "wood", "worth",
)  # fmt: skip


def person_names(n: int, rng: np.random.Generator) -> list[str]:
    """n different invented names, such as `Mira_Kelvale`."""
    first, last = len(_START) * len(_VOWEL) * len(_END), len(_START) * len(_VOWEL) * len(_LAST)
    if n > first * last:
        raise InputError("too many identities", value=n, allowed=f"at most {first * last:,}")
    names = []
    for code in rng.choice(first * last, n, replace=False).tolist():
        parts = []
        for number, ends in ((code % first, _END), (code // first, _LAST)):
            number, a = divmod(number, len(_START))
            number, b = divmod(number, len(_VOWEL))
            parts.append((_START[a] + _VOWEL[b] + ends[number]).capitalize())
        names.append("_".join(parts))
    return names


def make_plan(identities: int, mean: float, benchmark: int, imbalance: float, rates: FaultRates, seed: int) -> Plan:
    """Decide everything but the pixels. The same arguments give the same plan.

    An image carries one fault at most. The original of a copy carries none.
    """
    rng = generator(seed, "plan")
    counts = sizes(identities, mean, imbalance, rng)
    roles = _roles(counts, rates, rng)
    shared, mixed, split = roles["shared_identity"], roles["mixed_identity"], roles["split_identity"]
    strangers = max(0, benchmark - len(shared))  # persons of the benchmark alone
    persons = identities + len(mixed) + strangers
    gender, ethnicity = (
        np.concatenate([shares(table, imbalance, part, rng) for part in (identities, len(mixed), strangers)])
        for table in (GENDERS, ETHNICITIES)
    )
    age = shares(AGE_GROUPS, imbalance, persons, rng)
    names = person_names(persons + len(split) + len(shared), rng)

    person = np.repeat(np.arange(identities), counts)
    plan = _empty_plan(names, gender, ethnicity, person)
    _mix(plan, mixed, identities, rng)
    _split(plan, split, persons, rng)
    _add_benchmark(plan, shared, np.arange(persons - strangers, persons), persons + len(split), benchmark, rng)
    plan.draw = np.arange(len(plan))
    plan.age = np.clip(age[plan.person] + rng.choice([-1, 0, 1], len(plan), p=[0.12, 0.76, 0.12]), 0, 3)
    _plant(plan, identities, rates, round(identities * mean), rng)
    plan.claimed = np.concatenate([np.arange(persons), split, shared]).astype(np.int64)
    return plan


def _empty_plan(names: list[str], gender: np.ndarray, ethnicity: np.ndarray, person: np.ndarray) -> Plan:
    n = len(person)
    blank = np.full(n, "", dtype=object)
    return Plan(names, gender, ethnicity, person, person.copy(), np.zeros(n, np.int64), np.zeros(n, np.int64),
                np.zeros(n, bool), blank, blank.copy(), np.full(n, -1), np.zeros(0, np.int64))  # fmt: skip


def _roles(counts: np.ndarray, rates: FaultRates, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Which identities carry a fault of a whole identity; at least half of the identities stay free of those."""
    order = rng.permutation(len(counts))
    taken: set[int] = set()
    roles = {}
    for name, least in (("split_identity", 6), ("mixed_identity", 5), ("shared_identity", 2)):
        room = max(0, len(counts) // 2 - len(taken))
        fit = [i for i in order.tolist() if counts[i] >= least and i not in taken]
        chosen = fit[: min(_number(getattr(rates, name), len(counts)), room)]
        roles[name] = np.sort(np.array(chosen, dtype=np.int64))
        taken.update(chosen)
    return roles


def _number(rate: float, of: int) -> int:
    return max(1, round(rate * of)) if rate > 0 else 0


def _mix(plan: Plan, mixed: np.ndarray, first_extra: int, rng: np.random.Generator) -> None:
    """A second person, who has no other name, in the folder of the first: 25 to 45% of its images."""
    for extra, identity in enumerate(mixed.tolist()):
        rows = np.flatnonzero(plan.folder == identity)
        count = max(2, int(len(rows) * rng.uniform(0.25, 0.45)))
        intruders = np.sort(rng.permutation(rows)[:count])
        plan.person[intruders] = first_extra + extra
        plan.fault[intruders] = "mixed_identity"
        plan.related[intruders] = np.setdiff1d(rows, intruders)[0]


def _split(plan: Plan, split: np.ndarray, first_name: int, rng: np.random.Generator) -> None:
    """A second name for a person: 25 to 45% of the images stand under it."""
    for extra, identity in enumerate(split.tolist()):
        rows = np.flatnonzero(plan.folder == identity)
        count = max(2, int(len(rows) * rng.uniform(0.25, 0.45)))
        moved = np.sort(rng.permutation(rows)[:count])
        plan.folder[moved] = first_name + extra
        plan.fault[moved] = "split_identity"
        plan.related[moved] = np.setdiff1d(rows, moved)[0]


def _add_benchmark(
    plan: Plan, shared: np.ndarray, strangers: np.ndarray, first_name: int, benchmark: int, rng: np.random.Generator
) -> None:
    """New photographs for the benchmark set; every second shared person has another name there."""
    known = shared[: benchmark or 0]
    persons = np.concatenate([known, strangers]).astype(np.int64)
    other = np.where(np.arange(len(known)) % 2 == 1, first_name + np.arange(len(known)), known)
    folders = np.concatenate([other, strangers]).astype(np.int64)
    counts = rng.integers(3, 9, len(persons))
    rows = np.repeat(np.arange(len(persons)), counts)
    start = len(plan)
    plan.append(np.zeros(len(rows), dtype=np.int64), folders[rows], "", "")
    plan.person[start:] = persons[rows]
    plan.benchmark[start:] = True
    plan.related[start:] = -1
    plan.fault[start:] = ""
    first = start + np.cumsum(counts) - counts
    for number, identity in enumerate(known.tolist()):
        mine = (plan.folder == identity) & ~plan.benchmark
        plan.fault[mine] = "shared_identity"
        plan.related[mine] = first[number]


def _plant(plan: Plan, identities: int, rates: FaultRates, photographs: int, rng: np.random.Generator) -> None:
    """Faults of single images, among the images that carry none and the identities that carry none."""
    whole = np.unique(plan.folder[(plan.fault != "") & ~plan.benchmark])
    tainted = np.zeros(len(plan.names), dtype=bool)
    tainted[whole] = True
    tainted[np.unique(plan.person[plan.fault != ""])] = True
    hosts = np.setdiff1d(np.arange(identities), np.flatnonzero(tainted))
    images = np.bincount(plan.folder, minlength=len(plan.names))
    if (images[hosts] >= 3).sum() > 1:  # among fewer, nobody could say which image is the wrong one
        hosts = hosts[images[hosts] >= 3]
    free = np.flatnonzero((plan.fault == "") & ~plan.benchmark & ~tainted[plan.folder])
    pool = rng.permutation(free).tolist()

    def take(name: str, several: bool) -> np.ndarray:
        """The next free images; `several`: only of identities with other images."""
        wanted, chosen, left = _number(getattr(rates, name), photographs), [], []
        while pool and len(chosen) < wanted:
            row = pool.pop()
            (left if several and images[plan.folder[row]] < 2 else chosen).append(row)
        pool.extend(reversed(left))
        return np.array(sorted(chosen), dtype=np.int64)

    def elsewhere(rows: np.ndarray) -> np.ndarray:
        """Another identity for each image, rather a small one; for every second image of the same cell, if any is."""
        cell = plan.gender * len(ETHNICITIES) + plan.ethnicity
        result = []
        for number, row in enumerate(rows.tolist()):
            others = hosts[hosts != plan.person[row]]
            alike = others[cell[others] == cell[plan.person[row]]]
            two = rng.choice(alike if number % 2 and len(alike) else others, 2)
            result.append(two[np.argmin(images[two])])
        return np.array(result, dtype=np.int64)

    crowd = len(hosts) > 1
    for name in ("corrupt", "tiny"):
        rows = take(name, several=False)
        plan.fault[rows], plan.op[rows] = name, name
    if crowd:
        rows = take("mislabelled", several=True)
        kept = np.setdiff1d(free[plan.fault[free] == ""], rows)
        plan.folder[rows], plan.fault[rows] = elsewhere(rows), "mislabelled"
        own = {int(who): int(row) for who, row in zip(plan.person[kept][::-1], kept[::-1], strict=True)}
        plan.related[rows] = [own.get(int(who), -1) for who in plan.person[rows]]
    copies = [(name, take(name, several=False)) for name in ("exact_copy", *ALTERATIONS)]
    others = [(name, take(name, several=False)) for name in ("exact_copy_other_identity", "near_copy_other_identity")]
    for name, rows in copies:
        plan.append(rows, plan.folder[rows], name if name in ALTERATIONS else "", name)
    for name, rows in others if crowd else ():
        op = np.array(ALTERATIONS, dtype=object)[rng.integers(0, len(ALTERATIONS), len(rows))]
        plan.append(rows, elsewhere(rows), op if name.startswith("near") else "", name)
