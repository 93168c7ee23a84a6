"""Experiments whose numbers others have published, run anew from a fresh clone.

    python benchmarks/published.py gbsg

Each runs `medgraft repro experiment=<name>` in a temporary clone of what is committed, with the
files of `../shared/cohorts`, and prints a row of a table: every strategy's measure with its 95 %
interval over patients and runs, beside the number to reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MIRROR = PROJECT.parent / "shared" / "cohorts"


@dataclass(frozen=True)
class Published:
    """A number to reach: of which metric, times what, and which strategies to show against it."""

    metric: str
    reach: str
    strategies: tuple[str, ...]
    scale: float = 1.0
    overrides: tuple[str, ...] = ()


ROWS = {
    "gbsg": Published(
        "c_index",
        "≥ .668 (DeepSurv, learned from Rotterdam alone)",
        ("source_only", "recalibrate", "linear_probe", "fine_tune", "scratch", "cox"),
    ),
}


def results(name: str, row: Published) -> tuple[dict, dict, float]:
    """metrics.json and verdict.json of the experiment, and the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "medgraft"
        subprocess.run(["git", "clone", "-q", str(PROJECT), str(clone)], check=True)
        command = [sys.executable, "-m", "medgraft.cli", "repro", f"experiment={name}"]
        mirror = ["--mirror", str(MIRROR)]
        environment = os.environ | {
            "PYTHONPATH": str(clone / "src"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        start = time.perf_counter()
        subprocess.run([*command, *row.overrides, *mirror], cwd=clone, env=environment, check=True)
        took = time.perf_counter() - start
        found = [
            json.loads((clone / "work" / "evaluation" / f"{file}.json").read_text())
            for file in ("metrics", "verdict")
        ]
    return found[0], found[1], took


def report(name: str, row: Published) -> str:
    """One row of the table."""
    metrics, verdict, took = results(name, row)
    told = []
    for strategy in row.strategies:
        found = {k: row.scale * v for k, v in metrics[strategy][row.metric].items()}
        told.append(f"{strategy} {found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})")
    size = f"{verdict['patients']} patients, {verdict['runs']} runs"
    return f"| `{name}` | {row.metric} | {row.reach} | {'; '.join(told)} | {size} | {took:.0f} |"


def main() -> None:
    print("| experiment | measure | reach | reached (95 % interval) | of | seconds |")
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:] or ROWS:
        print(report(name, ROWS[name]), flush=True)


if __name__ == "__main__":
    main()
