"""The class IDROversampler."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest

from curate.balance import sampler as module
from curate.balance.sampler import IDROversampler
from curate.core.errors import InputError
from curate.stats.imbalance import idr


def labels(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    identity = rng.zipf(1.6, n) % 25
    return pd.DataFrame(
        {
            "identity": [f"p{number:02d}" for number in identity],
            "gender": np.where(identity % 5 == 0, "f", "m"),
            "age": rng.choice(["child", "young", "old", None], n, p=[0.05, 0.6, 0.25, 0.1]),
        }
    )


def test_sampler_lists_originals_then_replicas():
    table = manifest()
    y = table.frame[["identity", "gender", "age"]].astype("str")
    X = np.arange(len(y))[:, None]
    sampler = IDROversampler(target=2, budget=50_000, random_state=4)
    new_X, new_y = sampler.fit_resample(X, y)
    assert sampler.ended_ == "target"
    assert sampler.sample_indices_[: len(y)].tolist() == list(range(len(y)))
    assert new_X[:, 0].tolist() == sampler.sample_indices_.tolist()
    assert new_y.equals(y.take(sampler.sample_indices_).reset_index(drop=True))
    last = sampler.history_.groupby("label")["idr"].last()
    for label in y:
        assert last[label] == idr(new_y[label].value_counts()) <= 2
    assert sampler.history_["replicas"].max() == len(new_y) - len(y)
    again = IDROversampler(**sampler.get_params()).fit_resample(X, y)[1]
    assert again.equals(new_y)


def test_sampler_orders_categories_by_value_and_takes_any_X():
    y = pd.DataFrame({"number": [10, 10, 9, 2, 10]})
    sampler = IDROversampler(target=1, random_state=0)
    new_X, _ = sampler.fit_resample(["a", "b", "c", "d", "e"], y)
    assert new_X == ["a", "b", "c", "d", "e", "d", "c", "d", "c"]
    assert sampler.fit_resample(None, y)[0] is None
    assert isinstance(sampler.fit_resample(pd.DataFrame({"x": range(5)}), y)[0], pd.DataFrame)
    assert sampler.fit_resample(None, y["number"])[1].shape[0] == 9


def test_sampler_refuses_what_it_cannot_use():
    y = pd.DataFrame({"label": ["a", "b"]})
    for params in ({"target": 0.5}, {"budget": 0}, {"max_per_image": 0}, {"target": "x"}, {"budget": 1.5}):
        with pytest.raises(InputError):
            IDROversampler(**params).fit_resample(None, y)
    with pytest.raises(InputError, match=r"differ in their number of rows; found \(3, 2\)"):
        IDROversampler().fit_resample(np.zeros((3, 1)), y)
    with pytest.raises(InputError, match="DataFrame"):
        IDROversampler().fit_resample(None, np.array([0, 1]))
    with pytest.raises(InputError, match="put in order"):
        IDROversampler().fit_resample(None, pd.DataFrame({"label": pd.Series(["a", 1], dtype=object)}))
    with pytest.raises(InputError, match="unknown parameter"):
        IDROversampler().set_params(targte=2)
    with pytest.warns(UserWarning, match="takes no part"):
        IDROversampler().fit_resample(None, y.assign(empty=np.nan))


def test_examples_of_the_docstrings():
    assert doctest.testmod(module).failed == 0
