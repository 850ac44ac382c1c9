"""Overview of a run folder, as a Streamlit page: `streamlit run main.py -- RUN`, or CURATE_RUN=RUN."""

from __future__ import annotations

import os
import sys

import pandas as pd
import streamlit as st

from curate.core.errors import CurateError
from curate.core.shapes import Figure
from curate.report.figures import draw, note_of, series_names
from curate.report.groups import GroupTables, group_tables
from curate.report.numbers import count, percent, plain_table, rates_first
from curate.report.page import explains_supported, headline, tables_of
from curate.report.runs import RunFolder, StepRecord, read_run
from curate.report.styles import Style, assign_styles
from curate.report.words import INTENDED_USE, LABEL_LIMITS, SUPPORTED


def run_path() -> str:
    """The run folder that the user named: the first argument after `--`, else CURATE_RUN, else nothing."""
    arguments = [text for text in sys.argv[1:] if not text.startswith("-")]
    return arguments[0] if arguments else os.environ.get("CURATE_RUN", "")


def literal(text: object) -> str:
    """Text from the data that Markdown shows as it is."""
    special = "\\`*_{}[]()<>#+-.!|~$:&"
    return "".join("\\" + char if char in special else char for char in str(text).replace("\n", " "))


def show_table(frame: pd.DataFrame, columns: list[str] | None = None, formats: dict[str, str] | None = None) -> None:
    """A table with the headings and number formats of the report."""
    plain = plain_table(
        frame, columns=rates_first(columns or list(map(str, frame.columns))), formats=formats, limit=1000
    )
    rows = pd.DataFrame(list(plain.rows), columns=unique(plain.headings))
    st.dataframe(rows, hide_index=True, width="stretch")


def unique(names: tuple[str, ...]) -> list[str]:
    """The names, repeated ones numbered, since a table needs distinct headings."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def show_figure(figure: Figure, table: pd.DataFrame, styles: dict[str, Style], key: str) -> None:
    """One figure of a report, or the reason why it can't be drawn."""
    if figure.kind == "table":
        st.markdown(f"**{literal(figure.title)}**")
        show_table(table, figure.options.get("columns"), figure.options.get("formats"))
        return
    try:
        picture = draw(figure, table, styles)
    except (CurateError, TypeError, ValueError, KeyError) as error:
        st.warning(f"The figure {literal(figure.title)} could not be drawn: {literal(error)}")
        return
    st.markdown(f"**{literal(figure.title)}**")  # above the figure, where a long title can wrap
    picture.update_layout(title=None, margin={"t": 8})
    st.plotly_chart(picture, key=key, config={"displayModeBar": False})
    if note := note_of(picture):
        st.caption(note)


def show_funnel(run: RunFolder) -> None:
    """What went in and out, and the steps between."""
    top = headline(run)
    columns = st.columns(4)
    columns[0].metric("Images in", count(top.images_in))
    columns[1].metric("Dropped", f"{count(top.dropped)} ({percent(top.dropped_share)})")
    columns[2].metric("Images out", count(top.images_out))
    columns[3].metric("Identities out", f"{count(top.identities_out)} of {count(top.identities_in)}")
    st.subheader("Images and identities through the steps")
    steps = [step for step in run.steps if step.kind != "report"]
    show_table(
        pd.DataFrame(
            {"step": [step.name for step in steps], "what it does": [step.sentence for step in steps]}
            | {name: [step.counts[name] for step in steps] for name in (
                "images_in", "images_out", "identities_in", "identities_out")}
        )
    )  # fmt: skip
    st.subheader("What was decided, and why")
    rows = [(step.name, *key.split("/", 1), number) for step in steps for key, number in step.actions.items()]
    if rows:
        show_table(pd.DataFrame(rows, columns=["step", "action", "reason", "decisions"]))
    else:
        st.info("No step changed anything.")


def show_groups(groups: list[GroupTables], styles: dict[str, Style]) -> None:
    """What the run did to each group."""
    st.subheader("By group")
    for entry in groups:
        options = {"x": "group", "y": "share", "color": "group", "low": "share_low", "high": "share_high"}
        title = f"Share of images dropped, by {entry.label}"
        show_figure(Figure("bars", "", title, options), entry.removal, styles, f"removal-{entry.label}")
        with st.expander(f"Counts and imbalance by {literal(entry.label)}"):
            show_table(entry.measures)
            show_table(entry.counts)
            show_table(entry.removal)


def show_report(run: RunFolder, step: StepRecord, styles: dict[str, Style]) -> None:
    """What one report measured."""
    st.subheader(literal(f"{step.order}. {step.name}"))
    st.caption(literal(step.sentence))
    for shown in tables_of(run, step):
        if shown.is_rates:
            show_table(run.table(shown.name))
    if explains_supported(run, step):
        st.caption(SUPPORTED)
    for at, figure in enumerate(step.figures):
        try:
            table = run.table(figure.table)
        except (CurateError, OSError) as error:
            st.warning(f"The figure {literal(figure.title)} has no table: {literal(error)}")
            continue
        show_figure(figure, table, styles, f"{step.name}-{at}")


def styles_of(run: RunFolder, groups: list[GroupTables]) -> dict[str, Style]:
    """Colours of the groups, the same as in the run's report page."""
    names = [[str(name) for name in entry.removal["group"]] for entry in groups]
    drawn = []
    for step in run.steps:
        for figure in step.figures:
            try:
                drawn.append((figure, run.table(figure.table)))
            except (CurateError, OSError):
                continue  # shown as a warning where the figure should stand
    return assign_styles([*names, *series_names(drawn)])


def main() -> None:
    """The page."""
    st.set_page_config(page_title="curate", layout="wide")
    path = st.sidebar.text_input("Run folder", run_path())
    if not path:
        st.info("Name a run folder in the sidebar: the one that `curate run --out` wrote.")
        return
    try:
        run = read_run(path)
        groups = group_tables(run)
    except (CurateError, OSError) as error:
        st.error(literal(error))
        return
    st.title(literal(run.name))
    if run.unfinished:
        st.warning(f"This run is not finished. Not done yet: {literal(', '.join(run.unfinished))}")
    for name, note in run.notes:
        st.warning(f"{literal(name)}: {literal(note)}")
    show_funnel(run)
    styles = styles_of(run, groups)
    show_groups(groups, styles)
    for step in run.steps:
        if step.kind == "report":
            show_report(run, step, styles)
    with st.expander("Intended use, and the limits of demographic labels"):
        st.write(INTENDED_USE)
        st.write(LABEL_LIMITS)


main()
