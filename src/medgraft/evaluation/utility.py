from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from medgraft.evaluation.intervals import Estimate, Sample
from medgraft.evaluation.metrics.metric import Bools, Floats
from medgraft.evaluation.predictions import Study

THRESHOLDS = tuple(percent / 100 for percent in range(5, 100, 5))
ALL, NONE = "treat all", "treat none"


@dataclass(frozen=True)
class Line:
    """A value at every threshold with its 95 % interval, all [T]."""

    value: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit of acting on a model at every threshold, in true positives per patient.

    more_than: the paired differences from whatever else one might do.
    """

    name: str
    benefit: Line
    more_than: dict[str, Line]

    def beats(self, *others: str) -> Bools:
        """At which thresholds it is worth more than all of these, each with 95 % confidence [T]."""
        return np.all([np.array(self.more_than[name].low) > 0 for name in others], axis=0)


def gains(outcome: Floats, probability: Floats, threshold: float) -> Floats:
    """Return what treating each row gains at a threshold, [K, n]; 0 for the untreated.

    outcome: [n], 0 or 1. probability: [K, n]; from the threshold on a row is treated. The mean over
    rows is the net benefit, tp/n - fp/n * pt/(1 - pt). Vickers & Elkin 2006 (Med. Decis. Making
    26:565).
    """
    odds = threshold / (1 - threshold)
    return np.where(probability >= threshold, outcome - (1 - outcome) * odds, 0.0)


def estimate_mean(value: Floats, sample: Sample) -> Estimate:
    """Estimate the mean over runs and rows, and its variance as `intervals.estimate` does.

    value: [K, n]. Where a statistic is a mean, the spread over ever more draws of patients is
    known: the sum over patients of their squared deviations. So nothing has to be drawn.
    """
    runs, rows = value.shape
    people = int(sample.patient.max()) + 1
    centred = value - value.mean(axis=1, keepdims=True)
    mean = float(value.mean())
    if people < 2:
        return Estimate(mean, np.nan, np.nan, np.nan, sample.fewest, runs)
    totals = np.stack([np.bincount(sample.patient, row, people) for row in centred]) / rows
    common = totals.mean(axis=0)
    unbiased = people / (people - 1)
    own = float(((totals - common) ** 2).sum() * unbiased)
    return Estimate.combine(
        mean,
        of_patients=float((common**2).sum() * unbiased),
        of_runs=float(value.mean(axis=1).var(ddof=1) / runs) if runs > 1 else 0.0,
        interaction=own / (runs * (runs - 1)) if runs > 1 else 0.0,
        fewest=sample.fewest,
        training=sample.training,
        runs=runs,
    )


def decision_curves(study: Study, names: Sequence[str]) -> dict[str, DecisionCurve]:
    """Compute the decision curves of these strategies and of treating all; binary outcomes.

    Treating none has a net benefit of 0. Each is held against all others, treating all and treating
    none; patients and runs are the same, so differences are paired.
    """
    said = {name: study.strategies[name].test[:, :, 1] for name in names}
    said[ALL] = np.ones_like(said[names[0]])
    gain = {
        name: [gains(study.outcome, p, threshold) for threshold in THRESHOLDS]
        for name, p in said.items()
    }
    gain[NONE] = [np.zeros_like(one) for one in gain[ALL]]
    # Whom one treats all of, nobody has trained a network on.
    untrained = replace(study.sample, training=1.0)
    return {
        name: DecisionCurve(
            name,
            _line(gain[name], untrained if name == ALL else study.sample),
            {
                other: _line(np.subtract(gain[name], gain[other]), study.sample)
                for other in gain
                if other != name
            },
        )
        for name in said
    }


def told(curves: dict[str, DecisionCurve]) -> dict[str, Any]:
    """What readings.json holds."""
    return {"threshold": list(THRESHOLDS), "curves": {n: asdict(c) for n, c in curves.items()}}


def _line(gain: Iterable[Floats], sample: Sample) -> Line:
    each = [estimate_mean(one, sample) for one in gain]
    low, high = np.transpose([one.interval() for one in each]).tolist()
    return Line([one.value for one in each], low, high)
