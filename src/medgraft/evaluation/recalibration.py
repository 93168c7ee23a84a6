"""Would a correction fitted on validation patients calibrate the answers for test patients?

Every replica's correction is fitted on its own validation patients and applied to its test
patients. Temperature: Guo et al. 2017 (ICML); Platt: Platt 1999 (Advances in Large Margin
Classifiers, 61); isotonic regression: Zadrozny & Elkan 2002 (KDD).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit, log_softmax

from medgraft.evaluation.corrections import (
    AS_IT_IS,
    EPS,
    Correction,
    Isotonic,
    Platt,
    Temperature,
    logit,
)
from medgraft.evaluation.intervals import Resampled, Statistic, by_run, estimate, resample
from medgraft.evaluation.metrics.metric import Floats, Integers, Metric
from medgraft.evaluation.predictions import StrategyResult, Study

LEAST_ISOTONIC = 1000
"""Under so many it follows chance (Niculescu-Mizil & Caruana 2005, ICML)."""
HOTTEST = 20.0
"""Logits are divided by at most this, and multiplied by no more."""

Fit = Callable[[Floats, Integers], Correction]
"""From class probabilities [m, C] and the classes that came, [m], to a correction."""


@dataclass(frozen=True)
class Corrected:
    """A metric of a strategy after a correction, and what the correction changed.

    change: after minus before on the same patients, with its 95 % interval; NaN before any.
    undefined: draws of patients that leave the metric undefined.
    """

    strategy: str
    method: str
    metric: str
    value: float
    low: float
    high: float
    change: float
    change_low: float
    change_high: float
    undefined: int


def temperature(said: Floats, truth: Integers) -> Temperature:
    """Divide the log probabilities by one number, that of the smallest log loss."""
    logits = np.log(np.maximum(said, EPS))

    def loss(log_t: float) -> float:
        answered = log_softmax(logits / np.exp(log_t), axis=1)
        return float(-answered[np.arange(len(truth)), truth].mean())

    edge = np.log(HOTTEST)
    best = minimize_scalar(loss, bounds=(-edge, edge), method="bounded").x
    return Temperature(float(np.exp(best)))


def platt(said: Floats, truth: Integers) -> Platt:
    """Intercept and slope of the logit of two classes, towards Platt's smoothed targets."""
    odds, ill = logit(said), int(truth.sum())
    target = np.where(truth == 1, (ill + 1) / (ill + 2), 1 / (len(truth) - ill + 2))

    def loss(at: Floats) -> tuple[float, Floats]:
        line = at[0] + at[1] * odds
        away = expit(line) - target
        value = -(target * log_expit(line) + (1 - target) * log_expit(-line)).sum()
        return float(value), np.array([away.sum(), (away * odds).sum()])

    intercept, slope = minimize(loss, np.array([0.0, 1.0]), jac=True, method="BFGS").x
    return Platt(float(intercept), float(slope))


def isotonic(said: Floats, truth: Integers) -> Isotonic:
    """The rising step function of least squares, of two classes."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(said[:, 1], truth)
    return Isotonic(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist())


def methods(classes: Sequence[str], fewest: int) -> tuple[dict[str, Fit], dict[str, str]]:
    """The corrections that fit the outcome and so many patients; of others, why not.

    Those with fewer parameters first.
    """
    offered: dict[str, Fit] = {"temperature": temperature}
    if len(classes) > 2:
        return offered, {}
    offered["Platt"] = platt
    if fewest < LEAST_ISOTONIC:
        why = f"needs {LEAST_ISOTONIC:,} validation patients for every model; one has {fewest:,}"
        return offered, {"isotonic": why}
    return offered | {"isotonic": isotonic}, {}


def corrected(study: Study, result: StrategyResult, fit: Fit) -> Floats:
    """Test predictions [K, n, C], each replica's corrected by its validation patients."""
    found = result.test.copy()
    for run, fold, rows, said in result.validated():
        correct = fit(said, study.everyone[rows].astype(np.int64))
        mine = result.fold[run] == fold
        found[run, mine] = correct(result.test[run, mine])
    return found


def recalibration(
    study: Study,
    metrics: Mapping[str, Metric],
    *,
    strategies: Sequence[str],
    draws: int,
    seed: int,
) -> tuple[list[Corrected], dict[str, str]]:
    """Judge these strategies before and after every correction; and which were not offered, why.

    One class out of two or more. Patients and runs are the same before and after.
    """
    found: list[Corrected] = []
    refused: dict[str, str] = {}
    for strategy in strategies:
        result = study.strategies[strategy]
        fewest = min(len(rows) for _, _, rows, _ in result.validated())
        offered, why = methods(study.classes, fewest)
        refused |= why
        said = {AS_IT_IS: result.test}
        said |= {name: corrected(study, result, fit) for name, fit in offered.items()}
        statistics = _statistics(study, result, metrics, said)
        resampled = resample(statistics, study.sample, draws=draws, seed=seed)
        found += [
            _judged(strategy, method, metrics[metric], one, resampled[AS_IT_IS, metric])
            for (method, metric), one in resampled.items()
        ]
    return found, refused


def _statistics(
    study: Study, result: StrategyResult, metrics: Mapping[str, Metric], said: Mapping[str, Floats]
) -> dict[tuple[str, str], Statistic]:
    return {
        (method, name): partial(
            by_run, metric=metric, outcome=study.outcome, prediction=test, fold=result.fold
        )
        for method, test in said.items()
        for name, metric in metrics.items()
    }


def _judged(
    strategy: str, method: str, metric: Metric, after: Resampled, before: Resampled
) -> Corrected:
    value = estimate(after)
    low, high = np.clip(value.interval(), *metric.bounds).tolist()
    change = (float("nan"),) * 3
    if method != AS_IT_IS:
        differs = estimate(after - before)
        change = (differs.value, *differs.interval())
    undefined = after.undefined
    return Corrected(
        strategy, method, metric.name, value.value, low, high, *change, undefined=undefined
    )
