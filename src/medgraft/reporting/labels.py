from typing import Any

import numpy as np

from medgraft.evaluation.metrics.metric import Floats
from medgraft.evaluation.metrics.multilabel import per_label
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.predictions import StrategyResult, Study
from medgraft.evaluation.sentence import counted
from medgraft.evaluation.summary import Evaluation
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet, size
from medgraft.reporting.diagnostics import leading

ROW = 0.26
"""Inches a label takes."""
MOST = 40
MARKERS = ("o", "D")


def labels(study: Study, evaluation: Evaluation) -> Figure | None:
    """Draw the AUROC of every label, champion and reference; None where every one is undefined.

    Of more than 40 labels, the 40 the champion tells worst.
    """
    names = leading(study, evaluation)
    areas = {name: label_areas(study, study.strategies[name]) for name in names}
    first = areas[names[0]]
    defined = np.flatnonzero(~np.isnan(first))
    if not len(defined):
        return None
    shown = defined[np.argsort(first[defined])][:MOST][::-1]
    figure, axes = sheet(1.4 + ROW * len(shown))
    axes.axvline(0.5, color="#999999", linewidth=1)
    for place, name in enumerate(names):
        look = {"color": COLOURS[place], "marker": MARKERS[place]}
        axes.plot(areas[name][shown], np.arange(len(shown)), linestyle="", label=name, **look)
    _rows(axes, study, shown)
    axes.set_xlabel("AUROC")
    figure.legend(loc="outside lower right", frameon=False, labelcolor="linecolor", ncols=2)
    best, worst = defined[first[defined].argmax()], defined[first[defined].argmin()]
    return finish(
        figure,
        "labels",
        title=(
            f"{names[0]} tells {study.classes[best]} best (AUROC {first[best]:.2f}) and "
            f"{study.classes[worst]} worst ({first[worst]:.2f})"
        ),
        caption=_caption(study, undefined=len(first) - len(defined), shown=len(shown)),
    )


def label_areas(study: Study, result: StrategyResult) -> Floats:
    """Return the within-fold AUROC of every label, averaged over runs, [L]; NaN if undefined."""
    alone = np.ones((1, len(study.outcome)))
    runs = zip(result.test, result.fold, strict=True)
    each = [per_label(Auroc(), study.outcome, said, alone, fold)[:, 0] for said, fold in runs]
    return np.mean(each, axis=0)


def _rows(axes: Any, study: Study, shown: Any) -> None:
    cases = (study.outcome[:, shown] == 1).sum(axis=0)
    known = (~np.isnan(study.outcome[:, shown])).sum(axis=0)
    places = np.arange(len(shown))
    axes.set_yticks(places, [study.classes[label] for label in shown])
    told = [f"{case:,} of {rows:,}" for case, rows in zip(cases, known, strict=True)]
    axes.secondary_yaxis("right").set_yticks(places, told)
    for side in (axes, *axes.child_axes):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axes.hlines(places, 0, 1, transform=axes.get_yaxis_transform(), color="#e6e6e6", zorder=0, lw=1)
    axes.set_ylim(-0.6, len(shown) - 0.4)


def _caption(study: Study, *, undefined: int, shown: int) -> str:
    left_out = len(study.classes) - undefined - shown
    told = f" {counted(left_out, 'more label')} told better." if left_out else ""
    lost = (
        f" {counted(undefined, 'label')} without a case and a non-case in any test part "
        f"{'is' if undefined == 1 else 'are'} undefined, and left out of every mean over labels."
        if undefined
        else ""
    )
    return (
        f"AUROC of each label within test parts, mean of the runs ({size(study)}); 0.5 (grey line) "
        f"is chance. On the right: rows with the label, of those that recorded it.{told}{lost}"
    )
