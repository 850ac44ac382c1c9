"""Group tables against a slow count, row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from curate.report.groups import group_tables
from curate.report.runs import read_run


def test_removal_and_counts_agree_with_a_slow_count(run: Path) -> None:
    source = pd.read_parquet(run / "steps/00-source/manifest.parquet")
    final = pd.read_parquet(run / "manifest.parquet")
    gone = set(pd.read_parquet(run / "rejected.parquet")["image_id"])
    tables = {entry.label: entry for entry in group_tables(read_run(run))}
    assert list(tables) == ["ethnicity", "gender", "ethnicity / gender"] or set(tables) == {
        "gender", "ethnicity", "gender / ethnicity"}  # fmt: skip
    for label, entry in tables.items():
        parts = label.split(" / ")

        def cell(row: dict, parts: list[str] = parts) -> str | None:
            return None if any(pd.isna(row[p]) for p in parts) else "/".join(row[p] for p in parts)

        before, dropped, after, replicas = {}, {}, {}, {}
        people: dict[str, set] = {}
        missing = 0
        for row in source.to_dict("records"):
            key = cell(row)
            if key is None:
                missing += 1
                continue
            before[key] = before.get(key, 0) + 1
            dropped[key] = dropped.get(key, 0) + (row["image_id"] in gone)
            people.setdefault(key, set()).add(row["identity"])
        for row in final.to_dict("records"):
            key = cell(row)
            if key is not None:
                side = after if pd.isna(row["parent_id"]) else replicas
                side[key] = side.get(key, 0) + 1
        assert entry.unlabelled == missing
        removal = entry.removal.set_index("group")
        assert removal["images"].to_dict() == before
        assert removal["dropped"].to_dict() == dropped
        counts = entry.counts.set_index("group")
        assert {k: v for k, v in counts["images_after"].items() if v} == after
        assert {k: v for k, v in counts["replicas"].items() if v} == replicas
        assert counts["identities_before"].to_dict() == {k: len(v) for k, v in people.items()}
        sizes = np.array(list(before.values()))
        first = entry.measures.iloc[0]
        assert first["idr"] == np.quantile(sizes, 0.9) / np.quantile(sizes, 0.1)
        assert first["smallest group"] in [k for k, v in before.items() if v == sizes.min()]
