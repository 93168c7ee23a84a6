"""The only LightningModule: it trains all replicas at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from medgraft.construct import construct
from medgraft.training import resume
from medgraft.training.batches import View, chunk, padded, stream
from medgraft.training.course import PLAIN, Course
from medgraft.training.patients import Patients
from medgraft.training.replicas import Replicas

Backward = Callable[[Tensor], None]


class ReplicaModule(pl.LightningModule):
    """R replicas, one optimiser over their stacked tensors, early stopping for each.

    Because the loss is the *sum* over replicas of each one's mean, every replica gets the gradient
    it would get alone. A replica that has not improved for ``patience`` checks is done: its best
    values are kept and later steps no longer count, although its tensors keep moving with the rest.

    Args:
        replicas: what to train.
        optimizer: constructor of a ``torch.optim`` optimiser.
        patients: whose validation part decides when to stop.
        check_every: optimiser steps between checks.
        patience: checks without improvement.
        view: changes training batches on the device, e.g. turns images.
        factor: what the learning rate is multiplied by at each step.
        parts: in which a batch is taken, their gradients added up.
        course: what is particular about this training.
    """

    automatic_optimization = False
    best_loss: Tensor
    waited: Tensor

    def __init__(  # noqa: PLR0913  (each is a setting of its own)
        self,
        replicas: Replicas,
        *,
        optimizer: Mapping[str, Any],
        patients: Patients,
        check_every: int,
        patience: int,
        view: View | None = None,
        factor: Callable[[int], float] | None = None,
        parts: int = 1,
        course: Course = PLAIN,
    ) -> None:
        super().__init__()
        self.replicas: Replicas = replicas
        self.optimizer = dict(optimizer)
        self.cohort = (patients.x, patients.y, *padded(patients.validation))
        self.check_every, self.patience = check_every, patience
        self.factor, self.question = factor, patients.question
        self.view, self.course, self.parts = view, course, parts
        self.go_on(resume.NONE)
        count = replicas.count
        self.best = {name: value.clone() for name, value in replicas.changing().items()}
        self.register_buffer("best_loss", torch.full((count,), torch.inf))
        self.register_buffer("waited", torch.zeros(count, dtype=torch.long))
        self.train_losses: list[Tensor] = []

    def go_on(self, progress: resume.Progress) -> None:
        """Begin where an earlier process was ended in this very training."""
        self.progress, self.steps, self.history = progress, progress.steps, progress.history

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser: AdamW over stacked tensors is AdamW over each replica's.

        Parameters of one rate are one group.
        """
        groups: dict[float, list[Tensor]] = {}
        for name in self.replicas.trained:
            groups.setdefault(self.course.rates.get(name, 1.0), []).append(
                self.replicas.parameter(name)
            )
        optimizer = construct(self.optimizer, params=[{"params": g} for g in groups.values()])
        for rate, group in zip(groups, optimizer.param_groups, strict=True):
            group["lr"] *= rate
        return optimizer

    def on_train_start(self) -> None:
        """Keep the values where they are now; a model one starts from is the first to beat."""
        self.progress.begin(self)
        self.best = {name: value.clone() for name, value in self.replicas.changing().items()}
        if self.progress.saved:
            resume.restore(self, self.progress.saved)
        elif self.course.start_counts:
            self.best_loss = self.validation_loss()

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """A chunk of optimiser steps: what ``Batches`` or ``Pairs`` give, ``[k, R, b, ...]``."""
        # Lightning's own wrappers cost a tenth of a small step; only loss scaling needs them, and
        # processes that share a batch: without them each would train on its own part alone.
        wrapped = self.trainer.precision == "16-mixed" or self.trainer.world_size > 1
        optimizer = self.optimizers(use_pl_optimizer=wrapped)
        backward = self.manual_backward if wrapped else Tensor.backward
        for given in zip(*batch, strict=True):
            self.one_step(self.viewed(given) if self.view else given, optimizer, backward)
        if self.steps % self.check_every == 0:
            self.check()
            if batch_idx + 1 < self.trainer.num_training_batches and not self.trainer.should_stop:
                self.progress.keep(self)

    def viewed(self, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step's patients as the view shows them, of either cohort; its draws are used up."""
        view = cast(View, self.view)
        x, y, drawn, *beside = given
        if not beside:
            return view(x, drawn), y
        other_x, other_y, other_drawn, progress = beside
        return view(x, drawn), y, view(other_x, other_drawn), other_y, progress

    def one_step(self, given: tuple[Tensor, ...], optimizer: Any, backward: Backward) -> None:
        """One optimiser step of every replica: ``x [R, b, ...]``, ``y [R, b]``, ..."""
        if self.factor:
            for group in optimizer.param_groups:
                base = group.setdefault("base_lr", group["lr"])
                group["lr"] = base * self.factor(self.steps)
        optimizer.zero_grad()
        cuts = (one.chunk(self.parts, dim=1) for one in given)
        seen = []
        for part in zip(*cuts, strict=True) if self.parts > 1 else [given]:
            losses = self.replicas(*part).mean(dim=1)
            backward(losses.sum() / self.parts)
            seen.append(losses.detach())
        optimizer.step()
        self.train_losses.append(torch.stack(seen).mean(0))
        self.steps += 1

    def on_train_end(self) -> None:
        """Check what was trained since the last check, then return to the best values, whole."""
        if self.steps % self.check_every:
            self.check()
        if self.course.chooses:
            for name, value in self.replicas.changing().items():
                value.copy_(self.best[name])
        self.replicas.settle()

    def check(self) -> None:
        """Measure and record the validation loss."""
        self.agree()
        loss = self.validation_loss()
        if self.course.chooses:
            self.choose(loss)
        self.record(loss)

    def choose(self, loss: Tensor) -> None:
        """Keep each replica's best values, stop when all are done."""
        better = (loss < self.best_loss) & (self.waited < self.patience)
        for name, value in self.replicas.changing().items():
            mask = better.view(-1, *[1] * (value.dim() - 1))
            self.best[name] = torch.where(mask, value, self.best[name])
        self.best_loss = torch.where(better, loss, self.best_loss)
        done = self.waited >= self.patience
        self.waited = torch.where(better, 0, self.waited + 1).masked_fill(done, self.patience)
        if bool((self.waited >= self.patience).all()):
            self.trainer.should_stop = True

    def agree(self) -> None:
        """Average the running statistics of processes that share a batch.

        Each saw its own patients only; processes that do not agree when to stop wait for ever.
        """
        for name, value in self.replicas.changing().items():
            if "running_" in name:
                value.copy_(self.shared(value.clone()))

    def shared(self, value: Tensor) -> Tensor:
        """The mean over the processes that share a batch."""
        return self.trainer.strategy.reduce(value, reduce_op="mean")

    def any(self, told: bool) -> bool:
        """Whether any of the processes that share a batch says so."""
        said = torch.tensor(float(told), device=self.device)
        return bool(self.trainer.strategy.reduce(said, reduce_op="max"))

    def record(self, validation_loss: Tensor) -> None:
        """One row of history; the training loss is the mean since the last one."""
        train_loss = self.shared(torch.stack(self.train_losses).mean(0))
        rows = {"step": self.steps, "train_loss": train_loss.tolist()}
        self.history.append(rows | {"validation_loss": validation_loss.tolist()})
        self.train_losses.clear()

    @torch.no_grad()
    def validation_loss(self) -> Tensor:
        """Mean loss of each replica over its own validation patients ``[R]``."""
        self.replicas.eval()
        x, y, index, mask = self.cohort
        total = torch.zeros(self.replicas.count, device=self.device)
        size = chunk(x)
        for start in range(0, index.shape[1], size):
            part = slice(start, start + size)
            patients, outcomes = self.asked(x[index[:, part]], y[index[:, part]], mask[:, part])
            counted = torch.from_numpy(mask[:, part]).to(self.device)
            losses = self.replicas(patients, outcomes).float()
            total += torch.where(counted, losses, 0.0).sum(1)
        self.replicas.train()
        return total / torch.from_numpy(mask.sum(1)).to(self.device)

    def asked(self, x: np.ndarray, y: np.ndarray, mask: np.ndarray) -> tuple[Tensor, Tensor]:
        """Validation patients ``[R, c, ...]`` on the device; padding has no outcome (NaN)."""
        if self.question:
            both = zip(x, y, strict=True)
            pairs = [self.question(a, b, stream(r)) for r, (a, b) in enumerate(both)]
            x, y = (np.stack([pair[i] for pair in pairs]) for i in (0, 1))
        if np.issubdtype(y.dtype, np.floating):
            y[~mask] = np.nan
        return torch.from_numpy(x).to(self.device), torch.from_numpy(y).to(self.device)
