"""Training on a GPU: against a bare PyTorch loop, many replicas at once, memory, scaling.

    python benchmarks/gpu.py                         # bf16; a few minutes
    python benchmarks/gpu.py --device cpu --quick    # tries the script; its figures mean nothing

Both sides read the same memory-mapped arrays and do the same steps of the same networks, with
deterministic kernels. A step's time is the difference between a longer and a shorter training, so
that what comes once (start, validation, the first call of a kernel) does not count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from medgraft.config import FitConfig, TrainerConfig
from medgraft.networks.model import build
from medgraft.training import replicas
from medgraft.training.batches import order
from medgraft.training.fit import fit
from medgraft.training.patients import Patients

CONF = Path(__file__).parents[1] / "conf"
CLASSES = {"task": "binary", "classes": ["no", "yes"], "horizons": []}
LAST = {"_target_": "medgraft.networks.readout.LastLayer"}
HEAD = {"_target_": "medgraft.networks.heads.classification.BinaryHead"}
ADAMW = yaml.safe_load((CONF / "optimizer" / "adamw.yaml").read_text())


@dataclass(frozen=True)
class Measured:
    """What is measured on, and how much of it."""

    device: torch.device
    patients: int
    steps: tuple[int, int]
    repeats: int
    batch: int
    batches: tuple[int, ...]
    at_once: tuple[int, ...]


FULL = {
    "patients": 20_000, "steps": (50, 250), "repeats": 3, "batch": 256,
    "batches": (64, 256, 1024, 4096), "at_once": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
}  # fmt: skip
QUICK = {
    "patients": 64, "steps": (1, 3), "repeats": 1, "batch": 8,
    "batches": (4, 8), "at_once": (1, 2, 4),
}  # fmt: skip


@dataclass(frozen=True)
class Cohort:
    """Memory-mapped patients, and the network that learns from them."""

    name: str
    x: np.ndarray
    y: np.ndarray
    spec: dict[str, Any]
    schema: dict[str, Any]


def cohorts(folder: Path, n: int, *, quick: bool) -> Iterator[Cohort]:
    """Random images and sequences under the encoders of ``conf/encoder``."""
    stream, side, length = np.random.default_rng(0), (8 if quick else 64), (40 if quick else 500)
    image = {"kind": "image", "channels": 1, "height": side, "width": side}
    letters = {"kind": "sequence", "letters": "ACGT", "length": length}
    for name, feature, shape, levels, encoder in (
        ("image", image, (1, side, side), 256, "compact_cnn"),
        ("sequence", letters, (length,), 4, "dilated_cnn"),
    ):
        path = folder / f"{name}.npy"
        np.save(path, stream.integers(0, levels, (n, *shape)).astype(np.uint8))
        spec = {
            "input": yaml.safe_load((CONF / "preparation" / f"{name}.yaml").read_text())["input"],
            "encoder": yaml.safe_load((CONF / "encoder" / f"{encoder}.yaml").read_text()),
            "readout": LAST,
            "head": HEAD,
        }
        y = stream.integers(0, 2, n).astype(np.float32)
        schema = {"features": [feature | {"origin": "shared"}], "outcome": CLASSES}
        yield Cohort(name, np.load(path, mmap_mode="r"), y, spec, schema)


def ours(
    cohort: Cohort, *, count: int, batch: int, steps: int, device: torch.device
) -> dict[str, torch.Tensor]:
    """``count`` replicas at once through the pipeline's own training, validated once at the end."""
    rows = list(range(len(cohort.x)))
    template, state = replicas.build(
        lambda seed: build(cohort.spec, cohort.schema, seed=seed), range(count)
    )
    for name, value in template.fit(cohort.x, cohort.y).items():
        state[name] = value.expand(count, *value.shape).clone()
    return fit(
        template,
        state,
        Patients(cohort.x, cohort.y, [rows] * count, [rows[:32]] * count, range(count)),
        trained={name for name, _ in template.named_parameters()},
        config=FitConfig(optimizer=ADAMW, batch_size=batch),
        trainer=TrainerConfig(
            accelerator="gpu" if device.type == "cuda" else "cpu", devices=1, num_nodes=1,
            strategy="auto", precision="bf16-mixed", threads=1, max_steps=steps,
            check_every=steps, patience=10**6, replicas_at_once=count,
        ),
    )[0]  # fmt: skip


def bare(
    cohort: Cohort, *, batch: int, steps: int, device: torch.device
) -> dict[str, torch.Tensor]:
    """What one writes by hand for one network: index the map, move, autocast, step."""
    network = build(cohort.spec, cohort.schema, seed=0)
    network.load_state_dict(network.state_dict() | network.fit(cohort.x, cohort.y))
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    rows = order(range(len(cohort.x)), 0, 0, steps * batch).reshape(steps, batch)
    for index in rows:
        x, y = (torch.from_numpy(part[index]).to(device) for part in (cohort.x, cohort.y))
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = network(x, y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wait(device)
    return network.state_dict()


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def step_seconds(train: Callable[[int], None], on: Measured) -> float:
    """Seconds of one step: the median over pairs of a longer and a shorter training."""
    short, long = on.steps
    train(short)  # kernels are chosen and built in the first call
    times = [seconds(train, long) - seconds(train, short) for _ in range(on.repeats)]
    return max(statistics.median(times) / (long - short), 1e-9)


def seconds(train: Callable[[int], None], steps: int) -> float:
    """Wall time of a training of so many steps."""
    start = time.perf_counter()
    train(steps)
    return time.perf_counter() - start


@contextmanager
def utilisation(device: torch.device) -> Iterator[list[float]]:
    """Percent of the time in which the GPU worked, sampled; empty without NVML."""
    found: list[float] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.1):
            with suppress(Exception):  # torch asks NVML through pynvml, which may be absent
                found.append(float(torch.cuda.utilization(device)))

    thread = threading.Thread(target=sample, daemon=True)
    if device.type == "cuda":
        thread.start()
    try:
        yield found
    finally:
        over.set()
        if thread.is_alive():
            thread.join()


def row(*cells: Any) -> None:
    """A line of a table that markdown reads."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def against_bare(cohort: Cohort, on: Measured) -> None:
    """Step time and patients a second, by batch, of one network on either side."""
    for batch in on.batches:

        def mine(steps: int, batch: int = batch) -> None:
            ours(cohort, count=1, batch=batch, steps=steps, device=on.device)

        def theirs(steps: int, batch: int = batch) -> None:
            bare(cohort, batch=batch, steps=steps, device=on.device)

        a, b = step_seconds(mine, on), step_seconds(theirs, on)
        row(cohort.name, batch, f"{a * 1e3:.2f}", f"{b * 1e3:.2f}", f"{b / a:.2f}",
            f"{batch / a:,.0f}")  # fmt: skip


def at_once(cohort: Cohort, on: Measured) -> None:
    """Step time of many replicas against as many steps of one."""
    alone = 0.0
    for count in on.at_once:

        def mine(steps: int, count: int = count) -> None:
            ours(cohort, count=count, batch=16 if on.batch > 16 else on.batch, steps=steps,
                 device=on.device)  # fmt: skip

        if on.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(on.device)
        with utilisation(on.device) as busy:
            try:
                took = step_seconds(mine, on)
            except torch.cuda.OutOfMemoryError:
                row(cohort.name, count, "out of memory", "", "", "")
                return
        alone = alone or took
        share = f"{statistics.mean(busy):.0f} %" if busy else "not sampled"
        row(cohort.name, count, f"{took * 1e3:.2f}", f"{count * alone / took:.1f}",
            memory(on.device), share)  # fmt: skip


def memory(device: torch.device) -> str:
    """The most that tensors have held."""
    if device.type != "cuda":
        return "not sampled"
    return f"{torch.cuda.max_memory_allocated(device) / 2**20:,.0f} MiB"


def heading(*names: str) -> None:
    """The head of a table."""
    print()
    row(*names)
    row(*["---"] * len(names))


def main(told: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the script out")
    asked = parser.parse_args(told)
    if asked.device == "gpu" and not torch.cuda.is_available():
        sys.exit("no GPU: torch sees none; --device cpu --quick tries the script out")
    device = torch.device("cuda" if asked.device == "gpu" else "cpu")
    on = Measured(device, **(QUICK if asked.quick else FULL))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    print(f"{name}, torch {torch.__version__}, bf16-mixed{', tiny sizes' if asked.quick else ''}")
    torch.use_deterministic_algorithms(True)  # as Lightning does on our side
    with tempfile.TemporaryDirectory(prefix="medgraft-gpu-") as folder:
        measured = list(cohorts(Path(folder), on.patients, quick=asked.quick))
        heading("pretraining", "batch", "ms a step", "bare loop", "throughput / bare", "patients/s")
        for cohort in measured:
            against_bare(cohort, on)
        heading(
            "fine-tuning", "replicas at once", "ms a step", "times one by one", "memory", "busy"
        )
        for cohort in measured:
            at_once(cohort, on)


if __name__ == "__main__":
    main()
