# ruff: noqa: ARG002  (one signature for every metric; only those of ranking need the folds)
from collections.abc import Sequence
from typing import Self

import numpy as np

from medgraft.evaluation.metrics.metric import Bools, Floats, Integers, Metric, mean, ratio
from medgraft.evaluation.metrics.ranking import within_fold_auroc
from medgraft.evaluation.survival import brier_at, case_weights, restricted_mean
from medgraft.tasks import task as tasks

SURVIVAL = frozenset({"survival"})
BLOCK = 1024
"""Events whose pairs are looked at together: bounds the memory a large cohort takes."""


def concordance(
    outcome: Floats, risk: Floats, *, case: Floats, weight: Floats, fold: Integers
) -> Floats:
    """Share of comparable pairs of one fold in which the earlier event had the higher risk, [B].

    outcome: [n, 2]. risk, fold: [n]. case: [B, n], the weight of a row as the earlier of a pair.
    weight: [B, n], as the later. A pair is comparable when the earlier time is an event; at equal
    times, when only one of them is. A tie in risk is half a win.
    """
    won, pairs = np.zeros((2, len(weight)))
    for code in np.unique(fold):
        inside = np.flatnonzero(fold == code)
        events = inside[outcome[inside, 1] == 1]
        for start in range(0, len(events), BLOCK):
            first = events[start : start + BLOCK]
            later, right = _pairs(outcome, risk, first, inside)
            won += np.einsum("bj,bj->b", case[:, first] @ right, weight[:, inside])
            pairs += np.einsum("bj,bj->b", case[:, first] @ later, weight[:, inside])
    return ratio(won, pairs)


def _pairs(
    outcome: Floats, risk: Floats, first: Integers, second: Integers
) -> tuple[Floats, Floats]:
    """Whether a pair is comparable, and how far it is then ranked rightly, [first, second] each."""
    time, censored = outcome[:, 0], outcome[:, 1] == 0
    ahead = time[first, None] < time[second]
    ahead |= (time[first, None] == time[second]) & censored[second]
    gap = risk[first, None] - risk[second]
    later = ahead.astype(np.float64)
    return later, later * ((gap > 0) + 0.5 * (gap == 0))


class SurvivalMetric(Metric):
    """A metric of survival curves on a grid of times, which `at` makes known."""

    tasks = SURVIVAL

    def __init__(self, horizons: Sequence[float] = ()) -> None:
        self.horizons = np.asarray(horizons, dtype=np.float64)

    def at(self, horizons: Sequence[float]) -> Self:
        """Return this metric for predictions at these times."""
        return type(self)(horizons)


class CIndex(SurvivalMetric):
    """Harrell's C: comparable pairs of one fold in which who had the event first was at more risk.

    Risk is minus the mean time survived up to the last horizon. As for AUROC, pairs of different
    folds are not compared: different models predicted them.
    """

    name = "c_index"
    within_folds = True
    label = "C-index"
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "Harrell et al. 1996, Stat. Med. 15:361"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return Harrell's C [B]; see `Metric`. Undefined without a comparable pair."""
        risk = -restricted_mean(prediction, self.horizons)
        return concordance(outcome, risk, case=weight, weight=weight, fold=fold)


class UnoCIndex(SurvivalMetric):
    """Uno's C: Harrell's, freed of who was censored when, for events before the last horizon."""

    name = "uno_c_index"
    within_folds = True
    label = "Uno's C"
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "Uno et al. 2011, Stat. Med. 30:1105"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return Uno's C [B]; see `Metric`. Undefined without a comparable pair."""
        time, event = outcome[:, 0], outcome[:, 1] == 1
        early = event & (time < self.horizons[-1])
        counted = case_weights(time, event, weight) * early
        # Each of a pair has to be seen until the earlier event: the inverse probability, squared.
        case = np.divide(counted**2, weight, out=np.zeros_like(weight), where=weight > 0)
        risk = -restricted_mean(prediction, self.horizons)
        return concordance(outcome, risk, case=case, weight=weight, fold=fold)


class TimeAuroc(SurvivalMetric):
    """Mean over the horizons of the AUROC of "event by then" against "still without"."""

    name = "time_auroc"
    within_folds = True
    label = "time-dependent AUROC"
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = (
        "Hung & Chiang 2010, Can. J. Stat. 38:8; Uno et al. 2007, J. Am. Stat. Assoc. 102:527"
    )

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the mean AUROC [B]; see `Metric`. Undefined where it is at any horizon."""
        return np.mean(self.at_each(outcome, prediction, weight, fold), axis=0)

    def at_each(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the AUROC at every horizon, [T, B]."""
        time, event = outcome[:, 0], outcome[:, 1] == 1
        of_case = case_weights(time, event, weight)
        return np.stack(
            [
                _auroc_at(time, event, 1 - prediction[:, j], horizon, of_case, weight, fold)
                for j, horizon in enumerate(self.horizons)
            ]
        )


def _auroc_at(
    time: Floats,
    event: Bools,
    score: Floats,
    horizon: float,
    of_case: Floats,
    weight: Floats,
    fold: Integers,
) -> Floats:
    case = event & (time <= horizon)
    counted = np.where(case, of_case, weight * (time > horizon))
    return within_fold_auroc(case, score, counted, fold)


class IntegratedBrier(SurvivalMetric):
    """Brier score of the survival curve, averaged over the time between first and last horizon."""

    name = "integrated_brier"
    label = "integrated Brier score"
    higher_is_better = False
    bounds = (0.0, np.inf)
    citation = "Graf et al. 1999, Stat. Med. 18:2529"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the score [B]; see `Metric`. Undefined where no one is followed long enough."""
        at = brier_at(outcome, prediction, self.horizons, weight)
        if len(self.horizons) == 1:
            return at[:, 0]
        span = float(self.horizons[-1] - self.horizons[0])
        return np.asarray(np.trapezoid(at, self.horizons, axis=1) / span)


class GridLogLoss(SurvivalMetric):
    """Minus the log probability of the interval of the grid in which the event came, in nats."""

    name = "grid_log_loss"
    label = "log loss on the time grid"
    higher_is_better = False
    bounds = (0.0, np.inf)
    citation = "Gensheimer & Narasimhan 2019, PeerJ 7:e6257"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the log loss [B]; see `Metric`."""
        return mean(tasks.of("survival").row_losses(outcome, prediction, self.horizons), weight)
