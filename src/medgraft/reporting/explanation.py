"""The page and the figure of what the champion's answers rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.evaluation.sentence import counted
from medgraft.reporting.canvas import COLOURS, INK, Figure, finish, house_style, sheet
from medgraft.reporting.report import environment

MOST = 20  # features drawn
ROW = 0.3  # inches a feature takes
NAME = "contributions"

Floats = NDArray[np.float64]


def write(
    path: Path, *, strategy: str, figure: Figure | None, refusal: str = "", gap: float = 0.0
) -> None:
    """Write the page: the figure, or why there is none. Equal inputs give equal bytes."""
    page = (
        environment()
        .get_template("explanation.html")
        .render(
            strategy=strategy,
            figures={NAME: figure} if figure else {},
            refusal=refusal,
            gap=f"{100 * gap:.1f}",
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


@house_style()
def features(names: list[str], value: Floats, low: Floats, high: Floats, of: str) -> Figure:
    """Draw the features that contribute most, with 95 % intervals, the largest on top."""
    order = np.argsort(-value, kind="stable")[:MOST]
    figure, axes = sheet(1.4 + ROW * len(order))
    place = np.arange(len(order))
    error = np.abs(np.stack([value - low, high - value])[:, order])
    look: dict[str, Any] = {"ecolor": INK, "capsize": 2, "color": "#9CC3DD"}
    axes.barh(place, value[order], xerr=error, height=0.7, **look)
    axes.axvline(value.mean(), color=INK, linestyle=":", linewidth=1)
    axes.set_yticks(place, [names[i] for i in order])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("mean size of the contribution to an answer (raw output)")
    more = f" The {len(order)} largest of {len(names):,} are shown." if len(names) > MOST else ""
    share = value[order[0]] / max(float(value.sum()), 1e-12)
    return finish(
        figure,
        NAME,
        title=f"The answers rest most on {names[order[0]]}: {share:.0%} of all contributions",
        caption=f"{_meaning(of)} Dotted: where all would be if they counted alike.{more}",
    )


@house_style()
def positions(value: Floats, low: Floats, high: Floats, of: str) -> Figure:
    """Draw the contributions along the sequence, with a band of 95 % intervals."""
    figure, axes = sheet(2.6)
    place = np.arange(1, len(value) + 1)
    axes.fill_between(place, low, high, color="#9CC3DD", linewidth=0, step="mid")
    axes.step(place, value, where="mid", color=COLOURS[0])
    axes.axhline(value.mean(), color=INK, linestyle=":", linewidth=1)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, len(value) + 0.5)
    axes.set_xlabel("position in the sequence, from 1")
    axes.set_ylabel("mean size of\nthe contribution")
    half = int((np.cumsum(np.sort(value)[::-1]) < value.sum() / 2).sum()) + 1
    return finish(
        figure,
        NAME,
        title=f"Half of all contributions come from {half:,} of {len(value):,} positions",
        caption=f"{_meaning(of)} The dotted line is where all would be if they counted alike. What "
        "lies in another place in every patient is spread out here; `medgraft explain` shows it.",
    )


@house_style()
def pixels(value: Floats, picture: Floats, of: str) -> Figure:
    """Draw the contributions `[h, w]` beside and over the mean image `[h, w]`."""
    figure, (left, right) = sheet(3.9, ncols=2)
    frame: dict[str, Any] = {"interpolation": "nearest"}
    left.imshow(picture, cmap="gray", **frame)
    left.set_title("the mean image")
    right.imshow(picture, cmap="gray", **frame)
    shown = right.imshow(value, cmap="viridis", alpha=0.75, vmin=0, **frame)
    right.set_title("contributions over it")
    for axes in (left, right):
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(shown, ax=right, shrink=0.8, label="mean size of the contribution")
    half = int((np.cumsum(np.sort(value.ravel())[::-1]) < value.sum() / 2).sum()) + 1
    return finish(
        figure,
        NAME,
        title=f"Half of all contributions come from {half / value.size:.0%} of the pixels",
        caption=f"{_meaning(of)} What lies in another place in every patient is spread out here; "
        "`medgraft explain` shows it.",
    )


def counts(patients: int, replicas: int) -> str:
    """What a figure rests on."""
    return f"{counted(patients, 'patient')}, {counted(replicas, 'replica')}"


def _meaning(of: str) -> str:
    return (
        "How far the champion's raw output moves, on average and in either direction, from that of "
        f"the mean training patient because of it ({of}); lines or bands are 95 % intervals over "
        "patients and replicas, where drawn. It tells what the model uses, not what causes the "
        "outcome."
    )
