from collections.abc import Mapping, Sequence

import numpy as np

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.verdict import Comparison

PREFERENCE = ("helps", "cannot tell", "harms")
OPENING = {
    "helps": "Transfer learning helps:",
    "cannot tell": "We cannot tell whether transfer learning helps: at its best,",
    "harms": "Transfer learning harms: even at its best,",
}


def conclude(
    transfer: Sequence[Comparison],
    metric: Metric,
    *,
    reference: str,
    tested: int,
    size: str,
    plans: Mapping[str, str] | None = None,
) -> str:
    """Say in one plain sentence what the study shows about transfer learning.

    transfer: the comparisons on the primary metric of the strategies that use the source cohort;
    empty without any. tested: among how many comparisons p was adjusted. size: such as
    "60 patients, 10 training runs". plans: for some strategies, what would settle a "cannot tell".
    """
    if not transfer:
        return f"No strategy in this study uses the source cohort; {size}."
    best = _best(transfer)
    if np.isnan(best.p):
        return (
            f"We cannot tell whether transfer learning helps: {metric.label} of {best.strategy} or "
            f"of {reference} is undefined for too many samples of these patients; {size}."
        )
    text = f"{OPENING[best.verdict]} {_finding(best, metric, reference, tested)}"
    if best.verdict == "cannot tell" and best.smallest_effect > 0:
        found = number(best.smallest_effect)
        text += f"; this study could have seen a difference of {found} or more"
    text = f"{text}; {_harmful(transfer, best)}{size}."
    plan = (plans or {}).get(best.strategy, "") if best.verdict == "cannot tell" else ""
    return f"{text} {plan[0].upper()}{plan[1:]}." if plan else text


def in_short(
    transfer: Sequence[Comparison], metric: Metric, *, reference: str, patients: int
) -> str:
    """Say it without statistics: which strategy, by how much, in how many patients.

    Empty where `conclude` has nothing to compare, and is short itself.
    """
    best = _best(transfer) if transfer else None
    if best is None or np.isnan(best.p):
        return ""
    found = _reached(best, metric, reference)
    return f"{OPENING[best.verdict]} {found}, in {counted(patients, 'patient')}."


def number(value: float) -> str:
    """Write a value with three decimals, or four digits if it is large."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def counted(quantity: int, noun: str) -> str:
    """Write `1 run`, `1,200 runs`."""
    return f"{quantity:,} {noun}{'' if quantity == 1 else 's'}"


def _best(transfer: Sequence[Comparison]) -> Comparison:
    def rank(c: Comparison) -> tuple[int, bool, float]:
        gain = c.difference if c.higher_is_better else -c.difference
        return PREFERENCE.index(c.verdict), bool(np.isnan(c.p)), -gain

    return min(transfer, key=rank)


def _reached(best: Comparison, metric: Metric, reference: str) -> str:
    return (
        f"{best.strategy} reaches {metric.label} {number(best.value)}, "
        f"{number(abs(best.difference))} {'more' if best.difference >= 0 else 'less'} than "
        f"{reference}"
    )


def _finding(best: Comparison, metric: Metric, reference: str, tested: int) -> str:
    sign = 1 if best.difference >= 0 else -1
    ends = sorted([sign * best.low, sign * best.high])
    p = "p < 0.001" if best.p_holm < 0.001 else f"p = {best.p_holm:.3f}"
    return (
        f"{_reached(best, metric, reference)} "
        f"(95 % CI {number(ends[0])} to {number(ends[1])}, {p}"
        f"{f' after allowing for {tested} comparisons' if tested > 1 else ''})"
    )


def _harmful(transfer: Sequence[Comparison], best: Comparison) -> str:
    harmful = [c.strategy for c in transfer if c.verdict == "harms" and c is not best]
    if not harmful:
        return ""
    return f"{', '.join(harmful)} {'does' if len(harmful) == 1 else 'do'} harm; "
