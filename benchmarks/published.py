"""Experiments against published figures, each in a clone of its own.

    python benchmarks/published.py                      # all of them
    python benchmarks/published.py promoter_tata splice
    python benchmarks/published.py gue_mouse:mouse_4    # of several rows, those that name it

Runs `medgraft repro experiment=<name>` with the published files from ../shared/cohorts, reads
work/evaluation/metrics.json (or the predictions, where the published figure is of another kind) and
prints a row of a markdown table for every strategy, 95 % intervals in brackets.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
MIRROR = ROOT.parent / "shared" / "cohorts"

HEADER = (
    "| experiment | strategy | reached [95 % CI] | goal | processor minutes |\n"
    "|---|---|---|---|---|"
)
# What a finished project says of each strategy: (strategy, figures as text).
Reading = Callable[[Path], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Row:
    """An experiment, what to change in it, how its figures are read, and what is to be reached."""

    experiment: str
    read: Reading
    goal: str
    overrides: tuple[str, ...] = ()


def metric(name: str, *, times: float = 1.0, digits: int = 3) -> Reading:
    """A metric with its interval, multiplied."""

    def read(project: Path) -> Iterator[tuple[str, str]]:
        found = json.loads((project / "work/evaluation/metrics.json").read_text())
        for strategy, metrics in found.items():
            parts = (metrics[name][key] for key in ("value", "low", "high"))
            value, low, high = (
                "–" if part is None else f"{times * part:.{digits}f}" for part in parts
            )
            yield strategy, f"{value} [{low}, {high}]"

    return read


def beside(*readings: Reading) -> Reading:
    """Several figures of each strategy."""

    def read(project: Path) -> Iterator[tuple[str, str]]:
        for each in zip(*(reading(project) for reading in readings), strict=True):
            yield each[0][0], "; ".join(figures for _, figures in each)

    return read


def class_errors(project: Path) -> Iterator[tuple[str, str]]:
    """Error % of each class: mean over the runs, lowest and highest run in brackets."""
    y = np.load(project / "work/prepared/target/y.npy").astype(int)
    design = pl.read_parquet(project / "work/prepared/design.parquet").select(
        "replica", "run", "use"
    )
    compare = design.filter(use="compare")
    for folder in sorted((project / "work/finetuned").iterdir()):
        asked = pl.read_parquet(folder / "predictions.parquet").filter(part="test")
        rows = asked.join(compare, on="replica")
        answer = rows.select(pl.selectors.starts_with("output_")).to_numpy().argmax(1)
        truth, run = y[rows["row"]], rows["run"].to_numpy()
        errors = 100 * np.array(
            [
                [(answer != k)[(truth == k) & (run == r)].mean() for k in np.unique(y)]
                for r in np.unique(run)
            ]
        )
        spans = zip(errors.mean(0), errors.min(0), errors.max(0), strict=True)
        yield folder.name, " / ".join(f"{m:.1f} [{low:.1f}, {high:.1f}]" for m, low, high in spans)


MCC = metric("mcc", times=100, digits=1)
MOUSE = {
    "0": ("42.3, aim 56.8",),
    "2": ("69.9, aim 79.3",),
    "3": ("55.4, aim 66.5",),
    # 15,000 windows to learn from, two to eight times as many as the others: chosen on validation.
    "4": ("42.0, aim 52.7", "finetune.max_steps=700"),
}
BACK = ("cohort.source=[vdx]", "cohort.target=[nki]")
ROWS = [
    *(
        Row("gue_mouse", MCC, f"MCC × 100 > {goal}", (f"cohort.target=[mouse_{number}]", *more))
        for number, (goal, *more) in MOUSE.items()
    ),
    Row("promoter_tata", MCC, "MCC × 100 ≥ 74.2, aim 78.2"),
    Row("splice", class_errors, "error % N / EI / IE < 4.62 / 5.74 / 8.47"),
    Row(
        "pneumonia",
        beside(metric("accuracy", times=100, digits=1), metric("auroc", times=100, digits=1)),
        "accuracy 83.1 ± 1.1; AUROC 95.0 ± 0.3",
    ),
    Row("er_status", metric("auroc"), "AUROC ≥ .912"),
    Row("er_status", metric("auroc"), "AUROC ≥ .986", BACK),
    Row("gbsg", metric("c_index"), "C-index ≥ .668"),
    Row("readmission", metric("auroc"), "AUROC ≥ gradient_boosting"),
]


def clone(folder: Path) -> Path:
    """The last commit, without results."""
    project = folder / "medgraft"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
    return project


def busy() -> float:
    """Seconds of processor time of all that has been run: other work beside it does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(row: Row) -> None:
    """Run one experiment and print its rows."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as place:
        project = clone(Path(place))
        command = ["medgraft.cli", "repro", f"experiment={row.experiment}", *row.overrides]
        start = busy()
        subprocess.run(
            [sys.executable, "-m", *command, "--mirror", str(MIRROR)],
            cwd=project,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(project / "src")},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        minutes = (busy() - start) / 60
        name = " ".join([row.experiment, *row.overrides])
        for strategy, figures in row.read(project):
            print(f"| {name} | {strategy} | {figures} | {row.goal} | {minutes:.0f} |", flush=True)


def asked(row: Row, wanted: str) -> bool:
    """Whether a row is meant by `experiment` or by `experiment:part of an override`."""
    experiment, _, part = wanted.partition(":")
    return row.experiment == experiment and part in " ".join(row.overrides)


def main() -> None:
    wanted = sys.argv[1:]
    print(HEADER)
    for row in ROWS:
        if not wanted or any(asked(row, one) for one in wanted):
            run(row)


if __name__ == "__main__":
    main()
