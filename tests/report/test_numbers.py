"""Numbers as text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curate.report import numbers
from curate.report.numbers import plain_table


@pytest.mark.parametrize(
    ("value", "text"), [(0.001, "1.0e-3"), (1, "1.0e0"), (0, "0"), (1.26e-7, "1.3e-7"), (0.0996, "1.0e-1")]
)
def test_scientific_has_two_digits(value: float, text: str) -> None:
    assert numbers.scientific(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "50.0%"), (0.0235, "2.35%"), (0.00012, "0.012%"), (0, "0.00%"), (1, "100.0%")]
)
def test_percent(value: float, text: str) -> None:
    assert numbers.percent(value) == text


def test_counts_have_separators() -> None:
    assert numbers.count(12_794) == "12,794"
    assert numbers.number(1234567.0) == "1,234,567"
    assert numbers.number(0.123456) == "0.1235"


def test_table_merges_intervals_and_reads_kinds_from_names() -> None:
    frame = pd.DataFrame({
        "group": ["a", None], "fmr": [1e-3, np.nan], "fmr_low": [5e-4, np.nan], "fmr_high": [2e-3, np.nan],
        "fnmr": [0.0235, 1.0], "pairs": [1_000_000, 2], "supported": [True, False], "score": [0.5, np.inf],
    })  # fmt: skip
    table = plain_table(frame, formats={"score": ".3f"})
    assert table.headings == ("group", "FMR (FAR) [95% interval]", "FNMR (FRR)", "pairs", "supported", "score")
    assert table.rows[0] == ("a", "1.0e-3 [5.0e-4, 2.0e-3]", "2.35%", "1,000,000", "yes", "0.500")
    assert table.rows[1] == ("–", "–", "100.0%", "2", "no", "∞")
    assert table.numeric == (False, True, True, True, False, True)


def test_table_is_limited_and_empty_ones_work() -> None:
    table = plain_table(pd.DataFrame({"a": range(500)}), limit=20)
    assert (len(table.rows), table.total) == (20, 500)
    assert plain_table(pd.DataFrame()).rows == ()
    assert plain_table(pd.DataFrame({"a": [1]}), columns=["a", "gone"]).headings == ("a",)


def test_summaries_are_written_like_columns_of_their_name() -> None:
    assert numbers.summary_text("FMR (FAR) at 0.001", {"all": 0.00098, "f": 0.0013}) == "all 9.8e-4, f 1.3e-3"
    assert numbers.summary_text("fnmr", 0.5) == "50.0%"
    assert numbers.summary_text("pairs", 63_000) == "63,000"
    assert numbers.summary_text("cells", ["f/Asian", None, True]) == "f/Asian, –, yes"
