"""Train replicas, and ask them."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch

from medgraft.config import FitConfig, TrainerConfig
from medgraft.construct import construct
from medgraft.errors import ConfigError
from medgraft.networks.model import Network
from medgraft.training.batches import Batches, Pairs, View, chunk, padded, together
from medgraft.training.course import PLAIN, Course
from medgraft.training.patients import Patients
from medgraft.training.replicas import Replicas, State

HISTORY = {
    "replica": pl.Int32,
    "step": pl.Int32,
    "train_loss": pl.Float32,
    "validation_loss": pl.Float32,
}


def fit(
    template: Network,
    state: State,
    patients: Patients,
    *,
    trained: set[str],
    config: FitConfig,
    trainer: TrainerConfig,
    course: Course = PLAIN,
) -> tuple[State, pl.DataFrame]:
    """Train all replicas, at most ``trainer.replicas_at_once`` together.

    Returns:
        Each replica's values at its best validation loss, and the history (replica, step,
        train_loss, validation_loss); where nothing is to be trained, the values given.
    """
    if not trained:
        return state, pl.DataFrame(schema=HISTORY)
    states, histories = [], []
    for start in range(0, len(patients.seeds), trainer.replicas_at_once):
        which = slice(start, start + trainer.replicas_at_once)
        part = {name: value[which] for name, value in state.items()}
        replicas = Replicas(template, part, trained)
        history = fit_together(
            replicas,
            patients.some(which),
            config=config,
            trainer=trainer,
            course=course,
        )
        states.append(replicas.state())
        rows = history_frame(history, first=start)
        histories.append(rows.with_columns(pl.col("step") + course.first))
    return {name: torch.cat([s[name] for s in states]) for name in state}, pl.concat(histories)


def fit_together(
    replicas: Replicas,
    patients: Patients,
    *,
    config: FitConfig,
    trainer: TrainerConfig,
    course: Course,
) -> list[dict[str, Any]]:
    """Train some replicas in place under one Lightning trainer; returns the checks."""
    from medgraft.training.module import ReplicaModule  # Lightning takes seconds to import

    runner = lightning_trainer(trainer)
    if config.batch_size % runner.world_size:
        raise ConfigError(
            f"batch_size {config.batch_size}: expected a multiple of {runner.world_size}, the "
            "processes that share a batch"
        )
    steps = config.max_steps or trainer.max_steps
    view = construct(config.augment) if config.augment else None
    module = ReplicaModule(
        replicas,
        optimizer=config.optimizer,
        patients=patients,
        check_every=trainer.check_every,
        patience=trainer.patience,
        view=view,
        factor=construct(config.schedule, steps=steps) if config.schedule else None,
        course=course,
    )
    shape = {
        "size": config.batch_size,
        "steps": course.first + steps,
        "first": course.first,
        # DDP averages gradients once per call of the training step.
        "chunk": trainer.check_every if runner.world_size == 1 else 1,
        "rank": runner.global_rank,
        "world": runner.world_size,
    }
    runner.fit(module, shown(patients, shape, view))
    return module.history


def shown(patients: Patients, shape: Mapping[str, int], view: View | None) -> Batches | Pairs:
    """What a module trains on: batches of the patients, and of those beside them."""
    main = batches_of(patients, shape, view)
    return Pairs(main, batches_of(patients.beside, shape, view)) if patients.beside else main


def batches_of(patients: Patients, shape: Mapping[str, int], view: View | None = None) -> Batches:
    """Training batches of this ``shape``."""
    return Batches(
        x=patients.x,
        y=patients.y,
        rows=patients.train,
        seeds=patients.seeds,
        augment=together(patients.question, patients.augment),
        view=view,
        **shape,
    )


def lightning_trainer(config: TrainerConfig) -> Any:
    """A Lightning trainer that prints nothing a user cannot act on."""
    import pytorch_lightning

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
    warnings.filterwarnings("ignore", message="Grad strides do not match")
    torch.set_num_threads(config.threads)
    return pytorch_lightning.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=config.precision,
        max_epochs=1,
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        # Lightning draws it on the output; a redirected one would keep it.
        enable_progress_bar=sys.stdout.isatty() and sys.stderr.isatty(),
        use_distributed_sampler=False,
    )


def leads() -> bool:
    """True in the one process that writes results, whoever started the processes."""
    ranks = ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def history_frame(history: list[dict[str, Any]], *, first: int) -> pl.DataFrame:
    """Checks as rows (replica, step, train_loss, validation_loss), replicas from ``first``."""
    frame = pl.DataFrame(history, schema=["step", "train_loss", "validation_loss"], orient="row")
    count = len(history[0]["train_loss"])
    replica = pl.lit(list(range(first, first + count))).alias("replica")
    rows = frame.with_columns(replica).explode("replica", "train_loss", "validation_loss")
    return rows.select(
        pl.col("replica", "step").cast(pl.Int32),
        pl.col("train_loss", "validation_loss").cast(pl.Float32),
    ).sort("replica", "step")


@torch.no_grad()
def outputs(
    template: Network, state: State, x: np.ndarray, rows: Sequence[Sequence[int]]
) -> list[np.ndarray]:
    """Raw outputs ``[len(rows[r]), C]`` of each replica for its own rows of ``x``."""
    replicas = Replicas(template, state).eval()
    index, _ = padded(rows)
    size = chunk(x)
    parts = [
        replicas(torch.from_numpy(x[index[:, start : start + size]])).float().numpy()
        for start in range(0, index.shape[1], size)
    ]
    answers = np.concatenate(parts, axis=1)
    return [answers[r, : len(mine)] for r, mine in enumerate(rows)]
