"""Apply decisions to a manifest: the one function that removes, moves, adds or assigns anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.decisions import Decisions
from curate.core.errors import InputError
from curate.core.manifest import Manifest, text_array, tidy_categories


def apply_decisions(manifest: Manifest, decisions: Decisions) -> tuple[Manifest, pd.DataFrame]:
    """Do what the decisions say: the manifest after them, and the rows that they dropped.

    A `keep` protects its image from every drop, move and merge in the same table. Rows about images that the manifest
    does not have change nothing, so applying the same decisions twice equals applying them once. Images that move
    take the identity-level labels of the identity that they join, where that identity is there; the replicas of a
    dropped image go with it.
    The dropped rows keep the manifest's columns and gain `step, reason, score, threshold, related_id` of the first
    decision that dropped them.
    Raises InputError where an image is moved to two identities or a column is assigned twice with different values.
    """
    frame = decisions.frame
    present = manifest.rows_of(frame[col.IMAGE_ID])
    action = frame["action"]
    protected = np.zeros(len(manifest) + 1, dtype=bool)  # the last place stands for images that are not here
    protected[present[_is(action, col.KEEP) & (present >= 0)]] = True
    free = (present >= 0) & ~protected[present]

    dropping = np.flatnonzero(_is(action, col.DROP) & free)
    gone, first = np.unique(present[dropping], return_index=True)
    reason_at = np.full(len(manifest), -1, dtype=np.int64)
    reason_at[gone] = dropping[first]
    _with_their_parent(manifest, reason_at)
    rows = np.flatnonzero(reason_at >= 0)
    rejected = manifest.frame.take(rows).reset_index(drop=True)
    why = frame.take(reason_at[rows])
    for name in ("step", "reason", "score", "threshold", "related_id"):
        rejected[name] = why[name].array
    remains = np.ones(len(manifest), dtype=bool)
    remains[rows] = False
    # Drops come first, so that what remains decides the labels of an image that moves.
    result = manifest.take(remains) if len(rows) else manifest
    place = np.append(np.where(remains, np.cumsum(remains) - 1, -1), -1)
    present = place[present]
    result = _assign(result, frame, present, _is(action, col.ASSIGN) & (present >= 0))
    result = _move(result, frame, present, (_is(action, col.MOVE) | _is(action, col.MERGE)) & free & (present >= 0))
    return _add(result, frame[_is(action, col.ADD)]), rejected


def _with_their_parent(manifest: Manifest, reason_at: np.ndarray) -> None:
    """Replicas go with the image that they are copies of, for the same reason: `reason_at` `(N,)` is filled in."""
    replicas = np.flatnonzero(~manifest.originals())
    if len(replicas) and (reason_at >= 0).any():
        parents = manifest.rows_of(manifest.frame[col.PARENT_ID].take(replicas))
        orphaned = (parents >= 0) & (reason_at[replicas] < 0)
        reason_at[replicas[orphaned]] = reason_at[parents[orphaned]]


def _is(action: pd.Series, name: str) -> np.ndarray:
    return np.asarray(action == name, dtype=bool)


def _distinct(values: pd.Series) -> tuple[list[str], np.ndarray]:
    """The distinct texts and, for each row, which one it has."""
    encoded = pc.dictionary_encode(text_array(values), null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)


def _assign(manifest: Manifest, decisions: pd.DataFrame, present: np.ndarray, mask: np.ndarray) -> Manifest:
    if not mask.any():
        return manifest
    frame = manifest.frame.copy(deep=False)
    texts, codes = _distinct(decisions["new_value"][mask])
    if not all(text and "=" in text for text in texts):
        raise InputError("an assign decision must read `column=value`", column="new_value")
    names, values = zip(*(text.split("=", 1) for text in texts), strict=True)
    for name in sorted(set(names)):
        here = np.array([other == name for other in names])[codes]
        rows, which = present[mask][here], codes[here]
        _refuse_conflicts(rows, which, texts, "assigned two values", manifest)
        if name == col.WEIGHT:
            weights = frame[name].to_numpy(copy=True) if name in frame else np.ones(len(frame))
            weights[rows] = np.array([_weight(v) if n == name else 0 for n, v in zip(names, values, strict=True)])[
                which
            ]
            frame[name] = weights
        elif name == col.SPLIT or name in manifest.levels:
            frame[name] = _set_categories(frame.get(name), len(frame), rows, values, which)
        else:
            raise InputError("an assign decision names a column that can't be assigned", value=name,
                             allowed=", ".join((col.SPLIT, col.WEIGHT, *manifest.levels)))  # fmt: skip
    return Manifest.from_frame(frame, root=manifest.root, levels=manifest.levels)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = np.nan
    if not 0 <= weight < np.inf:
        raise InputError("an assign decision gives no weight", column="new_value", value=f"{col.WEIGHT}={text}",
                         allowed="numbers of at least 0")  # fmt: skip
    return weight


def _set_categories(
    column: pd.Series | None, n: int, rows: np.ndarray, values: Sequence[str], which: np.ndarray
) -> pd.Series:
    """The categorical with `values[which]` at `rows`; an empty text is null."""
    old = list(column.cat.categories) if column is not None else []
    codes = column.cat.codes.to_numpy() if column is not None else np.full(n, -1)
    names = sorted((set(old) | set(values)) - {""})
    position = {name: code for code, name in enumerate(names)}
    codes = np.array([position[name] for name in old] + [-1], dtype=np.int64)[codes]
    codes[rows] = np.array([position.get(name, -1) for name in values], dtype=np.int64)[which]
    return tidy_categories(pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="str"))))


def _move(manifest: Manifest, decisions: pd.DataFrame, present: np.ndarray, mask: np.ndarray) -> Manifest:
    if not mask.any():
        return manifest
    rows = present[mask]
    targets, which = _distinct(decisions["new_value"][mask])
    if None in targets:
        raise InputError("a move or merge decision names no identity", column="new_value")
    _refuse_conflicts(rows, which, targets, "moved to two identities", manifest)
    frame = manifest.frame.copy(deep=False)
    # A replica is no evidence: one that came with the same decisions would settle what its parent could not.
    stays = manifest.originals().copy()
    stays[rows] = False
    for label, level in manifest.levels.items():
        if level == "identity":
            settled = frame[stays & frame[label].notna().to_numpy()]
            value = settled.groupby(col.IDENTITY, observed=True)[label].first()
            joined = value.astype("str").reindex(targets)
            known = joined.notna().to_numpy()[which]
            values = joined.fillna("").tolist()
            frame[label] = _set_categories(frame[label], len(frame), rows[known], values, which[known])
    frame[col.IDENTITY] = _set_categories(frame[col.IDENTITY], len(frame), rows, targets, which)
    return Manifest.from_frame(frame, root=manifest.root, levels=manifest.levels)


def _add(manifest: Manifest, decisions: pd.DataFrame) -> Manifest:
    if not len(decisions):
        return manifest
    parents = manifest.rows_of(decisions["related_id"])
    new = (parents >= 0) & (manifest.rows_of(decisions[col.IMAGE_ID]) < 0)
    if not new.any():
        return manifest
    decisions, parents = decisions[new], parents[new]
    number = pc.extract_regex(text_array(decisions[col.IMAGE_ID]), r"~r(?P<n>\d{1,9})$")
    seeds = text_array(decisions["new_value"])
    sound = pc.and_(pc.is_valid(number), pc.fill_null(pc.match_substring_regex(seeds, r"^\d{1,19}$"), False))
    if not pc.all(sound).as_py():
        row = pc.index(sound, False).as_py()
        raise InputError("an add decision describes no replica", column=col.IMAGE_ID,
                         value=(decisions[col.IMAGE_ID].iloc[row], seeds[row].as_py()),
                         allowed="the parent's id, ~r and a number; new_value: the augment seed")  # fmt: skip
    frame = manifest.frame
    for name, empty in ((col.PARENT_ID, None), (col.REPLICA, np.int32(0)), (col.AUGMENT_SEED, np.uint64(0))):
        if name not in frame:
            value = pd.array(pa.nulls(len(frame), pa.large_string()), "str") if empty is None else empty
            frame = frame.assign(**{name: value})
    replicas = frame.take(parents).reset_index(drop=True)
    replicas[col.IMAGE_ID] = decisions[col.IMAGE_ID].array
    replicas[col.PARENT_ID] = decisions["related_id"].array
    replicas[col.AUGMENT_SEED] = seeds.cast(pa.uint64()).to_numpy(zero_copy_only=False)
    replicas[col.REPLICA] = pc.struct_field(number, "n").cast(pa.int32()).to_numpy(zero_copy_only=False)
    return Manifest.from_frame(
        pd.concat([frame, replicas], ignore_index=True), root=manifest.root, levels=manifest.levels
    )


def replica_id(parent_id: str, number: int) -> str:
    """The id of a parent's replica number 1, 2, ..."""
    return f"{parent_id}~r{number}"


def _refuse_conflicts(
    rows: np.ndarray, which: np.ndarray, texts: Sequence[str], problem: str, manifest: Manifest
) -> None:
    order = np.lexsort((which, rows))
    clash = (np.diff(rows[order]) == 0) & (np.diff(which[order]) != 0)
    if clash.any():
        at = int(clash.argmax())
        image = manifest.frame[col.IMAGE_ID][int(rows[order[at]])]
        raise InputError(f"the image {image!r} is {problem}", value=[texts[which[order[i]]] for i in (at, at + 1)])
