"""What the run did to each demographic group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.manifest import text_array
from curate.core.tables import read_columns
from curate.report.runs import RunFolder
from curate.stats import imbalance
from curate.stats.intervals import wilson

MAX_VALUES = 60  # a label with more values than this is no demographic group
SMALLEST = "smallest group"


@dataclass(frozen=True)
class GroupTables:
    """For one label, or for the cells of all identity-level labels together.

    removal: group, images, dropped, share, share_low, share_high (Wilson 95%). counts: group, and images and identities
    before and after, and replicas. measures: stage, IDR and its companions. unlabelled: images that went in without a
    value; they are in no row.
    """

    label: str
    removal: pd.DataFrame
    counts: pd.DataFrame
    measures: pd.DataFrame
    unlabelled: int


def group_tables(run: RunFolder) -> list[GroupTables]:
    """One entry for each label with at most 60 values, and one for the cells of two or more identity-level labels."""
    source, final = run.source, run.final
    dropped = dropped_mask(run)
    wanted = [[name] for name in run.labels]
    person = [name for name, level in run.labels.items() if level == "identity"]
    if len(person) > 1:
        wanted.append(person)
    made = []
    for labels in wanted:
        before = _cells(source, labels)
        if not 0 < len(before.cat.categories) <= MAX_VALUES:
            continue
        after = _cells(final, labels)
        counts = _counts(source, final, before, after)
        made.append(
            GroupTables(
                " / ".join(labels), _removal(before, dropped), counts, _measures(counts), int(before.isna().sum())
            )
        )
    return made


def dropped_mask(run: RunFolder) -> np.ndarray:
    """Which rows of the source were dropped: `(N,)` bool."""
    ids = text_array(run.source_ids)
    file = run.path / "rejected.parquet"
    if not file.is_file():
        return np.zeros(len(ids), dtype=bool)
    gone = text_array(read_columns(file)[0][col.IMAGE_ID])
    return pc.is_in(ids, value_set=gone).to_numpy(zero_copy_only=False)


def _cells(frame: pd.DataFrame, labels: list[str]) -> pd.Series:
    """The cell of each row as a categorical; a row with any label missing is null."""
    present = [name for name in labels if name in frame]
    if len(present) < len(labels):
        return pd.Series(pd.Categorical([None] * len(frame)))
    if len(labels) == 1:
        return frame[labels[0]]
    number = frame.groupby(labels, observed=True, sort=True).ngroup().fillna(-1).astype("int64").to_numpy()
    names = ["/".join(map(str, key)) for key in frame.groupby(labels, observed=True, sort=True).size().index]
    return pd.Series(pd.Categorical.from_codes(number, categories=names))


def _removal(cells: pd.Series, dropped: np.ndarray) -> pd.DataFrame:
    codes = cells.cat.codes.to_numpy()
    n = len(cells.cat.categories)
    images = np.bincount(codes[codes >= 0], minlength=n)
    gone = np.bincount(codes[dropped & (codes >= 0)], minlength=n)
    intervals = [wilson(k, n) if n else (np.nan, np.nan) for k, n in zip(gone.tolist(), images.tolist(), strict=True)]
    low, high = np.array(intervals).reshape(-1, 2).T
    return pd.DataFrame({"group": cells.cat.categories.astype("str"), "images": images, "dropped": gone,
                         "share": gone / np.maximum(images, 1), "share_low": low, "share_high": high})  # fmt: skip


def _counts(source: pd.DataFrame, final: pd.DataFrame, before: pd.Series, after: pd.Series) -> pd.DataFrame:
    names = sorted({*map(str, before.cat.categories), *map(str, after.cat.categories)})
    original = final["original"].to_numpy()
    columns = {
        "images_before": _sizes(before, np.ones(len(source), dtype=bool)),
        "identities_before": _identities(source, before),
        "images_after": _sizes(after, original),
        "identities_after": _identities(final, after),
        "replicas": _sizes(after, ~original),
    }
    return pd.DataFrame({"group": names} | {k: v.reindex(names, fill_value=0).to_numpy() for k, v in columns.items()})


def _sizes(cells: pd.Series, mask: np.ndarray) -> pd.Series:
    codes = cells.cat.codes.to_numpy()
    sizes = np.bincount(codes[mask & (codes >= 0)], minlength=len(cells.cat.categories))
    return pd.Series(sizes, index=cells.cat.categories.astype("str"), dtype="int64")


def _identities(frame: pd.DataFrame, cells: pd.Series) -> pd.Series:
    codes, people = cells.cat.codes.to_numpy().astype(np.int64), frame[col.IDENTITY].cat.codes.to_numpy()
    known = (codes >= 0) & (people >= 0)
    width = max(len(frame[col.IDENTITY].cat.categories), 1)
    distinct = np.unique(codes[known] * width + people[known]) // width
    sizes = np.bincount(distinct, minlength=len(cells.cat.categories))
    return pd.Series(sizes, index=cells.cat.categories.astype("str"), dtype="int64")


def _measures(counts: pd.DataFrame) -> pd.DataFrame:
    """IDR, largest / smallest, MeanIR and the smallest group, over the groups present at each stage."""
    stages = {"before": counts["images_before"], "after": counts["images_after"]}
    if counts["replicas"].any():
        stages["after, with replicas"] = counts["images_after"] + counts["replicas"]
    rows = []
    for stage, sizes in stages.items():
        if not (sizes > 0).any():
            continue
        place, fewest = imbalance.smallest(sizes)
        rows.append({"stage": stage, "groups": int((sizes > 0).sum()), "idr": imbalance.idr(sizes),
                     "max_over_min": imbalance.max_min(sizes), "mean_ir": imbalance.mean_ir(sizes),
                     SMALLEST: str(counts["group"][place]), "images in it": fewest})  # fmt: skip
    return pd.DataFrame(rows)
