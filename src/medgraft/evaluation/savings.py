from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from medgraft.evaluation.intervals import Resampled, by_run, estimate, resample
from medgraft.evaluation.metrics.metric import Floats, Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted

BETWEEN = 20
"""How many sizes are tried from one size of the curve to the next."""
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

    worth, low, high: patients, and all those numbers that the 95 % interval of the paired
    difference does not exclude, as Fieller 1954 (J. R. Stat. Soc. B 16:175) inverts a test.
    Infinity: more than all training patients of a fold; the smallest size of the curve: that many
    or fewer; NaN: not defined.
    """

    strategy: str
    size: int
    worth: float
    low: float
    high: float


@dataclass(frozen=True)
class Savings:
    """Learning curves over target size, and what they save.

    whole: all training patients of a fold, the largest size; smallest: the least.
    """

    reference: str
    metric: str
    whole: int
    smallest: int
    curves: dict[str, Curve]
    savings: list[Saving]

    def told(self, saving: Saving) -> str:
        """Say it: "20 patients with fine_tune do what 45 do with scratch (95 % CI 30 to 80)"."""
        start = f"{counted(saving.size, 'patient')} with {saving.strategy}"
        if np.isnan(saving.worth):
            return f"{start}: {self.metric} is undefined for too many samples"
        interval = f"({self._interval(saving)})"
        if np.isinf(saving.worth):
            return (
                f"{start} do more than all {self.whole} training patients of a model with "
                f"{self.reference} {interval}"
            )
        return f"{start} do what {self._few(saving.worth)} do with {self.reference} {interval}"

    def _interval(self, saving: Saving) -> str:
        if np.isnan(saving.low):
            return "95 % CI: undefined"
        if np.isinf(saving.low):
            return f"95 % CI: more than {self.whole}"
        if np.isinf(saving.high):
            if saving.low <= self.smallest:
                return "95 % CI: any number of patients"
            return f"95 % CI: at least {saving.low:.0f}; no upper limit"
        return f"95 % CI {self._few(saving.low)} to {saving.high:.0f}"

    def _few(self, worth: float) -> str:
        return f"{self.smallest} or fewer" if worth <= self.smallest else f"{worth:.0f}"


def patients_saved(
    sizes: Mapping[int, Study], metric: Metric, *, reference: str, draws: int, seed: int
) -> Savings | None:
    """Compare learning curves with the reference's; None without a curve or the reference.

    Monotone by isotonic regression: Barlow et al. 1972 (Inference under Order Restrictions).

    sizes: `predictions.load_sizes`. Patients are resampled for all strategies and sizes alike, so
    that what a strategy and the reference reach with any two sizes is a paired difference.
    """
    if not sizes or reference not in next(iter(sizes.values())).strategies:
        return None
    found = _resampled(sizes, metric, draws=draws, seed=seed)
    names = list(next(iter(sizes.values())).strategies)
    curves = {name: _curve(name, {n: found[name, n] for n in sizes}, metric) for name in names}
    sign = 1.0 if metric.higher_is_better else -1.0
    at = np.array(list(sizes), dtype=np.float64)
    plain = {name: sign * np.array([curve.fitted]) for name, curve in curves.items()}
    known = list(_between({size: found[reference, size] for size in sizes}))
    savings = [
        _saving(
            name,
            size,
            equivalent(plain[reference], at, plain[name][:, place]),
            _not_excluded(found[name, size], known, sign),
        )
        for name in names
        if name != reference
        for place, size in enumerate(sizes)
    ]
    return Savings(reference, metric.label, int(at[-1]), int(at[0]), curves, savings)


def _saving(name: str, size: int, worth: Floats, interval: tuple[float, float]) -> Saving:
    # The fitted curves may lie a little off the values that the interval compares.
    ends = np.minimum(interval[0], worth[0]), np.maximum(interval[1], worth[0])
    return Saving(name, size, float(worth[0]), *map(float, ends))


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


def _between(of_reference: Mapping[int, Resampled]) -> Iterator[tuple[float, Resampled]]:
    """What the reference reaches at every size of the curve and, on straight lines, between."""
    for (size, here), (following, there) in pairwise(of_reference.items()):
        for share in np.arange(BETWEEN) / BETWEEN:
            by_run = (1 - share) * here.by_run + share * there.by_run
            draws = (1 - share) * here.draws + share * there.draws
            yield size + share * (following - size), replace(here, by_run=by_run, draws=draws)
    yield list(of_reference.items())[-1]


def _not_excluded(
    own: Resampled, known: list[tuple[float, Resampled]], sign: float
) -> tuple[float, float]:
    """From which to which size the reference is shown neither worse nor better; NaN: unknown."""
    ends = [np.sort(sign * np.array(estimate(own - there).interval())) for _, there in known]
    worst, best = np.array(ends).T
    if np.isnan(worst).any():
        return np.nan, np.nan
    at = np.array([size for size, _ in known])
    too_few, too_many = worst > 0, best < 0
    low = np.inf if too_few.all() else at[~too_few][0]
    if too_many.all():
        return float(at[0]), float(at[0])
    return float(low), float(np.inf if not too_many[-1] else at[~too_many][-1])
