"""IDROversampler: the oversampling as a class with imbalanced-learn's API."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions

from curate.balance.announced import announced_draws
from curate.balance.draw import DEFAULT_BUDGET, Choice, Quantile
from curate.balance.pool import dense_codes, joint_codes
from curate.balance.state import Cap
from curate.core.errors import InputError, nearest

_COUNT = [Interval(Integral, 1, None, closed="left"), None]


class IDROversampler(BaseEstimator):
    """Oversample a table with several labels until the IDR of each is at most the target.

    Follows imbalanced-learn's API, whose own samplers refuse several labels.

    target: IDR, at least 1. budget: replicas at most; default: 3 for each row. choice: `uniform` draws the row as the
        definition says; `lookahead` takes the row that helps the other labels and needs fewer replicas, which come from
        fewer rows: compare `effective_sample_size_`. max_per_image, max_per_identity, max_per_cell: replicas of one
        row, of the rows of one value of the column `identity`, and of one combination of the columns `cell` (default:
        all but `identity`); default: any number. joint: more labels, each a combination such as `gender/ethnicity`.
        quantile: the `method` of `numpy.quantile` for the deciles. stall: end after so many replicas in which the
        largest IDR had no new low; default: never. random_state: an int seeds `numpy.random.Generator(PCG64(seed))`; a
        Generator is used as it is; None draws a fresh seed.

    After `fit_resample`: `sample_indices_` `(M,)` int64, the original rows, then the replicas in the order drawn;
    `history_` DataFrame (replicas, label, idr, max_min), thinned; `ended_`: `target`, `budget`, `cap` or `stall`;
    `bound_`: what was known beforehand (`curate.balance.bound.Bound`); `effective_sample_size_`: (sum n)^2 / sum n^2
    over how often each row is used.

    >>> y = pd.DataFrame({"identity": list("aaaabbbc"), "gender": list("ffffmmmf")})
    >>> sampler = IDROversampler(target=1.5, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(np.arange(8)[:, None], y)
    >>> y_resampled["identity"].value_counts().to_dict()
    {'b': 5, 'a': 4, 'c': 3}
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "target": [Interval(Real, 1, None, closed="left")],
        "budget": _COUNT,
        "choice": [StrOptions(set(get_args(Choice)))],
        "max_per_image": _COUNT,
        "max_per_identity": _COUNT,
        "max_per_cell": _COUNT,
        "identity": [str, Integral],
        "cell": ["array-like", None],
        "joint": ["array-like"],
        "quantile": [StrOptions(set(get_args(Quantile)))],
        "stall": _COUNT,
        "random_state": [Interval(Integral, 0, None, closed="left"), np.random.Generator, None],
    }

    def __init__(
        self,
        *,
        target: float = 1.5,
        budget: int | None = None,
        choice: Choice = "uniform",
        max_per_image: int | None = None,
        max_per_identity: int | None = None,
        max_per_cell: int | None = None,
        identity: Any = "identity",
        cell: Sequence[Any] | None = None,
        joint: Sequence[str] = (),
        quantile: Quantile = "linear",
        stall: int | None = None,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.target = target
        self.budget = budget
        self.choice = choice
        self.max_per_image = max_per_image
        self.max_per_identity = max_per_identity
        self.max_per_cell = max_per_cell
        self.identity = identity
        self.cell = cell
        self.joint = joint
        self.quantile = quantile
        self.stall = stall
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Replicate rows: X and y with the replicas after the originals, of the types given.

        X: anything with N rows (array, DataFrame, sparse matrix, list) or None. y: DataFrame `(N, L)` with one column
        for each label, an array `(N, L)`, or one label as a Series, an array or a list; a missing value joins no
        category; values of one column must sort. Raises InputError where the numbers of rows differ, a parameter is out
        of bounds or a column is unknown. Warns where the target is proven out of reach or not reached, and where a
        label's deciles are level but its largest category has more than 3 times the samples of its smallest.
        """
        try:
            self._validate_params()
        except InvalidParameterError as error:
            raise InputError(str(error)) from None
        table = _as_table(y)
        if X is not None and _length(X) != len(table):
            raise InputError("X and y differ in their number of rows", value=(_length(X), len(table)))
        codes, names = self._codes(table)
        caps = self._caps(table, codes)
        budget = DEFAULT_BUDGET * len(table) if self.budget is None else int(self.budget)
        rng = self.random_state
        if not isinstance(rng, np.random.Generator):
            rng = np.random.Generator(np.random.PCG64(rng))
        self.bound_, draws = announced_draws(
            codes, names, float(self.target), budget, rng, self.max_per_image, caps=caps, choice=self.choice,
            quantile=self.quantile, stall=self.stall,
        )  # fmt: skip
        self.sample_indices_ = np.concatenate([np.arange(len(table), dtype=np.int64), draws.rows])
        self.history_ = draws.history.assign(label=np.array(names, dtype=object)[draws.history["label"]])
        self.ended_ = draws.ended
        self.effective_sample_size_ = draws.effective_size(len(table))
        return (None if X is None else _take(X, self.sample_indices_)), _take(y, self.sample_indices_)

    def _codes(self, table: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """Codes of each column of y and of each joint label, and their names."""
        columns = [_sorted_codes(table.iloc[:, place]) for place in range(table.shape[1])]
        names = [str(name) for name in table.columns]
        for joint in self.joint:
            parts = [columns[self._place(table, part)] for part in str(joint).split("/")]
            columns.append(joint_codes(parts))
            names.append(str(joint))
        codes = np.empty((len(table), len(columns)), dtype=np.int32)
        for place, column in enumerate(columns):
            codes[:, place] = column
            if len(table) and column.max() < 0:
                warnings.warn(f"the label {names[place]!r} has no value: it takes no part", stacklevel=3)
        return codes, names

    def _caps(self, table: pd.DataFrame, codes: np.ndarray) -> list[Cap]:
        caps = []
        if self.max_per_identity is not None:
            caps.append(Cap(codes[:, self._place(table, self.identity)], int(self.max_per_identity)))
        if self.max_per_cell is not None:
            columns = [name for name in table.columns if name != self.identity] if self.cell is None else self.cell
            places = [self._place(table, name) for name in columns]
            caps.append(Cap(joint_codes([codes[:, place] for place in places]), int(self.max_per_cell)))
        return caps

    @staticmethod
    def _place(table: pd.DataFrame, name: Any) -> int:
        found = [place for place, other in enumerate(table.columns) if other == name]
        if not found:
            raise InputError(f"y has no label {name!r}. {nearest(str(name), map(str, table.columns))}")
        return found[0]


def _as_table(y: Any) -> pd.DataFrame:
    if isinstance(y, pd.DataFrame):
        table = y
    elif isinstance(y, pd.Series):
        table = y.to_frame("label" if y.name is None else y.name)
    elif isinstance(y, str) or not hasattr(y, "__len__"):
        raise InputError("y must be a table with one column for each label", value=type(y).__name__)
    else:
        table = pd.DataFrame(y)
    if not table.shape[1]:
        raise InputError("y must be a table with one column for each label", value=table.shape)
    return table


def _sorted_codes(column: pd.Series) -> np.ndarray:
    """Codes of the values in sorted order (a categorical's own order), over those present; -1 missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return dense_codes(column.cat.codes.to_numpy())
    codes, values = pd.factorize(column, use_na_sentinel=True)
    try:
        order = sorted(range(len(values)), key=values.__getitem__)
    except TypeError as error:
        raise InputError("the values of a label can't be put in order", column=str(column.name),
                         remedy="Give text, numbers or a categorical, not a mixture") from error  # fmt: skip
    rank = np.empty(len(values) + 1, dtype=np.int32)
    rank[order] = np.arange(len(values), dtype=np.int32)
    rank[-1] = -1
    return rank[codes]


def _length(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _take(X: Any, rows: np.ndarray) -> Any:
    if isinstance(X, pd.DataFrame | pd.Series):
        return X.take(rows).reset_index(drop=True)
    if hasattr(X, "tocsr"):  # of the sparse formats only some can be indexed by rows
        return X.tocsr()[rows].asformat(X.format)
    return X[rows] if hasattr(X, "shape") else [X[row] for row in rows]
