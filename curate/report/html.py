"""The report page of a run: one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from curate.core.errors import CurateError
from curate.core.files import write_text
from curate.core.shapes import Figure
from curate.report import numbers, words
from curate.report.examples import PairSheet, pair_sheet
from curate.report.figures import draw, note_of, series_names
from curate.report.groups import GroupTables, group_tables
from curate.report.numbers import PlainTable, plain_table, rates_first
from curate.report.page import explains_supported, headline, score_figure, step_cards, tables_of
from curate.report.runs import RunFolder, read_run
from curate.report.sheets import ContactSheet, contact_sheet
from curate.report.styles import Style, assign_styles


@dataclass(frozen=True)
class Drawn:
    """A figure or a table as the page shows it; `problem` says why it could not be drawn."""

    title: str
    spec: str | None = None
    table: PlainTable | None = None
    pairs: PairSheet | None = None
    sheet: ContactSheet | None = None
    note: str | None = None
    problem: str | None = None
    number: int = 0
    height: int = 0


class _Painter:
    """Draws figures with one set of colours and numbers them in order."""

    def __init__(self, run: RunFolder, styles: Mapping[str, Style]) -> None:
        self.run = run
        self.styles = styles
        self.count = 0

    def __call__(self, figure: Figure, table: pd.DataFrame | None, problem: str | None = None) -> Drawn:
        if table is None:
            return Drawn(figure.title, problem=problem or "its table is missing")
        if figure.kind == "table":
            options = figure.options
            columns = rates_first(options.get("columns") or list(map(str, table.columns)))
            plain = plain_table(table, columns=columns, formats=options.get("formats"))
            return Drawn(figure.title, table=plain)
        try:
            if figure.kind == "pairs":
                return Drawn(figure.title, pairs=pair_sheet(self.run, table, figure.options))
            if figure.kind == "contact_sheet":
                return Drawn(
                    figure.title, sheet=(sheet := contact_sheet(self.run, table, figure.options)), note=sheet.note
                )
            picture = draw(figure, table, self.styles)
        except (CurateError, TypeError, ValueError, KeyError) as error:
            return Drawn(figure.title, problem=str(error))  # one bad figure must not cost the reader the others
        return self.picture(figure.title, picture)

    def picture(self, title: str, picture: Any) -> Drawn:
        """A plotly figure for the page: its title becomes a heading, which can wrap."""
        self.count += 1
        picture.update_layout(title=None, margin={"t": 8})
        return Drawn(title, spec=picture.to_json(), note=note_of(picture), number=self.count,
                     height=int(picture.layout.height))  # fmt: skip


def write_report(run: Path | str) -> Path:
    """Write `RUN/report/index.html` and return its path.

    The same run folder gives the same bytes. Raises InputError where the folder is not a run folder, CurateError where
    the file can't be written.
    """
    folder = read_run(run)
    target = folder.path / "report" / "index.html"
    write_text(target, render(folder))
    return target


def render(run: RunFolder) -> str:
    """The report page of a run as HTML text."""
    groups = group_tables(run)
    figures = {step.name: [(figure, *_table(run, figure)) for figure in step.figures] for step in run.steps}
    names = [[str(name) for name in entry.removal["group"]] for entry in groups]
    names += series_names((f, table) for parts in figures.values() for f, table, _ in parts if table is not None)
    paint = _Painter(run, assign_styles(names))
    cards = step_cards(run)
    plots = {
        (card.step.name, at): paint.picture("Scores", picture)
        for card in cards
        for at, reason in enumerate(card.reasons)
        if (picture := score_figure(reason)) is not None
    }
    measured = [
        (step, [paint(*parts) for parts in figures[step.name]], tables_of(run, step), explains_supported(run, step))
        for step in run.steps
        if step.kind == "report"
    ]
    context = {
        "run": run, "headline": headline(run), "lists_images": bool(len(run.source)), "cards": cards,
        "plots": plots, "measured": measured, "groups": [_group(entry, paint) for entry in groups], "words": words,
        "n": numbers, "notes": run.notes, "versions": sorted((run.plan.get("versions") or {}).items()),
    }  # fmt: skip
    return _page(context, with_plots=paint.count > 0)


def _table(run: RunFolder, figure: Figure) -> tuple[pd.DataFrame | None, str | None]:
    try:
        return run.table(figure.table), None
    except (CurateError, OSError) as error:
        return None, f"{figure.table}: {error}".replace(str(run.path), "RUN")


def _group(entry: GroupTables, paint: _Painter) -> dict[str, Any]:
    options = {"x": "group", "y": "share", "color": "group", "low": "share_low", "high": "share_high"}
    removal = Figure("bars", "", f"Share of images dropped, by {entry.label}", options)
    long = entry.counts.melt("group", ["images_before", "images_after"], "stage", "images")
    long["stage"] = long["stage"].map({"images_before": "before", "images_after": "after"})
    counts = Figure("bars", "", f"Images before and after, by {entry.label}",
                    {"x": "group", "y": "images", "color": "stage"})  # fmt: skip
    return {
        "label": entry.label,
        "unlabelled": entry.unlabelled,
        "removal": paint(removal, entry.removal),
        "removal_table": plain_table(entry.removal),
        "counts": paint(counts, long),
        "counts_table": plain_table(entry.counts),
        "measures": plain_table(entry.measures),
    }


def _page(context: dict[str, Any], *, with_plots: bool) -> str:
    scripts = []
    if with_plots:
        from plotly.offline import get_plotlyjs

        scripts = [get_plotlyjs().replace("\r", ""), (Path(__file__).parent / "draw.js").read_text(encoding="utf-8")]
    # Only these two scripts may run: whatever else a name might smuggle into the page is refused by its hash.
    allowed = " ".join(f"'sha256-{_hash(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("curate.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["json_block"] = _json_block
    return environment.get_template("template.html").render(
        **context, policy=policy, scripts=[Markup(script) for script in scripts]
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _json_block(text: str) -> Markup:
    """JSON that can't end the script element that holds it."""
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
