from collections.abc import Sequence
from textwrap import shorten

import numpy as np

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.evaluation.subgroups import GroupScore
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet, size
from medgraft.reporting.text import p_value, shown

APART = 0.14
"""Between the strategies of one line."""


def subgroups_figure(study: Study, scores: Sequence[GroupScore], metric: Metric) -> Figure:
    """Draw a metric in every group, a line per group; the title speaks of the first strategy."""
    ours = [score for score in scores if score.metric == metric.name]
    strategies = list(dict.fromkeys(score.strategy for score in ours))
    lines = list(dict.fromkeys((score.subgroup, score.group) for score in ours))
    patients = {(score.subgroup, score.group): score.patients for score in ours}
    figure, axes = sheet(1.6 + 0.42 * len(lines))
    for place, strategy in enumerate(strategies):
        mine = [score for score in ours if score.strategy == strategy]
        middle = (len(strategies) - 1) / 2
        at = np.arange(len(lines)) + APART * (place - middle)
        colour = COLOURS[place]
        axes.hlines(at, [s.low for s in mine], [s.high for s in mine], color=colour, linewidth=1.4)
        label = shorten(strategy, 30, placeholder="…")
        axes.plot([s.value for s in mine], at, "os"[place % 2], color=colour, label=label)
        for height, score in zip(at, mine, strict=True):
            if np.isnan(score.value):
                note = f"{strategy}: undefined"
                axes.annotate(
                    note, (0.02, height), xycoords=("axes fraction", "data"), color=colour,
                    va="center", fontsize=8,
                )  # fmt: skip
    axes.set_yticks(
        range(len(lines)),
        [f"{name}: {label}\n{counted(patients[name, label], 'patient')}" for name, label in lines],
    )
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel(metric.label)
    figure.legend(loc="outside lower right", ncols=2, frameon=False, labelcolor="linecolor")
    mine = [score for score in ours if score.strategy == strategies[0]]
    return finish(
        figure,
        "subgroups",
        title=_title(mine, metric),
        caption=(
            f"{metric.label} within each declared subgroup ({size(study)}; means over runs, 95 % "
            "intervals). A group's difference from the others is tested with Holm's adjustment for "
            "all groups and both strategies; no difference found is not "
            "none, least of all in small groups."
        ),
    )


def _title(scores: Sequence[GroupScore], metric: Metric) -> str:
    strategy = scores[0].strategy
    found = [score for score in scores if score.p_holm < 0.05]
    if not found:
        tested = sum(not np.isnan(score.p) for score in scores)
        if tested == 0:
            return (
                f"{strategy}: too few patients in any group to test {metric.label} for differences"
            )
        return (
            f"{strategy}: no difference in {metric.label} found between groups "
            f"({tested} of {len(scores)} groups could be tested)"
        )
    most = min(found, key=lambda score: score.p_holm)
    return (
        f"{strategy}: {metric.label} {shown(most.value)} where {most.subgroup} is {most.group}, "
        f"{shown(abs(most.difference))} {'more' if most.difference > 0 else 'less'} than elsewhere "
        f"(p {'= ' * (most.p_holm >= 0.001)}{p_value(most.p_holm)})"
    )
