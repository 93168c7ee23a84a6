"""Training that was ended goes on where it was, to the bit.

Lightning's own checkpoints are pickled, hold no random state, and cannot say when they cost too
much; batches are a function of the step, so what has to be kept is little.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from medgraft.config import leads
from medgraft.errors import Preempted, StageError
from medgraft.training.processes import gathered
from medgraft.training.replicas import Replicas
from medgraft.training.sharding import cut, whole

# Seconds of training for each second of saving: at most 2 % of the time.
RARELY = 50.0
# What a save is taken to cost before one was measured.
GUESS = 0.02
# Bytes of the sha256 at the end of a state: safetensors has no check of its own, and a flipped bit
# would only show as other results.
DIGEST = hashlib.sha256().digest_size

ENDED = "ended by SIGTERM; its state is saved, the same command goes on"

Saved = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and what JSON can hold."""


@dataclass
class Scratch:
    """What a stage that trains leaves for the one that is started after it was ended.

    A stage is a sequence of fits, the same each time; each has a file. Results of quick fits wait
    in ``finished`` until a save is due.
    """

    folder: Path
    fits: int = 0
    cost: float = GUESS
    last: float = field(default_factory=time.monotonic)
    told_to_stop: bool = False
    finished: list[tuple[Path, Saved]] = field(default_factory=list)

    @property
    def due(self) -> bool:
        """Whether a save costs little beside what was trained since the last one."""
        return self.told_to_stop or time.monotonic() - self.last >= RARELY * self.cost

    def save(self, *states: tuple[Path, Saved]) -> None:
        """Write the finished fits that wait, and these."""
        start = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, saved in [*self.finished, *states]:
            write(path, saved)
        self.finished.clear()
        self.last = time.monotonic()
        self.cost = self.last - start

    def listen(self) -> None:
        """Remember SIGTERM until it is time to end.

        Again when training begins: Lightning's own handler has processes talk to each other out of
        turn, and those that share a batch would wait for ever.
        """
        heed(lambda *_: setattr(self, "told_to_stop", True))

    def finish(self, path: Path, saved: Saved) -> None:
        """Keep the result of a fit."""
        self.finished.append((path, saved))
        if self.due:
            self.save()

    def stop_if_told(self) -> None:
        """Raise Preempted, everything saved, where SIGTERM has come."""
        if self.told_to_stop:
            self.save()
            raise Preempted(ENDED)


@dataclass
class Progress:
    """How far one fit of a stage had come; without a scratch it begins, and nothing is saved.

    Of processes that share a batch one ``writes``, and all read.
    """

    scratch: Scratch | None = None
    path: Path = Path()
    saved: Saved | None = None
    writes: bool = True

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return bool(self.saved and self.saved[1]["done"])

    @property
    def steps(self) -> int:
        """Steps done."""
        return self.saved[1]["steps"] if self.saved else 0

    @property
    def history(self) -> list[dict[str, Any]]:
        """Checks made."""
        return self.saved[1]["history"] if self.saved else []

    def take_over(self, replicas: Replicas) -> None:
        """Give replicas the values of a fit that is done."""
        tensors, _ = self.saved or ({}, {})
        replicas.put(under(tensors, "replica."))
        set_random_state(tensors)

    def begin(self, module: Any) -> None:
        """Make sure that all who share a batch begin at the same step.

        Raises:
            StageError: they have read different states.
        """
        if not self.scratch:
            return
        self.scratch.listen()
        steps = torch.tensor(float(self.steps), device=module.device)
        if module.any(float(module.shared(steps)) != self.steps):
            raise StageError(
                f"the processes of this training found different states in {self.path.parent}: "
                "expected a folder that all machines see"
            )

    def keep(self, module: Any) -> None:
        """Save where training is, if it is time to; called just after a check."""
        if not self.scratch:
            return
        self.scratch.told_to_stop = module.any(self.scratch.told_to_stop)
        if module.any(self.writes and self.scratch.due):
            random = gathered(random_state(), world=module.trainer.world_size)
            if self.writes or module.replicas.cut:
                tensors, told = snapshot(module)  # takes all processes, where each holds a part
            if self.writes:
                for rank, state in enumerate(random):
                    tensors |= {f"rank.{rank}.{name}": value for name, value in state.items()}
                self.scratch.save((self.path, (tensors, told)))
        if module.any(self.scratch.told_to_stop):  # once the one that writes has written
            raise Preempted(ENDED)

    def finish(self, module: Any) -> None:
        """Keep what training has found."""
        if self.scratch and self.writes:
            self.scratch.finish(self.path, result(module))


NONE = Progress()
CURRENT: ContextVar[Scratch | None] = ContextVar("scratch", default=None)


@contextmanager
def resumable(folder: Path, inputs: Iterable[str]) -> Iterator[None]:
    """Let every fit inside be resumed by a later call with the same ``inputs``.

    ``folder`` is removed at the end, and before it whatever other inputs have left there.
    """
    own = folder / hashlib.sha256("\n".join([*inputs, *code()]).encode()).hexdigest()
    for other in folder.glob("*") if leads() else ():
        if other != own:
            shutil.rmtree(other)
    scratch = Scratch(own)
    token = CURRENT.set(scratch)
    before = signal.getsignal(signal.SIGTERM)
    scratch.listen()
    try:
        yield
        scratch.stop_if_told()
    finally:
        heed(before)
        CURRENT.reset(token)
    if leads():
        shutil.rmtree(folder, ignore_errors=True)


def heed(handler: Any) -> None:
    """Let SIGTERM do this, where Python lets one say so: Ray trains in another thread."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def progress(rank: int = 0, *, owner: int = 0, alone: bool = True) -> Progress:
    """That of the fit which begins; none outside ``resumable``.

    Args:
        rank: this process' among those that share a batch; the first writes for all.
        owner: which process these replicas are left to.
        alone: no other process waits for this one. Those that are not alone end together, at the
            next check: one might be waiting where it hears no signal.
    """
    scratch = CURRENT.get()
    if not scratch:
        return NONE
    if alone:
        scratch.stop_if_told()
    scratch.fits += 1
    name = f"fit-{scratch.fits}" + (f"-{owner}" if owner else "")
    path = scratch.folder / f"{name}.safetensors"
    saved = read(path)
    if saved and not rank:
        print(
            f"{'done' if saved[1]['done'] else 'resumed'} at step {saved[1]['steps']}, {path.stem}"
        )
    return Progress(scratch, path, saved, writes=not rank)


@contextmanager
def told_by_lightning() -> Iterator[None]:
    """Say in our words what Lightning raises where SIGTERM comes between a save and its loop."""
    try:
        yield
    except SystemExit:
        if scratch := CURRENT.get():
            scratch.stop_if_told()
        raise


def code() -> list[str]:
    """What else decides on a bit: this package and the libraries that calculate."""
    package = Path(__file__).parents[1]
    sources = [path.read_bytes() for path in sorted(package.rglob("*.py"))]
    names = ("torch", "numpy", "scipy", "scikit-learn", "pytorch-lightning")
    return [hashlib.sha256(b"".join(sources)).hexdigest(), *map(version, names)]


def write(path: Path, saved: Saved) -> None:
    """Write a state whole or not at all, even if the power fails.

    Raises:
        StageError: the disk is full or may not be written.
    """
    tensors, told = saved
    fresh = path.with_suffix(".part")
    try:
        data = save(tensors, metadata={"told": json.dumps(told)})
        fresh.write_bytes(data + hashlib.sha256(data).digest())
        sync(fresh)
        fresh.replace(path)
        sync(path.parent)
    except (OSError, SafetensorError) as error:
        fresh.unlink(missing_ok=True)
        raise StageError(f"{path}: the state of training cannot be saved: {error}") from None


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> Saved | None:
    """What was saved; None where there is nothing, or not every byte as it was written."""
    try:
        written = path.read_bytes()
    except OSError:
        return None
    data, digest = written[:-DIGEST], written[-DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        return None
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return load(data), json.loads(header["__metadata__"]["told"])


def random_state() -> dict[str, Tensor]:
    """Where torch's generators are, for dropout."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"random.cpu": torch.get_rng_state()} | {
        f"random.{number}": value for number, value in enumerate(devices)
    }


def set_random_state(tensors: dict[str, Tensor]) -> None:
    """Put torch's generators back."""
    torch.set_rng_state(tensors["random.cpu"])
    for number in range(torch.cuda.device_count()):
        torch.cuda.set_rng_state(tensors[f"random.{number}"], number)


def result(module: Any) -> Saved:
    """All that is asked of a module after its training."""
    return copies(module.replicas.state(), "replica."), {
        "done": True,
        "steps": module.steps,
        "history": module.history,
    }


def snapshot(module: Any) -> Saved:
    """All that decides how a module's training goes on; taken just after a check."""
    optimizer = module.optimizers(use_pl_optimizer=False).state_dict()
    tensors = copies(module.replicas.state(), "replica.")
    tensors |= copies(module.replicas.joined(module.best), "best.")
    tensors |= copies({"best_loss": module.best_loss, "waited": module.waited})
    others: dict[int, dict[str, Any]] = {}
    for number, values in optimizer["state"].items():
        held = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        tensors |= copies(held, f"optimizer.{number}.")
        others[number] = {name: value for name, value in values.items() if name not in held}
    return tensors, {
        "done": False,
        "steps": module.steps,
        "history": module.history,
        "groups": optimizer["param_groups"],
        "others": others,
        "scaler": module.trainer.precision_plugin.state_dict(),
    }


def copies(values: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Copies on the CPU, which share no memory, with the random state they go with."""
    made = {
        prefix + n: whole(values[n]).detach().to("cpu", copy=True).contiguous()
        for n in sorted(values)  # the order of a file is any, and processes ask together
    }
    return made | random_state()


def restore(module: Any, saved: Saved) -> None:
    """Bring a module that is about to train to where ``snapshot`` found it."""
    tensors, told = saved
    module.replicas.put(under(tensors, "replica."))
    best = {n: v.to(module.device) for n, v in under(tensors, "best.").items()}
    module.best = module.replicas.parts(best)
    module.best_loss = tensors["best_loss"].to(module.device)
    module.waited = tensors["waited"].to(module.device)
    states: dict[int, dict[str, Any]] = {
        int(number): {**values, **under(tensors, f"optimizer.{number}.")}
        for number, values in told["others"].items()
    }
    groups = [
        {name: tuple(v) if isinstance(v, list) else v for name, v in group.items()}
        for group in told["groups"]
    ]
    optimizer = module.optimizers(use_pl_optimizer=False)
    moved = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, values in states.items():
        shaped = {n: v for n, v in values.items() if getattr(v, "shape", 0) == moved[number].shape}
        values |= {name: cut(value, moved[number]) for name, value in shaped.items()}
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    module.trainer.precision_plugin.load_state_dict(told["scaler"])
    # Of more processes than have saved, the others draw as the first.
    own = under(tensors, f"rank.{module.trainer.strategy.global_rank}.")
    set_random_state(own or tensors)


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin so, without it."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
