"""The Lightning trainer of every training, and how its processes share the work."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from medgraft.config import TrainerConfig
from medgraft.errors import StageError
from medgraft.training.sharding import shard

# A process that has nothing left to train waits for the slowest; one that died is noticed at once.
PATIENCE = timedelta(days=7)


class ReplicasApart(DDPStrategy):
    """Each process trains replicas of its own: no gradient is shared, and nobody waits."""

    @property
    def world_size(self) -> int:
        """Each is alone: Lightning would have them agree at every batch whether SIGTERM came."""
        return 1

    def configure_ddp(self) -> None:
        """Leave the module as it is."""

    def _register_ddp_hooks(self) -> None:
        """There is nothing to hook into."""

    def reduce(self, tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        """Each process' own value."""
        return tensor


class Sharded(DDPStrategy):
    """Each process holds a part of every parameter, gradient and optimiser state (FSDP).

    Not Lightning's ``FSDPStrategy``, which needs GPUs and the FSDP that cuts tensors flat.
    """

    def model_to_device(self) -> None:
        """Only parts go there, once they are cut."""

    def configure_ddp(self) -> None:
        """Cut the network; one whose training is done stays whole."""
        module: Any = self.model
        if not module.progress.done:
            shard(module.replicas.alone, self.root_device)
        module.to(self.root_device)


def environment(config: TrainerConfig) -> list[Any]:
    """What else Lightning must know of where it runs: under SLURM, who starts the processes.

    Where ``srun`` has started as many as are asked for, it did; a single task starts its own, which
    Lightning would refuse. Lightning's own requeueing would save a checkpoint nobody reads: SIGTERM
    ends a stage with exit code 75, its state saved.
    """
    if config.strategy == "ray":
        from ray.train.lightning import RayLightningEnvironment

        return [RayLightningEnvironment()]
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if tasks > 1 and tasks == config.num_nodes * (
        config.devices if config.devices != "auto" else 1
    ):
        try:
            return [SLURMEnvironment(auto_requeue=False)]
        except RuntimeError as error:  # srun was given --ntasks, not --ntasks-per-node
            raise StageError(f"trainer: {error}") from None
    return [LightningEnvironment()] if "SLURM_JOB_ID" in os.environ else []


def lightning_trainer(config: TrainerConfig, *, apart: bool = False) -> Any:
    """A Lightning trainer that prints nothing a user cannot act on.

    Args:
        config: hardware and precision.
        apart: processes train replicas of their own, instead of sharing every batch.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
    warnings.filterwarnings("ignore", message="Grad strides do not match")
    # Of outputs that must not be changed in place; that none is the contract of encoders tests.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    torch.set_num_threads(config.threads)
    with _one_line_refusals():
        return pytorch_lightning.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=strategy_of(config, apart=apart),
            precision=config.precision,
            plugins=environment(config),
            max_epochs=1,
            deterministic=True,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            # Lightning draws it on the output; a redirected one would keep it.
            enable_progress_bar=sys.stdout.isatty() and sys.stderr.isatty(),
            use_distributed_sampler=False,
        )


def strategy_of(config: TrainerConfig, *, apart: bool) -> Any:
    """How processes share the work, as Lightning is told."""
    if apart:
        return ReplicasApart(timeout=PATIENCE)
    if config.strategy == "fsdp":
        return Sharded()
    return "ddp" if config.strategy == "ray" else config.strategy


@contextmanager
def _one_line_refusals() -> Iterator[None]:
    """Hardware that this machine lacks, said as everything else is."""
    try:
        yield
    except MisconfigurationException as error:
        told = str(error).strip().splitlines()[0].strip("`")
        raise StageError(f"trainer: not on this machine: {told}") from None
