"""Raw records of new patients -> the rows a model takes, and what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.cells import Reading, as_text
from medgraft.cohorts.description import CohortDescription
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.parsing import describe
from medgraft.cohorts.table import header_problems
from medgraft.errors import CohortError
from medgraft.preparation.arrays import read_json

# A typed value that is missing, whatever the site writes for it; no text file can hold it.
ABSENT = "\0"
EXAMPLE = "example.json"
"""A made-up record beside the champion: numbers at the patients' mean, so that it is answered."""


@dataclass(frozen=True)
class Records:
    """How raw records become rows of `x`: by the description of the site they come from.

    `description` has one site, and its measurements are those the model needs; `features` names the
    columns of `x`. A feature this site does not measure stays missing. Where the one measurement is
    a block (a sequence, an image), its own array is `x`; `folder` is where cells name files from.
    """

    description: CohortDescription
    features: tuple[str, ...]
    folder: Path = Path()

    @property
    def columns(self) -> dict[str, Measured]:
        """The measurements every record must have a column for."""
        return self.description.measured_at(next(iter(self.description.sites)))

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns a file may hold and the model passes over: patient, outcomes, identifiers."""
        return tuple(name for name in self.description.named() if name not in self.columns)

    @property
    def patient(self) -> str | None:
        """The column that identifies patients, where the site has one."""
        return None if self.description.patient == "row" else self.description.patient

    def read(self, frame: pl.DataFrame) -> tuple[NDArray[Any], list[list[str]]]:
        """Rows `x [n, ...]` and each row's breaches of the description (none: it can be asked).

        Args:
            frame: one raw record per row, text as in the site's files or typed values.

        Raises:
            CohortError: a column is absent, unknown or named twice.
        """
        self.check(frame.columns)
        missing = (*self.description.missing, ABSENT)
        problems: list[list[str]] = [[] for _ in range(len(frame))]
        values: dict[str, NDArray[Any]] = {}
        told = as_text(frame[list(self.columns)]).fill_null(ABSENT)
        for name, column in self.columns.items():
            cells = told[name]
            found = column.read(cells, missing=missing, folder=self.folder)
            reading = representable(found) if found.values.ndim == 1 else found
            values[name] = reading.values
            for row in np.flatnonzero(reading.wrong).tolist():
                problems[row].append(column.breach(name, cells, reading, row))
        return self.rows(values, len(frame)), problems

    def rows(self, values: Mapping[str, NDArray[Any]], count: int) -> NDArray[Any]:
        """The block as it is, or numbers in the order of the model's features."""
        first = next(iter(values.values()))
        if first.ndim > 1:
            return first
        x = np.full((count, len(self.features)), np.nan, dtype=np.float32)
        for name, column in values.items():
            x[:, self.features.index(name)] = column
        return x

    def check(self, names: Iterable[str]) -> None:
        """Raise CohortError for every column that is absent, unknown or named twice."""
        given = list(names)
        known = [*self.columns, *(name for name in self.optional if name in given)]
        if problems := list(header_problems(given, known)):
            raise CohortError("\n".join(problems))

    def example(self) -> dict[str, Any]:
        """A made-up record that fits the description: no patient."""
        return {name: column.example() for name, column in self.columns.items()}


def records_of(folder: Path) -> Records:
    """How the champion in `folder` reads raw records.

    Raises:
        StageError: `network.json` is missing or damaged.
        CohortError: `cohort.yaml` is not as it should be.
    """
    features = read_json(folder / "network.json")["schema"]["features"]
    return Records(describe(folder), tuple(feature["name"] for feature in features))


def representable(reading: Reading) -> Reading:
    """The reading, with numbers that `x` cannot hold marked as wrong."""
    huge = np.abs(reading.values) > np.finfo(np.float32).max
    return replace(
        reading, values=np.where(huge, np.nan, reading.values), wrong=reading.wrong | huge
    )
