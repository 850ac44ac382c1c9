"""Which identities and images two or more sets share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from curate.report.numbers import count, number, percent

from ..looking import Look
from ..overlaps import TABLES, VERDICTS, PairFilter, Sides, choose, read_certificate, read_pairs
from ..texts import escaped, literal
from .parts import card, grid, pager, show_report, show_table

_PAGE = 8  # pairs with pictures
_EACH = 4  # pictures of a side
_SHARED = "#e08a00"
_BELOW = ("overlap/missed", "overlap/doubtful", "overlap/certificate")
_MEANS = {"same": "one person", "likely": "probably one person", "look": "a person must decide"}
_FIRST = ["verdict", "score", "identity_a", "dataset_a", "identity_b", "dataset_b", "by", "evidence"]


@st.cache_resource(max_entries=2, show_spinner="Reading the pairs")
def _pairs(_look: Look, path: str, stamp: str) -> pd.DataFrame | None:
    return read_pairs(_look)


def view(look: Look) -> None:
    """The page."""
    st.title("Overlap")
    reports = [step for step in look.run.steps if step.kind == "report" and "overlap" in step.name]
    pairs = _pairs(look, str(look.path), look.stamp)
    if not reports and pairs is None:
        st.info("This run compared no sets. `curate overlap A B --out DIR` does.")
        return
    for step in reports:
        for note in step.notes:
            st.warning(literal(note))
    if pairs is not None:
        _counts(pairs)
    missed = [step for step in reports if "overlap/missed" in step.tables]
    for step in reports:
        # The pairs come below, with filters and pages; then what a search misses, and the certificate.
        show_report(look, step, without=(*TABLES, *_BELOW))
    if pairs is not None:
        _listed(look, pairs)
    if missed:
        _missed(look)
    if any("overlap/certificate" in step.tables for step in reports):
        st.header("The certificate (overlap.json)")
        show_table(look.run.table("overlap/certificate"), key="overlap-certificate")


def _counts(pairs: pd.DataFrame) -> None:
    found = pairs["verdict"].astype("str").value_counts()
    for column, verdict in zip(st.columns(3), VERDICTS, strict=True):
        column.metric(f"{verdict}: {_MEANS[verdict]}", count(found.get(verdict, 0)))


# ---- the pairs ----------------------------------------------------------------------------------------------------


def _listed(look: Look, pairs: pd.DataFrame) -> None:
    st.header("Pairs of identities")
    chosen = choose(pairs, _filter(pairs))
    if not len(chosen):
        st.info("No pair passes these filters.")
        return
    if look.images.root is not None:
        start, stop = pager(len(chosen), _PAGE, "overlap-pictures")
        sides = Sides(look.images, look.run.source)
        st.html("".join(_drawn(look, sides, pair) for pair in chosen.iloc[start:stop].to_dict("records")))
        st.caption("Up to four images of each side. A photograph that both have comes first, framed.")
    rest = [name for name in chosen.columns if name not in _FIRST and chosen[name].notna().any()]
    show_table(chosen, [*(name for name in _FIRST if name in chosen), *rest], key="overlap-pairs")


def _filter(pairs: pd.DataFrame) -> PairFilter:
    there = set(pairs["verdict"].astype("str"))
    verdicts = [verdict for verdict in VERDICTS if verdict in there]
    ways = sorted({way for ways in pairs["by"].dropna().unique() for way in ways.split(",")}) if "by" in pairs else []
    sets = list(pairs[["dataset_a", "dataset_b"]].drop_duplicates().sort_values(["dataset_a", "dataset_b"])
                .itertuples(index=False, name=None))  # fmt: skip
    with st.container(horizontal=True):
        wanted = st.pills("Verdict", verdicts, selection_mode="multi", default=verdicts, key="verdicts",
                          help=" ".join(f"{name}: {said}." for name, said in _MEANS.items()))  # fmt: skip
        by = ways
        if len(ways) > 1:
            by = st.pills("Found by", ways, selection_mode="multi", default=ways, key="overlap-ways")
    with st.container(horizontal=True):
        between = None
        if len(sets) > 1:
            between = st.selectbox("Sets", [None, *sets], key="overlap-sets",
                                   format_func=lambda pair: "all" if pair is None else ", ".join(pair))  # fmt: skip
        text = st.text_input("Name holds", key="overlap-name").strip()
        order = st.selectbox("Order", ["surest first", "most doubtful first"], key="overlap-order",
                             help="Doubtful: the score is nearest to one half.")  # fmt: skip
    return PairFilter(tuple(wanted or ()), tuple(by or ("",)) if ways else (), between, text, order != "surest first")


def _drawn(look: Look, sides: Sides, pair: dict[str, Any]) -> str:
    """A pair as HTML: the images of both sides beside each other, and what speaks for it."""
    score = pair.get("score")
    told = f"{pair['verdict']}: {_MEANS.get(str(pair['verdict']), '')}"
    told += f"; score {number(float(score))}" if score is not None and np.isfinite(score) else ""
    both = "".join(_side(look, sides, pair, side) for side in "ab")
    return (
        '<div style="border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:10px 12px;margin-bottom:12px">'
        f'<div style="font-weight:600">{escaped(told)}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px 28px;margin:8px 0">{both}</div>'
        f'<div style="font-size:.85rem">{escaped(pair.get("evidence") or "", 400)}</div></div>'
    )


def _side(look: Look, sides: Sides, pair: dict[str, Any], side: str) -> str:
    rows = sides.rows(pair, side)
    shared = isinstance(pair.get(f"image_{side}"), str)
    cards = [card(look, int(row), side=84, share=18, mark=_SHARED if shared and at == 0 else "")
             for at, row in enumerate(rows[:_EACH])]  # fmt: skip
    name, dataset = escaped(pair[f"identity_{side}"]), escaped(pair[f"dataset_{side}"])
    head = (f'<div style="overflow-wrap:anywhere"><b>{name}</b> in {dataset}, '
            f'{len(rows):,} image{"" if len(rows) == 1 else "s"}</div>')  # fmt: skip
    return f'<div style="flex:1 1 300px;min-width:0">{head}{grid(cards)}</div>'


# ---- what such a search misses ------------------------------------------------------------------------------------


def _missed(look: Look) -> None:
    st.header("How much such a search misses")
    rates = read_certificate(look).get("missed", {})
    if rates:
        told = [f"by {way} {percent(rate['missed'])} (at most {percent(rate['high'])})" for way, rate in rates.items()]
        st.markdown(literal("Of benchmark identities and photographs planted into the training set, it missed "
                            + ", ".join(told) + "."))  # fmt: skip
    table = look.run.table("overlap/missed").rename(columns={"low": "missed_low", "high": "missed_high"})
    show_table(table, formats=dict.fromkeys(("missed", "missed_low", "missed_high"), "percent"), key="overlap-missed")


__all__ = ["view"]
