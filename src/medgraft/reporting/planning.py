"""How many patients would settle what the study cannot tell, as a figure."""

import math
from collections.abc import Sequence
from textwrap import shorten
from typing import Any

from medgraft.evaluation.planning import MOST, Outlook, Plan
from medgraft.evaluation.power import POWER
from medgraft.evaluation.predictions import Study
from medgraft.reporting.canvas import COLOURS, DASHES, INK, Figure, finish, sheet, size
from medgraft.reporting.text import shown

FURTHEST = 1.6
"""Times the largest number needed that is drawn."""


def planning_figure(
    study: Study, plans: Sequence[Plan], *, metric: str, comparisons: int
) -> Figure | None:
    """Draw half-width and power over the number of patients; the title speaks of the first plan.

    plans: at most four, of strategies whose verdict is "cannot tell". None without any.
    """
    told = [(plan, plan.outlook) for plan in plans if plan.outlook is not None]
    if not told:
        return None
    figure, (above, below) = sheet(4.9, nrows=2, sharex=True)
    for place, (plan, outlook) in enumerate(told):
        name = shorten(plan.strategy, 30, placeholder="…")
        look = {"color": COLOURS[place], "linestyle": DASHES[place], "label": name}
        above.plot(outlook.patients, outlook.half_width, **look)
        below.plot(outlook.patients, outlook.power, **look)
        if math.isfinite(plan.patients):
            below.plot([plan.patients], [POWER], "o", color=COLOURS[place], markersize=5)
    _axes(above, below, told, metric=metric)
    figure.legend(
        *above.get_legend_handles_labels(),
        loc="outside lower left", ncols=2, frameon=False, labelcolor="linecolor", handlelength=3,
    )  # fmt: skip
    return finish(
        figure,
        "sample_size",
        title=title(told[0][0], metric=metric),
        caption=(
            "What a study of more or fewer target patients could expect, with as many runs as this "
            f"one ({size(study)}; vertical line). Above: half the width of the 95 % interval of a "
            "strategy’s difference. Below: the chance to tell that difference from 0, at the level "
            f"of Holm’s first step (5 % over {comparisons}); where it reaches {POWER:.0%} (dotted) "
            "is the number needed. The difference and the variances are taken to stay as they are; "
            "a difference that was seen, the largest of several at that, is likely to be smaller "
            "in truth."
        ),
    )


def title(plan: Plan, *, metric: str) -> str:
    """How many patients would settle it, in a sentence."""
    what = f"{plan.strategy}’s difference of {shown(abs(plan.effect))} in {metric}"
    if math.isinf(plan.patients):
        return f"{what} would not be told even by {MOST} times as many patients, with as many runs"
    further = plan.patients - plan.present_patients
    if further <= 0:
        return f"{what} would be told four times out of five by as many patients as there are"
    return (
        f"{what} would be told four times out of five with {plan.patients:,.0f} patients, "
        f"{further:,.0f} more than now"
    )


def _axes(above: Any, below: Any, told: Sequence[tuple[Plan, Outlook]], *, metric: str) -> None:
    plan, outlook = told[0]
    now = plan.present_patients
    needed = [one.patients for one, _ in told if math.isfinite(one.patients)]
    most = min(outlook.patients[-1], FURTHEST * max([*needed, 4 * now]))
    above.set_xscale("log")
    above.set_xlim(outlook.patients[0], most)
    for axes in (above, below):
        axes.axvline(now, color=INK, linewidth=1)
    above.annotate(f" this study: {now:,}", (now, 1), xycoords=("data", "axes fraction"), va="top")
    above.set_ylim(bottom=0)
    above.set_ylabel(f"half-width in {metric}")
    below.axhline(POWER, color=INK, linewidth=1, linestyle=":")
    below.set_ylim(0, 1.02)
    below.set_ylabel("chance to tell it")
    below.set_xlabel("target patients")
    _ticks(below, outlook.patients[0], most)


def _ticks(axes: Any, least: float, most: float) -> None:
    """1, 2 and 5 times powers of ten, written out."""
    steps = [step * 10**power for power in range(9) for step in (1, 2, 5)]
    places = [step for step in steps if least <= step <= most]
    axes.set_xticks(places, [f"{place:,}" for place in places])
    axes.minorticks_off()
