"""How often the outcome comes in the source and in the target, and whether that differs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.schema import Outcome
from medgraft.preparation.alignment import Table
from medgraft.tasks import task as tasks
from medgraft.tasks.task import Quantity

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Rate:
    """A ratio of two sums over rows with its 95 % interval, such as cases of rows."""

    value: float
    low: float
    high: float
    above: float
    below: float


@dataclass(frozen=True)
class OutcomeShift:
    """One class, label, mean or rate of events in both cohorts.

    share: whether it is one, 0 to 1. p: of a difference this large without any; p_holm: adjusted
    for all that are compared.
    """

    name: str
    unit: str
    share: bool
    source: Rate
    target: Rate
    p: float | None
    p_holm: float | None = None


def outcome_shift(
    source: Table, target: Table, *, patient: tuple[Integers, Integers]
) -> list[OutcomeShift]:
    """Compare the outcome in both cohorts; empty where they have different outcomes.

    All rows count, before any is assigned to a test part: no model is fitted here. Rows of a
    patient count together.
    """
    if not comparable(source.outcome, target.outcome):
        return []
    is_target = np.repeat([False, True], [len(source), len(target)])
    code = np.concatenate([patient[0], patient[1] + patient[0].max() + 1])
    y = np.concatenate([source.y, target.y])
    outcome = target.outcome
    quantities = tasks.of(outcome.task).quantities(y, outcome.name, outcome.classes, outcome.unit)
    found = [_compare(quantity, code, is_target) for quantity in quantities]
    return _adjusted(found)


def comparable(one: Outcome, other: Outcome) -> bool:
    """Whether the two cohorts recorded the same thing."""
    return (one.task, one.classes, one.unit) == (other.task, other.classes, other.unit)


def _compare(quantity: Quantity, patient: Integers, target: NDArray[np.bool_]) -> OutcomeShift:
    source, there = (_rate(quantity, patient, rows) for rows in (~target, target))
    total = quantity.below.sum()
    score = quantity.score
    if score is None and total > 0:
        score = quantity.above - quantity.above.sum() / total * quantity.below
    p = None if score is None else _p(score, patient, target)
    return OutcomeShift(quantity.name, quantity.unit, quantity.share, source, there, p)


def _p(score: Floats, patient: Integers, target: NDArray[np.bool_]) -> float | None:
    """Test by the permutation distribution of the target's sum of scores, taken as normal.

    With one row a patient this is, of two classes, Pearson's chi-squared with N - 1 for N; of
    survival, the log-rank test with its permutational variance (Peto & Peto 1972).
    """
    from scipy.special import ndtr

    total = np.bincount(patient, score)
    is_target = np.bincount(patient, target) > 0
    people, inside = len(total), int(is_target.sum())
    variance = total.var(ddof=1) * inside * (people - inside) / people
    if not variance > 0:
        return None
    deviation = total[is_target].sum() - inside * total.mean()
    return float(2 * ndtr(-abs(deviation) / np.sqrt(variance)))


def _rate(quantity: Quantity, patient: Integers, rows: NDArray[np.bool_]) -> Rate:
    """The ratio, its variance from the spread of patients (linearised; Cochran 1977, ch. 6)."""
    from scipy.special import stdtrit

    above, below = quantity.above[rows], quantity.below[rows]
    code = _closed_up(patient[rows])
    people, sums = int(code.max()) + 1, (float(above.sum()), float(below.sum()))
    if sums[1] <= 0:
        return Rate(np.nan, np.nan, np.nan, *sums)
    value = sums[0] / sums[1]
    residual = np.bincount(code, above - value * below)
    error = np.sqrt((residual**2).sum() * people / max(people - 1, 1)) / sums[1]
    if quantity.share:
        return Rate(value, *_wilson(value, error, people), *sums)
    reach = -stdtrit(max(people - 1, 1), 0.025) * error if people > 1 else np.nan
    return Rate(value, value - reach, value + reach, *sums)


def _closed_up(code: Integers) -> Integers:
    """Codes without gaps, in the same order."""
    return (np.cumsum(np.bincount(code) > 0) - 1)[code]


def _wilson(share: float, error: float, people: int) -> tuple[float, float]:
    """Wilson's interval 1927 with as many independent rows as give this standard error."""
    rows = share * (1 - share) / error**2 if error > 0 else float(people)
    square = 1.959963985**2
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    reach = np.sqrt(square * (share * (1 - share) + square / (4 * rows)) / rows)
    reach /= 1 + square / rows
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def _adjusted(found: Sequence[OutcomeShift]) -> list[OutcomeShift]:
    """Holm's procedure over those with a p."""
    order = sorted((one.p, place) for place, one in enumerate(found) if one.p is not None)
    adjusted, least = list(found), 0.0
    for step, (p, place) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - step)))
        adjusted[place] = replace(found[place], p_holm=least)
    return adjusted
