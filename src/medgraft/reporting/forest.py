import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.evaluation.summary import Evaluation
from medgraft.reporting.canvas import COLOURS, INK, Figure, finish, sheet, size
from medgraft.reporting.text import absent, best_first, difference, score

# Marker, fill and words all tell the verdicts apart, for readers without colour.
LOOKS = {
    "helps": {"marker": "o", "color": COLOURS[0], "markerfacecolor": COLOURS[0]},
    "harms": {"marker": "D", "color": COLOURS[1], "markerfacecolor": COLOURS[1]},
    "cannot tell": {"marker": "o", "color": "#666666", "markerfacecolor": "white"},
}
ROW = 0.34
"""Inches a strategy takes."""


def comparison(study: Study, evaluation: Evaluation, metric: Metric) -> Figure | None:
    """Draw how far every strategy is from the reference on the primary metric, with 95 % intervals.

    None where nothing was compared.
    """
    primary = pl.col("metric") == metric.name
    rows = best_first(evaluation.comparisons.filter(primary).to_dicts())
    if not rows:
        return None
    reference = evaluation.verdict["reference"]
    figure, axes = sheet(1.5 + ROW * len(rows))
    axes.axvline(0, color=INK, linewidth=1)
    for place, row in enumerate(rows):
        _interval(axes, place, row, middle=row["difference"], look=LOOKS[row["verdict"]])
    right = [f"{difference(row)}   {row['verdict']}" for row in rows]
    _rows(axes, [_label(study, row["strategy"]) for row in rows], right)
    _bold(axes, [row["verdict"] != "cannot tell" for row in rows])
    left, better = ("worse", "better") if metric.higher_is_better else ("better", "worse")
    axes.set_xlabel(f"← {left}      {metric.label}: difference from {reference}      {better} →")
    axes.margins(x=0.06)
    return finish(
        figure,
        "comparison",
        title=_comparison_title(evaluation),
        caption=(
            f"Difference in {metric.label} between each strategy and {reference} ({size(study)}). "
            "Lines are 95 % intervals of that difference over patients and training runs. The "
            f"verdict allows for {counted(len(rows), 'comparison')}, so an interval may clear zero "
            "and the verdict still be “cannot tell”."
        ),
    )


def performance(study: Study, evaluation: Evaluation, metric: Metric) -> Figure:
    """Draw the primary metric of every strategy with its 95 % interval, the best on top."""
    found = evaluation.metrics.filter(pl.col("metric") == metric.name)
    found = found.with_columns(pl.col("value").fill_nan(None))
    rows = found.sort("value", descending=bool(metric.higher_is_better), nulls_last=True).to_dicts()
    reference = evaluation.verdict["reference"]
    figure, axes = sheet(1.3 + ROW * len(rows))
    for place, row in enumerate(rows):
        is_reference = row["strategy"] == reference
        look = LOOKS["cannot tell" if is_reference else "helps"]
        _interval(axes, place, row, middle=row["value"], look=look)
        if is_reference and not absent(row["value"]):
            axes.axvline(row["value"], color="#666666", linewidth=1, linestyle=":")
    right = [score(row, draws=evaluation.verdict["draws"]) for row in rows]
    _rows(axes, [_label(study, row["strategy"]) for row in rows], right)
    axes.set_xlabel(
        f"{metric.label} ({'higher' if metric.higher_is_better else 'lower'} is better)"
    )
    axes.margins(x=0.06)
    return finish(
        figure,
        "performance",
        title=_performance_title(rows[0], metric),
        caption=(
            f"{metric.label} of each strategy on patients it never saw, with 95 % intervals "
            f"({size(study)}). The dotted line is {reference}. All strategies are tested on the "
            "same patients, so two of them may differ clearly although their intervals overlap: "
            "differences are judged in the table and figure of differences."
        ),
    )


def _interval(
    axes: Any, place: int, row: Mapping[str, Any], *, middle: float | None, look: dict[str, str]
) -> None:
    if absent(middle):
        return
    if not (absent(row["low"]) or absent(row["high"])):
        axes.plot([row["low"], row["high"]], [place, place], color=look["color"], linewidth=2)
    axes.plot([middle], [place], markersize=7, markeredgewidth=1.6, linestyle="", **look)


def _rows(axes: Any, left: Sequence[str], right: Sequence[str]) -> None:
    places = np.arange(len(left))
    axes.locator_params(axis="x", nbins=5)
    axes.set_ylim(len(left) - 0.4, -0.6)
    axes.set_yticks(places, left)
    axes.secondary_yaxis("right").set_yticks(places, right)
    for side in (axes, *axes.child_axes):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axes.hlines(places, 0, 1, transform=axes.get_yaxis_transform(), color="#e6e6e6", zorder=0, lw=1)


def _bold(axes: Any, which: Sequence[bool]) -> None:
    for label, bold in zip(axes.child_axes[0].get_yticklabels(), which, strict=True):
        label.set_fontweight("bold" if bold else "normal")


def _label(study: Study, strategy: str) -> str:
    name = "\n".join(textwrap.wrap(strategy, 26, max_lines=2, placeholder="…"))
    return name if study.strategies[strategy].uses_source else f"{name}\n(target cohort only)"


def _comparison_title(evaluation: Evaluation) -> str:
    compared = evaluation.verdict["strategies"].values()
    verdicts = Counter(row["verdict"] for row in compared if row["uses_source"])
    reference = evaluation.verdict["reference"]
    if not verdicts:
        return f"No strategy uses the source cohort; all are held against {reference}"
    wording = {
        "helps": "helps" if verdicts["helps"] == 1 else "help",
        "harms": "harms" if verdicts["harms"] == 1 else "harm",
        "cannot tell": f"cannot be told from {reference}",
    }
    told = ", ".join(f"{verdicts[word]} {text}" for word, text in wording.items() if verdicts[word])
    return f"Of {counted(verdicts.total(), 'way')} to use the source cohort, {told}"


def _performance_title(best: dict[str, Any], metric: Metric) -> str:
    if absent(best["value"]):
        return f"{metric.label} is undefined for every strategy"
    end = "highest" if metric.higher_is_better else "lowest"
    return f"{best['strategy']} has the {end} {metric.label}: {score(best, draws=0)}"
