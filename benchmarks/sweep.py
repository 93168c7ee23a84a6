"""What a trial of a sweep costs beyond its training: composing, claiming, reading, telling.

`python benchmarks/sweep.py [TRIALS]` carries trials of a tiny cohort out in this process and takes
the time spent in training away.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from medgraft.sweep.run import Sweep, carry_out  # noqa: E402
from medgraft.training import finetune  # noqa: E402
from sites import OWN, lay  # noqa: E402


def measured(project: Path, trials: int) -> tuple[list[float], list[float]]:
    """Seconds of every trial but the first, and of these, seconds of training."""
    given = [*OWN, "strategies=[scratch,fine_tune]", f"n={trials}"]
    sweep = Sweep.read(project, given, mirror=None)
    whole, training, spent = [], [], [0.0]
    inner = finetune.run_network

    def timed(*arguments):
        began = time.perf_counter()
        try:
            return inner(*arguments)
        finally:
            spent[0] += time.perf_counter() - began

    finetune.run_network = timed
    while True:
        began, spent[0] = time.perf_counter(), 0.0
        if (trial := sweep.trials.claim()) is None:
            return whole[1:], training[1:]
        with sweep.trials.alive(trial):
            carry_out(sweep, trial)
        whole.append(time.perf_counter() - began)
        training.append(spent[0])


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as name:
        whole, training = measured(lay(ROOT, Path(name)), trials)
    fixed = [a - b for a, b in zip(whole, training, strict=True)]
    for what, values in (("trial", whole), ("training", training), ("fixed cost", fixed)):
        median, low, high = statistics.median(values), min(values), max(values)
        print(f"{what}: {median:.2f} s ({low:.2f} to {high:.2f}), {len(values)} trials")


if __name__ == "__main__":
    main()
