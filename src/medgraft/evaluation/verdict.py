from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medgraft.evaluation.intervals import Resampled, estimate
from medgraft.evaluation.metrics.metric import Floats, Metric
from medgraft.evaluation.power import ALPHA, smallest_effect


@dataclass(frozen=True)
class Comparison:
    """A strategy against the reference on one metric.

    difference: strategy minus reference, in the metric's unit whichever direction is better; low
    and high: its 95 % interval, which leaves out 0 just when p < 0.05. p_holm: adjusted for all the
    strategies compared; the verdict goes by it. smallest_effect: the true difference that this
    study would have found with 80 % probability, under the first Holm step. joint_low, joint_high:
    an interval for all the strategies compared together (Bonferroni): with 95 % probability every
    one of them holds its truth, so that of the strategy that came out best does, too.
    """

    strategy: str
    metric: str
    value: float
    difference: float
    low: float
    high: float
    error: float
    p: float
    p_holm: float
    verdict: str
    smallest_effect: float
    higher_is_better: bool | None
    undefined: int
    joint_low: float = float("nan")
    joint_high: float = float("nan")


def compare(
    metric: Metric, resampled: Mapping[str, Resampled], *, reference: str
) -> list[Comparison]:
    """Compare every strategy with the reference; empty without a reference or another strategy."""
    differences = against(resampled, reference=reference)
    others = list(differences)
    estimates = {name: estimate(difference) for name, difference in differences.items()}
    adjusted = holm(np.array([estimates[name].p for name in others]))
    return [
        Comparison(
            name,
            metric.name,
            float(resampled[name].by_run.mean()),
            estimates[name].value,
            *estimates[name].interval(),
            estimates[name].error,
            estimates[name].p,
            float(p_holm),
            judge(estimates[name].value, float(p_holm), higher_is_better=metric.higher_is_better),
            smallest_effect(estimates[name], comparisons=len(others)),
            metric.higher_is_better,
            differences[name].undefined,
            *estimates[name].interval(1 - ALPHA / len(others)),
        )
        for name, p_holm in zip(others, adjusted, strict=True)
    ]


def against(resampled: Mapping[str, Resampled], *, reference: str) -> dict[str, Resampled]:
    """Subtract the reference from every other strategy; empty without it."""
    if reference not in resampled:
        return {}
    own = resampled[reference]
    return {name: one - own for name, one in resampled.items() if name != reference}


def holm(p: Floats) -> Floats:
    """Adjust p values [m] for m comparisons; an undefined one stays NaN but counts among the m.

    Holm 1979 (Scand. J. Stat. 6:65).
    """
    order = np.argsort(p)  # NaN last, where it cannot hold another back
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def judge(difference: float, p: float, *, higher_is_better: bool | None) -> str:
    """Say "helps", "harms" or "cannot tell"; "no direction" where neither direction is better."""
    if higher_is_better is None:
        return "no direction"
    if not p < ALPHA:
        return "cannot tell"
    return "helps" if (difference > 0) == higher_is_better else "harms"
