"""The measures of imbalance against NumPy, slow definitions and the reference R package mldr."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stats import imbalance as measure

COUNTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=80).filter(any)


@settings(deadline=None)
@given(COUNTS)
def test_idr_is_numpys_over_the_categories_present(counts):
    there = [count for count in counts if count]
    assert measure.idr(counts) == np.quantile(there, 0.9) / np.quantile(there, 0.1)
    assert measure.idr(counts) >= 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40))
def test_the_others_against_their_definitions(counts):
    total, k = sum(counts), len(counts)
    shares = [count / total for count in counts]
    difference = sum(abs(a - b) for a in counts for b in counts) / k**2
    assert measure.gini(counts) == pytest.approx(difference / (2 * total / k), abs=1e-12)
    assert measure.effective_number(counts) == pytest.approx(1 / sum(share**2 for share in shares))
    entropy = -sum(share * np.log(share) for share in shares)
    assert measure.normalised_entropy(counts) == pytest.approx(entropy / np.log(k) if k > 1 else 1)
    assert measure.max_min(counts) == max(counts) / min(counts)
    assert measure.mean_ir(counts) == pytest.approx(sum(max(counts) / count for count in counts) / k)
    assert measure.smallest(counts) == (counts.index(min(counts)), min(counts))


@settings(deadline=None, max_examples=50)
@given(COUNTS)
def test_absent_categories_and_order_change_nothing(counts):
    plain = measure.measures([count for count in counts if count])
    for other in (sorted(counts), [*counts, 0, 0]):
        assert measure.measures(other) == pytest.approx(plain)


def test_two_categories_hide_a_rare_one():
    assert measure.idr([1, 10**9]) < 9
    assert measure.max_min([1, 10**9]) == 10**9


def test_level_counts():
    assert measure.measures([7] * 4) == {
        "idr": 1, "max_min": 1, "mean_ir": 1, "cvir": 0, "gini": 0, "normalised_entropy": 1, "effective_number": 4
    }  # fmt: skip


def test_nothing_present():
    assert all(np.isnan(value) for value in measure.measures([0, 0]).values())
    assert all(np.isnan(value) for value in measure.measures([]).values())
    assert np.isnan(measure.irlbl([0])).all()
    assert measure.smallest([0]) == (-1, 0)


def test_a_category_without_samples_has_an_infinite_ratio():
    assert measure.irlbl([4, 0, 1]).tolist() == [1, np.inf, 4]
    assert measure.mean_ir([4, 0, 1]) == 2.5


@pytest.mark.parametrize("counts", [[-1, 2], [0.5], [[1, 2]]])
def test_what_is_no_count_is_refused(counts):
    with pytest.raises(ValueError, match="counts must be"):
        measure.idr(counts)


@pytest.mark.parametrize("name", ["emotions", "flags", "birds", "cal500"])
def test_irlbl_mean_ir_and_scumble_of_the_reference_package(real_data, name):
    folder = real_data / "testvectors-multilabel"
    expected = json.loads((folder / "mldr_reference_measures.json").read_text())[name]
    with open(folder / f"Y_{name}.csv", newline="") as handle:
        matrix = np.array(list(csv.reader(handle))[1:], dtype=int)
    counts = matrix.sum(axis=0)
    assert counts.tolist() == [label["count"] for label in expected["labels"]]
    assert measure.irlbl(counts) == pytest.approx([label["IRLbl"] for label in expected["labels"]], rel=1e-14)
    assert measure.mean_ir(counts) == pytest.approx(expected["measures"]["meanIR"], rel=1e-14)
    ratios = np.array([label["IRLbl"] for label in expected["labels"]])
    assert measure.cvir(counts) == pytest.approx(ratios.std(ddof=1) / ratios.mean(), rel=1e-14)
    scumble = measure.scumble(counts, [np.where(column > 0, place, -1) for place, column in enumerate(matrix.T)])
    assert scumble.mean() == pytest.approx(expected["measures"]["scumble"], rel=1e-12)
    assert scumble.std(ddof=1) / scumble.mean() == pytest.approx(expected["measures"]["scumble.cv"], rel=1e-12)
    for place, label in enumerate(expected["labels"]):
        assert scumble[matrix[:, place] > 0].mean() == pytest.approx(label["SCUMBLE"], rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 9))
def test_scumble_against_its_definition(n, labels, seed):
    rng = np.random.default_rng(seed)
    columns = [place * 5 + rng.integers(0, 5, n) for place in range(labels)]
    columns = [np.where(rng.random(n) < 0.2, -1, column) for column in columns]
    counts = sum(np.bincount(column[column >= 0], minlength=20) for column in columns)
    for row, found in enumerate(measure.scumble(counts, columns)):
        ratios = [counts.max() / counts[column[row]] for column in columns if column[row] >= 0]
        wanted = 1 - np.prod(ratios) ** (1 / len(ratios)) / np.mean(ratios) if ratios else 0.0
        assert found == pytest.approx(wanted, abs=1e-12)


def test_scumble_of_rows_whose_categories_are_alike_is_zero():
    assert measure.scumble([5, 5], [np.array([0, 1, -1]), np.array([1, 0, -1])]).tolist() == [0, 0, 0]
    assert measure.scumble([], []).tolist() == []


def test_cvir_of_one_and_of_no_category():
    assert measure.cvir([3]) == 0
    assert np.isnan(measure.cvir([0]))
    assert measure.cvir([4, 1]) == pytest.approx(np.std([1, 4], ddof=1) / 2.5)


def test_effective_sample_size():
    assert measure.effective_sample_size([1, 1, 1, 1]) == 4
    assert measure.effective_sample_size([4, 0, 0]) == 1
    assert measure.effective_sample_size([3, 1]) == 1.6


@pytest.mark.parametrize("quantile", ["inverted_cdf", "hazen", "nearest"])
def test_idr_by_another_definition(quantile):
    counts = [1, 2, 3, 5, 8, 13]
    wanted = np.quantile(counts, 0.9, method=quantile) / np.quantile(counts, 0.1, method=quantile)
    assert measure.idr(counts, quantile) == wanted == measure.measures(counts, quantile)["idr"]
