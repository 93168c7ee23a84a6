"""Training in the processes of Ray Train, which starts them anew when one dies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medgraft.cluster import connect
from medgraft.config import TrainerConfig
from medgraft.errors import MedgraftError, StageError
from medgraft.training.processes import OthersGone

REFUSED = "refused.txt"


def spread(trainer: TrainerConfig, train: Callable[[], None], *, scratch: Path) -> None:
    """Call ``train`` here, or under ``trainer=ray`` in every process of a Ray cluster.

    RAY_ADDRESS names the cluster; without it there is one of this machine. Those processes see
    this folder, and ``train`` goes on from what earlier ones have saved.

    Raises:
        MedgraftError: what ``train`` raises, or that processes died too often.
    """
    if trainer.strategy != "ray":
        train()
        return
    folder = (scratch / "ray").resolve()
    try:
        _carry_out(trainer, train, folder)
        if (refused := folder / REFUSED).is_file():
            raise StageError(refused.read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _carry_out(trainer: TrainerConfig, train: Callable[[], None], folder: Path) -> None:
    count = trainer.num_nodes * trainer.devices
    ray = connect("trainer=ray", cpus=count * trainer.threads + 1)
    try:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        TorchTrainer(
            _in_its_process,
            train_loop_config={"train": train, "root": str(Path.cwd()), "folder": str(folder)},
            scaling_config=ScalingConfig(
                num_workers=count,
                use_gpu=trainer.accelerator == "gpu",
                resources_per_worker={"CPU": trainer.threads},
                placement_strategy="STRICT_PACK" if trainer.num_nodes == 1 else "SPREAD",
            ),
            run_config=RunConfig(
                name="train",
                storage_path=str(folder),
                failure_config=FailureConfig(max_failures=trainer.max_failures),
            ),
        ).fit()
    except ray.train.v2.api.exceptions.TrainingFailedError as error:
        raise StageError(
            f"Ray's processes died more often than trainer.max_failures {trainer.max_failures}; "
            f"what was saved is kept, the same command goes on ({_last_line(error)})"
        ) from None
    finally:
        ray.shutdown()


def _in_its_process(told: dict[str, Any]) -> None:
    """What Ray calls; what the user can put right is no failure to be tried again."""
    os.umask(0o077)
    os.chdir(told["root"])
    try:
        told["train"]()
    except OthersGone:
        raise
    except MedgraftError as error:
        folder = Path(told["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REFUSED).write_text(str(error))


def _last_line(error: BaseException) -> str:
    """What a report on processes, tracebacks and all, comes down to."""
    return str(error).strip().splitlines()[-1]
