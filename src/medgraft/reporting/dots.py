"""Dots with their intervals in panels side by side, a line per thing compared."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from medgraft.reporting.canvas import INK
from medgraft.reporting.text import absent, shown

ROW = 0.34
"""Inches a line takes."""
HEAD = 1.5
"""Inches of title and axis."""
FAR = 3.0
"""Times the spread of the dots that an axis shows of intervals."""


def dots(
    axes: Any, rows: Sequence[Mapping[str, Any]], *, looks: Sequence[Mapping[str, Any]]
) -> None:
    """Draw value, low and high of each row, the first on top, and write them beside it.

    looks: how the dots are drawn. What is undefined is written, not drawn.
    """
    for place, (row, look) in enumerate(zip(rows, looks, strict=True)):
        if absent(row["value"]):
            continue
        if not absent(row["low"]) and not absent(row["high"]):
            axes.plot([row["low"], row["high"]], [place, place], color=look["color"], linewidth=2)
        axes.plot([row["value"]], [place], linestyle="", markersize=6, markeredgewidth=1.6, **look)
    places = np.arange(len(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.secondary_yaxis("right").set_yticks(places, [written(row) for row in rows], fontsize=8)
    for side in (axes, *axes.child_axes):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axes.hlines(places, 0, 1, transform=axes.get_yaxis_transform(), color="#e6e6e6", zorder=0, lw=1)
    axes.locator_params(axis="x", nbins=4)


def written(row: Mapping[str, Any]) -> str:
    """Write a value above its interval."""
    if absent(row["value"]):
        return "undefined"
    if absent(row["low"]) or absent(row["high"]):
        return f"{shown(row['value'])}\n[undefined]"
    return f"{shown(row['value'])}\n[{shown(row['low'])}, {shown(row['high'])}]"


def near(axes: Any, rows: Sequence[Mapping[str, Any]], *, mark: float | None = None) -> None:
    """Show all dots and a mark; of intervals that reach far beyond, only the beginning."""
    values = [row["value"] for row in rows if not absent(row["value"])]
    values += [] if mark is None else [mark]
    if not values:
        return
    ends = [row[end] for row in rows for end in ("low", "high") if not absent(row[end])]
    least, most = min(values), max(values)
    reach = FAR * max(most - least, 0.5)
    shown_ends = np.clip([*values, *ends], least - reach, most + reach)
    margin = 0.06 * max(float(np.ptp(shown_ends)), 0.1)
    axes.set_xlim(float(shown_ends.min()) - margin, float(shown_ends.max()) + margin)
    if mark is not None:
        axes.axvline(mark, color=INK, linewidth=1, linestyle=":", zorder=0.5)


def short(name: str) -> str:
    """A strategy's name for the side of a figure."""
    return shorten(name, 24, placeholder="…")
