"""Training speed as ratios: our module against bare PyTorch loops doing the same steps.

    python benchmarks/training.py

One thread, everything in one process, the two sides in turn; prints the median ratio and its range.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from medgraft.networks.model import build as build_network
from medgraft.training import fit as training
from medgraft.training import replicas

# AdamW as conf/optimizer/adamw.yaml has it; a loop written by hand has torch's default, not fused.
OPTIMIZER = {"_target_": "torch.optim.AdamW", "lr": 1e-3, "fused": True}
SPEC = {
    "input": {"_target_": "medgraft.networks.inputs.table.TableInput"},
    "encoder": {"_target_": "medgraft.networks.encoders.mlp.Mlp", "widths": [64, 64]},
    "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
    "head": {"_target_": "medgraft.networks.heads.classification.BinaryHead"},
}
FEATURE = {"kind": "number", "may_be_missing": False, "origin": "shared"}


def cohort(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal measurements and an outcome that depends on the first."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)).astype(np.float32)
    return x, (x[:, 0] + rng.standard_normal(n) > 0).astype(np.float32)


def trainer(steps: int, chunk: int) -> training.TrainerConfig:
    """One CPU thread; checks only at the end of a chunk; never stops early."""
    return training.TrainerConfig(
        accelerator="cpu", devices=1, num_nodes=1, strategy="auto", precision="32", threads=1,
        max_steps=steps, check_every=chunk, patience=10**6, replicas_at_once=1000,
    )  # fmt: skip


def bare(
    x: np.ndarray, y: np.ndarray, rows: np.ndarray, *, batch: int, steps: int, fused: bool
) -> None:
    """What one would write by hand: the same network, batches and number of steps."""
    net = nn.Sequential(
        nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=fused)
    features, outcome = torch.from_numpy(x), torch.from_numpy(y)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < batch:
            order = torch.cat([order, torch.from_numpy(rows)[torch.randperm(len(rows))]])
        index, order = order[:batch], order[batch:]
        loss = bce(net(features[index])[:, 0], outcome[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def ours(x: np.ndarray, y: np.ndarray, rows: list[np.ndarray], *, batch: int, steps: int) -> None:
    """All replicas at once through the LightningModule, preparation and validation included."""
    schema = {"features": [FEATURE] * x.shape[1], "outcome": {"classes": ["no", "yes"]}}
    template, state = replicas.build(
        lambda seed: build_network(SPEC, schema, seed=seed), range(len(rows))
    )
    for name, value in template.fit(x, y).items():
        state[name] = value.expand(len(rows), *value.shape).clone()
    few = [r[:32] for r in rows]
    patients = training.Patients(x, y, train=rows, validation=few, seeds=range(len(rows)))
    config = training.FitConfig(optimizer=OPTIMIZER, batch_size=batch)
    names = {name for name, _ in template.named_parameters()}
    training.fit(
        template, state, patients, trained=names, config=config, trainer=trainer(steps, 50)
    )


def seconds(call: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def report(name: str, goal: float, a: Callable[[], None], b: Callable[[], None]) -> None:
    """Time the two in turn and print the ratio a/b."""
    seconds(a), seconds(b)
    pairs = [(seconds(a), seconds(b)) for _ in range(5)]
    ratios = [first / second for first, second in pairs]
    medians = [statistics.median(side) for side in zip(*pairs, strict=True)]
    print(
        f"{name}: ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"goal <= {goal}; {medians[0]:.2f} s against {medians[1]:.2f} s"
    )


def one_large_fit(fused: bool) -> None:
    """Throughput of a single replica."""
    x, y = cohort(50_000, 50)
    everyone = np.arange(len(x))
    steps = 10 * len(x) // 256
    report(
        f"1 replica, 50k x 50, batch 256, 10 epochs / bare loop{label(fused)}",
        1.15,
        lambda: ours(x, y, [everyone], batch=256, steps=steps),
        lambda: bare(x, y, everyone, batch=256, steps=steps, fused=fused),
    )


def many_small_fits(fused: bool) -> None:
    """Twenty replicas at once against twenty fits one after the other."""
    x, y = cohort(250, 30)
    rows = [np.random.default_rng(r).permutation(250)[:200] for r in range(20)]
    steps = 50 * 200 // 32

    def one_by_one() -> None:
        for mine in rows:
            bare(x, y, mine, batch=32, steps=steps, fused=fused)

    report(
        f"20 replicas, 200 x 30, batch 32, 50 epochs / 20 bare fits{label(fused)}",
        0.2,
        lambda: ours(x, y, rows, batch=32, steps=steps),
        one_by_one,
    )


def label(fused: bool) -> str:
    """What the bare side's optimiser is."""
    return " with fused AdamW" if fused else ""


def main() -> None:
    """Print the ratios, against torch's default AdamW and against the fused one."""
    torch.set_num_threads(1)
    for fused in (False, True):
        one_large_fit(fused)
        many_small_fits(fused)


if __name__ == "__main__":
    main()
