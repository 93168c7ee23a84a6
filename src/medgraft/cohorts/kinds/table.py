"""The columns of tables: numbers and categories."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from medgraft.cohorts.cells import Reading, Ruled
from medgraft.cohorts.codes import Code, Label, Range, Rule
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.schema import Column
from medgraft.construct import shown


class Cell(Measured):
    """One number, or one code, a row."""

    @abstractmethod
    def rule(self, missing: tuple[Code, ...]) -> Rule:
        """How its cells are read, given the codes that mean missing in every column."""

    def rules(self, missing: tuple[Code, ...]) -> tuple[Rule, ...]:
        """The one rule."""
        return (self.rule(missing),)

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Numbers [n]: the value, or the index of the category's label."""
        return Ruled(self.rule(())).read(cells, missing=missing, folder=folder)

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What came, and what was expected."""
        return Ruled(self.rule(())).breach(name, cells, reading, row)


class Number(Cell):
    """A measurement in `unit`, plausible within the closed `range`."""

    kind: Literal["number"]
    unit: str = ""
    range: Range | None = None

    def rule(self, missing: tuple[Code, ...]) -> Rule:
        """How its cells are read, given the codes that mean missing in every column."""
        return Rule(
            unit=self.unit,
            range=self.range,
            missing=missing + self.missing_codes,
            disguised=self.disguised_missing,
            never_missing=self.missing == "never",
        )

    def column(self, name: str, reading: Reading) -> Column:
        """The column as the validated cohort states it."""
        del reading
        return Column(name, "number", self.unit, self.range, (), self.missing == "allowed")

    def example(self) -> float:
        """The middle of the range; 1 where none is stated."""
        return sum(self.range) / 2 if self.range else 1.0


class Category(Cell):
    """A measurement with named values; several raw codes may share a label."""

    kind: Literal["category"]
    categories: dict[Code, Label] = Field(min_length=1)

    @model_validator(mode="after")
    def _tells_something(self) -> Self:
        if len(self.categories) > 1 and len(self.labels) == 1:
            raise ValueError(f"every code has the label {shown(self.labels[0])}, expected two")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, each once, in the order written."""
        return tuple(dict.fromkeys(self.categories.values()))

    def rule(self, missing: tuple[Code, ...]) -> Rule:
        """How its cells are read, given the codes that mean missing in every column."""
        index = {label: float(i) for i, label in enumerate(self.labels)}
        return Rule(
            codes={code: index[label] for code, label in self.categories.items()},
            missing=missing + self.missing_codes,
            disguised=self.disguised_missing,
            never_missing=self.missing == "never",
        )

    def column(self, name: str, reading: Reading) -> Column:
        """The column as the validated cohort states it."""
        del reading
        return Column(name, "category", "", None, self.labels, self.missing == "allowed")

    def example(self) -> Any:
        """The first code."""
        return next(iter(self.categories))
