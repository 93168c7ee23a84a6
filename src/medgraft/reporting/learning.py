from collections.abc import Mapping
from math import ceil
from pathlib import Path
from textwrap import shorten
from typing import Any

import polars as pl

from medgraft.evaluation.predictions import Study
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet, size

COLUMNS = 3


def learning(study: Study, finetuned: Path) -> Figure | None:
    """Draw the losses of every trained strategy, the mean over its replicas; None without any."""
    curves = {
        name: curve
        for name in study.strategies
        if not (curve := mean_history(finetuned / name / "history.parquet")).is_empty()
    }
    if not curves:
        return None
    columns = min(COLUMNS, len(curves))
    lines = ceil(len(curves) / columns)
    figure, axes = sheet(
        1.4 + 1.5 * lines, nrows=lines, ncols=columns, squeeze=False, sharex=True, sharey=True
    )
    panels = list(axes.flat)
    for panel, (name, curve) in zip(panels, curves.items(), strict=False):
        _panel(panel, name, curve)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    entries = panels[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower right", ncols=2, frameon=False)
    figure.supxlabel("training step", fontsize=9, x=0.1, ha="left")
    figure.supylabel("mean loss per patient", fontsize=9)
    return finish(figure, "learning", title=_title(curves), caption=_caption(study))


def mean_history(path: Path) -> pl.DataFrame:
    """Average a history over its replicas: step, train_loss, validation_loss.

    Only the steps that every replica took, so that the same replicas are averaged throughout; empty
    without a history.
    """
    if not path.is_file():
        return pl.DataFrame()
    steps = (
        pl.scan_parquet(path, glob=False)
        .group_by("step")
        .agg(pl.col("train_loss", "validation_loss").mean(), replicas=pl.len())
    )
    return steps.filter(pl.col("replicas") == pl.col("replicas").max()).sort("step").collect()


def _panel(axes: Any, name: str, curve: pl.DataFrame) -> None:
    marker = "o" if curve.height == 1 else ""
    for loss, look in (("train_loss", ("#666666", "--")), ("validation_loss", (COLOURS[0], "-"))):
        label = loss.split("_")[0].replace("train", "training")
        axes.plot(
            curve["step"].to_numpy(),
            curve[loss].to_numpy(),
            color=look[0],
            linestyle=look[1],
            marker=marker,
            label=f"{label} patients",
        )
    axes.set_title(shorten(name, 32, placeholder="…"))


def _title(curves: Mapping[str, pl.DataFrame]) -> str:
    best = sorted(
        curve["step"][lowest]
        for curve in curves.values()
        if (lowest := curve["validation_loss"].fill_nan(None).arg_min()) is not None
    )
    if not best:
        return "No strategy has a defined validation loss"
    span = f"{best[0]:,}" if best[0] == best[-1] else f"{best[0]:,} to {best[-1]:,}"
    return f"Validation loss was lowest after {span} steps, on average over trainings"


def _caption(study: Study) -> str:
    return (
        f"Loss of every trained strategy, the mean over all times it was trained "
        f"({size(study)}). Each time, the weights of the lowest validation loss are kept, "
        "so what happens later in training is not used."
    )
