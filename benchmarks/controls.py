"""The laboratory's controls: cohorts whose truth is known, related, unrelated and opposite.

    python benchmarks/controls.py                    # every simulated cohort of conf/experiment/
    python benchmarks/controls.py simulated_table    # this one
    python benchmarks/controls.py simulated_table:-1 # this one, for relatedness -1 alone
    python benchmarks/controls.py simulated_table:-1:2 # and in world 2 alone

Runs `medgraft repro experiment=<name>` in a clone for relatedness 1, 0 and -1, three worlds each,
and prints a markdown row for each run. Expected by construction: 1 helps; 0 does not; at -1 the
model shipped does not use the source. Exits with 1 where that does not hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORLDS = (1, 2, 3)
HEADER = (
    "| cohort | relatedness | world | transfer | difference [95 % CI] | reached / best possible "
    "| shipped | as expected |\n|---|---|---|---|---|---|---|---|"
)


def expected(relatedness: int, helps: bool, ships_source: bool) -> bool:
    """Whether a run found what was planted."""
    return {1: helps, 0: not helps, -1: not ships_source}[relatedness]


def repro(project: Path, experiment: str, relatedness: int, world: int) -> dict[str, Any]:
    """The verdict of one run, with the truth behind it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    origin = [f"cohort.origin.relatedness={relatedness}", f"cohort.origin.seed={world}"]
    chosen = [f"experiment={experiment}", *origin, f"seed={world}"]
    subprocess.run(
        [sys.executable, "-m", "medgraft.cli", "repro", *chosen],
        cwd=project,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(project / "src")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    verdict: dict[str, Any] = json.loads((project / "work/evaluation/verdict.json").read_text())
    (truth,) = (project / "simulated").glob("*/truth.json")
    return verdict | {"truth": json.loads(truth.read_text())}


def row(experiment: str, relatedness: int, world: int, verdict: dict[str, Any]) -> bool:
    """Print a run's row; whether it is as expected."""
    transfer = {n: s for n, s in verdict["strategies"].items() if s["uses_source"]}
    best = max(transfer.values(), key=lambda s: (s["verdict"] == "helps", s["difference"]))
    helps = best["verdict"] == "helps"
    champion = verdict["champion"]
    good = expected(relatedness, helps, champion["uses_source"])
    found = f"{best['difference']:+.3f} [{best['low']:+.3f}, {best['high']:+.3f}]"
    possible = verdict["truth"]["small"]["best_auroc"]
    print(
        f"| {experiment} | {relatedness} | {world} | {best['verdict']} | {found} "
        f"| {best['value']:.3f} / {possible:.3f} | {champion['strategy']} "
        f"| {'yes' if good else '**no**'} |",
        flush=True,
    )
    return good


def main() -> None:
    found = sorted(path.stem for path in (ROOT / "conf/experiment").glob("simulated_*.yaml"))
    print(HEADER)
    good = []
    for asked in sys.argv[1:] or found:
        experiment, *alone = asked.split(":")
        with tempfile.TemporaryDirectory() as place:
            project = Path(place) / "medgraft"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
            for relatedness in map(int, alone[:1] or (1, 0, -1)):
                for world in map(int, alone[1:] or WORLDS):
                    verdict = repro(project, experiment, relatedness, world)
                    good.append(row(experiment, relatedness, world, verdict))
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
