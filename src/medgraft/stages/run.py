"""What every stage does around its work."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from medgraft.config import leads
from medgraft.construct import complaint
from medgraft.errors import MedgraftError, Preempted
from medgraft.stages.ending import Exit, disk_refuses, end_when_told, end_with_parent
from medgraft.stages.watch import watched

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
COMPARISON = WORK / "comparison.html"
# Which stages have run since the last one that was tracked (DVC does not tell what it skipped), and
# how busy the machine was meanwhile.
RAN = WORK / "ran"
# Training that was ended, by stage; no output of DVC's, which it would remove before the next try.
SCRATCH = WORK / ".scratch"


def keep_private() -> None:
    """Let nobody but the owner read what this process and those it starts write about patients."""
    os.umask(0o077)


def inputs(params: object, *folders: Path) -> list[str]:
    """What a stage that trains starts from, as text: its parameters and the seals of folders."""
    told = json.dumps(params, default=vars, sort_keys=True)
    return [told, *((folder / "SHA256SUMS").read_text() for folder in folders)]


def run(stage: Callable[[], None], *, name: str) -> None:
    """Run a stage; an error a user can put right ends it with its message and exit code 2."""
    keep_private()
    end_when_told(name)
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        with watched() as samples:
            stage()
        if leads():  # of the processes that share a training, one
            RAN.mkdir(parents=True, exist_ok=True)
            (RAN / name).write_text(json.dumps(samples))
    except Preempted as preempted:
        if not leads():
            # Lightning kills a leading process whose others end with anything else.
            raise SystemExit(Exit.DONE) from None
        print(f"{name}: {preempted}", file=sys.stderr)
        raise SystemExit(Exit.TRY_AGAIN) from None
    except MedgraftError as error:
        print(complaint(f"{name}: {error}"), file=sys.stderr)
        raise SystemExit(Exit.REFUSED) from None
    except Exception as error:
        if not disk_refuses(error):
            raise
        print(f"{name}: {disk_refuses(error)}", file=sys.stderr)
        raise SystemExit(Exit.REFUSED) from None
