"""Sets of answers that hold the truth a stated share of the time: split conformal prediction.

Vovk, Gammerman & Shafer 2005 (Algorithmic Learning in a Random World); Angelopoulos & Bates 2023
(Found. Trends Mach. Learn. 16:494). Every replica is calibrated on its own validation patients and
judged on its test patients.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from medgraft.evaluation.exchangeable import least, threshold, worst
from medgraft.evaluation.metrics.metric import Bools, Floats, Integers
from medgraft.evaluation.predictions import Labels, StrategyResult, Study
from medgraft.evaluation.sentence import counted
from medgraft.evaluation.utility import estimate_mean
from medgraft.tasks import task as tasks

LEAST_GROUP = 20
"""Of fewer patients no coverage is stated: one more or less moves it by 5 points."""
EACH = "class-conditional"
EVERYONE = "everyone"


@dataclass(frozen=True)
class Coverage:
    """How often the sets held the truth among some patients.

    method: "split", one threshold for everyone, or "class-conditional", one for each class. group:
    "everyone", a class or a subgroup's label; subgroup: its name, "" otherwise. patients: how many.
    value, low, high: share of rows, mean over runs, with its 95 % interval; NaN where `why` says
    what was too few.
    """

    method: str
    subgroup: str
    group: str
    patients: int
    value: float
    low: float
    high: float
    why: str = ""


@dataclass(frozen=True)
class Sets:
    """What the sets of one strategy are worth.

    level: share of truths they were made to hold. coverage: of everyone, each class, each group.
    sizes: method -> how often a set names so many classes (of classes), [C + 1]. width: mean width
    of the intervals (of a value), NaN otherwise. calibrated_on: least and most validation patients.
    """

    strategy: str
    level: float
    coverage: list[Coverage]
    sizes: dict[str, list[float]]
    width: float
    calibrated_on: tuple[int, int]


def conformal(
    study: Study, strategy: str, *, level: float, groups: Mapping[str, Labels]
) -> Sets | str:
    """Make the sets of a strategy and judge them, or say why there are none.

    Classes: an answer's score is 1 minus its probability (Sadinle, Lei & Wasserman 2019, J. Am.
    Stat. Assoc. 114:223); a value: the absolute error. groups: `predictions.load_subgroups`.
    """
    if not tasks.of(study.task).one_answer:
        return f"prediction sets are offered for classes and values, the outcome is {study.task}"
    result, need = study.strategies[strategy], least(level)
    held = [len(np.unique(study.everyone_patient[rows])) for _, _, rows, _ in result.validated()]
    if not held or min(held) < need:
        return (
            f"sets at {level:.0%} need {need} validation patients for every model; the fewest are "
            f"{min(held, default=0)}"
        )
    calibrated = (min(held), max(held))
    make = _of_classes if study.classes else _of_values
    return make(study, strategy, level=level, groups=groups, calibrated=calibrated)


def _of_values(
    study: Study,
    strategy: str,
    *,
    level: float,
    groups: Mapping[str, Labels],
    calibrated: tuple[int, int],
) -> Sets:
    result = study.strategies[strategy]
    reach = _thresholds(study, result, level)
    inside = np.abs(result.test[:, :, 0] - study.outcome) <= reach
    covered = _coverage(study, {"split": inside}, groups)
    return Sets(strategy, level, covered, {}, float(2 * reach.mean()), calibrated)


def _of_classes(
    study: Study,
    strategy: str,
    *,
    level: float,
    groups: Mapping[str, Labels],
    calibrated: tuple[int, int],
) -> Sets:
    result, few = study.strategies[strategy], _fewest_of_class(study, study.strategies[strategy])
    sets = {"split": 1 - result.test <= _thresholds(study, result, level)[:, :, None]}
    if few >= least(level):
        sets[EACH] = 1 - result.test <= _by_class(study, result, level)
    truth = study.outcome.astype(np.int64)
    inside = {name: kept[:, np.arange(len(truth)), truth] for name, kept in sets.items()}
    covered = _coverage(study, inside, groups)
    if EACH not in sets:
        why = (
            f"needs {least(level)} validation patients of each class for every model; one has {few}"
        )
        covered.append(Coverage(EACH, "", EVERYONE, study.patients, *(float("nan"),) * 3, why))
    shares = {name: _sizes(kept) for name, kept in sets.items()}
    return Sets(strategy, level, covered, shares, float("nan"), calibrated)


def told(sets: Sets) -> dict[str, Any]:
    """What readings.json holds."""
    return asdict(sets)


def _scores(study: Study, rows: Integers, said: Floats) -> Floats:
    return tasks.of(study.task).surprise(study.everyone[rows], said)


def _thresholds(study: Study, result: StrategyResult, level: float) -> Floats:
    """The threshold of every run and row, [K, n]."""
    found = np.full(result.fold.shape, np.nan)
    for run, fold, rows, said in result.validated():
        scores = worst(study.everyone_patient[rows], _scores(study, rows, said))
        found[run, result.fold[run] == fold] = threshold(scores, level)
    return found


def _by_class(study: Study, result: StrategyResult, level: float) -> Floats:
    """The threshold of every run, row and class, [K, n, C]."""
    found: Floats = np.full(result.test.shape, np.nan)
    classes = range(result.test.shape[-1])
    for run, fold, rows, said in result.validated():
        scores, truth = _scores(study, rows, said), study.everyone[rows]
        patient = study.everyone_patient[rows]
        each = [threshold(worst(patient[truth == c], scores[truth == c]), level) for c in classes]
        found[run, result.fold[run] == fold] = each
    return found


def _fewest_of_class(study: Study, result: StrategyResult) -> int:
    def patients(rows: Integers, label: int) -> int:
        return len(np.unique(study.everyone_patient[rows[study.everyone[rows] == label]]))

    labels = range(result.test.shape[-1])
    return min(patients(rows, c) for _, _, rows, _ in result.validated() for c in labels)


def _sizes(kept: Bools) -> list[float]:
    """Share of sets with 0, 1, ... C classes."""
    number = kept.sum(axis=2)
    return [float((number == size).mean()) for size in range(kept.shape[-1] + 1)]


def _coverage(
    study: Study, hits: Mapping[str, Bools], groups: Mapping[str, Labels]
) -> list[Coverage]:
    everyone = np.ones(len(study.outcome), dtype=bool)
    parts = [("", EVERYONE, everyone)]
    parts += [("", name, study.outcome == i) for i, name in enumerate(study.classes)]
    parts += [
        (subgroup, label, labels == label)
        for subgroup, labels in groups.items()
        for label in sorted(set(labels) - {""})
    ]
    return [
        _among(study, method, hit, subgroup=subgroup, group=group, rows=rows)
        for method, hit in hits.items()
        for subgroup, group, rows in parts
    ]


def _among(
    study: Study, method: str, hit: Bools, *, subgroup: str, group: str, rows: Bools
) -> Coverage:
    people = len(np.unique(study.patient[rows]))
    if people < LEAST_GROUP:
        why = f"{counted(people, 'patient')}, {LEAST_GROUP} are needed"
        return Coverage(method, subgroup, group, people, *(float("nan"),) * 3, why)
    found = estimate_mean(hit[:, rows].astype(float), study.among(rows))
    low, high = np.clip(found.interval(), 0, 1).tolist()
    if found.error == 0:  # nobody missed, or everybody: Clopper & Pearson 1934, of patients
        exact = binomtest(round(found.value * people), people).proportion_ci()
        low, high = exact.low, exact.high
    return Coverage(method, subgroup, group, people, found.value, low, high)
