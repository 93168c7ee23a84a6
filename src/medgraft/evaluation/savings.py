from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from medgraft.evaluation.intervals import LEAST_DEFINED, Resampled, by_run, estimate, resample
from medgraft.evaluation.metrics.metric import Floats, Metric
from medgraft.evaluation.predictions import Study

ROUNDING = 1e-12
"""Values this close are one value: equal predictions may be summed in another order."""


@dataclass(frozen=True)
class Curve:
    """What a strategy reaches on so many training patients, all [T].

    low, high: 95 % interval of each value by itself. fitted: the values, made monotone.
    """

    strategy: str
    size: list[int]
    value: list[float]
    low: list[float]
    high: list[float]
    fitted: list[float]


@dataclass(frozen=True)
class Saving:
    """How many training patients the reference needs to do what a strategy does with `size`.

    worth, low, high: patients, and a 95 % percentile interval. Infinity: more than the whole
    cohort; the smallest size of the curve: that many or fewer; NaN: not defined.
    """

    strategy: str
    size: int
    worth: float
    low: float
    high: float
    undefined: int


@dataclass(frozen=True)
class Savings:
    """Learning curves over target size, and what they save."""

    reference: str
    metric: str
    whole: int
    smallest: int
    curves: dict[str, Curve]
    savings: list[Saving]

    def told(self, saving: Saving) -> str:
        """Say it: "20 patients with fine_tune do what 45 do with scratch (95 % CI 30 to 80)"."""
        start = f"{saving.size} patients with {saving.strategy}"
        if np.isnan(saving.worth):
            return f"{start}: {self.metric} is undefined for too many samples"
        interval = f"(95 % CI {self._interval(saving)})"
        if np.isinf(saving.worth):
            return (
                f"{start} do more than the whole cohort, {self.whole}, does with {self.reference} "
                f"{interval}"
            )
        return f"{start} do what {self._few(saving.worth)} do with {self.reference} {interval}"

    def _interval(self, saving: Saving) -> str:
        if np.isnan(saving.low):
            return "undefined"
        if np.isinf(saving.low):
            return "more than the whole cohort"
        if np.isinf(saving.high):
            return "any number" if saving.low <= self.smallest else f"{saving.low:.0f} or more"
        return f"{self._few(saving.low)} to {saving.high:.0f}"

    def _few(self, worth: float) -> str:
        return f"{self.smallest} or fewer" if worth <= self.smallest else f"{worth:.0f}"


def patients_saved(
    sizes: Mapping[int, Study], metric: Metric, *, reference: str, draws: int, seed: int
) -> Savings | None:
    """Compare learning curves with the reference's; None without a curve or the reference.

    sizes: `predictions.load_sizes`. Patients are resampled for all strategies and sizes alike, and
    so are the runs, one fewer than there are: their small number is what the interval knows least.
    """
    if not sizes or reference not in next(iter(sizes.values())).strategies:
        return None
    found = _resampled(sizes, metric, draws=draws, seed=seed)
    names = list(next(iter(sizes.values())).strategies)
    curves = {name: _curve(name, {n: found[name, n] for n in sizes}, metric) for name in names}
    sign = 1.0 if metric.higher_is_better else -1.0
    pick = _runs([found[reference, size] for size in sizes], seed=seed)
    at = np.array(list(sizes), dtype=np.float64)
    plain = {name: sign * np.array([curve.fitted]) for name, curve in curves.items()}
    drawn = {name: monotone(sign * _means(found, name, sizes, pick)) for name in names}
    savings = [
        _saving(
            name,
            size,
            equivalent(plain[reference], at, plain[name][:, place]),
            equivalent(drawn[reference], at, drawn[name][:, place]),
        )
        for name in names
        if name != reference
        for place, size in enumerate(sizes)
    ]
    return Savings(reference, metric.label, int(at[-1]), int(at[0]), curves, savings)


def monotone(values: Floats) -> Floats:
    """Fit the nearest non-decreasing sequence to every row [B, T], in least squares.

    The greatest over starts of the least over ends of the means between (Barlow et al. 1972,
    Statistical Inference under Order Restrictions). NaN spreads over its row.
    """
    length = values.shape[1]
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    fitted = np.empty_like(values)
    for place in range(length):
        ends = np.arange(place + 1, length + 1)
        least = [
            ((total[:, ends] - total[:, [start]]) / (ends - start)).min(axis=1)
            for start in range(place + 1)
        ]
        fitted[:, place] = np.max(least, axis=0)
    return fitted


def equivalent(curve: Floats, sizes: Floats, value: Floats) -> Floats:
    """Return the size at which a non-decreasing curve [B, T] reaches a value [B], linear between.

    The first of `sizes` [T] where it starts at or above the value, infinity where it never comes
    up to it, NaN where either is.
    """
    reached = curve >= value[:, None] - ROUNDING
    after = np.where(reached.any(axis=1), reached.argmax(axis=1), len(sizes) - 1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(curve))
    low, high = curve[rows, before], curve[rows, after]
    share = np.divide(value - low, high - low, out=np.ones_like(low), where=high > low)
    found = sizes[before] + np.minimum(share, 1.0) * (sizes[after] - sizes[before])
    found = np.where(reached.any(axis=1), np.where(after == 0, sizes[0], found), np.inf)
    return np.where(np.isnan(value) | np.isnan(curve).any(axis=1), np.nan, found)


def told(savings: Savings) -> dict[str, Any]:
    """What readings.json holds; null where a number is infinite or undefined, words beside it."""
    return {
        "reference": savings.reference,
        "metric": savings.metric,
        "curves": {name: dict(vars(curve)) for name, curve in savings.curves.items()},
        "savings": [{**vars(one), "sentence": savings.told(one)} for one in savings.savings],
    }


def _resampled(
    sizes: Mapping[int, Study], metric: Metric, *, draws: int, seed: int
) -> dict[tuple[str, int], Resampled]:
    statistics = {
        (name, size): partial(
            by_run,
            metric=metric.at(study.horizons),
            outcome=study.outcome,
            prediction=result.test,
            fold=result.fold,
        )
        for size, study in sizes.items()
        for name, result in study.strategies.items()
    }
    return resample(statistics, next(iter(sizes.values())).sample, draws=draws, seed=seed)


def _curve(name: str, found: Mapping[int, Resampled], metric: Metric) -> Curve:
    each = [estimate(one) for one in found.values()]
    sign = 1.0 if metric.higher_is_better else -1.0
    value = np.array([[sign * one.value for one in each]])
    low, high = np.clip(np.transpose([one.interval() for one in each]), *metric.bounds)
    fitted = (sign * monotone(value))[0]
    values = [one.value for one in each]
    return Curve(name, list(found), values, low.tolist(), high.tolist(), fitted.tolist())


def _runs(found: list[Resampled], *, seed: int) -> np.ndarray:
    """Which runs each draw takes, [B, K - 1]; the same for all strategies and sizes."""
    draws, runs = found[0].draws.shape
    return np.random.default_rng([seed, 1]).integers(runs, size=(draws, max(runs - 1, 1)))


def _means(
    found: Mapping[tuple[str, int], Resampled],
    name: str,
    sizes: Mapping[int, Study],
    pick: np.ndarray,
) -> Floats:
    return np.stack(
        [np.take_along_axis(found[name, size].draws, pick, axis=1).mean(axis=1) for size in sizes],
        axis=1,
    )


def _saving(name: str, size: int, plain: Floats, drawn: Floats) -> Saving:
    defined = drawn[~np.isnan(drawn)]
    undefined = len(drawn) - len(defined)
    if np.isnan(plain[0]) or len(defined) < LEAST_DEFINED * len(drawn):
        return Saving(name, size, float(plain[0]), np.nan, np.nan, undefined)
    # An order statistic: between a number of patients and infinity nothing can be interpolated.
    low, high = np.quantile(defined, (0.025, 0.975), method="inverted_cdf")
    return Saving(name, size, float(plain[0]), float(low), float(high), undefined)
