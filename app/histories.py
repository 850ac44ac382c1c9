"""What was decided about some images, step by step."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.report.runs import RunFolder

_COLUMNS = ["image_id", "action", "reason", "score", "threshold", "related_id", "new_value", "source"]


def history(run: RunFolder, image_ids: list[str]) -> pd.DataFrame:
    """Decisions about the images, in order of the steps: image, step, action, reason, score, threshold, other, to, by.

    Only row groups that can hold one of the ids are read: tables are in order of `image_id`.
    """
    wanted = pc.field("image_id").isin(pa.array(image_ids, pa.string()))
    parts = [pd.DataFrame({name: [] for name in ("step", *_COLUMNS)})]
    for step in run.steps:
        file = step.folder / "decisions.parquet"
        if step.kind == "report" or not file.is_file():
            continue
        found = pq.read_table(file, columns=_COLUMNS, filters=wanted)
        if len(found):
            plain = pa.table({
                name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
                for name, column in zip(found.column_names, found.columns, strict=True)
            })  # fmt: skip
            parts.append(plain.to_pandas().assign(step=f"{step.order}. {step.name}"))
    filled = [part for part in parts if len(part)]
    table = pd.concat(filled, ignore_index=True) if filled else parts[0]
    table = table.rename(columns={"image_id": "image", "related_id": "other", "new_value": "to", "source": "by"})
    table["by"] = table["by"].map({"human": "a person"}).fillna("the step")
    return table[["image", "step", "action", "reason", "score", "threshold", "other", "to", "by"]]


__all__ = ["history"]
