"""Oestrogen receptor status, Agilent to Affymetrix and back, against a published check.

    python benchmarks/expression.py ../shared/cohorts

Runs `experiment=er_status` in a clone of this repository, both ways, and prints the target's AUROC
of every strategy with its interval over patients and ten source networks. The check to reach is the
one that came with the data: ridge logistic regression on the whole source, both cohorts
standardised as a whole, asked about the whole target.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WAYS = {
    "NKI to VDX": ((), 0.912),
    "VDX to NKI": (("cohort.source=[vdx]", "cohort.target=[nki]"), 0.986),
}


def medgraft(clone: Path, *arguments: str) -> None:
    """Run the clone's own code, whatever is installed."""
    environment = os.environ | {"PYTHONPATH": str(clone / "src")}
    command = [sys.executable, "-m", "medgraft.cli", *arguments]
    subprocess.run(command, cwd=clone, env=environment, check=True)


def rows(clone: Path, way: str, reach: float) -> None:
    """One line of a markdown table per strategy."""
    metrics = json.loads((clone / "work/evaluation/metrics.json").read_text())
    for strategy, found in metrics.items():
        auroc = found["auroc"]
        interval = f"{auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f})"
        print(f"| {way} | {strategy} | {interval} | {reach} |")


def main(mirror: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place) / "medgraft"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        for way, (overrides, reach) in WAYS.items():
            medgraft(clone, "repro", "experiment=er_status", *overrides, f"--mirror={mirror}")
            rows(clone, way, reach)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
