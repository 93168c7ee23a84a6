"""Where the patients of both cohorts went, as trials draw it (CONSORT)."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet

MOST_REASONS = 4
WRAPPED = 34  # characters of a line in a box
LINE, GAP = 0.17, 0.3  # inches: a line of text, an arrow
LEFT, RIGHT = 0.25, 0.75
Box = tuple[str, str]
"""What a box says, and its colour."""


def flow_figure(
    study: Study,
    accounting: Sequence[Mapping[str, Any]],
    *,
    target: Sequence[str],
    networks: int,
    published: bool = False,
) -> Figure:
    """Draw rows read, excluded and used of each file, and what is done with them.

    Args:
        study: the target patients who test.
        accounting: `audit.json`'s, one entry for each file.
        target: sites of the target cohort.
        networks: that strategies start from.
        published: they come from a checkpoint; else they were trained on the source.
    """
    sides = [
        [one for one in accounting if (one["cohort"] in target) is mine] for mine in (False, True)
    ]
    made = "from a published checkpoint, not trained on them," if published else "trained on them,"
    source = f"{counted(networks, 'network')} {made} for strategies that use the source"
    tested = (
        f"{counted(study.patients, 'patient')} predicted in each of {counted(study.runs, 'run')} "
        "by models that had not seen them"
    )
    columns = [
        [*_boxes("source", sides[0]), (textwrap.fill(source, WRAPPED), COLOURS[0])],
        [*_boxes("target", sides[1]), (textwrap.fill(tested, WRAPPED), COLOURS[1])],
    ]
    tall = [
        max(column[row][0].count("\n") + 1 for column in columns if row < len(column)) * LINE + 0.2
        for row in range(max(map(len, columns)))
    ]
    height = sum(tall) + GAP * len(tall) + 0.4
    figure, axes = sheet(height)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(height - 0.4, 0))
    for column, place in zip(columns, (LEFT, RIGHT), strict=True):
        _draw(axes, column, place, tall)
    used, lost = (
        [sum(_count(one, key) for one in side) for side in sides]
        for key in ("rows_used", "excluded")
    )
    return finish(
        figure,
        "flow",
        title=f"{used[0]:,} rows of the source and {used[1]:,} of the target were used; "
        f"{sum(lost):,} left out",
        caption=(
            "Every row of every file, from reading to testing. Nothing is left out for another "
            "reason than those given; the table below has all of them in full."
        ),
    )


def _draw(axes: Any, column: Sequence[Box], place: float, tall: Sequence[float]) -> None:
    """Boxes below one another in rows of these heights, an arrow from each to the next."""
    top = before = 0.0
    for row, (words, colour) in enumerate(column):
        middle = top + tall[row] / 2
        axes.text(
            place,
            middle,
            words,
            ha="center",
            va="center",
            bbox={"boxstyle": "square,pad=0.5", "facecolor": "white", "edgecolor": colour},
        )
        if row:
            axes.annotate(
                "",
                (place, middle - _half(words)),
                (place, before),
                arrowprops={"arrowstyle": "->", "color": "#555555"},
            )
        before = middle + _half(words)
        top += tall[row] + GAP


def _boxes(role: str, files: Sequence[Mapping[str, Any]]) -> list[Box]:
    """Read, left out, used."""
    colour = COLOURS[1] if role == "target" else COLOURS[0]
    read = [f"{one['cohort']}: {counted(one['rows_read'], 'row')}" for one in files]
    reasons: dict[str, int] = {}
    for one in files:
        for reason, count in one["excluded"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    ranked = sorted(reasons.items(), key=lambda item: -item[1])
    lost = [f"{counted(sum(reasons.values()), 'row')} left out"]
    lost += [
        textwrap.shorten(f"{n:,}: {reason}", 44, placeholder="…")
        for reason, n in ranked[:MOST_REASONS]
    ]
    if len(ranked) > MOST_REASONS:
        lost.append(f"{counted(len(ranked) - MOST_REASONS, 'more reason')}")
    patients = sum(one["patients"] for one in files)
    rows = sum(one["rows_used"] for one in files)
    return [
        ("\n".join([f"{role.capitalize()}: read", *read]), colour),
        ("\n".join(lost), "#767676"),
        (f"{counted(rows, 'row')} of\n{counted(patients, 'patient')} used", colour),
    ]


def _count(entry: Mapping[str, Any], key: str) -> int:
    value = entry[key]
    return int(sum(value.values()) if isinstance(value, Mapping) else value)


def _half(words: str) -> float:
    """Half the height of a box, in inches."""
    return (words.count("\n") + 1) * LINE / 2 + 0.08
