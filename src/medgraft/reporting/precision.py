"""How many of those flagged are cases: what matters where cases are rare."""

from collections.abc import Mapping

import numpy as np

from medgraft.evaluation.metrics.metric import Floats, Metric
from medgraft.evaluation.metrics.ranking import average_precision
from medgraft.evaluation.predictions import StrategyResult, Study
from medgraft.evaluation.summary import Evaluation
from medgraft.reporting.canvas import Figure, finish, sheet, size
from medgraft.reporting.diagnostics import GRID, curve_lines, event, leading, of_interest

RECALL = GRID[1:]
TOLD = 0.8
"""The share of cases found at which the title tells the precision."""


def precision_recall(
    study: Study, evaluation: Evaluation, metric: Metric, *, outcome: str
) -> Figure | None:
    """Draw the mean precision-recall curves of at most four strategies; None with one class.

    outcome: its name.
    """
    case = study.outcome == 1
    if case.all() or not case.any():
        return None
    results = {name: study.strategies[name] for name in of_interest(study, evaluation, metric)}
    curves = {name: mean_precision(study, one) for name, one in results.items()}
    areas = {name: mean_average_precision(study, one) for name, one in results.items()}
    figure, axes = sheet(4.8)
    axes.axhline(case.mean(), color="#999999", linewidth=1)
    curve_lines(axes, RECALL, curves, areas)
    axes.set_ylim(-0.02, 1.02)
    positive = event(outcome, study.classes[1])
    axes.set_xlabel(f"share of {positive} flagged (recall, sensitivity)")
    axes.set_ylabel(f"share of the flagged with {positive} (precision)")
    return finish(
        figure,
        "precision_recall",
        title=_title(curves, leading(study, evaluation), positive),
        caption=(
            f"Mean precision-recall curves ({size(study)}): each run's rows ranked together, the "
            "precision at each recall averaged over runs. The number is the average precision "
            f"(AUPRC); the grey line is flagging at random, right in {case.mean():.0%}, the share "
            f"of rows with {positive}."
        ),
    )


def _title(curves: Mapping[str, Floats], names: list[str], positive: str) -> str:
    at = int(np.argmin(np.abs(RECALL - TOLD)))
    told = " and ".join(f"{curves[name][at]:.0%} with {name}" for name in names)
    return f"To find {TOLD:.0%} of “{positive}”, flags are right in {told}"


def mean_precision(study: Study, result: StrategyResult) -> Floats:
    """Return the precision at every recall of RECALL, averaged over runs.

    It is that of the strictest threshold that finds so many cases, so that the area under it is the
    average precision.
    """
    case = study.outcome == 1
    return np.mean([_run_precision(case, score) for score in result.test[:, :, 1]], axis=0)


def mean_average_precision(study: Study, result: StrategyResult) -> float:
    """Return the average precision, averaged over runs."""
    case, alone = study.outcome == 1, np.ones((1, len(study.outcome)))
    return float(np.mean([average_precision(case, one, alone) for one in result.test[:, :, 1]]))


def _run_precision(case: Floats, score: Floats) -> Floats:
    order = np.argsort(-score)
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    found = np.cumsum(case[order])[last]
    at = np.searchsorted(found, RECALL * found[-1] - 1e-9)
    return (found / (last + 1))[at]
