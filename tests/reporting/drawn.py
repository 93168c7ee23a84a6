"""What a panel of dots shows, read back from it."""

from pathlib import Path
from typing import Any

from medgraft.preparation.arrays import read_json
from medgraft.reporting.readings import Asked, read_off

from .simulated import METRICS, Simulated


def points(axes: Any) -> dict[int, float]:
    """By line, from the top: the value at its dot."""
    dots = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
    return {int(dot.get_ydata()[0]): float(dot.get_xdata()[0]) for dot in dots}


def spans(axes: Any) -> dict[int, tuple[float, float]]:
    """By line: the ends of its interval."""
    bars = [line for line in axes.get_lines() if line.get_linewidth() == 2]
    return {int(bar.get_ydata()[0]): tuple(map(float, bar.get_xdata())) for bar in bars}


def labels(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def readings(simulated: Simulated, folder: Path) -> dict[str, Any]:
    """Read everything off, and return what readings.json then holds."""
    read_off(
        simulated.study, simulated.evaluation, METRICS, prepared=simulated.prepared,
        finetuned=simulated.folder / "finetuned", asked=Asked(0.8, 0.9, 5.0), seed=0, folder=folder,
    )  # fmt: skip
    return dict(read_json(folder / "readings.json"))
