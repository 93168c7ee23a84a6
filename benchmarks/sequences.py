"""Preparing and loading sequences.

    python benchmarks/sequences.py

One thread, one process. Preparation: 100,000 DNA sequences of 100 letters from csv to arrays on
disk, a goal in seconds. Loading: training steps on memory-mapped tokens against a bare loop over
the same tokens as tensors, in turn; prints the median ratio and its range. Relatives: how many
mutants common words find.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medgraft.cohorts.alphabets import reverse_complement
from medgraft.cohorts.load import load
from medgraft.networks.model import Network, build
from medgraft.preparation.homology import related
from medgraft.preparation.prepare import prepare
from medgraft.preparation.sequence import Sequences
from medgraft.preparation.splits import Plan
from medgraft.training.batches import Batches

ROWS, LENGTH, BATCH, STEPS = 100_000, 100, 128, 40
DESCRIPTION = f"""\
name: benchmark
outcomes:
  ill: {{column: ill, task: binary, negative: [0], positive: [1]}}
columns:
  sequence: {{kind: sequence, alphabet: dna, length: {LENGTH}}}
sites:
  large: {{file: large.csv}}
  small: {{file: small.csv}}
"""
SPEC = {
    "input": {"_target_": "medgraft.networks.inputs.sequence.SequenceInput"},
    "encoder": {"_target_": "medgraft.networks.encoders.dilated_cnn.DilatedCnn"},
    "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
    "head": {"_target_": "medgraft.networks.heads.classification.BinaryHead"},
}
SCHEMA = {
    "features": [{"name": "s", "kind": "sequence", "letters": "ACGT", "length": LENGTH}],
    "outcome": {"name": "ill", "task": "binary", "classes": ["no", "yes"]},
}


def drawn(rows: int, *, seed: int) -> np.ndarray:
    """Random tokens ``[rows, LENGTH]``."""
    return np.random.default_rng(seed).integers(0, 4, (rows, LENGTH)).astype(np.uint8)


def write_csv(path: Path, tokens: np.ndarray) -> None:
    letters = np.frombuffer(b"ACGT", np.uint8)[tokens]
    rows = (f"{row.tobytes().decode()},{i % 2}\n" for i, row in enumerate(letters))
    path.write_text("sequence,ill\n" + "".join(rows))


def preparation(folder: Path, identity: float | None) -> None:
    """Read, tokenise, look for relatives (None: copies) of either strand, draw a design, write."""
    (folder / "cohort.yaml").write_text(DESCRIPTION)
    write_csv(folder / "large.csv", drawn(ROWS, seed=1))
    write_csv(folder / "small.csv", drawn(1000, seed=2))
    start, cpu = time.perf_counter(), time.process_time()
    sources, targets = ([load(folder, site, "ill")] for site in ("large", "small"))
    plan = Plan(runs=1, folds=5, validation_fraction=0.2)
    prepare(sources, targets, modality=Sequences(identity), plan=plan, out=folder / "prepared")
    print(
        f"{ROWS} sequences of {LENGTH} letters, csv to arrays, identity {identity}: "
        f"{time.perf_counter() - start:.1f} s ({time.process_time() - cpu:.1f} s of processor "
        "time), goal <= 10"
    )


def train(batches: Iterator[tuple[Tensor, Tensor]]) -> None:
    """The default network's steps on whatever hands it batches."""
    network: Network = build(SPEC, SCHEMA, seed=1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    for x, y in batches:
        loss = network(x, y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def ours(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
    """Our loader over a memory map, chunks of steps taken apart as the training module does."""
    chunks = Batches(
        x=x, y=y, rows=[range(len(x))], seeds=[1], size=BATCH, steps=STEPS, chunk=20
    )  # fmt: skip
    for xs, ys in chunks:
        yield from zip(xs[:, 0], ys[:, 0], strict=True)


def bare(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A shuffled pass over tensors in memory."""
    order = torch.randperm(len(x))
    for step in range(STEPS):
        index = order[step * BATCH : (step + 1) * BATCH]
        yield x[index], y[index]


def seconds(call: Callable[[], None]) -> float:
    """Processor time of one call: what else the machine does must not decide a ratio of 1.1."""
    start = time.process_time()
    call()
    return time.process_time() - start


def loading(folder: Path) -> None:
    """Training steps with the two loaders in turn."""
    mapped = np.load(folder / "prepared" / "source" / "x.npy", mmap_mode="r")
    y = np.load(folder / "prepared" / "source" / "y.npy", mmap_mode="r")
    tensors = torch.from_numpy(np.array(mapped)), torch.from_numpy(np.array(y))
    assert isinstance(mapped, np.memmap)
    assert mapped.dtype == np.uint8
    train(bare(*tensors))
    pairs = [
        (seconds(lambda: train(ours(mapped, y))), seconds(lambda: train(bare(*tensors))))
        for _ in range(5)
    ]
    ratios = [one / other for one, other in pairs]
    print(
        f"{STEPS} training steps of {BATCH}, memory map / tensors: ratio "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), goal <= 1.10"
    )


def relatives() -> None:
    """Share of mutants on either strand that common words bring together, by identity."""
    for others, length in itertools.product((4000, ROWS), (60, 100)):
        for identity in (0.8, 0.9):
            tokens = drawn(others, seed=3)[:, :length]
            kin, stream = tokens[:1000].copy(), np.random.default_rng(4)
            for row in kin:
                places = stream.choice(length, round(length * (1 - identity)), replace=False)
                row[places] = (row[places] + stream.integers(1, 4, len(places))) % 4
            kin[::2] = reverse_complement(kin[::2])
            cpu = time.process_time()
            both = np.concatenate([tokens, kin])
            one, two = related(both, "ACGT", identity=identity, strands=True)
            found = int(((two - one == others) & (one < 1000)).sum())
            print(
                f"{length} letters, identity {identity}: {found} of 1000 mutants found among "
                f"{len(both)}, {time.process_time() - cpu:.1f} s"
            )


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        for number, identity in enumerate((None, Sequences().identity)):
            folder = Path(place) / str(number)
            folder.mkdir()
            preparation(folder, identity)
        loading(folder)
    relatives()


if __name__ == "__main__":
    main()
