"""What can be had before anything is drawn: how many pairs each group holds, and how many each block gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from curate.core.errors import InputError
from curate.protocol.blocks import Block, blocks_of
from curate.protocol.params import ProtocolParams
from curate.protocol.population import Population
from curate.protocol.sample import share
from curate.protocol.spaces import runs
from curate.protocol.table import Coded

#: Kinds of pairs in the order in which they are drawn; `hard` ones are what `impostor` leaves.
KINDS = ("genuine", "impostor", "across")


@dataclass(frozen=True)
class Plan:
    """What to draw: from each block a quota; `hard`: (group, fold) -> quota. table: see `feasibility`."""

    blocks: list[tuple[Block, int]]
    hard: dict[tuple[int, int], int]
    table: pd.DataFrame


def quotas(total: int, folds: int) -> np.ndarray:
    """How many pairs each fold gets, `(folds,)`: equally many, the remainder one each to the first folds."""
    return total // folds + (np.arange(folds) < total % folds)


def feasibility(images: Population, params: ProtocolParams) -> Plan:
    """How many pairs each group can give, and how many it will.

    The table has a row for each group (for pairs across groups: each two groups) and kind: asked; held: pairs in its
    folds (under caps: no more than that); possible: the sum over folds of the smaller of the fold's equal quota and its
    pairs; taken; identities and images of the group.
    """
    table, plan, hard = [], [], {}
    asked = params.asked()
    for kind in KINDS:
        targets = [(g, h) for g in range(len(images.groups)) for h in range(len(images.groups)) if
                   (g < h if kind == "across" else g == h)]  # fmt: skip
        wanted = asked[kind] if kind != "across" else _each(asked[kind], len(images.groups))
        if not targets or (kind == "across" and not asked[kind]):
            continue
        blocks = [[blocks_of(images, kind, g, h, fold) for fold in range(images.folds)] for g, h in targets]
        free = np.array([[[block.free for block in fold] for fold in target] for target in blocks], dtype=np.int64)
        room = free
        if params.capped:
            room = np.array([[[_bound(block, params) for block in fold] for fold in target] for target in blocks])
        if params.match:
            room = np.broadcast_to(room.min(axis=0), room.shape)
        taken = _per_fold(room.sum(axis=2), wanted, params)
        weights = _weights(free)
        for t, (g, h) in enumerate(targets):
            for fold in range(images.folds):
                parts = share(int(taken[t, fold]), room[t, fold], weights[fold])
                plan += [(block, int(n)) for block, n in zip(blocks[t][fold], parts, strict=True) if n]
            table.append(_row(images, kind, g, h, wanted, room[t].sum(axis=1), taken[t]))
        if kind == "impostor" and asked["hard"]:
            left = free.sum(axis=2) - taken
            more = _per_fold(left, asked["hard"], params)
            for t, (g, h) in enumerate(targets):
                hard |= {(g, fold): int(more[t, fold]) for fold in range(images.folds)}
                table.append(_row(images, "hard", g, h, asked["hard"], left[t], more[t]))
    columns = ["group", "kind", "asked", "possible", "held", "taken", "identities", "images"]
    return Plan(plan, hard, pd.DataFrame(table, columns=columns))


def _each(total: int, groups: int) -> int:
    """Pairs of each two groups, so that every group is in `total` pairs across groups."""
    return int(np.floor(total / max(groups - 1, 1) + 0.5))


def _per_fold(room: np.ndarray, wanted: int, params: ProtocolParams) -> np.ndarray:
    """How many pairs each fold of each target gives, `(T, folds)`, from the room that it has for them."""
    if not params.allow_fewer:
        return np.minimum(quotas(wanted, room.shape[1]), room)
    goal = np.minimum(room.sum(axis=1), wanted)
    if params.equal:
        goal[:] = goal.min()
    return np.stack([share(int(goal[t]), room[t]) for t in range(len(room))])


def _weights(free: np.ndarray) -> np.ndarray:
    """What strata are drawn in proportion to, `(folds, S)`: the smallest share that any group has of each."""
    part = free / np.maximum(free.sum(axis=2, keepdims=True), 1)
    return part.min(axis=0)


def _bound(block: Block, params: ProtocolParams) -> int:
    """No more pairs than this can be had under the caps."""
    each, image = params.max_per_identity, params.max_per_image
    far = block.free + 1
    left, right = block.identities
    count = [runs(codes)[1] for codes in (left, right) if codes is not None]
    if block.kind == "genuine":
        if right is not None:
            return min(block.free, far if each is None else each * len(count[0]))
        most = count[0] * (count[0] - 1) // 2
        most = np.minimum(most, far if each is None else each)
        most = np.minimum(most, most if image is None else count[0] * np.minimum(image, count[0] - 1) // 2)
        return min(block.free, int(most.sum()))
    ends = [np.minimum(far if each is None else each, far if image is None else n * image) for n in count]
    if right is None:
        total = int(ends[0].sum())
        return min(block.free, total // 2, total - int(ends[0].max(initial=0)))
    return min(block.free, *(int(end.sum()) for end in ends))


def _row(
    images: Population, kind: str, group: int, other: int, asked: int, held: np.ndarray, taken: np.ndarray
) -> tuple:
    name = images.groups[group] if group == other else f"{images.groups[group]} with {images.groups[other]}"
    possible = int(np.minimum(quotas(asked, images.folds), held).sum())
    counts = [images.count(code) for code in {group, other}]
    photos, people = (sum(part) for part in zip(*counts, strict=True))
    return name, kind, asked, possible, int(held.sum()), int(taken.sum()), people, photos


def refuse_shortage(plan: Plan, images: Population, params: ProtocolParams) -> None:
    """Raise InputError, naming every group that can't give what is asked and why, unless fewer pairs are allowed."""
    table = plan.table
    if params.across and len(images.groups) < 2:
        raise InputError("pairs across groups need two groups", value=", ".join(images.groups) or "none",
                         remedy="Leave out `across`, or group by a label with two values")  # fmt: skip
    short = table[table["possible"] < table["asked"]]
    if params.allow_fewer or not len(short):
        return
    lines = [_said(row, params.folds) for row in short.itertuples()]
    within = short[~short["group"].str.contains(" with ", regex=False)]
    kinds = params.asked()
    enough = min((int(row.possible * params.pairs_per_group / kinds[row.kind]) for row in within.itertuples()),
                 default=0)  # fmt: skip
    raise InputError(
        f"too few pairs in {params.folds} identity-disjoint folds: {'; '.join(lines)}",
        remedy=(f"Ask for about pairs_per_group: {enough:,} or fewer, use" if enough else "Use")
        + " fewer folds, merge groups, hold out more identities, or set allow_fewer: true to take what there is"
        " (with equal: true, equally much of each group)",
    )


def _said(row: tuple, folds: int) -> str:
    text = f"{row.group}: {row.asked:,} {row.kind} pairs asked, {row.held:,} can be had"
    if row.possible < row.held:
        text += f", {row.possible:,} in equal folds"
    if row.identities < 2 and row.kind != "genuine":
        text += f" (it has {row.identities} identity, and an impostor pair needs two)"
    elif not row.held and row.kind == "genuine" and row.identities == row.images:
        text += " (each of its identities has one image, and a genuine pair needs two)"
    elif row.identities < folds:
        text += f" ({row.identities:,} identities are fewer than {folds:,} folds)"
    return text


def refuse_capped(table: pd.DataFrame, pairs: Coded, params: ProtocolParams) -> None:
    """Put the pairs that the caps left into `taken`; raise InputError where they are too few and must not be."""
    if not params.capped:
        return
    low, high = np.minimum(pairs.group_a, pairs.group_b), np.maximum(pairs.group_a, pairs.group_b)
    for at, row in enumerate(table.itertuples()):
        names = row.group.split(" with ") if row.kind == "across" else [row.group, row.group]
        here = (low == pairs.groups.index(names[0])) & (high == pairs.groups.index(names[1]))
        here &= (pairs.genuine == (row.kind == "genuine")) & (pairs.hard == (row.kind == "hard"))
        table.loc[at, "taken"] = int(np.count_nonzero(here))
    short = table[table["taken"] < table["asked"]]
    if len(short) and not params.allow_fewer:
        lines = "; ".join(f"{r.group}: {r.asked:,} {r.kind} pairs asked, {r.taken:,} drawn" for r in short.itertuples())
        raise InputError(f"too few pairs under the caps: {lines}",
                         remedy="Raise the caps, ask for fewer, or set allow_fewer: true")  # fmt: skip
