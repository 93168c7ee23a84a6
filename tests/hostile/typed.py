"""What spoils cohorts in typed files, parquet and AnnData, and columns of survival times."""

# ruff: noqa: E501  (a case reads best on one line)

import datetime
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from .cohorts import (
    MAKERS,
    PATIENTS,
    READERS,
    Edit,
    archives,
    both,
    cell,
    every,
    folder,
    genes,
    project,
    put,
    rows,
    scans,
    sequences,
    swap,
    tables,
)

Cases = dict[str, tuple[Edit, str]]


def parquets(at: Path) -> Path:
    """A project whose tables are in parquet."""
    parquet_tables(project(at) / "clinic")
    return at


def parquet_tables(clinic: Path) -> None:
    tables(clinic)
    swap("cohort.yaml", "sites:", f"format: {{reader: {READERS}.parquet.read}}\nsites:")(clinic)
    for site in ("big", "small"):
        swap("cohort.yaml", f"{site}.csv", f"{site}.parquet")(clinic)
        pl.read_csv(clinic / f"{site}.csv").write_parquet(clinic / f"{site}.parquet")
        (clinic / f"{site}.csv").unlink()


def frame(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Edit:
    """Another table in the place of the target's."""

    def edit(at: Path) -> None:
        change(pl.read_parquet(at / "small.parquet")).write_parquet(at / "small.parquet")

    return edit


def column(name: str, value: Any) -> Edit:
    return frame(lambda table: table.with_columns(pl.lit(value).alias(name)))


def flipped(at: Path) -> None:
    """Three bits of a table over which polars 2.1.0 panics, saying so at length."""
    spoilt, stream = bytearray((at / "small.parquet").read_bytes()), np.random.default_rng(5)
    for _ in range(3):
        spoilt[stream.integers(len(spoilt))] ^= 1 << stream.integers(8)
    (at / "small.parquet").write_bytes(spoilt)


def cut(at: Path) -> None:
    whole = (at / "small.parquet").read_bytes()
    (at / "small.parquet").write_bytes(whole[: len(whole) // 2])


def pipe(name: str) -> Edit:
    def edit(at: Path) -> None:
        (at / name).unlink()
        os.mkfifo(at / name)

    return edit


PARQUETS: Cases = {
    "empty": (put("small.parquet", b""), "small.parquet: not a whole parquet table"),
    "text": (put("small.parquet", rows("small")), "small.parquet: not a whole parquet table"),
    "cut short": (cut, "small.parquet: not a whole parquet table"),
    "bits flipped": (flipped, "small.parquet: not a whole parquet table: damaged or cut short"),
    "folder": (folder("small.parquet"), "small.parquet: is a folder, expected a file"),
    "pipe": (pipe("small.parquet"), "small.parquet: is a device or a pipe, expected a file"),
    "a pattern": (
        swap("cohort.yaml", "file: small.parquet", 'file: "s*.parquet"'), "s*.parquet: there is no such file"
    ),
    "no rows": (frame(lambda table: table.head(0)), "small.parquet: holds no rows"),
    "no columns": (frame(lambda _: pl.DataFrame()), 'column "age" is declared and absent'),
    "column unknown": (column("labb", 1.0), 'column "labb" is not declared'),
    "a list": (column("lab", [1.0]), 'small.parquet: column "lab" holds List, expected one value'),
    "a record": (
        frame(lambda table: table.with_columns(pl.struct(pl.lit(1).alias("Eve Canary")).alias("lab"))),
        'small.parquet: column "lab" holds Struct, expected one value',
    ),
    "bytes": (column("lab", b"\xff"), 'small.parquet: column "lab" holds Binary, expected one value'),
    "text in numbers": (column("lab", "high"), 'line 1, column lab: got "high", expected a number'),
    "a day": (column("lab", datetime.date(2020, 1, 1)), 'line 1, column lab: got "2020-01-01", expected a number'),
    "infinite": (column("lab", float("inf")), 'line 1, column lab: got "inf", expected a number'),
    "out of range": (column("age", 200.0), 'column age: got "200", expected a number in years between'),
    "nobody": (column("id", None), "line 1, column id: missing, expected a patient identifier"),
}  # fmt: skip


FOLLOWED = "ill: {task: survival, time: t, event: e, happened: [1], censored: [0], unit: days, horizons: [5]}"
ILL = "ill: {column: ill, task: binary, negative: [0], positive: [1]}"


def followed(at: Path) -> Path:
    """A project whose patients are followed until an event."""
    clinic = project(at) / "clinic"
    swap("cohort.yaml", ILL, FOLLOWED)(clinic)
    for site in ("big", "small"):
        times = np.random.default_rng(len(site)).exponential(8, PATIENTS)
        lines = [line.rpartition(",")[0] for line in rows(site).splitlines()]
        told = ["t,e", *(f"{time:.3f},{i % 3 and 1}" for i, time in enumerate(times))]
        text = "".join(f"{line},{more}\n" for line, more in zip(lines, told, strict=True))
        (clinic / f"{site}.csv").write_text(text)
    asked = yaml.safe_load((at / "params.yaml").read_text())
    asked |= {"task": {"kind": "survival"}, "source_task": {"kind": "survival"}}
    (at / "params.yaml").write_text(yaml.safe_dump(asked))
    return at


TIME = "expected a time in days, 0 or more"
SURVIVAL: Cases = {
    "negative": (cell(4, "t", "-1"), f'small.csv, line 4, column t: got "-1", {TIME}'),
    "missing": (cell(4, "t", ""), "line 4, column t: missing, expected a time in days"),
    "infinite": (cell(4, "t", "inf"), f'line 4, column t: got "inf", {TIME}'),
    "beyond float": (cell(4, "t", "1e309"), f'line 4, column t: got "1e309", {TIME}'),
    "a day": (cell(4, "t", "2020-01-01"), f'line 4, column t: got "2020-01-01", {TIME}'),
    "event of a third kind": (cell(4, "e", "2"), 'line 4, column e: got "2", expected one of 0, 1'),
    "event missing": (cell(4, "e", ""), "line 4, column e: missing, expected one of 0, 1"),
    "no event": (every("e", "0"), "small has only patients with ill=censored"),
    "one event": (every("e", lambda i: str(int(i == 0))), "small has 1 patient with ill=event"),
    "nobody censored twice": (
        swap("cohort.yaml", "censored: [0]", "censored: [1]"), "outcomes.ill: 1 belongs to more than one class"
    ),
    "one column for both": (
        swap("cohort.yaml", "event: e", "event: t"), "outcomes.ill: time and event name the same column"
    ),
    "time absent": (swap("small.csv", ",t,", ",tt,"), 'column "t" is declared and absent'),
    "horizon nan": (
        swap("cohort.yaml", "horizons: [5]", "horizons: [.nan]"), "above 0, up to 1e+09, got [nan]"
    ),
    "horizons fall": (
        swap("cohort.yaml", "horizons: [5]", "horizons: [5, 3]"), "above 0, up to 1e+09, got [5.0, 3.0]"
    ),
    "horizon 0": (swap("cohort.yaml", "horizons: [5]", "horizons: [0]"), "expected increasing horizons above 0"),
    "horizon beyond follow-up": (
        swap("cohort.yaml", "horizons: [5]", "horizons: [5, 900, 1000]"),
        "outcomes.ill.horizons: got 900, 1000, expected at most ",
    ),
    "no horizon": (swap("cohort.yaml", "horizons: [5]", "horizons: []"), "outcomes.ill.horizons"),
}  # fmt: skip


def anndata(at: Path) -> Path:
    """A project whose target's matrix is AnnData."""
    anndata_genes(project(at, "expression") / "clinic")
    return at


def anndata_genes(clinic: Path, *, rows: bool = False) -> None:
    """`rows`: X is stored sparse, row by row."""
    import h5py

    genes(clinic)
    swap("cohort.yaml", "small_matrix.csv", "m.h5ad")(clinic)
    values = pl.read_csv(clinic / "small_matrix.csv")
    with h5py.File(clinic / "m.h5ad", "w") as file:
        for name, ids in (("obs", values["sample"].to_list()), ("var", values.columns[1:])):
            group = file.create_group(name)
            group.attrs["_index"] = "_index"
            group["_index"] = ids
        file["X"] = values.drop("sample").to_numpy()
    if rows:
        sparse()(clinic)
    (clinic / "small_matrix.csv").unlink()


def inside(change: Callable[[Any, Path], object]) -> Edit:
    """X left out of the AnnData file, and something done instead."""

    def edit(at: Path) -> None:
        import h5py

        with h5py.File(at / "m.h5ad", "a") as file:
            stored = file["X"][:]
            del file["X"]
            with h5py.File(at.parent / "outside.h5", "w") as other:
                other["X"] = stored
            change(file, at.parent / "outside.h5")

    return edit


def x(values: np.ndarray) -> Edit:
    return inside(lambda file, _: file.create_dataset("X", data=values))


def sparse(**changes: Any) -> Edit:
    """One value in each of the first rows."""
    parts = {"data": np.ones(5), "indices": [0, 1, 2, 3, 4]} | changes
    parts = {"indptr": [*range(6), *[5] * (PATIENTS - 5)]} | parts

    def change(file: Any, _: Path) -> None:
        group = file.create_group("X")
        group.attrs["encoding-type"] = "csr_matrix"
        for name, values in parts.items():
            group[name] = values

    return inside(change)


def link(file: Any, outside: Path) -> None:
    import h5py

    file["X"] = h5py.ExternalLink(str(outside), "X")


def circle(file: Any, _: Path) -> None:
    import h5py

    file["X"] = h5py.SoftLink("/X")


def raw(file: Any, outside: Path) -> None:
    shape = (PATIENTS, 5)
    file.create_dataset("X", shape, "f8", external=[(str(outside), 0, PATIENTS * 5 * 8)])


MISFIT = (
    "m.h5ad: not an AnnData file (X: data, indices and indptr do not fit each other, obs and var)"
)
SHAPED = "expected [24, 5] as obs and var say"
ANNDATA: Cases = {
    "text": (put("m.h5ad", "hello"), "m.h5ad: not an AnnData file"),
    "folder": (folder("m.h5ad"), "m.h5ad: is a folder, expected a file"),
    "pipe": (pipe("m.h5ad"), "m.h5ad: is a device or a pipe, expected a file"),
    "no X": (inside(lambda *_: None), "m.h5ad: not an AnnData file"),
    "indices beyond": (sparse(indices=[10**6] * 5), MISFIT),
    "indices negative": (sparse(indices=[-5] * 5), MISFIT),
    "indptr beyond": (sparse(indptr=[0, 10**6, *[5] * (PATIENTS - 1)]), MISFIT),
    "indptr of nothing": (sparse(indptr=[0, 10**6, *[0] * (PATIENTS - 1)]), MISFIT),
    "turned": (x(np.zeros((5, PATIENTS))), f"X has shape [5, 24], {SHAPED}"),
    "three dimensions": (x(np.zeros((1, PATIENTS, 5))), f"X has shape [1, 24, 5], {SHAPED}"),
    "complex": (x(np.zeros((PATIENTS, 5), complex)), "/X holds complex128, expected numbers"),
    "records": (x(np.zeros((PATIENTS, 5), [("Canary", "f4")])), "/X holds void32, expected numbers"),
    "claims too much": (
        inside(lambda file, _: file.create_dataset("X", (10**7, 10**7), "f4", chunks=(100, 100))),
        "/X would unpack to 372529 GiB; refused",
    ),
    "link to outside": (inside(link), "/X is a link, expected data in the file itself"),
    "link in a circle": (inside(circle), "/X is a link, expected data in the file itself"),
    "stored outside": (inside(raw), "/X lies in another file, expected data in the file itself"),
}  # fmt: skip


def parquet_genes(clinic: Path) -> None:
    genes(clinic)
    matrix(lambda table: table)(clinic)
    (clinic / "small_matrix.csv").unlink()


def fastq(clinic: Path) -> None:
    """Records with qualities, packed."""
    sequences(clinic)
    text = (clinic / "small.fasta").read_text()
    records = re.sub(
        r">(.*)\n(.*)\n", lambda one: f"@{one[1]}\n{one[2]}\n+\n{'I' * len(one[2])}\n", text
    )
    (clinic / "small.fasta").unlink()
    (clinic / "small.fastq.gz").write_bytes(gzip.compress(records.encode(), mtime=0))
    swap("cohort.yaml", "small.fasta", "small.fastq.gz")(clinic)


def zipped_tables(clinic: Path) -> None:
    tables(clinic)
    (clinic / "small.csv.gz").write_bytes(
        gzip.compress((clinic / "small.csv").read_bytes(), mtime=0)
    )
    (clinic / "small.csv").unlink()
    swap("cohort.yaml", "small.csv", "small.csv.gz")(clinic)


def sparse_genes(clinic: Path) -> None:
    anndata_genes(clinic, rows=True)


SOUND = MAKERS | {
    "npz": archives,
    "dicom": scans,
    "parquet": parquet_tables,
    "gzip": zipped_tables,
    "fastq": fastq,
    "parquet genes": parquet_genes,
    "h5ad": anndata_genes,
    "h5ad, sparse": sparse_genes,
}
"""Every kind of sound cohort by name: what is fuzzed."""


def matrix(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Edit:
    """The target's matrix in parquet."""

    def edit(at: Path) -> None:
        swap("cohort.yaml", "small_matrix.csv", "m.parquet")(at)
        change(pl.read_csv(at / "small_matrix.csv")).write_parquet(at / "m.parquet")

    return edit


def gene(value: Any) -> Edit:
    return matrix(lambda table: table.with_columns(pl.lit(value).alias("3")))


WORDS = 'no value of "name" is a number; expected samples and genes alone: take it out of the file'
MATRICES: Cases = {
    "a list": (gene([1.0]), "m.parquet: column 4 holds List, expected numbers"),
    "a record": (
        matrix(lambda table: table.with_columns(pl.struct(pl.lit(1).alias("Canary")).alias("3"))),
        "m.parquet: column 4 holds Struct, expected numbers",
    ),
    "bytes": (gene(b"\xff"), "m.parquet: column 4 holds Binary, expected numbers"),
    "a category": (
        matrix(lambda table: table.with_columns(pl.lit("Canary", pl.Categorical).alias("3"))),
        "m.parquet: column 4 holds Categorical, expected numbers",
    ),
    "a day": (gene(datetime.date(2020, 1, 1)), "m.parquet: column 4 holds Date, expected numbers"),
    "names in parquet": (
        matrix(lambda table: table.with_columns(pl.lit("Eve Canary").alias("name"))), f"m.parquet: {WORDS}"
    ),
    "a pattern": (
        both(matrix(lambda table: table), swap("cohort.yaml", "m.parquet", '"[m].parquet"')),
        "[m].parquet: there is no such file",
    ),
    "folder": (folder("small_matrix.csv"), "small_matrix.csv: is a folder, expected a file"),
    "pipe": (pipe("small_matrix.csv"), "small_matrix.csv: is a device or a pipe, expected a file"),
}  # fmt: skip
