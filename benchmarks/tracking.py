"""What it costs to keep and log metrics, as a share of a fine-tuning stage.

    python benchmarks/tracking.py

Run in a project whose pipeline has finished. The cost has two parts: the history a strategy writes
while it trains, and its part of what the last stage tells MLflow (a sqlite store in a temporary
folder). A stage's duration is that of the strategy and of a fresh interpreter's imports, Lightning
left out. MLflow's own start, once a run whatever is logged, is shown on a line of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medgraft import tracking
from medgraft.config import read_params, stage_params
from medgraft.preparation.arrays import read, read_design
from medgraft.provenance import provenance
from medgraft.stages.run import PREPARED, PRETRAINED, WORK
from medgraft.stages.track import stages
from medgraft.training import finetune as training
from medgraft.training import fit
from medgraft.training.module import ReplicaModule

REPEATS = 3
START = "import medgraft.stages.finetune, medgraft.training.finetune"


@contextmanager
def clock(owner: Any, name: str, spent: list[float]) -> Iterator[None]:
    """Adds to ``spent`` what every call of this function takes."""
    function = getattr(owner, name)

    def timed(*given: Any, **named: Any) -> Any:
        start = time.perf_counter()
        result = function(*given, **named)
        spent.append(time.perf_counter() - start)
        return result

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, function)


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def strategy(name: str) -> tuple[float, float]:
    """Seconds a fine-tuning stage takes, without its start, and those its history takes of it.

    Every table it writes is counted, its predictions too: the cost is if anything overstated.
    """
    params = stage_params("finetune", key=name)
    study = training.Study(
        target=read(PREPARED / "target"),
        design=read_design(PREPARED / "design.parquet"),
        parts={
            "input": params.preparation.input,
            "encoder": params.encoder,
            "head": params.task.head,
        },
        pretrained=PRETRAINED,
        config=params.finetune,
        trainer=params.trainer,
    )
    spent: list[float] = []
    with (
        tempfile.TemporaryDirectory() as out,
        clock(ReplicaModule, "record", spent),
        clock(fit, "history_frame", spent),
        clock(training, "write_table", spent),
    ):
        whole = seconds(
            lambda: training.finetune(name, params.strategies[name], study, out=Path(out) / name)
        )
    return whole, sum(spent)


def logging() -> tuple[float, list[float]]:
    """Seconds until a fresh store holds its first run, and those of each further one."""
    children = stages(read_params(Path()))
    with tempfile.TemporaryDirectory() as store:

        def once() -> float:
            return seconds(
                lambda: tracking.track(
                    WORK,
                    params=children,
                    uri=f"sqlite:///{store}/mlflow.db",
                    experiment="benchmark",
                    tags=provenance(PREPARED),
                    reused=set(),
                    previous={},
                )
            )

        return once(), [once() for _ in range(REPEATS)]


def start() -> float:
    """Seconds before a fine-tuning stage begins its work."""
    return seconds(lambda: subprocess.run([sys.executable, "-c", START], check=True))


def main() -> None:
    """Print one line a strategy, and one for all: the median share over the repeats."""
    first, later = logging()
    names = list(read_params(Path())["strategies"])
    part = statistics.median(later) / len(names)
    print(f"MLflow: first run in a new store {first:.2f} s, each further {part:.3f} s a strategy")
    cost, stage = 0.0, 0.0
    for name in names:
        strategy(name)
        runs = [(start(), *strategy(name)) for _ in range(REPEATS)]
        history = statistics.median(run[2] for run in runs)
        whole = statistics.median(run[0] + run[1] for run in runs)
        cost, stage = cost + history + part, stage + whole
        share = (history + part) / whole
        print(f"{name}: {share:.1%}, goal <= 5%; history {history:.3f} s of {whole:.2f} s")
    print(f"all: {cost / stage:.1%}, goal <= 5%")


if __name__ == "__main__":
    main()
