"""cleanlab on the vectors of `benchmarks.noise`: its label issues behind two linear classifiers, and its outliers.

cleanlab wants the probability of every identity for every image, from a classifier that did not see the image: five
folds, as its own guides do. Both classifiers are scikit-learn's, on standardised float32 vectors: the logistic
regression of those guides, run until it converges, and linear discriminant analysis, which has a closed form.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

FOLDS = 5
#: Of the logistic regression: the weight of its penalty (of 0.001 to 1,000 the best on 10,000 such vectors),
#: and how small its gradient must get.
PENALTY, TOLERANCE, ITERATIONS = 10.0, 1e-5, 200


def logistic(x: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Out-of-sample probabilities `(N, K)` of multinomial logistic regression, and how it converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=PENALTY, tol=TOLERANCE, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        chance, fitted = _out_of_sample(model, x, label)
    rounds = [int(fold.n_iter_.max()) for fold in fitted]
    return chance, {"iterations": rounds, "converged": max(rounds) < ITERATIONS}


def discriminant(x: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Out-of-sample probabilities `(N, K)` of linear discriminant analysis."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return _out_of_sample(LinearDiscriminantAnalysis(solver="lsqr"), x, label)[0], {}


CLASSIFIERS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, dict[str, Any]]]] = {
    "discriminant": discriminant, "logistic": logistic,
}  # fmt: skip


def _out_of_sample(model: Any, x: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    chance, fitted = np.zeros((len(x), int(label.max()) + 1), np.float32), []
    for kept, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, label):
        mean, spread = x[kept].mean(0), np.maximum(x[kept].std(0), 1e-6)
        fitted.append(clone(model).fit((x[kept] - mean) / spread, label[kept]))
        chance[np.ix_(held, fitted[-1].classes_)] = fitted[-1].predict_proba((x[held] - mean) / spread)
    return chance, fitted


def label_issues(
    x: np.ndarray, label: np.ndarray, score: Callable[[np.ndarray], float], workers: int
) -> dict[str, Any]:
    """Seconds of each classifier and of cleanlab behind it, and what `score` gives the rows that it names."""
    from cleanlab.filter import find_label_issues

    result: dict[str, Any] = {}
    for name, classify in CLASSIFIERS.items():
        with Clock() as classified:
            chance, more = classify(x, label)
        with Clock() as sought:
            issues = np.flatnonzero(find_label_issues(label, chance, n_jobs=workers))
        del chance
        row = {"f1": score(issues), **classified.told("classifier"), **sought.told("label_issues"), **more}
        result |= say({f"peer_cleanlab_{name}_{key}": value for key, value in row.items()})
    return result


def outliers(x: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    """Seconds of cleanlab's outlier score, and the best F1 of any threshold, which nobody can know beforehand."""
    from cleanlab.outlier import OutOfDistribution

    with Clock() as clock:
        score = OutOfDistribution().fit_score(features=x, verbose=False)
    hits = np.cumsum(wrong[np.argsort(score, kind="stable")])
    best = float((2 * hits / (np.arange(1, len(hits) + 1) + wrong.sum())).max())
    return say({**clock.told("peer_cleanlab_outliers"), "peer_cleanlab_outliers_best_f1": best})


class Clock:
    """Seconds by the clock and of all cores between enter and exit, children that ended in between included."""

    def __enter__(self) -> Clock:
        self.seconds, self.cpu = -time.perf_counter(), -_cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter()
        self.cpu += _cpu()

    def told(self, name: str) -> dict[str, float]:
        """Both under names of their own."""
        return {f"{name}_seconds": self.seconds, f"{name}_cpu_seconds": self.cpu}


def _cpu() -> float:
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def say(row: dict[str, Any]) -> dict[str, Any]:
    """Print a row as soon as it is known, to the error stream, and hand it on."""
    print(row, file=sys.stderr, flush=True)
    return row
