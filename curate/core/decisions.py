"""Decisions: what a step or a person wants done to which image, and why; and the one function that does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import Manifest, text_array, tidy_categories

_TEXT = (col.IMAGE_ID, "related_id", "new_value")
_CATEGORIES = ("action", "reason", "step", "source")


@dataclass(frozen=True)
class Decisions:
    """Rows of (image_id, action, reason, score, threshold, related_id, new_value, step, order, source).

    action: `drop` | `move` (new_value: the other identity) | `merge` (each image of an identity; new_value: the
        identity it joins) | `flag` | `add` (image_id: the replica's new id; related_id: the parent; new_value: the
        augment seed) | `assign` (new_value: `column=value`, empty value: null) | `keep` (nothing may drop or move
        this image).
    score, threshold: float64, NaN where none; related_id: the other image of the evidence, or null.
    Rows are in order of (image_id, action, reason, related_id, new_value, score, threshold, order), so that equal
    decisions are equal bytes.
    evidence: what a step decided from, where that is more than its decisions say (all confirmed pairs, say); the run
    keeps it, and reports may read it. `concat` and `stamped` leave it behind.
    """

    frame: pd.DataFrame
    evidence: pd.DataFrame | None = None

    @classmethod
    def of(
        cls,
        image_id: Any,
        action: str,
        reason: Any,
        *,
        score: Any = np.nan,
        threshold: Any = np.nan,
        related_id: Any = None,
        new_value: Any = None,
    ) -> Decisions:
        """Decisions of one action for many images; single values are repeated for each."""
        ids = text_array(pd.Series(image_id, dtype="str") if isinstance(image_id, list) else image_id)
        n = len(ids)

        def text(value: Any) -> Any:
            if value is None or isinstance(value, str):
                return pd.array(pa.repeat(pa.scalar(value, pa.large_string()), n), dtype="str")
            return pd.array(
                text_array(pd.Series(value, dtype="str") if isinstance(value, list) else value), dtype="str"
            )

        def category(value: Any) -> pd.Categorical:
            if isinstance(value, str):
                return pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index([value], dtype="str"))
            return pd.Categorical(value)

        return cls.from_frame(
            pd.DataFrame(
                {
                    col.IMAGE_ID: pd.array(ids, dtype="str"),
                    "action": category(action),
                    "reason": category(reason),
                    "score": np.broadcast_to(np.asarray(score, dtype=np.float64), n),
                    "threshold": np.broadcast_to(np.asarray(threshold, dtype=np.float64), n),
                    "related_id": text(related_id),
                    "new_value": text(new_value),
                }
            )
        )

    @classmethod
    def empty(cls) -> Decisions:
        """No decisions."""
        return cls.of([], col.FLAG, "none")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Decisions:
        """Validate and order a table of decisions; missing columns are filled with nulls.

        Raises InputError for an unknown action or a row without image_id.
        """
        n = len(frame)
        data: dict[str, Any] = {}
        for name in col.DECISION_COLUMNS:
            if name in _TEXT:
                data[name] = pd.array(
                    text_array(frame[name]) if name in frame else pa.nulls(n, pa.large_string()), "str"
                )
            elif name in _CATEGORIES:
                values = frame[name] if name in frame else pd.Series(pd.Categorical.from_codes(np.full(n, -1), []))
                data[name] = tidy_categories(values.reset_index(drop=True)).array
            elif name == "order":
                data[name] = frame[name].to_numpy(np.int32) if name in frame else np.full(n, -1, dtype=np.int32)
            else:
                data[name] = frame[name].to_numpy(np.float64) if name in frame else np.full(n, np.nan)
        table = pd.DataFrame(data)
        unknown = [action for action in table["action"].cat.categories if action not in col.ACTIONS]
        if unknown or table["action"].isna().any():
            value = unknown[0] if unknown else None
            row = int((table["action"].isna() if value is None else table["action"] == value).to_numpy().argmax())
            raise InputError(
                "unknown action", row=row + 1, column="action", value=value, allowed=", ".join(col.ACTIONS)
            )
        if table[col.IMAGE_ID].isna().any():
            row = int(table[col.IMAGE_ID].isna().to_numpy().argmax())
            raise InputError("the decision names no image", row=row + 1, column=col.IMAGE_ID)
        keys = {key: text_array(table[key]) for key in (col.IMAGE_ID, "action", "reason", "related_id", "new_value")}
        keys |= {key: pa.array(table[key].to_numpy()) for key in ("score", "threshold", "order")}
        order = pc.sort_indices(pa.table(keys), sort_keys=[(key, "ascending") for key in keys]).to_numpy()
        return cls(table.take(order).reset_index(drop=True))

    @classmethod
    def concat(cls, parts: Iterable[Decisions]) -> Decisions:
        """All rows of several decision tables, in order."""
        frames = [part.frame for part in parts if len(part)]
        if not frames:
            return cls.empty()
        if len(frames) == 1:
            return cls(frames[0])
        frames = [frame.astype(dict.fromkeys(_CATEGORIES, "str")) for frame in frames]
        return cls.from_frame(pd.concat(frames, ignore_index=True))

    def __len__(self) -> int:
        return len(self.frame)

    def with_evidence(self, evidence: pd.DataFrame) -> Decisions:
        """The same rows beside the table that they were made from."""
        return Decisions(self.frame, evidence)

    def having(self, action: str) -> pd.DataFrame:
        """The rows of one action."""
        return self.frame[(self.frame["action"] == action).to_numpy()]

    def stamped(self, step: str, order: int, source: str = col.STEP_SOURCE) -> Decisions:
        """The same rows, with the step that made them."""
        return Decisions.from_frame(self.frame.assign(step=_constant(step, len(self)), order=np.int32(order),
                                                      source=_constant(source, len(self))))  # fmt: skip


def _constant(value: str, n: int) -> pd.Categorical:
    return pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index([value], dtype="str"))


def apply_decisions(manifest: Manifest, decisions: Decisions) -> tuple[Manifest, pd.DataFrame]:
    """Do what the decisions say: the manifest after them, and the rows that they dropped.

    A `keep` protects its image from every drop, move and merge in the same table. Rows about images that the manifest
    does not have change nothing, so applying the same decisions twice equals applying them once. Images that move
    take the identity-level labels of the identity that they join, where that identity is there.
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
    rows, first = np.unique(present[dropping], return_index=True)
    rejected = manifest.frame.take(rows).reset_index(drop=True)
    why = frame.take(dropping[first])
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
