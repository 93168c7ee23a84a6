"""Train replicas, and ask them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch

from medgraft.config import FitConfig, TrainerConfig
from medgraft.construct import construct
from medgraft.errors import ConfigError
from medgraft.networks.model import Network
from medgraft.training import resume
from medgraft.training.batches import Batches, Pairs, View, chunk, padded, together
from medgraft.training.course import PLAIN, Course
from medgraft.training.patients import Patients
from medgraft.training.processes import gathered, others_alive, shares
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
    """Train all replicas, at most ``trainer.replicas_at_once`` together in each process.

    Under FSDP it is one: of a stack each process would hold other replicas, not a part of each.

    Several processes take replicas of their own or a part of every batch, as ``trainer.share``
    says; all of them return the same.

    Returns:
        Each replica's values at its best validation loss, and the history (replica, step,
        train_loss, validation_loss); where nothing is to be trained, the values given.
    """
    if not trained:
        return state, pl.DataFrame(schema=HISTORY)
    from medgraft.training.lightning import lightning_trainer  # which takes seconds to import

    count, world = len(patients.seeds), lightning_trainer(trainer).world_size
    apart = world > 1 and trainer.share == "replicas" and count >= world
    split = world if apart else 1
    found: dict[int, tuple[State, pl.DataFrame]] = {}
    at_once = 1 if trainer.strategy == "fsdp" else trainer.replicas_at_once
    for turn in shares(count, world=split, at_once=at_once):
        runner = lightning_trainer(trainer, apart=apart)
        which = turn[runner.global_rank if apart else 0]
        part = {name: value[which] for name, value in state.items()}
        replicas = Replicas(template, part, trained)
        history = fit_together(
            replicas, patients.some(which), runner, config=config, trainer=trainer, course=course
        )
        rows = history_frame(history, first=which.start)
        own = replicas.state(), rows.with_columns(pl.col("step") + course.first)
        for one, told in zip(turn, gathered(own, world=split), strict=True):
            found.setdefault(one.start, told)
    states, histories = zip(*(found[start] for start in sorted(found)), strict=True)
    return {name: torch.cat([s[name] for s in states]) for name in state}, pl.concat(histories)


def fit_together(
    replicas: Replicas,
    patients: Patients,
    runner: Any,
    *,
    config: FitConfig,
    trainer: TrainerConfig,
    course: Course,
) -> list[dict[str, Any]]:
    """Train some replicas in place under one Lightning trainer; returns the checks."""
    from medgraft.training.lightning import ReplicasApart
    from medgraft.training.module import ReplicaModule

    apart = isinstance(runner.strategy, ReplicasApart)
    rank, world = (0, 1) if apart else (runner.global_rank, runner.world_size)
    progress = resume.progress(
        rank, owner=runner.global_rank if apart else 0, alone=world == 1 and not apart
    )
    if progress.done:
        progress.take_over(replicas)
        if world == 1 and not apart:
            return progress.history
    check_shares(config, trainer, patients, world)
    if trainer.compile:
        check_compiler(trainer)
        replicas.compile()
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
        parts=trainer.accumulate,
        course=course,
    )
    module.go_on(progress)
    shape = {
        "size": config.batch_size,
        "steps": course.first + steps,
        "first": course.first,
        # Processes meet even where nothing is left to train.
        "resumed": steps if progress.done else progress.steps,
        # DDP averages gradients once per call of the training step.
        "chunk": trainer.check_every if world == 1 else 1,
        "rank": rank,
        "world": world,
    }
    # For dropout: torch's own generator begins elsewhere in every process.
    torch.manual_seed(drawn([*patients.seeds, course.first, rank]))
    with resume.told_by_lightning(), others_alive():
        runner.fit(module, shown(patients, shape, view))
    if not progress.done:
        progress.finish(module)
    return module.history


def drawn(key: Sequence[int]) -> int:
    """A seed of 64 bits that these numbers give."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def check_shares(config: FitConfig, trainer: TrainerConfig, patients: Patients, world: int) -> None:
    """Refuse batches that cannot be taken in equal parts.

    Raises:
        ConfigError: that.
    """
    size, parts = config.batch_size, trainer.accumulate
    if size % world:
        raise ConfigError(
            f"batch_size {size}: expected a multiple of {world}, the processes that share a batch"
        )
    if parts == 1:
        return
    if size % parts:
        raise ConfigError(f"batch_size {size}: expected a multiple of trainer.accumulate {parts}")
    if world > 1:
        raise ConfigError(
            f"trainer.accumulate {parts}: expected 1 where {world} processes share every batch"
        )
    if patients.beside:
        raise ConfigError(
            f"trainer.accumulate {parts}: expected 1 for strategies that show both cohorts at once"
        )


def check_compiler(trainer: TrainerConfig) -> None:
    """Refuse to compile for a CPU without a compiler, where torch would end in a page.

    Raises:
        ConfigError: that.
    """
    compilers = [os.environ.get("CXX", "g++"), "clang++"]
    if trainer.accelerator == "cpu" and not any(map(shutil.which, compilers)):
        raise ConfigError("trainer.compile: expected a C++ compiler (g++) on this machine")


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
