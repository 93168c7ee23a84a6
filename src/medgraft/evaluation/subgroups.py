from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from medgraft.evaluation.intervals import Resampled, Statistic, by_run, estimate, resample
from medgraft.evaluation.metrics.metric import Bools, Floats, Metric, silent_folds
from medgraft.evaluation.predictions import Labels, Study
from medgraft.evaluation.verdict import holm


@dataclass(frozen=True)
class GroupScore:
    """A metric of a strategy among the patients of one group, and against all other groups.

    difference: group minus the others whose label is known, low_difference and high_difference its
    95 % interval; p_holm: adjusted for all groups of all subgroups and strategies on this metric.
    undefined: draws of patients that leave the group's value undefined. silent_folds: folds, of
    those that hold the group, in which the metric finds nothing to compare. NaN is undefined.
    """

    subgroup: str
    group: str
    strategy: str
    metric: str
    rows: int
    patients: int
    value: float
    low: float
    high: float
    undefined: int
    silent_folds: int
    difference: float
    low_difference: float
    high_difference: float
    p: float
    p_holm: float


def by_subgroup(
    study: Study,
    groups: Mapping[str, Labels],
    metrics: Mapping[str, Metric],
    *,
    strategies: Sequence[str],
    draws: int,
    seed: int,
) -> list[GroupScore]:
    """Compute every metric of these strategies in every group, and test it against the others.

    p of all groups together: Holm 1979 (Scand. J. Stat. 6:65).

    groups: `predictions.load_subgroups`. Rows without a label are in no group. All groups see the
    same draws of patients, so what they share cancels. Of two groups the test is one and the same.
    """
    parts = {
        (name, label): (labels == label, (labels != label) & (labels != ""))
        for name, labels in groups.items()
        for label in sorted(set(labels) - {""})
    }
    found: list[GroupScore] = []
    for metric in metrics.values():
        statistics: dict[tuple[str, str, str, bool], Statistic] = {
            (*part, strategy, inside): partial(
                _within, study=study, metric=metric, strategy=strategy, rows=rows
            )
            for part, both in parts.items()
            for strategy in strategies
            for inside, rows in zip((True, False), both, strict=True)
            if rows.any()
        }
        if statistics:
            resampled = resample(statistics, study.sample, draws=draws, seed=seed)
            found += _scores(study, metric, parts, resampled, strategies=strategies)
    return found


def told(scores: Sequence[GroupScore]) -> dict[str, Any]:
    """What readings.json holds."""
    return {"scores": [asdict(score) for score in scores]}


def _within(weight: Floats, *, study: Study, metric: Metric, strategy: str, rows: Bools) -> Floats:
    result = study.strategies[strategy]
    return by_run(
        weight[:, rows],
        metric=metric.at(study.horizons),
        outcome=study.outcome[rows],
        prediction=result.test[:, rows],
        fold=result.fold[:, rows],
    )


def _scores(
    study: Study,
    metric: Metric,
    parts: Mapping[tuple[str, str], tuple[Bools, Bools]],
    resampled: Mapping[tuple[str, str, str, bool], Resampled],
    *,
    strategies: Sequence[str],
) -> list[GroupScore]:
    scores = []
    for (name, label), (inside, outside) in parts.items():
        people = len(np.unique(study.patient[inside]))
        few, others = (study.fewest(rows) for rows in (inside, outside))
        for strategy in strategies:
            own = replace(resampled[name, label, strategy, True], fewest=few)
            value, differs = estimate(own), None
            if others:
                rest = resampled[name, label, strategy, False]
                differs = estimate(replace(own - rest, fewest=min(few, others)))
            low, high = np.clip(value.interval(), *metric.bounds).tolist()
            apart = (differs.value, *differs.interval(), differs.p) if differs else (np.nan,) * 4
            about = (name, label, strategy, metric.name, int(inside.sum()), people)
            silent = silent_folds(
                metric.at(study.horizons),
                study.outcome[inside],
                study.strategies[strategy].test[:, inside],
                study.strategies[strategy].fold[:, inside],
            )
            numbers = (value.value, low, high, own.undefined, silent)
            scores.append(GroupScore(*about, *numbers, *apart, p_holm=np.nan))
    return _adjusted(scores)


def _adjusted(scores: list[GroupScore]) -> list[GroupScore]:
    """Holm's procedure over the distinct tests: two groups make one."""
    groups: dict[str, set[str]] = {}
    for score in scores:
        groups.setdefault(score.subgroup, set()).add(score.group)
    two = {name for name, labels in groups.items() if len(labels) == 2}
    keys = [(s.subgroup, "" if s.subgroup in two else s.group, s.strategy) for s in scores]
    distinct = dict(zip(keys, (score.p for score in scores), strict=True))
    adjusted = dict(zip(distinct, holm(np.array(list(distinct.values()))), strict=True))
    return [
        replace(score, p_holm=float(adjusted[key])) for score, key in zip(scores, keys, strict=True)
    ]
