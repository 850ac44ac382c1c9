"""Whether cleaning takes more images from one group than from another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from curate.core import columns as col
from curate.core.errors import CurateError
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report
from curate.stats.intervals import clustered_interval, variance_from_sums

_COLUMNS = {
    "step": "str", "labels": "str", "group": "str", "images": "int64", "identities": "int64", "removed": "int64",
    "rate": "float64", "low": "float64", "high": "float64", "ratio": "float64",
}  # fmt: skip


class FilterImpactParams(StrictParams):
    """Parameters of `filter_impact`."""

    group_by: tuple[str, ...] = ("gender",)  # labels; several: their cells, such as f/Asian
    max_difference: Annotated[float, Field(gt=0, le=1)] | None = None  # in removal rate between two groups; null: any
    min_images: Annotated[int, Field(ge=1)] = 30  # groups with fewer are listed, but stop nothing


@report("filter_impact", needs=("decisions", "source"))
def filter_impact(
    manifest: Manifest, features: Features, params: FilterImpactParams, rng: np.random.Generator
) -> Report:
    """Measure how many images of each group every step so far removed, and refuse to go on where that differs too much.

    Table `filter_impact`, one row for each step that dropped images, and `all` together, and each group: images that
    the step found there, of how many identities, removed, rate = removed / images with its 95% interval, which allows
    for images of one identity going together (see `clustered_interval`), and ratio = rate / rate of all other images.
    Images whose label is missing belong to no group; replicas are no images.
    With `max_difference` the run stops here where, for any step, the difference between the removal rates of two
    groups is larger, and beyond chance: the 95% interval of the difference (Newcombe 1998, method 10, from the
    two intervals) lies above 0. Raises CurateError that names step, groups and rates.
    """
    source: Manifest = features["source"]
    group = cells(source, params.group_by)
    rows = list(_rates(source, group, features["decisions"], "/".join(params.group_by)))
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
    gaps = [gap for _, part in table.groupby("step", sort=False) if (gap := _gap(part, params)) is not None]
    for step, difference, low, worst, least in gaps:
        if params.max_difference is not None and difference > params.max_difference and low > 0:
            raise CurateError(
                f"filter_impact: {step} removed {worst['rate']:.1%} of the images of {worst['group']} and "
                f"{least['rate']:.1%} of those of {least['group']}: a difference of {difference:.1%} (at least "
                f"{low:.1%} at 95%), and max_difference is {params.max_difference:.1%}. Look at what it removed "
                "(`curate explain`), change its thresholds or give it group_by, or allow a larger max_difference"
            )
    figures = (
        Figure("bars", "filter_impact", "Share of images removed, per step and group",
               {"x": "step", "y": "rate", "color": "group", "low": "low", "high": "high"}),
        Figure("table", "filter_impact", "Images removed, per step and group"),
    )  # fmt: skip
    summary = {f"largest difference, {step}": f"{difference:.1%} ({worst['group']} {worst['rate']:.1%}, "
               f"{least['group']} {least['rate']:.1%})" for step, difference, _, worst, least in gaps}  # fmt: skip
    return Report(tables={"filter_impact": table}, figures=figures if len(table) else (), summary=summary)


def _rates(
    source: Manifest, group: pd.Categorical, decisions: pd.DataFrame, labels: str
) -> Iterator[dict[str, object]]:
    kept = decisions[(decisions["action"] == col.KEEP).to_numpy()]
    dropped = decisions[(decisions["action"] == col.DROP).to_numpy()]
    shielded = set(zip(kept["order"], kept[col.IMAGE_ID], strict=True))
    real = [key not in shielded for key in zip(dropped["order"], dropped[col.IMAGE_ID], strict=True)]
    dropped = dropped[np.array(real, bool)]
    here = source.originals()
    first, ever = here.copy(), np.zeros(len(source), bool)
    for order, part in dropped.groupby("order", sort=True):
        rows = source.rows_of(part[col.IMAGE_ID])
        gone = np.zeros(len(source), bool)
        gone[rows[rows >= 0]] = True
        gone &= here
        if gone.any():
            yield from _of_step(f"{order:02d} {part['step'].iloc[0]}", labels, source, group, here, gone)
        here = here & ~gone
        ever |= gone
    if ever.any():
        yield from _of_step("all", labels, source, group, first, ever)


def _of_step(
    step: str, labels: str, source: Manifest, group: pd.Categorical, here: np.ndarray, gone: np.ndarray
) -> Iterator[dict[str, object]]:
    # An image without an identity is a cluster of its own.
    identity = source.codes(col.IDENTITY).astype(np.int64)
    identity = np.where(identity < 0, identity.max(initial=-1) + 1 + np.arange(len(identity)), identity)
    everyone, lost = int(here.sum()), int(gone.sum())
    for code, name in enumerate(group.categories):
        mine = here & (group.codes == code)
        removed, images = int((mine & gone).sum()), int(mine.sum())
        of, where = np.unique(identity[mine], return_inverse=True)
        compared = np.bincount(where, minlength=len(of)).astype(float)
        errors = np.bincount(where, gone[mine], len(of))
        variance = variance_from_sums(compared, errors, np.zeros(0), np.zeros(0), 0.0, False)
        interval = clustered_interval(removed, images, variance, len(of))
        other = (lost - removed) / (everyone - images) if everyone > images else np.nan
        yield {
            "step": step, "labels": labels, "group": name, "images": images, "identities": len(of),
            "removed": removed, "rate": interval.rate, "low": interval.low, "high": interval.high,
            "ratio": interval.rate / other if other and np.isfinite(other) else np.nan,
        }  # fmt: skip


def _gap(part: pd.DataFrame, params: FilterImpactParams) -> tuple[str, float, float, pd.Series, pd.Series] | None:
    """Step, largest difference of two rates, its lower 95% limit, and the two rows."""
    part = part[(part["images"] >= params.min_images).to_numpy()]
    if len(part) < 2:
        return None
    worst, least = part.loc[part["rate"].idxmax()], part.loc[part["rate"].idxmin()]
    difference = float(worst["rate"] - least["rate"])
    low = difference - float(np.hypot(worst["rate"] - worst["low"], least["high"] - least["rate"]))
    return str(worst["step"]), difference, low, worst, least
