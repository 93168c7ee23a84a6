"""How many further patients, or runs, would settle what this study cannot tell."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv

from medgraft.evaluation.intervals import Estimate
from medgraft.evaluation.power import ALPHA, POWER, power
from medgraft.evaluation.sentence import counted, number

MOST = 100
"""Times as many patients, or runs, as there are: beyond, a plan is no plan."""
TIMES = np.geomspace(0.5, MOST, 47)
"""Times as many patients, of which an outlook tells."""


@dataclass(frozen=True)
class Outlook:
    """What studies of so many patients, and as many runs as now, may expect, all [T].

    half_width: of the difference's 95 % interval, were its variance known. power: the chance to
    tell the effect planned for, as in `Plan`.
    """

    patients: list[int]
    half_width: list[float]
    power: list[float]


@dataclass(frozen=True)
class Plan:
    """What it would take to tell a difference with 80 % probability.

    effect: the difference planned for; declared: whether the team set it, or the study observed
    it. patients: how many are needed with as many runs as now, low and high: a 95 % interval;
    infinity: no number, or more than a hundred times as many as now. runs: how many are needed
    with the patients of now; infinity: no number. together: how many times both of now; infinity:
    not a hundred times. now: the power of the study as it is. outlook: that of other numbers of
    patients.
    """

    strategy: str
    effect: float
    declared: bool
    now: float
    patients: float
    low: float
    high: float
    runs: float
    present_patients: int
    present_runs: int
    together: float = math.inf
    outlook: Outlook | None = None


def enlarged(found: Estimate, *, patients: float = 1.0, runs: float = 1.0) -> Estimate:
    """Return what a study of so many times the patients and runs would estimate.

    The parts of the variance, f A/n + B/K + E/(nK), shrink with what they are divided by; the
    difference and A, B, E stay as they are, and so does the share that trains.
    """
    both = found.interaction / (patients * runs)
    return replace(
        found,
        of_patients=(found.of_patients - found.interaction) / patients + both,
        of_runs=(found.of_runs - found.interaction) / runs + both,
        interaction=both,
        fewest=max(2, round(found.fewest * patients)),
        runs=max(2, round(found.runs * runs)),
    )


def plan(
    strategy: str,
    found: Estimate,
    *,
    comparisons: int,
    patients: int,
    worthwhile: float | None = None,
) -> Plan | None:
    """Plan a study that tells this difference from 0; None where its error is undefined or 0.

    comparisons: Holm's first step is at 5 % over them. worthwhile: the difference that the team
    would not want to miss, without its sign; None: the one observed. Its interval then says how
    well the plan is known; for a declared one, the uncertainty of the variance does.
    """
    if not found.error > 0:
        return None
    level = ALPHA / comparisons
    effect = abs(found.value) if worthwhile is None else worthwhile

    def needed(at: Estimate, size: float) -> float:
        return patients * _times(lambda k: power(enlarged(at, patients=k), size, level=level))

    low, high = (
        _by_effect(found, needed) if worthwhile is None else _by_variance(found, effect, needed)
    )
    times = _times(lambda k: power(enlarged(found, runs=k), effect, level=level))
    return Plan(
        strategy=strategy,
        effect=effect if worthwhile is not None else found.value,
        declared=worthwhile is not None,
        now=power(found, effect, level=level),
        patients=_whole(needed(found, effect)),
        low=_whole(low),
        high=_whole(high),
        runs=_whole(found.runs * times),
        present_patients=patients,
        present_runs=found.runs,
        together=_times(lambda k: power(enlarged(found, patients=k, runs=k), effect, level=level)),
        outlook=outlook(found, effect, level=level, patients=patients),
    )


def outlook(found: Estimate, effect: float, *, level: float, patients: int) -> Outlook:
    """Say what half to a hundred times as many patients may expect."""
    sizes = np.unique(np.rint(patients * np.append(TIMES, 1.0)).astype(int))
    later = [enlarged(found, patients=size / patients) for size in sizes]
    widths = [one.critical(ALPHA) * one.error for one in later]
    return Outlook(sizes.tolist(), widths, [power(one, effect, level=level) for one in later])


def said(plan: Plan, *, metric: str) -> str:
    """Say it in one sentence of the verdict."""
    what = f"a difference of {number(abs(plan.effect))} in {metric}"
    what += ", declared worth having," if plan.declared else " (the one seen, if it is real)"
    if math.isfinite(plan.patients):
        if plan.patients <= plan.present_patients:
            return f"this study was large enough to find {what} four times out of five"
        runs = f", or {plan.runs:,.0f} runs on the same patients," * math.isfinite(plan.runs)
        return (
            f"about {plan.patients:,.0f} target patients ({_interval(plan)}){runs} would "
            f"tell {what} four times out of five"
        )
    if math.isfinite(plan.runs):
        return (
            f"no number of patients up to {MOST} times as many would tell {what} with "
            f"{counted(plan.present_runs, 'run')}, but {plan.runs:,.0f} on these patients would"
        )
    if math.isfinite(plan.together):
        return (
            f"neither more patients nor more runs alone would tell {what}; about "
            f"{plan.together:,.1f} times as many of both would"
        )
    return (
        f"no number of patients and runs up to {MOST} times as many would tell {what}: "
        "it is too near 0"
    )


def told(plan: Plan | None, *, metric: str) -> dict[str, Any]:
    """What readings.json holds; null where a number is infinite, words beside it."""
    if plan is None:
        return {"why": "the difference or its error is undefined"}
    return {**asdict(plan), "sentence": said(plan, metric=metric)}


def _times(power_of: Callable[[float], float]) -> float:
    """The least factor, up to 100, that gives a power of 80 %; infinity without one."""
    if not power_of(MOST) >= POWER:
        return math.inf
    least = 1 / MOST
    if power_of(least) >= POWER:
        return least
    return float(np.exp(brentq(lambda log: power_of(math.exp(log)) - POWER, *_LOGS, xtol=1e-6)))


_LOGS = (-math.log(MOST), math.log(MOST))


def _by_effect(found: Estimate, needed: Callable[[Estimate, float], float]) -> tuple[float, float]:
    """As many as the ends of the difference's interval need; no number where it holds 0."""
    ends = [abs(end) for end in found.interval()]
    holds_zero = found.interval()[0] <= 0 <= found.interval()[1]
    return needed(found, max(ends)), math.inf if holds_zero else needed(found, min(ends))


def _by_variance(
    found: Estimate, effect: float, needed: Callable[[Estimate, float], float]
) -> tuple[float, float]:
    """As many as are needed where what patients and what runs add is both at its 95 % limit.

    Chi-squared limits of either; both at once is rarer, so the interval is rather too wide.
    """
    low, high = (needed(_at_limit(found, tail), effect) for tail in (0.975, 0.025))
    return low, high


def _at_limit(found: Estimate, tail: float) -> Estimate:
    few, runs = found.fewest - 1, max(found.runs - 1, 1)
    patients, alone = (
        part * freedom / (2 * float(gammaincinv(freedom / 2, tail)))
        for part, freedom in ((found.of_patients, few), (found.of_runs, runs))
    )
    both = min(found.interaction, patients)
    return replace(found, of_patients=patients, of_runs=max(alone, both), interaction=both)


def _whole(number: float) -> float:
    return float(math.ceil(number - 1e-9)) if math.isfinite(number) else number


def _interval(plan: Plan) -> str:
    if math.isinf(plan.low):
        return f"95 % CI: more than {MOST * plan.present_patients:,}"
    if math.isinf(plan.high):
        return f"95 % CI: at least {plan.low:,.0f}; no upper limit"
    return f"95 % CI {plan.low:,.0f} to {plan.high:,.0f}"
