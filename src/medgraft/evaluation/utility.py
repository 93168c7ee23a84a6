from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medgraft.evaluation.intervals import Estimate, Sample
from medgraft.evaluation.metrics.metric import Floats
from medgraft.evaluation.predictions import Study

THRESHOLDS = tuple(percent / 100 for percent in range(5, 100, 5))
ALL, NONE = "treat all", "treat none"


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit of acting on a model at every threshold, in true positives per patient.

    value, low, high: [T]. beats: for each of what it is held against, the threshold's difference is
    above 0 with 95 % confidence, [T].
    """

    name: str
    value: list[float]
    low: list[float]
    high: list[float]
    beats: dict[str, list[bool]]


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

    Treating none has a net benefit of 0. The first name is held against all others, treating all
    and treating none; patients and runs are the same, so differences are paired.
    """
    said = {name: study.strategies[name].test[:, :, 1] for name in names}
    said[ALL] = np.ones_like(said[names[0]])
    found: dict[str, list[Estimate]] = {name: [] for name in said}
    beats: dict[str, list[bool]] = {name: [] for name in (*said, NONE) if name != names[0]}
    for threshold in THRESHOLDS:
        each = {name: gains(study.outcome, p, threshold) for name, p in said.items()}
        for name, gain in each.items():
            # Whom one treats all of, nobody has trained a network on.
            sample = replace(study.sample, training=1.0) if name == ALL else study.sample
            found[name].append(estimate_mean(gain, sample))
        for name, than in beats.items():
            difference = each[names[0]] - each.get(name, 0.0)
            than.append(bool(estimate_mean(difference, study.sample).interval()[0] > 0))
    return {
        name: _curve(name, estimates, beats if name == names[0] else {})
        for name, estimates in found.items()
    }


def told(curves: dict[str, DecisionCurve]) -> dict[str, Any]:
    """What readings.json holds."""
    return {"threshold": list(THRESHOLDS), "curves": {n: dict(vars(c)) for n, c in curves.items()}}


def _curve(name: str, each: list[Estimate], beats: dict[str, list[bool]]) -> DecisionCurve:
    low, high = np.transpose([one.interval() for one in each]).tolist()
    return DecisionCurve(name, [one.value for one in each], low, high, beats)
