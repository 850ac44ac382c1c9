"""The class IDROversampler."""

from __future__ import annotations

import doctest
import warnings

import numpy as np
import pandas as pd
import pytest

from curate.balance import sampler as module
from curate.balance.sampler import IDROversampler
from curate.core.errors import InputError
from curate.stats.imbalance import effective_sample_size, idr


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
    y = labels()
    X = np.arange(len(y))[:, None]
    sampler = IDROversampler(target=2, budget=50_000, choice="lookahead", random_state=4)
    new_X, new_y = sampler.fit_resample(X, y)
    assert sampler.ended_ == "target"
    assert sampler.sample_indices_[: len(y)].tolist() == list(range(len(y)))
    assert new_X[:, 0].tolist() == sampler.sample_indices_.tolist()
    assert new_y.equals(y.take(sampler.sample_indices_).reset_index(drop=True))
    last = sampler.history_.groupby("label")["idr"].last()
    for label in y:
        assert sampler.effective_sample_size_ == effective_sample_size(np.bincount(sampler.sample_indices_))
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
    assert sampler.fit_resample(None, y["number"])[1].tolist() == [10, 10, 9, 2, 10, 2, 9, 2, 9]


def test_sampler_refuses_what_it_cannot_use():
    y = pd.DataFrame({"label": ["a", "b"]})
    for params in ({"target": 0.5}, {"budget": 0}, {"max_per_image": 0}, {"target": "x"}, {"budget": 1.5}):
        with pytest.raises(InputError):
            IDROversampler(**params).fit_resample(None, y)
    with pytest.raises(InputError, match=r"differ in their number of rows; found \(3, 2\)"):
        IDROversampler().fit_resample(np.zeros((3, 1)), y)
    for nothing in ("label", 3, pd.DataFrame(index=range(3))):
        with pytest.raises(InputError, match="a table with one column for each label"):
            IDROversampler().fit_resample(None, nothing)
    with pytest.raises(InputError, match="put in order"):
        IDROversampler().fit_resample(None, pd.DataFrame({"label": pd.Series(["a", 1], dtype=object)}))
    with pytest.raises(ValueError, match="Invalid parameter 'targte'"):
        IDROversampler().set_params(targte=2)
    with pytest.raises(InputError, match="Did you mean 'label'"):
        IDROversampler(joint=("label/lable",)).fit_resample(None, y)
    with pytest.raises(InputError, match="no label 'identity'"):
        IDROversampler(max_per_identity=1).fit_resample(None, y)
    with pytest.raises(InputError, match="Got inf"):
        IDROversampler(target=np.inf).fit_resample(None, y)
    with pytest.warns(UserWarning, match="takes no part"):
        IDROversampler().fit_resample(None, y.assign(empty=np.nan))


#: What imbalanced-learn asks of each of its samplers, and why some of it is not for this one.
CHECKS = (
    "check_samplers_fit_resample", "check_samplers_sparse", "check_samplers_pandas", "check_samplers_pandas_sparse",
    "check_samplers_list", "check_samplers_string", "check_samplers_nan", "check_samplers_preserve_dtype",
    "check_samplers_2d_target", "check_param_validation",
)  # fmt: skip
NOT_APPLICABLE = {
    "check_target_type": "demands that several labels be refused: they are what this sampler is for",
    "check_samplers_one_label": "demands an error for one category: its IDR is 1, so the label is balanced",
    "check_samplers_fit": "asks for sampling_strategy_: the target IDR takes its place, and there is nothing to fit",
    "check_samplers_sampling_strategy_fit_resample": "sets sampling_strategy on subclasses of imbalanced-learn's only",
    "check_samplers_multiclass_ova": "takes three 0/1 columns for one label: here they are three labels",
    "check_samplers_sample_indices": "reads a tag of imbalanced-learn's base class; tested above",
    "check_sampler_get_feature_names_out": "for samplers with a fitted X: here X is not looked at",
    "check_sampler_get_feature_names_out_pandas": "for samplers with a fitted X: here X is not looked at",
}


def test_the_checks_of_imbalanced_learn_are_all_accounted_for():
    checks = pytest.importorskip("imblearn.utils.estimator_checks")
    known = {name for name in dir(checks) if name.startswith("check_sampler")}
    assert known <= {*CHECKS, *NOT_APPLICABLE}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("choice", ["uniform", "lookahead"])
@pytest.mark.parametrize("name", CHECKS)
def test_a_check_of_imbalanced_learn(name, choice):
    checks = pytest.importorskip("imblearn.utils.estimator_checks")
    getattr(checks, name)("IDROversampler", IDROversampler(target=1.0, choice=choice, random_state=0))


def test_one_category_is_balanced_and_a_missing_label_takes_no_part():
    y = pd.DataFrame({"one": ["a"] * 4, "two": list("xxxy")})
    sampler = IDROversampler(target=1, random_state=0)
    assert sampler.fit_resample(None, y[["one"]])[1].equals(y[["one"]])
    assert sampler.ended_ == "target"
    with pytest.warns(UserWarning, match="'none' has no value"):
        resampled = sampler.fit_resample(None, y.assign(none=np.nan))[1]
    assert resampled["two"].value_counts().tolist() == [3, 3]
    assert resampled["none"].isna().all()


@pytest.mark.parametrize("choice", ["uniform", "lookahead"])
def test_caps(choice):
    y = labels()
    caps = {"max_per_image": 3, "max_per_identity": 6, "max_per_cell": 40}
    sampler = IDROversampler(target=1, choice=choice, cell=["gender", "age"], random_state=1, **caps)
    with pytest.warns(UserWarning, match="can't be reached: with these caps D1 of 'identity' comes to"):
        sampler.fit_resample(None, y)
    assert sampler.ended_ == "cap"
    added = sampler.sample_indices_[len(y) :]
    assert np.bincount(added).max() == 3
    assert y["identity"].iloc[added].value_counts().max() == 6
    assert (y["gender"] + "/" + y["age"]).iloc[added].value_counts().max() <= 40
    assert len(added) > 60


def test_a_category_of_one_image_with_a_cap_of_one():
    y = pd.DataFrame({"label": ["a", *"bbb"]})
    sampler = IDROversampler(target=1, max_per_image=1, random_state=0)
    with pytest.warns(UserWarning, match=r"D1 of 'label' comes to 2.4 at most, and 2.8 is needed"):
        resampled = sampler.fit_resample(None, y)[1]
    assert resampled["label"].tolist() == ["a", "b", "b", "b", "a"]
    assert sampler.ended_ == "cap"


def test_a_joint_label_balances_the_cells():
    y = pd.DataFrame({"gender": list("ffffmmmm") * 5, "age": list("yyyoyooo") * 5}).iloc[:37]
    plain, joint = IDROversampler(target=1, random_state=0), IDROversampler(
        target=1, joint=["gender/age"], random_state=0)  # fmt: skip
    cells = {}
    for name, sampler in (("plain", plain), ("joint", joint)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            resampled = sampler.fit_resample(None, y)[1]
        cells[name] = (resampled["gender"] + resampled["age"]).value_counts()
    assert idr(cells["joint"]) == 1 < idr(cells["plain"])
    assert set(joint.history_["label"]) == {"gender", "age", "gender/age"}


def test_a_stall_ends_it():
    # Each identity has one gender, so that balancing both pulls them apart.
    y = pd.DataFrame({"identity": np.repeat(list("abcdefgh"), 4), "gender": list("f" * 4 + "m" * 28)})
    sampler = IDROversampler(target=1, budget=100_000, stall=50, random_state=0)
    with pytest.warns(UserWarning, match="the largest IDR fell no further"):
        sampler.fit_resample(None, y)
    assert sampler.ended_ == "stall"
    assert len(sampler.sample_indices_) < 1000


def test_level_deciles_that_hide_a_rare_category_are_said():
    y = pd.DataFrame({"label": [0, *np.repeat(np.arange(1, 30), 10)]})
    with pytest.warns(UserWarning, match=r"deciles look level \(IDR 1.00\), but the largest category has 10.0 times"):
        IDROversampler(target=1.5).fit_resample(None, y)


def test_examples_of_the_docstrings():
    assert doctest.testmod(module).failed == 0
