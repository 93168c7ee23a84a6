"""What `dvc repro` takes when there is nothing to do, beside DVC's own price of as many stages.

    python benchmarks/noop.py

Run in a project that is up to date. The other side is a project of as many stages (after `foreach`)
that do nothing: one small file in, one out. Both are a fresh `dvc repro`, taken in turn. Nothing in
it waits, so processor time says the same as the clock and does not mind a busy machine.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

PAIRS = 11
UP_TO_DATE = "Data and pipelines are up to date."


def dvc(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def empty(folder: Path, stages: int) -> Path:
    """A project whose stages copy a file each, run once."""
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    dvc(folder, "init", "--quiet")
    (folder / ".dvc" / "config").write_text("[core]\nanalytics = false\ncheck_update = false\n")
    described = {}
    for number in range(stages):
        source, target = f"in{number}", f"out{number}"
        (folder / source).write_text(f"{number}\n")
        command = f"cp {source} {target}"
        described[f"stage{number}"] = {"cmd": command, "deps": [source], "outs": [target]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": described}))
    dvc(folder, "repro", "--quiet")
    return folder


def clocks() -> tuple[float, float]:
    """Wall time, and processor time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def seconds(folder: Path) -> tuple[float, float]:
    """Wall and processor time of a `dvc repro` that finds nothing to do."""
    before = clocks()
    if UP_TO_DATE not in dvc(folder, "repro"):
        raise SystemExit(f"{folder} was not up to date: run `dvc repro` first")
    wall, processor = (now - then for now, then in zip(clocks(), before, strict=True))
    return wall, processor


def main() -> None:
    """Print the median ratios and their ranges over the pairs."""
    stages = len(yaml.safe_load(Path("dvc.lock").read_text())["stages"])
    with tempfile.TemporaryDirectory() as place:
        other = empty(Path(place), stages)
        pairs = [(seconds(Path()), seconds(other)) for _ in range(PAIRS + 1)][1:]
    print(
        f"no-op `dvc repro` of {stages} stages / of as many empty ones, {PAIRS} pairs, goal <= 1.3"
    )
    for name, place in (("wall", 0), ("processor", 1)):
        ours, bare = ([side[place] for side in sides] for sides in zip(*pairs, strict=True))
        ratios = [one / other for one, other in zip(ours, bare, strict=True)]
        print(
            f"{name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"{statistics.median(ours):.2f} s / {statistics.median(bare):.2f} s"
        )


if __name__ == "__main__":
    main()
