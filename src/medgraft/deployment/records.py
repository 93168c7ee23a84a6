"""Raw records of new patients -> the rows a model takes, and what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.cells import Reading, breach, read_column
from medgraft.cohorts.description import Category, CohortDescription, Measured, Rule
from medgraft.cohorts.parsing import describe
from medgraft.cohorts.table import header_problems
from medgraft.errors import CohortError
from medgraft.preparation.arrays import read_json

# A typed value that is missing, whatever the site writes for it; no text file can hold it.
ABSENT = "\0"


@dataclass(frozen=True)
class Records:
    """How raw records become rows of `x`: by the description of the site they come from.

    `description` has one site, and its measurements are those the model needs; `features` names the
    columns of `x`. A feature this site does not measure stays missing.
    """

    description: CohortDescription
    features: tuple[str, ...]

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

    def read(self, frame: pl.DataFrame) -> tuple[NDArray[np.float32], list[list[str]]]:
        """Rows `x [n, d]` and, for each, its breaches of the description; none: it can be answered.

        Args:
            frame: one raw record per row, text as in the site's files or typed values.

        Raises:
            CohortError: a column is absent, unknown or named twice.
        """
        self.check(frame.columns)
        x = np.full((len(frame), len(self.features)), np.nan, dtype=np.float32)
        problems: list[list[str]] = [[] for _ in range(len(frame))]
        for name, column in self.columns.items():
            rule, cells = self.rule(column), text(frame[name])
            reading = representable(read_column(cells, rule))
            x[:, self.features.index(name)] = reading.values
            for row in np.flatnonzero(reading.wrong).tolist():
                problems[row].append(breach(name, cells, reading, rule, row))
        return x, problems

    def check(self, names: Iterable[str]) -> None:
        """Raise CohortError for every column that is absent, unknown or named twice."""
        given = list(names)
        known = [*self.columns, *(name for name in self.optional if name in given)]
        if problems := list(header_problems(given, known)):
            raise CohortError("\n".join(problems))

    def rule(self, column: Measured) -> Rule:
        """The site's rule for a column; typed values that are absent are missing too."""
        rule = column.rule(self.description.missing)
        return replace(rule, missing=(*rule.missing, ABSENT))

    def example(self) -> dict[str, Any]:
        """A made-up record that fits the description: no patient."""
        return {name: typical(column) for name, column in self.columns.items()}


def records_of(folder: Path) -> Records:
    """How the champion in `folder` reads raw records.

    Raises:
        StageError: `network.json` is missing or damaged.
        CohortError: `cohort.yaml` is not as it should be.
    """
    features = read_json(folder / "network.json")["schema"]["features"]
    return Records(describe(folder), tuple(feature["name"] for feature in features))


def text(cells: pl.Series) -> pl.Series:
    """Cells as text, the way the site's file would hold them: 1, not 1.0."""
    if cells.dtype.is_float():
        cells = cells.fill_nan(None).cast(pl.String).str.strip_suffix(".0")
    return cells.cast(pl.String).str.strip_chars().fill_null(ABSENT)


def representable(reading: Reading) -> Reading:
    """The reading, with numbers that `x` cannot hold marked as wrong."""
    huge = np.abs(reading.values) > np.finfo(np.float32).max
    return replace(
        reading, values=np.where(huge, np.nan, reading.values), wrong=reading.wrong | huge
    )


def typical(column: Measured) -> Any:
    """The middle of the range (1 where none is stated), or the first code."""
    if isinstance(column, Category):
        return next(iter(column.categories))
    return sum(column.range) / 2 if column.range else 1.0
