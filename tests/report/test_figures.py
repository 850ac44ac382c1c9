"""Figures: what they show, what they leave out, and that text stays text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from curate.core.errors import InputError
from curate.core.shapes import Figure
from curate.report.figures import MAX_BARS, MAX_POINTS, MAX_SERIES, draw, note_of, safe
from curate.report.styles import assign_styles
from curate.report.thin import thin_curve

EVIL = '<a href="javascript:alert(1)">x</a><b>%{y} $a$'


def test_bars_show_every_value() -> None:
    table = pd.DataFrame({"value": ["b", "a"], "images": [3, 5]})
    picture = draw(Figure("bars", "t", "Images", {"x": "value", "y": "images"}), table)
    assert list(picture.data[0].y) == [3, 5]
    assert list(picture.layout.xaxis.ticktext) == ["b", "a"]
    assert picture.layout.yaxis.title.text == "images"


def test_many_bars_are_cut_to_the_largest_and_the_figure_says_so() -> None:
    table = pd.DataFrame({"value": [f"v{i:04d}" for i in range(500)], "images": np.arange(500)})
    picture = draw(Figure("bars", "t", "Images", {"x": "value", "y": "images"}), table)
    assert sorted(picture.data[0].x) == list(range(500 - MAX_BARS, 500))
    assert "500" in note_of(picture)


def test_a_large_curve_is_thinned_and_keeps_its_shape() -> None:
    x = np.logspace(-6, 0, 200_000)
    table = pd.DataFrame({"group": "a", "fmr": x, "fnmr": np.clip(1e-3 / x, 1e-5, 1)})
    picture = draw(Figure("det", "t", "DET", {}), table)
    trace = picture.data[0]
    assert len(trace.x) <= MAX_POINTS
    assert (trace.x[0], trace.x[-1]) == (x[0], x[-1])
    back = np.interp(np.log(x), np.log(trace.x), np.log(trace.y))
    assert np.abs(back - np.log(table["fnmr"])).max() < 0.05
    assert picture.layout.xaxis.type == picture.layout.yaxis.type == "log"
    assert len(picture.to_json()) < 30_000


def test_zero_rates_have_no_place_on_a_logarithmic_axis() -> None:
    table = pd.DataFrame({"group": ["a"] * 3, "fmr": [0.0, 0.1, 0.2], "fnmr": [0.5, 0.1, 0.0]})
    assert list(draw(Figure("det", "t", "DET", {}), table).data[0].x) == [0.1]
    empty = draw(Figure("det", "t", "DET", {}), table.assign(fnmr=0.0))
    assert "Nothing can be drawn" in note_of(empty)


def test_series_are_limited() -> None:
    table = pd.DataFrame({"x": np.arange(100.0), "y": 1.0, "who": [f"g{i:03d}" for i in range(100)]})
    picture = draw(Figure("lines", "t", "Many", {"x": "x", "y": "y", "color": "who"}), table)
    assert len(picture.data) == MAX_SERIES
    assert "100" in note_of(picture)


def test_dashes_and_facets_keep_apart_what_shares_a_name() -> None:
    table = pd.DataFrame({"label": ["sex", "age"] * 2, "value": ["unknown"] * 4, "images": [1, 2, 3, 4],
                          "stage": ["before", "before", "after", "after"], "rank": [1, 2, 1, 2]})  # fmt: skip
    options = {"x": "value", "y": "images", "color": "stage", "facet": "label"}
    bars = draw(Figure("bars", "t", "Bars", options), table)
    assert list(bars.layout.yaxis.ticktext or bars.layout.xaxis.ticktext) == ["sex: unknown", "age: unknown"]
    assert [list(trace.x) for trace in bars.data] == [[1, 2], [3, 4]]
    options = {"x": "rank", "y": "images", "color": "label", "dash": "stage"}
    lines = draw(Figure("lines", "t", "Lines", options), table)
    assert {(trace.name, trace.line.dash) for trace in lines.data} == {
        ("sex, before", "solid"), ("sex, after", "dash"), ("age, before", "solid"), ("age, after", "dash")}  # fmt: skip
    assert len({trace.line.color for trace in lines.data}) == 2


def test_heatmap_places_values() -> None:
    table = pd.DataFrame({"a": ["p", "p", "q"], "b": ["p", "q", "q"], "fmr": [1e-3, 1e-4, 0.0]})
    picture = draw(Figure("heatmap", "t", "Cross", {"x": "a", "y": "b", "value": "fmr", "log": True}), table)
    heat = picture.data[0]
    assert heat.z[0][0] == pytest.approx(-3)
    assert np.isnan(heat.z[1][1]), "a zero has no logarithm"
    assert heat.text[0][0] == "1.0e-3"


@pytest.mark.parametrize("kind", ["bars", "lines", "det", "heatmap", "table"])
def test_text_of_the_data_is_escaped_everywhere(kind: str) -> None:
    table = pd.DataFrame({"group": [EVIL, "b"], "other": ["b", EVIL], "fmr": [0.1, 0.2], "fnmr": [0.3, 0.2]})
    options = {"bars": {"x": "group", "y": "fmr", "color": "group"},
               "lines": {"x": "other", "y": "fmr", "color": "group"}, "det": {},
               "heatmap": {"x": "group", "y": "other", "value": "fmr"}, "table": {}}[kind]  # fmt: skip
    picture = draw(Figure(kind, "t", EVIL, options), table)
    assert 'href=\\"javascript' not in picture.to_json().replace("&lt;a href", "")
    assert "<a" not in picture.to_json()
    assert "<b>" not in picture.to_json()


@pytest.mark.parametrize("kind", ["bars", "lines", "det", "heatmap", "table"])
def test_empty_tables_draw(kind: str) -> None:
    table = pd.DataFrame({"group": pd.Series([], dtype="str"), "fmr": pd.Series([], dtype=float), "fnmr": 0.0})
    options = {} if kind in ("det", "table") else {"x": "group", "y": "fmr", "value": "fmr"}
    draw(Figure(kind, "t", "Empty", options), table).to_json()


def test_missing_group_values_and_numbers_draw() -> None:
    table = pd.DataFrame({"group": pd.Categorical(["a", None]), "fmr": [0.1, np.nan], "fnmr": [np.nan, 0.1]})
    for options in ({"x": "group", "y": "fmr"}, {"x": "fmr", "y": "fnmr"}):
        draw(Figure("bars", "t", "Gaps", options), table).to_json()
        draw(Figure("lines", "t", "Gaps", options), table).to_json()


def test_bad_figures_are_refused() -> None:
    table = pd.DataFrame({"images": [1]})
    with pytest.raises(InputError, match="Did you mean 'bars'"):
        draw(Figure("bar", "t", "x", {}), table)
    with pytest.raises(InputError, match="Did you mean 'images'"):
        draw(Figure("bars", "t", "x", {"x": "image", "y": "images"}), table)
    with pytest.raises(InputError, match="lacks the option 'y'"):
        draw(Figure("bars", "t", "x", {"x": "images"}), table)


def test_drawing_leaves_the_table_alone() -> None:
    table = pd.DataFrame({"group": ["a", "b"], "fmr": [0.1, 0.2], "fnmr": [0.2, 0.1]})
    before = table.copy(deep=True)
    for kind in ("bars", "lines", "det", "heatmap", "table"):
        draw(Figure(kind, "t", "x", {"x": "group", "y": "fmr", "value": "fmr"} if kind != "det" else {}), table)
    pd.testing.assert_frame_equal(table, before)


@given(some.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_safe_text_holds_no_markup(text: str) -> None:
    assert not set("<>$\n\r\0") & set(safe(text))


@given(some.lists(some.lists(some.sampled_from("abcdefghijklmnop"), max_size=12, unique=True), max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_group_looks_the_same_everywhere_and_unlike_the_others(figures: list[list[str]]) -> None:
    styles = assign_styles(figures)
    assert set(styles) == {name for names in figures for name in names}
    first = set(figures[0]) if figures else set()
    assert len({styles[name] for name in first}) == len(first)
    for names in figures:  # nobody new takes the look of somebody in the same figure
        assert assign_styles([*figures, names]) == styles


@given(
    some.lists(some.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=80),
    some.integers(2, 20),
    some.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_thinning_keeps_ends_and_order(values: list[float], limit: int, log: bool) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=float)
    rows = thin_curve(x, y, limit, log_y=log)
    drawable = np.flatnonzero(np.isfinite(y) & ((y > 0) | (not log)))
    assert len(rows) <= max(limit, 2)
    assert set(rows) <= set(drawable)
    assert (np.diff(rows) > 0).all()
    if len(drawable):
        assert (rows[0], rows[-1]) == (drawable[0], drawable[-1])
    if len(drawable) <= limit:
        assert list(rows) == list(drawable)


def test_intervals_show_rates_with_their_limits_and_bounds_apart() -> None:
    table = pd.DataFrame({
        "group_a": ["f", "m", "f", "f"], "group_b": ["f", "m", "m", "f"], "far_target": [0.1, 0.1, 0.1, 0.01],
        "fmr": [0.1, 0.0, 0.5, 1e-4], "fmr_low": [0.05, 0.0, 0.4, 5e-5], "fmr_high": [0.2, 0.01, 0.6, 2e-4],
    })  # fmt: skip
    options = {"x": "fmr", "y": "group_a", "color": "far_target", "low": "fmr_low", "high": "fmr_high",
               "same": ["group_a", "group_b"]}  # fmt: skip
    picture = draw(Figure("intervals", "t", "FMR", options), table)
    one, two = picture.data
    assert list(one.x) == [0.1, 0.01]  # no error: its upper bound
    assert list(one.marker.symbol) == ["circle", "triangle-left-open"]
    np.testing.assert_allclose(one.error_x.array, [0.1, 0.0])
    np.testing.assert_allclose(one.error_x.arrayminus[0], 0.05)
    assert len(two.x) == 1
    assert picture.layout.xaxis.type == "log"
    assert list(picture.layout.yaxis.ticktext) == ["f", "m"]
    assert "upper bound" in note_of(picture)
    narrow = draw(Figure("intervals", "t", "FMR", options), table.iloc[:1])
    assert narrow.layout.xaxis.type != "log"
    draw(Figure("intervals", "t", "FMR", options), table.iloc[:0])
