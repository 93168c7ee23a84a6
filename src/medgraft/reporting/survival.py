from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medgraft.evaluation.metrics.metric import Bools, Floats, Integers
from medgraft.evaluation.metrics.survival import TimeAuroc
from medgraft.evaluation.predictions import StrategyResult, Study
from medgraft.evaluation.summary import Evaluation
from medgraft.evaluation.survival import product_limit, restricted_mean
from medgraft.reporting.canvas import COLOURS, DASHES, Figure, finish, sheet, size
from medgraft.reporting.diagnostics import Z, leading

GROUPS = ("lowest", "middle", "highest")
ROWS_PER_BIN = 25
MOST_BINS = 5


def kaplan_meier(study: Study, evaluation: Evaluation, *, outcome: Mapping[str, Any]) -> Figure:
    """Draw observed survival of the thirds at lowest, middle and highest predicted risk.

    Risk is the champion's, averaged over the runs. outcome: as in schema.json.
    """
    champion = evaluation.champion.strategy
    group = risk_groups(study, study.strategies[champion])
    figure, (above, below) = sheet(5.2, nrows=2, height_ratios=(4, 1), sharex=True)
    _curves(above, study, group)
    # Somewhere among the curves there is seldom room.
    entries = above.get_legend_handles_labels()
    look: dict[str, Any] = {"frameon": False, "labelcolor": "linecolor", "handlelength": 3}
    figure.legend(*entries, loc="outside lower right", ncols=3, **look)
    last = study.horizons[-1]
    ticks = [tick for tick in above.get_xticks() if 0 <= tick <= study.outcome[:, 0].max()]
    _at_risk(below, study, group, ticks)
    above.set_ylabel(f"share without {outcome['name']}")
    below.set_xlabel(f"time ({outcome['unit']})")
    low, _, high = (_observed(study, group == g, np.array([last]))[0, 0] for g in range(3))
    return finish(
        figure,
        "kaplan_meier",
        title=(
            f"{champion}: without {outcome['name']} at {last:g} {outcome['unit']} were {high:.0%} "
            f"of the third at highest predicted risk and {low:.0%} of the third at lowest"
        ),
        caption=(
            f"Kaplan-Meier estimates by predicted risk ({size(study)}; predictions averaged over "
            "the runs, by models that never saw the patient). Bands are 95 % intervals at each "
            "time, ticks patients whose follow-up ended. Below: how many are still followed."
        ),
    )


def calibration(study: Study, evaluation: Evaluation, *, outcome: Mapping[str, Any]) -> Figure:
    """Draw predicted against observed survival at the middle horizon, champion and reference.

    outcome: as in schema.json.
    """
    names = leading(study, evaluation)
    place = len(study.horizons) // 2
    horizon, unit = study.horizons[place], outcome["unit"]
    figure, axes = sheet(4.0, ncols=len(names), squeeze=False, sharex=True, sharey=True)
    for column, name in enumerate(names):
        said = study.strategies[name].test[:, :, place].mean(axis=0)
        _calibration_panel(axes[0, column], study, said, horizon, colour=COLOURS[column])
        axes[0, column].set_title(name)
    axes[0, 0].set_ylabel("observed share (Kaplan-Meier)")
    figure.supxlabel(f"predicted share without {outcome['name']} at {horizon:g} {unit}", fontsize=9)
    said = study.strategies[names[0]].test[:, :, place].mean()
    came = _observed(study, np.ones(len(study.outcome), dtype=bool), np.array([horizon]))[0, 0]
    return finish(
        figure,
        "calibration",
        title=(
            f"{names[0]}: {said:.0%} predicted to be without {outcome['name']} at {horizon:g} "
            f"{unit}, {came:.0%} observed"
        ),
        caption=(
            f"Predicted against observed survival at {horizon:g} {unit} ({size(study)}; "
            "predictions averaged over the runs, by models that never saw the patient). Each point "
            "holds equally many rows, its observed share is their Kaplan-Meier estimate with a "
            "95 % interval. On the diagonal, predictions come true as often as they say."
        ),
    )


def over_time(study: Study, names: Sequence[str], *, outcome: Mapping[str, Any]) -> Figure | None:
    """Draw the AUROC of the named strategies at every horizon; None where all are undefined."""
    found = {name: auroc_over_time(study, study.strategies[name]) for name in names}
    if np.isnan(list(found.values())).all():
        return None
    figure, axes = sheet(3.6)
    axes.axhline(0.5, color="#999999", linewidth=1)
    for place, (name, areas) in enumerate(found.items()):
        look = {"color": COLOURS[place], "linestyle": DASHES[place]}
        axes.plot(study.horizons, areas, marker="o", markersize=4, label=name, **look)
    axes.set_xlabel(f"time ({outcome['unit']})")
    axes.set_ylabel("AUROC")
    axes.legend(frameon=False, labelcolor="linecolor", handlelength=3, ncols=2)
    first = found[names[0]]
    return finish(
        figure,
        "over_time",
        title=(
            f"{names[0]} tells {outcome['name']} by {study.horizons[0]:g} {outcome['unit']} with "
            f"an AUROC of {first[0]:.2f}, by {study.horizons[-1]:g} with {first[-1]:.2f}"
        ),
        caption=(
            f"Share of pairs ranked rightly: a patient with {outcome['name']} by that time against "
            f"one followed longer without it ({size(study)}). Within each test part, weighted for "
            "censoring, mean of the runs; 0.5 (grey line) is chance."
        ),
    )


def risk_groups(study: Study, result: StrategyResult) -> Integers:
    """Return the third of predicted risk every row belongs to, 0 the lowest, [n]."""
    horizons = np.asarray(study.horizons)
    lived = restricted_mean(result.test.mean(axis=0), horizons)
    rank = np.argsort(np.argsort(-lived, kind="stable"), kind="stable")
    return rank * len(GROUPS) // len(rank)


def auroc_over_time(study: Study, result: StrategyResult) -> Floats:
    """Return the AUROC at every horizon, averaged over the runs, [T]."""
    metric, alone = TimeAuroc().at(study.horizons), np.ones((1, len(study.outcome)))
    runs = zip(result.test, result.fold, strict=True)
    each = [metric.at_each(study.outcome, said, alone, fold)[:, 0] for said, fold in runs]
    return np.mean(each, axis=0)


def kaplan_meier_interval(time: Floats, event: Bools, at: Floats) -> Floats:
    """Return the estimate and its 95 % interval at the times `at` [m], [3, m].

    The interval is that of log(-log S), with Greenwood's variance (Kalbfleisch & Prentice 2002, The
    Statistical Analysis of Failure Time Data, 2nd ed., section 1.4).
    """
    survival = product_limit(time, event, np.ones((1, len(time))), at=at)[0]
    died_at = np.unique(time[event])
    gone = (time[event] == died_at[:, None]).sum(axis=1)
    at_risk = (time >= died_at[:, None]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = gone / (at_risk * (at_risk - gone))
        variance = np.append(0.0, np.cumsum(terms))[np.searchsorted(died_at, at, side="right")]
        factor = np.exp(Z * np.sqrt(variance) / np.log(survival))
        # Without an event yet, and with no one left, there is nothing to estimate a spread from.
        interval = [
            np.where((survival > 0) & (survival < 1), survival**f, survival)
            for f in (1 / factor, factor)
        ]
    return np.stack([survival, *interval])


def _observed(study: Study, which: Bools, at: Floats) -> Floats:
    return kaplan_meier_interval(study.outcome[which, 0], study.outcome[which, 1] == 1, at)


def _curves(axes: Any, study: Study, group: Integers) -> None:
    for g, name in enumerate(GROUPS):
        time, event = study.outcome[group == g, 0], study.outcome[group == g, 1] == 1
        at = np.append(0.0, np.unique(time))
        survival, low, high = kaplan_meier_interval(time, event, at)
        look = {"color": COLOURS[g], "linestyle": DASHES[g]}
        axes.step(at, survival, where="post", label=f"{name} third of predicted risk", **look)
        axes.fill_between(at, low, high, step="post", color=COLOURS[g], alpha=0.15, linewidth=0)
        ended = time[~event]
        height = survival[np.searchsorted(at, ended, side="right") - 1]
        axes.plot(ended, height, "|", color=COLOURS[g], markersize=4, markeredgewidth=0.7)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)


def _at_risk(axes: Any, study: Study, group: Integers, ticks: Sequence[float]) -> None:
    axes.set_ylim(len(GROUPS) - 0.5, -0.5)
    axes.set_yticks(range(len(GROUPS)), [f"{name} third" for name in GROUPS])
    for g in range(len(GROUPS)):
        axes.get_yticklabels()[g].set_color(COLOURS[g])
        for tick in ticks:
            still = int((study.outcome[group == g, 0] >= tick).sum())
            axes.text(tick, g, f"{still}", ha="center", va="center", fontsize=8)
    axes.tick_params(axis="y", length=0, pad=14)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title("patients followed", loc="left", fontsize=8)


def _calibration_panel(
    axes: Any, study: Study, said: Floats, horizon: float, *, colour: str
) -> None:
    bins = int(np.clip(len(said) // ROWS_PER_BIN, 1, MOST_BINS))
    pieces = np.array_split(np.argsort(said, kind="stable"), bins)
    centre = np.array([said[rows].mean() for rows in pieces])
    each = [
        kaplan_meier_interval(
            study.outcome[rows, 0], study.outcome[rows, 1] == 1, np.array([horizon])
        )
        for rows in pieces
    ]
    survival, low, high = np.concatenate(each, axis=1)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    axes.vlines(centre, low, high, color=colour, linewidth=1.4)
    axes.plot(centre, survival, "o-", color=colour, markersize=5, linewidth=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
