"""What every stage does around its work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from medgraft.errors import MedgraftError

# Before numpy or torch start their pools: on tensors of small cohorts a second thread gains
# nothing, and processes that share a machine wait for each other's spinning threads (10x slower).
# torch.set_num_threads(trainer.threads) still decides for training.
os.environ.setdefault("OMP_NUM_THREADS", "1")

WORK = Path("work")
PREPARED = WORK / "prepared"
PRETRAINED = WORK / "pretrained"
FINETUNED = WORK / "finetuned"
EVALUATION = WORK / "evaluation"
CHAMPION = WORK / "champion"
EXPLANATION = WORK / "explanation"
# Which stages have run since the last one that was tracked: DVC does not tell what it skipped.
RAN = WORK / "ran"


def keep_private() -> None:
    """Let nobody but the owner read what this process and those it starts write about patients."""
    os.umask(0o077)


def run(stage: Callable[[], None], *, name: str) -> None:
    """Run a stage; an error a user can put right ends it with its message and exit code 2."""
    keep_private()
    try:
        stage()
    except MedgraftError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    RAN.mkdir(parents=True, exist_ok=True)
    (RAN / name).touch()
