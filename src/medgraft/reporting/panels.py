"""What a figure shows, as numbers read back from what is drawn: no figure can lack them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from medgraft.evaluation.metrics.metric import Floats

DIGITS = 6
"""Significant, more than any printed figure shows."""

Panel = dict[str, Any]


def panels(figure: Any) -> list[Panel]:
    """Every panel of a matplotlib figure: titles, axes, and what lies in it, in data coordinates.

    `lines` have x and y [n]; `bars` [n, 4] left, bottom, width, height; `spans` [n, 2, 2] the ends
    of straight lines such as intervals; `bands` the x, low and high [n] of what is filled between;
    `texts` what is written where. Kinds that a panel has none of are left out.
    """
    return [_panel(axes, figure) for axes in figure.axes if axes.get_visible()]


def _panel(axes: Any, figure: Any) -> Panel:
    drawn = {
        "title": axes.get_title() or axes.get_title(loc="left"),
        "x": _axis(axes.xaxis, figure.get_supxlabel()),
        "y": _axis(axes.yaxis, figure.get_supylabel()),
        "lines": [_line(line) for line in axes.get_lines()],
        "bars": [
            _rounded([*bar.get_xy(), bar.get_width(), bar.get_height()]) for bar in _bars(axes)
        ],
        "spans": [
            _rounded(span)
            for one in axes.collections
            if hasattr(one, "get_segments")
            for span in one.get_segments()
        ],
        "bands": [band for one in axes.collections for band in _bands(one)],
        "texts": [[*_rounded(text.get_position()), text.get_text()] for text in axes.texts],
    }
    return {name: value for name, value in drawn.items() if value}


def _axis(axis: Any, shared: str) -> Panel:
    """The label, and the names of the ticks where these are words."""
    from matplotlib.ticker import FixedLocator

    named: Panel = {"label": label} if (label := axis.get_label_text() or shared) else {}
    if isinstance(axis.get_major_locator(), FixedLocator):
        places = axis.get_ticklocs()
        words = axis.get_major_formatter().format_ticks(places)
        named["ticks"] = [
            [place, word] for place, word in zip(_rounded(places), words, strict=True)
        ]
    return named


def _line(line: Any) -> Panel:
    """Matplotlib's own names of unnamed lines start with an underscore."""
    name = str(line.get_label())
    label = {} if name.startswith("_") else {"label": name}
    return label | {"x": _rounded(line.get_xdata()), "y": _rounded(line.get_ydata())}


def _bars(axes: Any) -> Iterable[Any]:
    """The bars among the shapes of a panel."""
    return (shape for shape in axes.patches if hasattr(shape, "get_height"))


def _bands(collection: Any) -> Iterable[Panel]:
    """Read x, low and high of what is filled between two curves, a path for each piece.

    Matplotlib's path starts at the end of the one curve, goes along the other [n], and back along
    the first, after a point to turn at; steps have two points for each of their jumps.
    """
    if not hasattr(collection, "get_paths") or hasattr(collection, "get_segments"):
        return
    for path in collection.get_paths():
        points = np.asarray(path.vertices)
        n = (len(points) - 3) // 2
        low, high = points[1 : n + 1], points[n + 2 : 2 * n + 2][::-1]
        yield {"x": _rounded(low[:, 0]), "low": _rounded(low[:, 1]), "high": _rounded(high[:, 1])}


def _rounded(values: Any) -> list[Any]:
    found: Floats = np.asarray(values, dtype=np.float64)
    return [_number(value) if np.ndim(value) == 0 else _rounded(value) for value in found]


def _number(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
