"""The parts of the report page, as plain values for its template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from curate.core import columns as col
from curate.core.errors import CurateError
from curate.core.shapes import Figure
from curate.report.examples import Reason, reasons_of
from curate.report.numbers import PlainTable, plain_table, rates_first
from curate.report.runs import RunFolder, StepRecord

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_ROWS = 200  # a longer table is named, not shown
MIN_SCORES = 8  # fewer scores need no figure


@dataclass(frozen=True)
class Headline:
    """What went in and what came out. Images out are photographs; replicas are counted apart."""

    images_in: int
    identities_in: int
    images_out: int
    identities_out: int
    dropped: int
    flagged: int
    moved: int
    replicas: int

    @property
    def dropped_share(self) -> float:
        """Share of the images that were dropped."""
        return self.dropped / self.images_in if self.images_in else 0.0


@dataclass(frozen=True)
class StepCard:
    """A step on the page: its reasons with examples, and how wide its bars in the funnel are (percent)."""

    step: StepRecord
    reasons: tuple[Reason, ...]
    images_width: float
    identities_width: float
    images_change: int
    identities_change: int

    @property
    def anchor(self) -> str:
        """The id of the card in the page."""
        return f"step-{self.step.order}"

    @property
    def spared(self) -> int:
        """How many drop decisions dropped nothing."""
        decided = sum(count for key, count in self.step.actions.items() if key.startswith(f"{col.DROP}/"))
        return max(decided - self.step.dropped, 0)


@dataclass(frozen=True)
class ShownTable:
    """A table of a report: shown in full when it is short, else only named with its number of rows."""

    name: str
    rows: int
    table: PlainTable | None
    is_rates: bool


def headline(run: RunFolder) -> Headline:
    """The figures at the top of the page."""
    original = run.final["original"].to_numpy()
    actions: dict[str, int] = {}
    for step in run.steps:
        for key, count in step.actions.items():
            name = key.split("/", 1)[0]
            actions[name] = actions.get(name, 0) + count
    return Headline(
        images_in=len(run.source),
        identities_in=_identities(run.source),
        images_out=int(original.sum()),
        identities_out=_identities(run.final),
        dropped=len(run.rejected),
        flagged=actions.get(col.FLAG, 0),
        moved=actions.get(col.MOVE, 0) + actions.get(col.MERGE, 0),
        replicas=int((~original).sum()),
    )


def _identities(frame: pd.DataFrame) -> int:
    return int(frame[col.IDENTITY].nunique())


def step_cards(run: RunFolder) -> list[StepCard]:
    """One card for each step that decides, in order.

    Bars compare with what went in and end there: thousands of replicas must not hide what cleaning took.
    """
    images, people = max(len(run.source), 1), max(_identities(run.source), 1)
    return [
        StepCard(
            step,
            tuple(reasons_of(run, step)),
            round(min(100 * step.counts["images_out"] / images, 100), 2),
            round(min(100 * step.counts["identities_out"] / people, 100), 2),
            step.counts["images_out"] - step.counts["images_in"],
            step.counts["identities_out"] - step.counts["identities_in"],
        )
        for step in run.steps
        if step.kind != "report"
    ]


def score_figure(reason: Reason) -> go.Figure | None:
    """How the scores of a reason are spread, with its threshold; None where there are too few to draw."""
    from curate.report.figures import draw

    scores = reason.scores
    if len(scores) < MIN_SCORES or scores.min() == scores.max():
        return None
    distinct = np.unique(scores)
    if len(distinct) <= 40 and np.array_equal(distinct, np.round(distinct)):
        places, sizes = np.unique(scores, return_counts=True)
    else:
        sizes, edges = np.histogram(scores, bins=40)
        places = (edges[1:] + edges[:-1]) / 2
    table = pd.DataFrame({"score": places.astype(np.float64), "images": sizes})
    picture = draw(Figure("bars", "", "", {"x": "score", "y": "images"}), table)
    picture.update_layout(height=200)
    if len(reason.thresholds) == 1:
        label = {"text": f"threshold {reason.threshold}", "font": {"color": "#d55e00", "size": 11}}
        line = {"color": "#d55e00", "width": 1.5, "dash": "dash"}
        picture.add_vline(x=reason.thresholds[0], line=line, annotation=label)
    return picture


def tables_of(run: RunFolder, step: StepRecord) -> list[ShownTable]:
    """The tables of a report that none of its figures already shows as a table."""
    listed = {figure.table for figure in step.figures if figure.kind == "table"}
    shown = []
    for name in step.tables:
        if name in listed:
            continue
        try:
            rows = pq.read_metadata(run.path / f"{name}.parquet").num_rows
            frame = run.table(name) if rows <= MAX_ROWS else None
        except (CurateError, OSError, pa.ArrowInvalid):
            continue  # a damaged or missing table costs the page one row, not its life
        columns = set(frame.columns) if frame is not None else set()
        shown.append(
            ShownTable(
                name,
                rows,
                plain_table(frame, columns=rates_first(list(map(str, frame.columns)))) if frame is not None else None,
                {"fmr", "fnmr"} <= columns,
            )
        )
    return shown


def explains_supported(run: RunFolder, step: StepRecord) -> bool:
    """Whether a table of the report has the column `supported`, which readers need explained."""
    for name in step.tables:
        try:
            if "supported" in pq.read_schema(run.path / f"{name}.parquet").names:
                return True
        except (OSError, pa.ArrowInvalid):
            continue
    return False
