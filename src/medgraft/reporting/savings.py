from collections.abc import Sequence
from textwrap import shorten

from medgraft.evaluation.predictions import Study
from medgraft.evaluation.savings import Savings
from medgraft.reporting.canvas import COLOURS, DASHES, Figure, finish, sheet, size


def savings_figure(study: Study, savings: Savings, names: Sequence[str]) -> Figure:
    """Draw learning curves over the number of target patients; the title speaks of the last name.

    names: at most three strategies besides the reference, the most interesting last.
    """
    figure, axes = sheet(3.8)
    shown = [savings.reference, *names]
    for place, name in enumerate(shown):
        curve = savings.curves[name]
        # Side by side, or bars at one size would cover one another.
        step = (savings.whole - savings.smallest) / 90 * (place - (len(shown) - 1) / 2)
        at = [patients + step for patients in curve.size]
        colour = COLOURS[place]
        axes.vlines(at, curve.low, curve.high, color=colour, linewidth=1, alpha=0.7)
        axes.plot(at, curve.value, "o", color=colour, markersize=4)
        axes.plot(
            curve.size,
            curve.fitted,
            color=colour,
            linestyle=DASHES[place],
            label=shorten(name, 30, placeholder="…"),
        )
    axes.set_xlabel("patients of the target cohort to train on")
    axes.set_ylabel(savings.metric)
    axes.set_xticks(savings.curves[savings.reference].size)
    figure.legend(
        loc="outside lower left", ncols=2, frameon=False, labelcolor="linecolor", handlelength=3
    )
    first = next(one for one in savings.savings if one.strategy == shown[-1])
    return finish(
        figure,
        "savings",
        title=savings.told(first),
        caption=(
            f"What each strategy reaches on fewer training patients ({size(study)}). Points: means "
            "over runs with 95 % intervals; lines: the nearest curves that never get worse with "
            f"more patients. How many patients {savings.reference} needs for the same is read off "
            "between its points, never beyond all training patients of a model."
        ),
    )
