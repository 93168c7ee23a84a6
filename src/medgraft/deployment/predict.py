"""A file of raw records -> a file of answers."""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medgraft.cohorts.readers import csv
from medgraft.cohorts.table import RawTable
from medgraft.deployment.model import Model, load
from medgraft.deployment.records import Records
from medgraft.errors import MedgraftError
from medgraft.preparation.findings import count


@dataclass(frozen=True)
class Counts:
    """How many records were answered and refused; `noun` is what a record is."""

    answered: int
    refused: int
    noun: str
    done: str = "answered"

    def text(self) -> str:
        """One line for the terminal."""
        told = f"{count(self.answered, self.noun)} {self.done}"
        return f"{told}, {self.refused} refused (see column problem)" if self.refused else told


def predict(champion: Path, source: Path, target: Path) -> Counts:
    """Answer every record of `source` in `target`, one line each, in order.

    Args:
        champion: folder written by `export`.
        source: delimited text with a header (`.gz` is unpacked).
        target: file to write, whole or not at all.

    Raises:
        MedgraftError: the champion or the file cannot be read, the file's columns are not those
            described, or `target` cannot be written.
    """
    if source.resolve() == target.resolve():
        raise MedgraftError(f"{target}: is the input; write the answers to another file")
    model = load(champion)
    table = opened(model.records, source)
    answers = answer(model, table)
    write(target, answers)
    refused = int((answers["problem"] != "").sum())
    return Counts(len(answers) - refused, refused, noun(model, table))


def opened(records: Records, source: Path) -> RawTable:
    """The file's records as text, with what is wrong with its lines."""
    return csv.read(
        source,
        expected=tuple(records.columns),
        optional=records.optional,
        **records.description.format.options,
    )


def answer(model: Model, table: RawTable) -> pl.DataFrame:
    """One row per record in file order: its patient where the file says, its answer or problem."""
    patient = [column for column in table.cells if column.name == model.records.patient]
    lines = pl.Series("line", table.lines, dtype=pl.Int64)
    answered = pl.DataFrame([*patient, *model.predict(table.cells), lines])
    broken = pl.DataFrame(
        {
            "line": [problem.line for problem in table.problems],
            "problem": [problem.text for problem in table.problems],
        },
        schema={"line": pl.Int64, "problem": pl.String},
    )
    rows = pl.concat([answered, broken], how="diagonal")
    return rows.sort("line", maintain_order=True).drop("line")


def noun(model: Model, table: RawTable) -> str:
    """`patient`, unless the file says that a patient has several rows."""
    name = model.records.patient
    several = name in table.cells.columns and table.cells[name].is_duplicated().any()
    return "row" if several else "patient"


def write(path: Path, answers: pl.DataFrame) -> None:
    """Write delimited text (`.gz` is packed), whole or not at all."""
    data = answers.write_csv().encode()
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as place:
            fresh = Path(place) / path.name
            fresh.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
            fresh.replace(path)
    except OSError as error:
        raise MedgraftError(f"{path}: cannot be written: {error.strerror}") from None
