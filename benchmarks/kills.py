"""Kills `medgraft repro` at random moments and compares what comes out with an undisturbed run.

    python benchmarks/kills.py --kills 20 --seed 1

A project is run and killed (SIGKILL, every second time to the first process alone, which leaves the
stage an orphan), the same command is given again, and so on until one ends by itself. Then every
file of results is compared, byte by byte; further projects follow until enough were killed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from stages.project import EQUAL  # noqa: E402

# Small, but training takes most of the time, and each fit many times a save's interval.
SETTINGS = (
    "strategies=[scratch,lp_ft,logistic_regression]",
    "design.runs=2",
    "design.folds=2",
    "design.sources=2",
    "trainer.patience=1000",
    "evaluation.draws=200",
)


def clone(folder: Path) -> Path:
    """The commit that is checked out here."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


def begin(project: Path, log: Path, steps: int) -> subprocess.Popen[bytes]:
    """Start the command in a session of its own, its output in ``log``."""
    own = {"PYTHONPATH": str(project / "src"), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "medgraft.cli",
                "repro",
                *SETTINGS,
                f"trainer.max_steps={steps}",
            ],
            cwd=project,
            env=os.environ | own,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def contents(project: Path) -> dict[str, bytes]:
    """Every file of results by its name."""
    work = project / "work"
    paths = [path for pattern in EQUAL for path in work.glob(pattern) if path.is_file()]
    return {path.relative_to(work).as_posix(): path.read_bytes() for path in paths}


def where(log: Path) -> tuple[str, str]:
    """The last stage that a log speaks of, and what was resumed."""
    lines = log.read_text(errors="replace").splitlines()
    stages = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
    resumed = [line for line in lines if line.startswith(("resumed", "done at"))]
    return (stages or ["(before the first stage)"])[-1], "; ".join(resumed)


def left_running(project: Path) -> int:
    """MLflow runs that claim to be running."""
    with sqlite3.connect(project / "mlflow" / "mlflow.db") as store:
        return store.execute("SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0]


def killed(process: subprocess.Popen[bytes], after: float, *, alone: bool) -> bool:
    """Kill it after that many seconds; False: it had ended by itself."""
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
        process.wait()
        return True


def study(
    folder: Path, expected: dict[str, bytes], *, steps: int, duration: float, kills: int, draw
) -> int:
    """Kill one project until it is done; returns how often it was killed.

    Raises:
        SystemExit: it could not go on, or its results are others.
    """
    project, log, count = clone(folder), folder.with_suffix(".log"), 0
    while True:
        process = begin(project, log, steps)
        moment = draw.uniform(1.0, 0.6 * duration) if count < kills else 900.0
        alive = not killed(process, moment, alone=count % 2 == 1)
        stage, resumed = where(log)
        if alive:
            break
        count += 1
        print(f"| {moment:5.1f} s | {stage} | {resumed or '-'} |", flush=True)
    found = contents(project)
    different = sorted(n for n in found.keys() | expected if found.get(n) != expected.get(n))
    scratch = list((project / "work" / ".scratch").glob("*"))
    if process.returncode or different or scratch or left_running(project):
        raise SystemExit(f"not the same: {different} {scratch}\n{log.read_text()}")
    print(f"| to the end | {len(found)} files equal | {resumed or '-'} |", flush=True)
    return count


def main() -> None:
    """Print a line for every kill, and what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5000, help="of every training, at most")
    chosen = parser.parse_args()
    draw, count = np.random.default_rng(chosen.seed), 0
    with tempfile.TemporaryDirectory() as place:
        whole, start = clone(Path(place) / "whole"), time.monotonic()
        if begin(whole, Path(place) / "whole.log", chosen.steps).wait():
            raise SystemExit((Path(place) / "whole.log").read_text())
        duration, expected = time.monotonic() - start, contents(whole)
        print(
            f"undisturbed: {duration:.0f} s\n\n| killed after | in | had resumed |\n|---|---|---|"
        )
        while count < chosen.kills:
            folder = Path(place) / f"from-{count}"
            kills = min(7, chosen.kills - count)
            more = {"steps": chosen.steps, "duration": duration, "kills": kills, "draw": draw}
            count += study(folder, expected, **more)
    print(f"\n{count} kills, all results bit-identical")


if __name__ == "__main__":
    main()
