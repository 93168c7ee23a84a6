"""Several outcomes of one patient, named in one cell: `effusion|oedema`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from medgraft.cohorts.cells import Reading, Ruled, absent, got
from medgraft.cohorts.codes import Code, Label, Rule
from medgraft.cohorts.outcomes.outcome import DescribedOutcome, Numbers
from medgraft.cohorts.schema import Outcome


@dataclass(frozen=True)
class Names(Ruled):
    """A column of cells that name labels; `none` are the texts that say that no label holds."""

    labels: tuple[str, ...]
    none: tuple[str, ...]
    delimiter: str

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """0 or 1 for each label, [n, L]; NaN where missing or wrong."""
        del folder
        empty = absent(cells, (*missing, *self.rule.missing)).to_numpy()
        place = {label: i for i, label in enumerate(self.labels)}
        values = np.full((len(cells), len(self.labels)), np.nan)
        why: dict[int, str] = {}
        for row in np.flatnonzero(~empty).tolist():
            named = self.named(cells[row])
            unknown = [name for name in named if name not in place]
            if unknown:
                why[row] = unknown[0]
            else:
                values[row] = 0.0
                values[row, [place[name] for name in named]] = 1.0
        wrong = np.isin(np.arange(len(cells)), list(why))
        return Reading(values, empty, wrong, why=why)

    def named(self, cell: str) -> list[str]:
        """The names in one cell."""
        names = [name.strip() for name in cell.split(self.delimiter)]
        return [name for name in names if name not in self.none]

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """Which name is no label."""
        told = ", ".join(self.labels)
        return (
            f'column {name}: {got(cells, reading, row)}, in which "{reading.why[row]}" is none of '
            f"{told}"
        )


class MultilabelList(DescribedOutcome):
    """One column that names the labels that hold, parted by `delimiter`."""

    task: Literal["multilabel_list"]
    column: str
    labels: tuple[Label, ...] = Field(min_length=2)
    none: tuple[Label, ...] = ()
    delimiter: str = Field(default="|", min_length=1)
    missing_codes: tuple[Code, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({*self.labels, *self.none}) < len(self.labels) + len(self.none):
            raise ValueError("a name is written twice among labels and none")
        return self

    def columns(self) -> dict[str, Ruled]:
        """Its column of names."""
        rule = Rule(missing=self.missing_codes)
        return {self.column: Names(rule, self.labels, self.none, self.delimiter)}

    def y(self, values: Mapping[str, Numbers]) -> Numbers:
        """One column per label, [n, L]; NaN where not recorded."""
        return values[self.column]

    def known(self, y: Numbers) -> NDArray[np.bool_]:
        """Rows [n] with their labels recorded."""
        return np.asarray(~np.isnan(y).all(axis=1))

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "multilabel", tuple(self.labels))
