"""What the pages share: tables, figures, pictures, with the words and number formats of the report."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from curate.core.errors import CurateError
from curate.core.shapes import Figure
from curate.report.examples import pair_sheet
from curate.report.figures import draw, note_of
from curate.report.numbers import heading, plain_table, rates_first
from curate.report.runs import StepRecord
from curate.report.sheets import contact_sheet
from curate.report.words import GLOSSARY

from ..looking import Look
from ..texts import escaped, literal, unique

MAX_ROWS = 500  # of a table that is sent to the browser at once

_TERMS = {
    "fmr": "FMR", "fnmr": "FNMR", "fta": "FTA", "idr": "IDR", "mean_ir": "MeanIR", "supported": "supported",
    "threshold": "threshold", "group": "group", "cell": "cell", "identity": "identity", "replicas": "replica",
    "flagged": "flag",
}  # fmt: skip


def term(name: str) -> str | None:
    """What a word of the field means, for a tooltip; None for a plain word."""
    return GLOSSARY.get(name) or GLOSSARY.get(_TERMS.get(name, ""))


def show_table(
    frame: pd.DataFrame,
    columns: list[str] | None = None,
    formats: dict[str, str] | None = None,
    *,
    key: str | None = None,
) -> None:
    """A table with the headings, number formats and tooltips of the report; a long one comes page by page."""
    frame = page_of(frame, key or "table") if len(frame) > MAX_ROWS else frame
    names = rates_first(columns or list(map(str, frame.columns)))
    plain = plain_table(frame, columns=names, formats=formats, limit=MAX_ROWS)
    rows = pd.DataFrame(list(plain.rows), columns=unique(plain.headings))
    told = {heading(name): term(name) for name in names if term(name)}
    config = {
        title: st.column_config.TextColumn(help=next((text for start, text in told.items() if title.startswith(start)),
                                                     None))
        for title in rows.columns
    }  # fmt: skip
    st.dataframe(rows, hide_index=True, width="stretch", column_config=config)


def page_of(frame: pd.DataFrame, key: str, size: int = MAX_ROWS) -> pd.DataFrame:
    """The rows of one page of a table, cut on this side: a browser never gets more."""
    start, stop = pager(len(frame), size, key)
    return frame.iloc[start:stop]


def pager(total: int, size: int, key: str) -> tuple[int, int]:
    """(start, stop) of the page that the visitor chose."""
    pages = max(-(-total // size), 1)
    page = 1
    if pages > 1:
        page = int(st.number_input(f"Page of {pages:,} ({total:,} in all)", 1, pages, 1, key=f"{key}-page"))
    return (page - 1) * size, min(page * size, total)


def show_figure(figure: Figure, table: pd.DataFrame, look: Look, key: str, height: int | None = None) -> None:
    """One figure of a report, or the reason why it can't be drawn."""
    st.markdown(f"**{literal(figure.title)}**")  # above the figure, where a long title can wrap
    if figure.kind == "table":
        show_table(table, figure.options.get("columns"), figure.options.get("formats"), key=key)
        return
    try:
        if figure.kind in ("pairs", "contact_sheet"):
            st.html(sheet(figure, table, look))
            return
        picture = draw(figure, table, look.summary.styles)
    except (CurateError, TypeError, ValueError, KeyError) as error:
        st.warning(f"The figure could not be drawn: {literal(error)}")
        return
    picture.update_layout(title=None, margin={"t": 8})
    if figure.kind == "bars" and figure.options.get("log_y"):
        _whole_decades(picture, table[figure.options["y"]])
    if height:
        picture.update_layout(height=height)
    st.plotly_chart(picture, key=key, config={"displayModeBar": False})
    if note := note_of(picture):
        st.caption(literal(note))


def _whole_decades(picture: go.Figure, values: pd.Series) -> None:
    """Bars on a logarithmic axis begin and end at a power of ten, so that each has a tick below and above it."""
    known = values[values > 0].astype("float64")
    if len(known):
        low, high = math.floor(math.log10(known.min()) - 0.05), math.ceil(math.log10(known.max()) + 0.05)
        update = picture.update_xaxes if picture.data and picture.data[0].orientation == "h" else picture.update_yaxes
        update(range=[low, high])


def sheet(figure: Figure, table: pd.DataFrame, look: Look) -> str:
    """Pictures of a report as HTML."""
    if figure.kind == "pairs":
        shown = pair_sheet(look.run, table, figure.options).examples
        pairs = [
            grid([_uri_card(example.image.uri, example.image.problem, f"{example.role}: {example.image.image_id}"),
                  *([_uri_card(example.other.uri, example.other.problem, f"{example.other_role}: "
                                                                         f"{example.other.image_id}")]
                    if example.other else [])], note=example.detail)
            for example in shown
        ]  # fmt: skip
        return f'<div style="{_FLOW}">{"".join(pairs)}</div>'
    parts = []
    for name, pictures in contact_sheet(look.run, table, figure.options).groups:
        cards = [_uri_card(picture.uri, picture.problem, said) for picture, said in pictures]
        parts.append(f"<p>{escaped(name)}</p>{grid(cards)}")
    return "".join(parts)


def show_report(look: Look, step: StepRecord, without: Sequence[str] = ()) -> None:
    """What one report measured: its figures, but for those of some tables."""
    for at, figure in enumerate(step.figures):
        if figure.table in without:
            continue
        try:
            table = look.run.table(figure.table)
        except (CurateError, OSError) as error:
            st.warning(f"The figure {literal(figure.title)} has no table: {literal(error)}")
            continue
        show_figure(figure, table, look, f"{step.name}-{step.order}-{at}")


# ---- pictures -----------------------------------------------------------------------------------------------------

_FLOW = "display:flex;flex-wrap:wrap;gap:10px;align-items:flex-start"
_NAME = "font-size:.78rem;line-height:1.3;overflow-wrap:anywhere;opacity:.85"


def grid(cards: Sequence[str], note: str | None = None) -> str:
    """Cards side by side, as many as fit."""
    below = f'<div style="{_NAME}">{escaped(note, 160)}</div>' if note else ""
    return f'<div><div style="{_FLOW}">{"".join(cards)}</div>{below}</div>'


def card(look: Look, row: int, lines: Sequence[str] = (), *, side: int = 112, mark: str = "", share: int = 44) -> str:
    """A picture of the source with lines of text below it, as HTML; every text is escaped.

    side: pixels. mark: a colour for the frame. share: of a narrow window's width that the picture takes at most, in
    percent.
    """
    data, problem = look.thumbs.get(look.images.root, look.images.path_of(row), side)
    uri = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if data else None
    return _picture(uri, problem, lines, side, mark, look.images.id_of(row), share)


def _uri_card(uri: str | None, problem: str | None, text: str, side: int = 96) -> str:
    return _picture(uri, problem, [text], side, "", text)


def _picture(
    uri: str | None, problem: str | None, lines: Sequence[str], side: int, mark: str, alt: str, share: int = 44
) -> str:
    frame = f"border:3px solid {mark};" if mark else ""
    box = f"width:100%;aspect-ratio:1;border-radius:6px;{frame}background:rgba(128,128,128,.15);"
    if uri:
        seen = f'<img src="{uri}" alt="{escaped(alt)}" title="{escaped(alt, 200)}" style="{box}object-fit:contain">'
    else:
        seen = (f'<div style="{box}display:flex;align-items:center;justify-content:center;text-align:center;'
                f'font-size:.78rem">{escaped(problem or "no picture")}</div>')  # fmt: skip
    told = "".join(f'<div style="{_NAME}">{escaped(line)}</div>' for line in lines if line)
    return f'<div style="width:min({side}px,{share}vw)">{seen}{told}</div>'


__all__ = ["card", "grid", "page_of", "pager", "sheet", "show_figure", "show_report", "show_table", "term"]
