from collections.abc import Mapping
from textwrap import shorten
from typing import Any

import numpy as np

from medgraft.evaluation.predictions import Study
from medgraft.evaluation.utility import ALL, NONE, THRESHOLDS, DecisionCurve
from medgraft.reporting.canvas import COLOURS, DASHES, Figure, finish, sheet, size

TREAT_ALL = {"color": "#555555", "linestyle": ":", "linewidth": 1}


def utility_figure(study: Study, curves: Mapping[str, DecisionCurve]) -> Figure:
    """Draw net benefit over the threshold of the given strategies, all and none treated.

    The title speaks of the first curve. At most four strategies beside treating all.
    """
    figure, axes = sheet(4.0)
    axes.axhline(0, color="#999999", linewidth=1, label=NONE)
    for place, curve in enumerate(curves.values()):
        label, line = shorten(curve.name, 30, placeholder="…"), curve.benefit
        look = TREAT_ALL if curve.name == ALL else _look(place)
        axes.fill_between(
            THRESHOLDS, line.low, line.high, color=look["color"], alpha=0.12, linewidth=0
        )
        axes.plot(THRESHOLDS, line.value, **look, label=label)
    best = max(max(curve.benefit.high) for curve in curves.values())
    axes.set_ylim(-0.25 * best, 1.05 * best)
    axes.set_xlim(0, 1)
    axes.set_xlabel("threshold: the least risk at which one would act")
    axes.set_ylabel("net benefit\n(true positives per patient)")
    figure.legend(
        loc="outside lower left", ncols=3, frameon=False, labelcolor="linecolor", handlelength=3
    )
    first = next(iter(curves.values()))
    return finish(
        figure,
        "utility",
        title=_title(first),
        caption=(
            f"Decision curves ({size(study)}; means over runs, bands are 95 % intervals of each "
            "value by itself). Net benefit counts the true positives and takes off the false "
            "positives, each worth threshold/(1 − threshold) of a true one. A model is of use "
            "where it lies above treating all and treating none; the title goes by paired "
            "differences, not adjusted for the number of thresholds."
        ),
    )


def _look(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place], "linestyle": DASHES[place]}


def _title(curve: DecisionCurve) -> str:
    better = curve.beats(ALL, NONE)
    at = np.array(THRESHOLDS)[better]
    if not len(at):
        return f"At no threshold is {curve.name} shown to be worth more than treating all or none"
    span = f"a threshold of {at[0]:.0%}" if len(at) == 1 else f"thresholds {_spans(better)}"
    return f"At {span} acting on {curve.name} is worth more than treating all or none"


def _spans(better: np.ndarray) -> str:
    """Write 20 % to 60 %, 75 %."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], better.astype(int), [0]])))
    runs = [(THRESHOLDS[a], THRESHOLDS[b - 1]) for a, b in edges.reshape(-1, 2)]
    return ", ".join(f"{a:.0%} to {b:.0%}" if a < b else f"{a:.0%}" for a, b in runs)
