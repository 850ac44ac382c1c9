"""Decisions: what a step or a person wants done to which image, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.manifest import text_array, tidy_categories

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
