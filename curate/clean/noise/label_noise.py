"""The step that looks for wrong names: mislabelled images, mixed and split identities."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from curate.clean.noise.faults import Faults
from curate.clean.noise.find import find_faults
from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, StrictParams, step
from curate.images.quality import detail

#: Kind of fault -> the reason of its decisions.
REASONS = {"mislabelled": "mislabelled", "mixed": "mixed_identity", "split": "split_identity"}
#: What the step decides from: one row for each image and fault; rows of kind `threshold` say where each kind and group
#: is cut (their `identity` is null, `reason` the kind).
EVIDENCE = (
    col.IMAGE_ID, "identity", "kind", "score", "threshold", "confidence", "suggested_identity", "runner_up", "reason",
    "group", "shift", "images", "share", "genuine_low", "impostor_high",
)  # fmt: skip


class LabelNoiseParams(StrictParams):
    """Parameters of `label_noise`."""

    mislabelled: Literal["drop", "move", "flag"] = "drop"  # move: to the identity that it fits; drop where none does
    mixed: Literal["split", "keep_dominant", "flag"] = "split"  # split: the smaller person gets a name of its own
    split: Literal["merge", "flag"] = "merge"
    min_confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.5  # from which it acts; from 0.1 it flags
    group_by: tuple[str, ...] = ()  # labels whose groups get thresholds of their own
    use_quality: bool = True  # whether images with little to see are weaker witnesses; needs pixels


def _needs(params: LabelNoiseParams) -> tuple[str, ...]:
    return ("embedding", "quality") if params.use_quality else ("embedding",)


@step("label_noise", needs=_needs, before=("small_identities", "holdout", "oversample"))
def label_noise(
    manifest: Manifest, features: Features, params: LabelNoiseParams, rng: np.random.Generator
) -> Decisions:
    """Find images under a wrong name, two persons under one name, and one person under two.

    A two-covariance model (PLDA) of the set's own vectors is learnt while doubting every name; score = how much more
    likely a fault is than none (log-likelihood ratio), threshold = the score at which the confidence, measured on
    faults planted into this very set, reaches `min_confidence`. Below it, down to a confidence of 0.1, images are
    flagged.
    `mislabelled`: the image is dropped, or moved to `new_value`. `mixed_identity`: the images of the smaller person
    are moved to the new name `NAME~2`, or dropped. `split_identity`: all images of the smaller identity are merged
    into `new_value`. related_id: an image of the identity that fits.
    An identity of one image is never called mislabelled (it may be split); of two, an image is only called mislabelled
    where it fits another name; and where all images of an identity would be dropped, the likeliest one stays, flagged,
    and a warning says so. Images without a vector or an identity, and replicas, are left alone.
    """
    usable = manifest.originals() & (manifest.codes(col.IDENTITY) >= 0) & features["embedding"].any(axis=1)
    rows = np.flatnonzero(usable)
    group = cells(manifest, params.group_by) if params.group_by else None
    codes, identity = np.unique(manifest.codes(col.IDENTITY)[rows], return_inverse=True)
    vectors = features["embedding"] if len(rows) == len(manifest) else features["embedding"][rows]
    faults = find_faults(
        vectors, identity, features.executor, rng,
        group=group.codes[rows].astype(np.int64) if group is not None else None,
        groups=len(group.categories) if group is not None else 0,
        detail=detail(features["quality"])[rows] if params.use_quality else None,
    )  # fmt: skip
    if faults is None:
        if len(rows):
            warnings.warn("No name was questioned: at least two identities of three images are needed to learn from",
                          stacklevel=2)  # fmt: skip
        return Decisions.empty().with_evidence(pd.DataFrame(columns=list(EVIDENCE)).astype(_DTYPES))
    _warn(len(manifest) - len(rows), faults)
    names = manifest.frame[col.IDENTITY].cat.categories[codes].tolist()
    evidence = _evidence(manifest, rows, identity, names, faults, params, group)
    decisions = _decide(evidence, faults, identity, names, manifest.ids.take(rows), params)
    limits = _limits(faults, rows, params, group)
    return decisions.with_evidence(
        pd.concat([evidence[[name for name in EVIDENCE if name in evidence]], limits], ignore_index=True)[
            list(EVIDENCE)
        ].astype(_DTYPES)
    )


_TEXTS = (col.IMAGE_ID, "identity", "kind", "suggested_identity", "runner_up", "reason", "group")
_DTYPES = {name: "str" if name in _TEXTS else "float64" for name in EVIDENCE}


def _warn(left_out: int, faults: Faults) -> None:
    if left_out:
        warnings.warn(f"{left_out:,} images have no vector, no identity or are replicas, and were left alone",
                      stacklevel=3)  # fmt: skip
    warnings.warn(
        f"Believed wrong: {faults.known.contamination:.1%} of the names, {faults.known.strangers:.0%} of them of "
        f"persons without a name here. Compared with every identity: {faults.searched:.1%} of the images; of planted "
        f"wrong names that search missed {1 - faults.curves.screen_recall:.1%}", stacklevel=3,
    )  # fmt: skip


def _evidence(
    manifest: Manifest, rows: np.ndarray, identity: np.ndarray, names: list[str], faults: Faults,
    params: LabelNoiseParams, group: pd.Categorical | None,
) -> pd.DataFrame:  # fmt: skip
    """The table of faults, in order of (kind, image), with names in place of codes."""
    table = faults.table.sort_values(["kind", "row"], ignore_index=True)
    row = table["row"].to_numpy()
    of = group.codes[rows[row]] if group is not None else np.full(len(row), -1)
    groups = len(group.categories) if group is not None else 0
    labels = pd.Series([*(group.categories if group is not None else ()), None], dtype="str").array
    cuts = {kind: np.array([_cut(faults, kind, code, params) for code in (*range(groups), -1)]) for kind in REASONS}
    second = _new_names(table, identity, names, set(manifest.frame[col.IDENTITY].cat.categories))
    known = pd.Series([*names, *second, None], dtype="str").array
    return pd.DataFrame({
        col.IMAGE_ID: manifest.frame[col.IMAGE_ID].array.take(rows[row]), "identity": known.take(identity[row]),
        "kind": table["kind"].astype("str"), "score": table["score"],
        "threshold": np.array([cuts[kind][code] for kind, code in zip(table["kind"], of, strict=True)], np.float64),
        "confidence": table["confidence"],
        "suggested_identity": known.take(np.where(table["suggested"] < 0, len(known) - 1, table["suggested"])),
        "runner_up": known.take(np.where(table["runner_up"] < 0, len(known) - 1, table["runner_up"])),
        "reason": table["kind"].map(REASONS).astype("str"),
        "group": labels.take(of), "row": row, "target": table["suggested"].to_numpy(),
    })  # fmt: skip


def _limits(faults: Faults, rows: np.ndarray, params: LabelNoiseParams, group: pd.Categorical | None) -> pd.DataFrame:
    """Where each kind is cut, for all images and for each group, and how the scores of the group's images lie."""
    codes = group.codes[rows] if group is not None else np.full(len(rows), -1)
    believed = faults.genuine > 0
    limits = []
    for kind, reason in REASONS.items():
        everywhere = _cut(faults, kind, -1, params)
        for code in range(-1, len(group.categories) if group is not None and kind == "mislabelled" else 0):
            mine = codes == code if code >= 0 else np.ones(len(rows), bool)
            sampled = mine[faults.sampled] & believed
            cut = _cut(faults, kind, code, params)
            limits.append({
                "kind": "threshold", "reason": reason, "group": group.categories[code] if code >= 0 else None,
                "threshold": cut, "shift": cut - everywhere, "images": float(mine.sum()),
                "share": faults.shares[kind], "genuine_low": _point(faults.genuine[sampled], 0.01),
                "impostor_high": _point(faults.impostor[sampled], 0.99),
            })  # fmt: skip
    return pd.DataFrame(limits)


def _point(values: np.ndarray, at: float) -> float:
    return float(np.quantile(values, at)) if len(values) else np.nan


def _cut(faults: Faults, kind: str, code: int, params: LabelNoiseParams) -> float:
    curve = getattr(faults.curves, kind)
    return curve.score_at(params.min_confidence, faults.shares[kind], code if kind == "mislabelled" else -1)


def _new_names(table: pd.DataFrame, identity: np.ndarray, names: list[str], taken: set[str]) -> list[str]:
    """A name that nobody has for each second person: that of the identity with a number behind it."""
    found = table[(table["suggested"] >= len(names)).to_numpy()].drop_duplicates("suggested")
    result = [""] * (int(table["suggested"].max()) + 1 - len(names) if len(found) else 0)
    for row, code in sorted(zip(found["row"], found["suggested"], strict=True), key=lambda pair: pair[1]):
        number = 2
        while (name := f"{names[identity[row]]}~{number}") in taken:
            number += 1
        taken.add(name)
        result[code - len(names)] = name
    return result


def _decide(
    table: pd.DataFrame, faults: Faults, identity: np.ndarray, names: list[str], ids: pa.Array,
    params: LabelNoiseParams,
) -> Decisions:  # fmt: skip
    """What is done about each fault; an image gets one answer at most, flags aside."""
    row, target = table["row"].to_numpy(), table["target"].to_numpy()
    action = _actions(table, np.bincount(identity)[identity[row]], target, params)
    action = _one_answer(table, row, action)
    action = _last_images(table, row, action, identity, names)
    merged = np.arange(len(names) + 1)
    joins = action == col.MERGE
    merged[identity[row[joins]]] = target[joins]
    moved = np.isin(action, (col.MOVE, col.MERGE))
    # Who is moved to a name that goes is moved to where it goes.
    goal = np.where((target >= 0) & (target < len(names)), merged[np.clip(target, 0, len(names))], -1)
    texts = pd.Series([*names, None], dtype="str").array.take(np.where(goal < 0, len(names), goal))
    new = table["suggested_identity"].where(goal < 0, pd.Series(texts, index=table.index))
    shown = _shown(faults, identity, row[action != col.FLAG])
    example = np.where(target < 0, -1, np.append(shown, -1)[np.where(target < len(names), target, identity[row])])
    example = np.where(example == row, -1, example)
    related = pd.Series(ids.to_pandas().to_numpy(), dtype="str").array.take(np.maximum(example, 0))
    return Decisions.from_frame(pd.DataFrame({
        col.IMAGE_ID: table[col.IMAGE_ID], "action": action, "reason": table["reason"], "score": table["score"],
        "threshold": table["threshold"], "related_id": pd.Series(related, index=table.index).where(example >= 0),
        "new_value": new.where(moved),
    }))  # fmt: skip


def _actions(table: pd.DataFrame, size: np.ndarray, target: np.ndarray, params: LabelNoiseParams) -> np.ndarray:
    kind, fits = table["kind"].to_numpy(), target >= 0
    action = np.full(len(table), col.FLAG, dtype=object)
    sure = table["confidence"].to_numpy() >= params.min_confidence
    settled = (size > 2) | ((size == 2) & fits)  # of two images nobody can say which is the wrong one, unless it fits
    action[sure & (kind == "mislabelled") & settled] = col.FLAG if params.mislabelled == "flag" else col.DROP
    if params.mislabelled == "move":
        action[sure & (kind == "mislabelled") & settled & fits] = col.MOVE
    mixed = {"split": col.MOVE, "keep_dominant": col.DROP, "flag": col.FLAG}[params.mixed]
    action[sure & (kind == "mixed")] = mixed
    action[sure & (kind == "split")] = col.MERGE if params.split == "merge" else col.FLAG
    return action


def _one_answer(table: pd.DataFrame, row: np.ndarray, action: np.ndarray) -> np.ndarray:
    """The first of mislabelled, mixed, split that acts on an image; what else was found about it is flagged."""
    rank = table["kind"].map({"mislabelled": 0, "mixed": 1, "split": 2}).to_numpy()
    acting = np.flatnonzero(action != col.FLAG)
    order = acting[np.lexsort((rank[acting], row[acting]))]
    again = order[1:][row[order[1:]] == row[order[:-1]]]
    action[again] = col.FLAG
    return action


def _last_images(
    table: pd.DataFrame, row: np.ndarray, action: np.ndarray, identity: np.ndarray, names: list[str]
) -> np.ndarray:
    """Where an identity would lose all its images, and some of them for good, the one least in doubt stays, flagged."""
    leaves = np.isin(action, (col.DROP, col.MOVE))
    of = identity[row]
    left = np.bincount(identity, minlength=len(names)) - np.bincount(of[leaves], minlength=len(names))
    dropped = np.flatnonzero((action == col.DROP) & (left[of] <= 0))
    order = dropped[np.lexsort((row[dropped], table["confidence"].to_numpy()[dropped], of[dropped]))]
    first = order[np.append(True, of[order[1:]] != of[order[:-1]])] if len(order) else order
    action[first] = col.FLAG
    if len(first):
        told = ", ".join(names[code] for code in of[first][:5].tolist())
        warnings.warn(f"{len(first):,} identities would have lost their last image; it stays, flagged: {told}"
                      f"{', ...' if len(first) > 5 else ''}", stacklevel=4)  # fmt: skip
    gone = np.flatnonzero((left <= 0) & ~np.isin(np.arange(len(names)), of[dropped]))
    if len(gone):
        warnings.warn(f"{len(gone):,} identities end, since all their images fit other names: "
                      f"{', '.join(names[code] for code in gone[:5].tolist())}", stacklevel=4)  # fmt: skip
    return action


def _shown(faults: Faults, identity: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """The row of the image that shows each identity best, among those that nothing is done about; -1 for none."""
    own = faults.belief.own.copy()
    own[decided] = -np.inf
    order = np.lexsort((np.arange(len(own)), -own, identity))
    first = order[np.append(True, identity[order[1:]] != identity[order[:-1]])]
    return np.where(np.isfinite(own[first]), first, -1)
