"""What the answer for a single record rests on, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.evaluation.sentence import counted
from medgraft.reporting.canvas import COLOURS, INK, Figure, finish, house_style, sheet
from medgraft.reporting.text import shown, signed

MOST = 20  # features drawn
ROW = 0.3  # inches a feature takes
NAME = "record"
UP, DOWN = COLOURS[1], COLOURS[0]
"""What raises the output, and what lowers it."""

Floats = NDArray[np.float64]


@house_style()
def record_figure(
    parts: Floats,
    names: Sequence[str],
    *,
    who: str,
    explains: str,
    output: float,
    reference: float,
    are_features: bool,
    picture: Floats | None = None,
) -> Figure:
    """Draw the contributions `[places]` or `[h, w]` to one output of one record.

    names: of features with their values, or of positions or pixels. picture: the image [h, w].
    """
    if picture is not None:
        figure = _pixels(parts, picture)
    elif are_features:
        figure = _features(parts, names)
    else:
        figure = _positions(parts)
    flat = parts.ravel()
    most = int(np.abs(flat).argmax())
    word = "raises" if flat[most] > 0 else "lowers"
    left = output - reference - float(flat.sum())
    return finish(
        figure,
        NAME,
        title=f"{who}: {names[most]} {word} the output for {explains} most ({signed(flat[most])})",
        caption=(
            f"The raw output for {explains} is {shown(output)}; for the mean training patient it "
            f"is {shown(reference)}; {counted(flat.size, 'contribution')} make up the difference "
            f"but for {signed(left)}. It tells what the model uses, not what causes the outcome."
        ),
    )


def _features(parts: Floats, names: Sequence[str]) -> Any:
    order = np.argsort(-np.abs(parts), kind="stable")[:MOST]
    figure, axes = sheet(1.3 + ROW * len(order))
    place = np.arange(len(order))
    axes.barh(place, parts[order], height=0.7, color=np.where(parts[order] > 0, UP, DOWN))
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(place, [names[i] for i in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.secondary_yaxis("right").set_yticks(place, [signed(parts[i]) for i in order])
    for side in (axes, *axes.child_axes):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axes.set_xlabel("← lowers      contribution to the raw output      raises →")
    return figure


def _positions(parts: Floats) -> Any:
    figure, axes = sheet(2.6)
    place = np.arange(1, len(parts) + 1)
    axes.bar(place, parts, width=1.0, color=np.where(parts > 0, UP, DOWN))
    axes.axhline(0, color=INK, linewidth=1)
    axes.set_xlim(0.5, len(parts) + 0.5)
    axes.set_xlabel("position in the sequence, from 1")
    axes.set_ylabel("contribution\nto the raw output")
    return figure


def _pixels(parts: Floats, picture: Floats) -> Any:
    figure, (left, right) = sheet(3.9, ncols=2)
    frame: dict[str, Any] = {"interpolation": "nearest"}
    left.imshow(picture, cmap="gray", **frame)
    left.set_title("the image")
    most = float(np.abs(parts).max()) or 1.0
    drawn = right.imshow(parts, cmap="RdBu_r", vmin=-most, vmax=most, **frame)
    right.set_title("what raises (red) and lowers (blue)")
    for axes in (left, right):
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(drawn, ax=right, shrink=0.8, label="contribution to the raw output")
    return figure
