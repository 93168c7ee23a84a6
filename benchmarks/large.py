"""Cohorts larger than memory: time and memory of preparation and training, each in a process.

    python benchmarks/large.py                        # 10 million patients × 50 columns, parquet
    python benchmarks/large.py --patients 1000000 --format csv
    python benchmarks/large.py --kind sequence        # 1 million sequences of 100 letters
    python benchmarks/large.py --kind image           # 200,000 images of 28 × 28
    python benchmarks/large.py --only read --folder F # reading alone, here and by Ray's processes

The raw files are made in `--folder` (kept, and used again, where it is given). Tables: polars only
scanning the file (a sum or a length per column, streaming engine) against our preparation from
`cohort.yaml` to `work/prepared`; training steps from memory maps against the same steps from
arrays in memory. Peak memory is VmHWM of the process, file pages that it mapped included, which the
operating system takes back when memory is short; beside it the peak of what is its own.
"""

from __future__ import annotations

import argparse
import subprocess  # nosec B404
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

PATIENTS = {"table": 10_000_000, "sequence": 1_000_000, "image": 200_000}
TARGET = 1000
BLOCK = 100_000
NUMBERS, CATEGORIES = 29, 17  # with id, site, outcome and a date: 50 columns
LABELS = ("low", "middle", "high", "very high")
CODES, REGIONS = pl.Series([*LABELS, None]), pl.Series(["north", "south", "east"])
LENGTH, SIDE = 100, 28
BATCH, STEPS, CHECK = 256, 2000, 100

TABLE = """\
name: large
patient: id
subgroups: [region]
outcomes:
  ill: {column: ill, task: binary, negative: [0], positive: [1]}
columns:
  region: {kind: category, categories: {north: north, south: south, east: east}}
  admitted: {kind: ignore}
"""
BLOCKS = {
    "sequence": "sequence: {kind: sequence, alphabet: dna, length: 100}",
    "image": "image: {kind: image, height: 28, width: 28}",
}


def description(kind: str, form: str) -> str:
    """`cohort.yaml` of the raw files."""
    sites = "".join(f"  {name}: {{file: {name}.{form}}}\n" for name in ("large", "small"))
    if kind == "table":
        numbers = "".join(
            f"  number_{i}: {{kind: number, range: [0, 200]}}\n" for i in range(NUMBERS)
        )
        codes = ", ".join(f"{label}: {label}" for label in LABELS)
        kinds = "".join(
            f"  category_{i}: {{kind: category, categories: {{{codes}}}}}\n"
            for i in range(CATEGORIES)
        )
        reader = f"format: {{reader: medgraft.cohorts.readers.{form}.read}}\n"
        return f"{TABLE}{numbers}{kinds}{reader}sites:\n{sites}"
    outcome = "label" if kind == "image" else "ill"
    reader = "npz" if kind == "image" else "csv"
    return (
        f"name: large\noutcomes:\n  ill: {{column: {outcome}, task: binary, negative: [0], "
        f"positive: [1]}}\ncolumns:\n  {BLOCKS[kind]}\n"
        + ("  split: {kind: ignore}\n" if kind == "image" else "")
        + f"format: {{reader: medgraft.cohorts.readers.{reader}.read}}\nsites:\n{sites}"
    )


def made(folder: Path, kind: str, form: str, patients: int) -> None:
    """The raw files and their description; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cohort.yaml").write_text(description(kind, form))
    for name, rows, seed in (("large", patients, 1), ("small", TARGET, 2)):
        path = folder / f"{name}.{form}"
        if not path.exists():
            WRITE[kind](path, rows, seed)


def write_table(path: Path, rows: int, seed: int) -> None:
    """In blocks, so that making it needs no more memory than preparing it."""
    if path.suffix == ".parquet":
        frames = (pl.LazyFrame(block) for block in tables(rows, seed))
        parts = [path.with_name(f"{path.name}.{i}") for i in range(-(-rows // BLOCK))]
        for part, frame in zip(parts, frames, strict=True):
            frame.sink_parquet(part)
        pl.scan_parquet(parts).sink_parquet(path, row_group_size=BLOCK)
        for part in parts:
            part.unlink()
        return
    with path.open("wb") as file:
        for number, block in enumerate(tables(rows, seed)):
            block.write_csv(file, include_header=number == 0)


def tables(rows: int, seed: int) -> Iterator[pl.DataFrame]:
    """Blocks of patients; a twentieth of the numbers and a tenth of the categories is missing."""
    for start in range(0, rows, BLOCK):
        rng, size = np.random.default_rng([seed, start]), min(BLOCK, rows - start)
        numbers = rng.normal(100, 10, (NUMBERS, size))
        numbers[rng.random(numbers.shape) < 0.05] = np.nan
        chosen = rng.integers(0, len(LABELS), (CATEGORIES, size))
        chosen[rng.random(chosen.shape) < 0.1] = len(LABELS)
        risk = np.nan_to_num((numbers[:5].sum(axis=0) - 500) / 10)
        yield pl.DataFrame(
            {
                "id": [f"{seed}-{number:08d}" for number in range(start, start + size)],
                "region": REGIONS.gather(rng.integers(0, 3, size)),
                "admitted": [f"20{day % 20:02d}-01-{day % 28 + 1:02d}" for day in range(size)],
                "ill": (risk + rng.logistic(size=size) > 1).astype(np.int8),
            }
            | {f"number_{i}": pl.Series(column).fill_nan(None) for i, column in enumerate(numbers)}
            | {f"category_{i}": CODES.gather(column) for i, column in enumerate(chosen)}
        )


def write_sequences(path: Path, rows: int, seed: int) -> None:
    """Random letters."""
    letters = np.frombuffer(b"ACGT", np.uint8)
    with path.open("w") as file:
        file.write("sequence,ill\n")
        for start in range(0, rows, BLOCK):
            size = min(BLOCK, rows - start)
            drawn = letters[np.random.default_rng([seed, start]).integers(0, 4, (size, LENGTH))]
            file.writelines(f"{row.tobytes().decode()},{i % 2}\n" for i, row in enumerate(drawn))


def write_images(path: Path, rows: int, seed: int) -> None:
    """Noise around a shade that leans towards the label, and does not tell it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows).astype(np.uint8)
    images = rng.integers(0, 243, (rows, SIDE, SIDE), dtype=np.uint8)
    images += (labels * 3 + rng.integers(0, 10, rows, dtype=np.uint8))[:, None, None]
    np.savez_compressed(path, train_images=images, train_labels=labels)


WRITE = {"table": write_table, "sequence": write_sequences, "image": write_images}


def scan(folder: Path, form: str) -> None:
    """Polars alone reads every column of the large table."""
    path = folder / f"large.{form}"
    table = pl.scan_csv(path) if form == "csv" else pl.scan_parquet(path)
    one = [
        pl.col(name).sum()
        if kind.is_numeric()
        else pl.col(name).cast(pl.String).str.len_bytes().sum()
        for name, kind in table.collect_schema().items()
    ]
    table.select(one).collect(engine="streaming")


def read(folder: Path) -> None:
    """The large table alone: here, then by Ray's processes, their start included."""
    from medgraft.cohorts.load import load

    for on in ("here", "ray"):
        begin = time.perf_counter()
        rows = len(load(folder, "large", "ill", read_on=on))
        print(f"  {rows} rows read on {on}: {time.perf_counter() - begin:.1f} s")


def prepare(folder: Path, kind: str) -> None:
    """From the raw files to `prepared`, as the stage does it."""
    from medgraft.cohorts.load import load
    from medgraft.preparation import prepare as preparation
    from medgraft.preparation.image import Images
    from medgraft.preparation.sequence import Sequences
    from medgraft.preparation.splits import Plan
    from medgraft.preparation.table import Tables

    modality = {"table": Tables, "sequence": lambda: Sequences(0.8), "image": Images}[kind]()
    sources, targets = ([load(folder, site, "ill")] for site in ("large", "small"))
    plan = Plan(runs=1, folds=5, validation_fraction=0.2)
    preparation.prepare(sources, targets, modality=modality, plan=plan, out=folder / "prepared")


def train(folder: Path) -> None:
    """Batches of the prepared source through an optimiser: from the map, then from memory."""
    import torch

    from medgraft.preparation.arrays import read, read_design
    from medgraft.training.batches import Batches

    torch.set_num_threads(1)
    cohort = read(folder / "prepared" / "source")
    rows = read_design(folder / "prepared" / "source_design.parquet")["train"][0].to_numpy()
    width = int(np.prod(cohort.x.shape[1:]))
    for name, x in (("mapped", cohort.x), ("in memory", np.array(cohort.x))):
        net = torch.nn.Sequential(
            torch.nn.Linear(width, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
        )
        optimizer = torch.optim.AdamW(net.parameters(), fused=True)
        batches = Batches(
            x=x, y=cohort.y, rows=[rows], seeds=[1], size=BATCH, steps=STEPS, chunk=CHECK
        )
        begin, seen = time.perf_counter(), []
        for xs, ys in batches:
            for x_of, y_of in zip(xs[:, 0], ys[:, 0], strict=True):
                answers = net(x_of.flatten(1).float().nan_to_num() / 256)[:, 0]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(answers, y_of)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            seen.append(memory())
        rate = STEPS / (time.perf_counter() - begin)
        own = seen[-1]["own"] - seen[len(seen) // 2]["own"]
        print(f"  training {name}: {rate:.0f} steps/s; in the second half {own:+.3f} GB of its own")


def memory() -> dict[str, float]:
    """GB of this process now, at its peak, and of it what is not mapped from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines)
    names = {"now": "VmRSS", "peak": "VmHWM", "own": "RssAnon"}
    return {key: int(told[name].split()[0]) / 1e6 for key, name in names.items()}


class Watch(threading.Thread):
    """Looks at this process's own memory twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0

    def run(self) -> None:
        while True:
            self.most = max(self.most, memory()["own"])
            time.sleep(0.05)


def apart(what: str, folder: Path, arguments: argparse.Namespace) -> None:
    """One measurement in a process of its own, which prints its time and its memory."""
    command = [sys.executable, __file__, "--only", what, "--folder", str(folder)]
    command += ["--kind", arguments.kind, "--format", arguments.format]
    subprocess.run(command, check=True)  # nosec B603


def measured(what: str, folder: Path, arguments: argparse.Namespace) -> None:
    """The measurement itself."""
    watch = Watch()
    watch.start()
    begin, work = time.perf_counter(), time.process_time()
    if what == "scan":
        scan(folder, arguments.format)
    elif what == "read":
        read(folder)
    elif what == "prepare":
        prepare(folder, arguments.kind)
    else:
        train(folder)
    took, work = time.perf_counter() - begin, time.process_time() - work
    print(
        f"{what}: {took:.1f} s ({work:.1f} s of processor time), peak {memory()['peak']:.2f} GB, "
        f"of its own {watch.most:.2f} GB"
    )


def main() -> None:
    """Make the files, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=list(PATIENTS), default="table")
    parser.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--patients", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", choices=["scan", "read", "prepare", "train"], default=None)
    arguments = parser.parse_args()
    form = {"table": arguments.format, "sequence": "csv", "image": "npz"}[arguments.kind]
    if arguments.only:
        measured(arguments.only, arguments.folder, arguments)
        return
    with tempfile.TemporaryDirectory(prefix="medgraft.") as scratch:
        folder = arguments.folder or Path(scratch)
        made(folder, arguments.kind, form, arguments.patients or PATIENTS[arguments.kind])
        for what in ("scan", "prepare", "train")[arguments.kind != "table" :]:
            apart(what, folder, arguments)


if __name__ == "__main__":
    main()
