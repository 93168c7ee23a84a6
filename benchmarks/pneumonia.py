"""PneumoniaMNIST on its published test films, against MedMNIST+'s ResNet-18.

    python benchmarks/pneumonia.py              # in a clone of the last commit, about ten minutes
    python benchmarks/pneumonia.py <project>    # reads a finished one

Prints a row of a markdown table per strategy: accuracy and AUROC with 95 % intervals over patients
and runs, then mean and standard deviation over the runs, as the published figures are given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[1]
MIRROR = ROOT.parent / "shared" / "cohorts"
REFERENCE = "| *ResNet-18, MedMNIST+* | | 83.1 ± 1.1 | | 95.0 ± 0.3 |"


def repro(project: Path) -> None:
    """Run the experiment in a clone of the last commit."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["medgraft.cli", "repro", "experiment=pneumonia", "--mirror", str(MIRROR)]
    subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(project / "src")},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def runs(project: Path, strategy: str) -> np.ndarray:
    """Accuracy and AUROC × 100 of every run on the test films, [runs, 2]."""
    y = np.load(project / "work/prepared/target/y.npy")
    design = pl.read_parquet(project / "work/prepared/design.parquet").filter(use="compare")
    answers = pl.read_parquet(project / "work/finetuned" / strategy / "predictions.parquet")
    tested = answers.filter(part="test").join(design.select("replica", "run"), on="replica")
    found = []
    for _, rows in tested.group_by("run", maintain_order=True):
        truth, logit = y[rows["row"].to_numpy()], rows["output_0"].to_numpy()
        found.append([((logit > 0) == truth).mean(), roc_auc_score(truth, logit)])
    return 100 * np.array(found)


def row(project: Path, strategy: str, metrics: dict) -> str:
    """One strategy's figures."""
    cells = [strategy]
    each = runs(project, strategy)
    for name, values in zip(("accuracy", "auroc"), each.T, strict=True):
        value, low, high = (100 * metrics[name][key] for key in ("value", "low", "high"))
        cells.append(f"{value:.1f} [{low:.1f}, {high:.1f}]")
        cells.append(f"{values.mean():.1f} ± {values.std(ddof=1):.1f}")
    return f"| {' | '.join(cells)} |"


def report(project: Path) -> None:
    """Print the table of a finished project."""
    print("| strategy | ACC [95 % CI] | runs | AUC [95 % CI] | runs |\n|---|---|---|---|---|")
    print(REFERENCE)
    found = json.loads((project / "work/evaluation/metrics.json").read_text())
    for strategy, metrics in found.items():
        print(row(project, strategy, metrics))


def main() -> None:
    if len(sys.argv) > 1:
        return report(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as place:
        project = Path(place) / "medgraft"
        repro(project)
        report(project)
    return None


if __name__ == "__main__":
    main()
