from collections.abc import Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from medgraft.evaluation.conformal import EACH, EVERYONE, Coverage, Sets
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.reporting.canvas import COLOURS, INK, Figure, finish, sheet, size
from medgraft.reporting.text import shown

APART = 0.22
"""Between the methods of one line."""


def sets_figure(study: Study, sets: Sets) -> Figure:
    """Draw how often the sets held the truth, a line per group of patients."""
    lines = list(dict.fromkeys((c.subgroup, c.group) for c in sets.coverage))
    methods = list(dict.fromkeys(c.method for c in sets.coverage if not np.isnan(c.value)))
    figure, axes = sheet(1.7 + 0.45 * len(lines))
    axes.axvline(sets.level, color=INK, linewidth=1, linestyle=":")
    for place, method in enumerate(methods):
        mine = [c for c in sets.coverage if c.method == method]
        at = np.array([lines.index((c.subgroup, c.group)) for c in mine])
        _points(axes, mine, at + APART * (place - (len(methods) - 1) / 2), place=place)
    people = {(c.subgroup, c.group): c.patients for c in sets.coverage}
    axes.set_yticks(
        range(len(lines)),
        [f"{_named(*line)}\n{counted(people[line], 'patient')}" for line in lines],
    )
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlim(right=1.01)
    axes.set_xlabel(f"share of true answers inside the set (meant to be {sets.level:.0%}, dotted)")
    if len(methods) > 1:
        figure.legend(loc="outside lower right", ncols=2, frameon=False, labelcolor="linecolor")
    return finish(figure, "sets", title=title(sets), caption=_caption(study, sets))


def title(sets: Sets) -> str:
    """What the sets are worth, in a sentence."""
    found = next(c for c in sets.coverage if c.group == EVERYONE)
    meant = f"{sets.strategy}: answers made to hold the truth {sets.level:.0%} of the time "
    meant += "were judged on too few patients" if found.why else f"held it {found.value:.0%} of it"
    if not sets.sizes:
        return f"{meant}; they are {shown(sets.width)} wide on average"
    return f"{meant}; {sets.sizes['split'][1]:.0%} of them name a single class"


def _points(axes: Any, mine: Sequence[Coverage], at: np.ndarray, *, place: int) -> None:
    colour = COLOURS[place]
    axes.hlines(at, [c.low for c in mine], [c.high for c in mine], color=colour, linewidth=1.4)
    axes.plot([c.value for c in mine], at, "os"[place], color=colour, label=mine[0].method)
    for height, one in zip(at, mine, strict=True):
        if one.why:
            axes.annotate(
                one.why, (0.02, height), xycoords=("axes fraction", "data"), color=colour,
                va="center", fontsize=8,
            )  # fmt: skip


def _named(subgroup: str, group: str) -> str:
    short = shorten(group, 30, placeholder="…")
    return f"{subgroup}: {short}" if subgroup else short


def _caption(study: Study, sets: Sets) -> str:
    few, many = sets.calibrated_on
    on = f"{few}" if few == many else f"{few} to {many}"
    how = (
        "A set names every answer that is not implausible for the patient; one class is an answer, "
        "all classes say that the model does not know. "
        if sets.sizes
        else "An interval holds every value that is not implausible for the patient. "
    )
    refused = "".join(
        f" No sets were made that keep the promise within every class: that {c.why}."
        for c in sets.coverage
        if c.method == EACH and c.why and c.group == EVERYONE
    )
    return (
        f"{how}How implausible is too implausible was set on {on} validation patients of each "
        f"model and is judged on its test patients ({size(study)}; 95 % intervals). Validation "
        "patients also decided when training stopped, so sets tend to be a little too narrow. "
        f"Under the dotted line the sets miss the truth more often than they promise.{refused}"
    )
