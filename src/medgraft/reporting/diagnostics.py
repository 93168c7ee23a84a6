from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

import numpy as np
import polars as pl

from medgraft.evaluation.calibration_curve import (
    CalibrationCurve,
    calibration_curve,
    said_and_came,
)
from medgraft.evaluation.metrics.metric import Floats, Metric
from medgraft.evaluation.metrics.ranking import within_fold_auroc
from medgraft.evaluation.predictions import StrategyResult, Study
from medgraft.evaluation.summary import Evaluation
from medgraft.reporting.canvas import COLOURS, DASHES, Figure, finish, sheet, size
from medgraft.reporting.text import shown

ROWS_PER_BIN = 12
MOST_BINS = 10
GRID = np.linspace(0, 1, 501)
Z = 1.959963984540054


EVENTS = {"multiclass": "the likeliest class", "multilabel": "the label"}


def calibration(study: Study, evaluation: Evaluation, *, outcome: str) -> Figure:
    """Draw predicted against observed probability of the champion and the reference.

    Every row's predictions are averaged over the runs. Binary: the positive class; multiclass: the
    largest probability, against how often that class was right; several labels: all of them
    together. outcome: its name.
    """
    told_of = EVENTS.get(study.task) or event(outcome, study.classes[1])
    told = {
        name: said_and_came(study, study.strategies[name]) for name in leading(study, evaluation)
    }
    curves = smooth_curves(study, evaluation)
    figure = _calibration_panels(told, told_of, cases=_cases(study), curves=curves)
    champion = evaluation.champion.strategy
    said, came = told[champion]
    return finish(
        figure,
        "calibration",
        title=(
            f"{champion}: {told_of} predicted in {said.mean():.0%} of {_cases(study)} on average, "
            f"observed in {came.mean():.0%}"
        ),
        caption=(
            f"Predicted against observed share ({size(study)}; predictions averaged over the runs, "
            "by models that never saw the patient). Each point holds equally many "
            f"{_cases(study)}; bars are 95 % Wilson intervals of the observed share. On the "
            "diagonal, predictions come true as often as they say. "
            f"{_spoken(curves.get(champion), said, cases=_cases(study))}"
            f"Below: how many {_cases(study)} got which prediction."
        ),
    )


CURVE_DRAWS = 500
"""Of patients, for the band of a smooth curve."""


def smooth_curves(study: Study, evaluation: Evaluation) -> dict[str, CalibrationCurve]:
    """The smooth calibration curves of the champion and the reference, where there are any."""
    draws = min(CURVE_DRAWS, evaluation.verdict["draws"])
    names = leading(study, evaluation)
    found = {name: calibration_curve(study, name, draws=draws, seed=0) for name in names}
    return {name: one for name, one in found.items() if not isinstance(one, str)}


def _spoken(curve: CalibrationCurve | None, said: Floats, *, cases: str) -> str:
    """The curve in a sentence, at a prediction that a quarter exceed."""
    if curve is None:
        return ""
    told = float(np.quantile(said, 0.75))
    lines = (curve.observed, curve.low, curve.high)
    came, low, high = (100 * np.interp(told, curve.predicted, line) for line in lines)
    return (
        "The line is smoothed, its band the 95 % interval over patients: of 100 "
        f"{cases} told {told:.0%} it came true for {came:.0f} ({low:.0f} to {high:.0f}). "
    )


def roc(study: Study, evaluation: Evaluation, metric: Metric, *, outcome: str) -> Figure | None:
    """Draw the mean ROC curves of at most four strategies; None where no fold has both classes.

    outcome: its name.
    """
    curves = {
        name: mean_roc(study, study.strategies[name])
        for name in of_interest(study, evaluation, metric)
    }
    if np.isnan(list(curves.values())).any():
        return None
    areas = {name: mean_area(study, study.strategies[name]) for name in curves}
    figure, axes = sheet(4.8)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    axes.set_aspect("equal")
    lines = {name: np.append(0, curve) for name, curve in curves.items()}
    # Under the diagonal, where no curve of use runs.
    curve_lines(axes, np.append(0, GRID), lines, areas, legend="lower right")
    negative, positive = (event(outcome, label) for label in study.classes)
    axes.set_xlabel(f"share of {negative} flagged (1 − specificity)")
    axes.set_ylabel(f"share of {positive} flagged (sensitivity)")
    told = " and ".join(f"{name} in {areas[name]:.1%}" for name in leading(study, evaluation))
    return finish(
        figure,
        "roc",
        title=f"Share of pairs ranked correctly: {told}",
        caption=(
            f"Mean ROC curves ({size(study)}): ranking within each test part, averaged over parts "
            f"by their pairs of a “{positive}” and a “{negative}”, then over runs. The number is "
            "the area under the curve: the share of such pairs ranked correctly; 0.5 is chance "
            "(grey line)."
        ),
    )


def predicted(study: Study, evaluation: Evaluation, *, outcome: str, unit: str) -> Figure:
    """Draw predicted against observed values of the champion and the reference.

    outcome: its name.
    """
    measured = f"{outcome} ({unit})" if unit else outcome
    names = leading(study, evaluation)
    figure, axes = sheet(4.2, ncols=len(names), squeeze=False, sharex=True, sharey=True)
    values = {name: study.strategies[name].test[:, :, 0].mean(axis=0) for name in names}
    ends = _ends(study.outcome, *values.values())
    for column, name in enumerate(names):
        panel = axes[0, column]
        panel.plot(ends, ends, color="#999999", linewidth=1)
        panel.plot(
            values[name], study.outcome, "o", color=COLOURS[column], alpha=0.6, markersize=4, mew=0
        )
        panel.set_title(name)
    figure.supxlabel(f"predicted {measured}", fontsize=9)
    axes[0, 0].set_ylabel(f"observed {measured}")
    median = float(np.median(np.abs(values[names[0]] - study.outcome)))
    off = f"{shown(median)} {unit}".strip()
    return finish(
        figure,
        "predicted",
        title=f"{names[0]} is at most {off} off in half of the rows",
        caption=(
            f"Predicted against observed {outcome} ({size(study)}; predictions averaged over the "
            "runs, by models that never saw the patient). On the diagonal both are equal."
        ),
    )


def leading(study: Study, evaluation: Evaluation) -> list[str]:
    """Name the champion and, if it is another strategy of the study, the reference."""
    names = dict.fromkeys([evaluation.champion.strategy, evaluation.verdict["reference"]])
    return [name for name in names if name in study.strategies]


def of_interest(study: Study, evaluation: Evaluation, metric: Metric) -> list[str]:
    """Name at most four strategies: champion, reference, and the best with the source.

    The last are the best untouched source model and the best of all that use the source.
    """
    ranked = evaluation.metrics.filter(
        pl.col("metric") == metric.name, pl.col("value").is_not_nan()
    ).sort("value", descending=bool(metric.higher_is_better))["strategy"]
    transfer = [name for name in ranked if study.strategies[name].uses_source]
    untouched = [name for name in transfer if study.strategies[name].fitted_parameters == 0]
    return list(dict.fromkeys([*leading(study, evaluation), *untouched[:1], *transfer[:1]]))


def equal_bins(said: Floats, came: Floats) -> Floats:
    """Cut rows [n] sorted by prediction into equally large bins, [bins, 3].

    Returns the mean prediction, the share that came true, and the number of rows, of every bin.
    """
    bins = int(np.clip(len(said) // ROWS_PER_BIN, 1, MOST_BINS))
    pieces = np.array_split(np.argsort(said, kind="stable"), bins)
    return np.array([[said[rows].mean(), came[rows].mean(), len(rows)] for rows in pieces])


def wilson(share: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % interval of a share of so many rows.

    Wilson 1927 (J. Am. Stat. Assoc. 22:209).
    """
    centre = (share + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    reach = Z / (1 + Z**2 / rows) * np.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    return centre - reach, centre + reach


def mean_roc(study: Study, result: StrategyResult) -> Floats:
    """Return the true positive rate at every false positive rate of GRID, NaN if undefined.

    Averaged over folds by their pairs and then over runs, so that the area under it is the
    within-fold AUROC.
    """
    case = study.outcome == 1
    runs = zip(result.test[:, :, 1], result.fold, strict=True)
    return np.mean([_run_roc(case, score, fold) for score, fold in runs], axis=0)


def mean_area(study: Study, result: StrategyResult) -> float:
    """Return the within-fold AUROC, averaged over runs."""
    case, alone = study.outcome == 1, np.ones((1, len(study.outcome)))
    runs = zip(result.test[:, :, 1], result.fold, strict=True)
    return float(np.mean([within_fold_auroc(case, score, alone, fold) for score, fold in runs]))


def _run_roc(case: Any, score: Floats, fold: Any) -> Floats:
    total, pairs = np.zeros(len(GRID)), 0
    for code in np.unique(fold):
        inside = fold == code
        in_fold = int(case[inside].sum()) * int((~case[inside]).sum())
        if in_fold:
            total += in_fold * _interpolated(case[inside], score[inside])
            pairs += in_fold
    return total / pairs if pairs else np.full(len(GRID), np.nan)


def _interpolated(case: Any, score: Floats) -> Floats:
    order = np.argsort(-score)
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    found, wrong = np.cumsum(case[order])[last], np.cumsum(~case[order])[last]
    return np.interp(GRID, np.append(0, wrong / wrong[-1]), np.append(0, found / found[-1]))


def curve_lines(
    axes: Any,
    x: Floats,
    curves: Mapping[str, Floats],
    areas: Mapping[str, float],
    *,
    legend: str = "lower left",
) -> None:
    """Draw curves over the same `x`, named with the areas under them, the largest first."""
    for place, name in enumerate(sorted(curves, key=lambda name: -areas[name])):
        axes.plot(
            x,
            curves[name],
            color=COLOURS[place],
            linestyle=DASHES[place],
            label=f"{shorten(name, 30, placeholder='…')}: {areas[name]:.3f}",
        )
    axes.legend(loc=legend, frameon=False, labelcolor="linecolor", handlelength=3)


def _cases(study: Study) -> str:
    return "rows" if study.outcome.ndim == 1 else "row-label pairs"


def event(outcome: str, label: str) -> str:
    """Such as diagnosis = malignant; just the label where it already says what the outcome is."""
    return label if outcome in label else f"{outcome} = {label}"


def _calibration_panels(
    told: Mapping[str, tuple[Floats, Floats]],
    told_of: str,
    *,
    cases: str,
    curves: Mapping[str, CalibrationCurve],
) -> Any:
    figure, axes = sheet(
        4.6, nrows=2, ncols=len(told), squeeze=False, sharex=True, height_ratios=(4, 1)
    )
    for column, (name, (said, came)) in enumerate(told.items()):
        _calibration_panel(axes[:, column], said, came, colour=COLOURS[column])
        if name in curves:
            _smooth_line(axes[0, column], curves[name], colour=COLOURS[column])
        axes[0, column].set_title(name)
    axes[0, 0].set_ylabel("observed share")
    axes[1, 0].set_ylabel(cases.replace(" ", "\n"))
    figure.supxlabel(f"predicted probability of {told_of}", fontsize=9)
    return figure


def _calibration_panel(axes: Sequence[Any], said: Floats, came: Floats, *, colour: str) -> None:
    above, below = axes
    centre, share, rows = equal_bins(said, came).T
    low, high = wilson(share, rows)
    above.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    above.vlines(centre, low, high, color=colour, linewidth=1.4)
    above.plot(centre, share, "o", color=colour, markersize=5)
    above.set_ylim(-0.02, 1.02)
    below.hist(said, bins=np.linspace(0, 1, 21), color="#8c8c8c", edgecolor="white", linewidth=0.5)
    below.set_xlim(-0.02, 1.02)


def _smooth_line(axes: Any, curve: CalibrationCurve, *, colour: str) -> None:
    axes.fill_between(curve.predicted, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(curve.predicted, curve.observed, color=colour, linewidth=1.4)


def _ends(*values: Floats) -> tuple[float, float]:
    return min(float(v.min()) for v in values), max(float(v.max()) for v in values)
