"""A cohort whose files have been read and checked: who, what was measured, what happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "category"]
Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True)
class Column:
    """One measurement as it appears in `Cohort.values`.

    `range` is the plausible closed interval in `unit` (None: not stated); `categories` are the
    labels a category's index points into (empty for numbers).
    """

    name: str
    kind: Kind
    unit: str = ""
    range: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    may_be_missing: bool = True


@dataclass(frozen=True)
class Outcome:
    """What is to be predicted.

    `classes` are the labels `Cohort.y` indexes: negative, positive for a binary outcome; empty for
    regression.
    """

    name: str
    task: Task
    classes: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Accounting:
    """Every row in is a row accounted for: `rows_read == rows_used + sum(excluded.values())`.

    `patients` counts the different patients among the rows used; `notes` are sentences for the
    reader (values that were turned into missing, and how many).
    """

    cohort: str
    file: str
    rows_read: int
    rows_used: int
    patients: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Cohort:
    """One site's patients, validated. Rows keep the order of the file.

    `values` is float64 [n, d], one column per entry of `columns`: a number in its unit, a category
    as the index into its labels, NaN where missing. `y` is float64 [n]: class index, or the value
    for regression. `patient` is an object array [n] of str identifiers (several rows may share
    one); where the file has none it is "<site>:<row>". `subgroups` maps a name to an object array
    [n] of str labels ("" where missing). `source_rows` is int64 [n], the line in the file where the
    record begins.
    """

    name: str
    columns: tuple[Column, ...]
    values: NDArray[np.float64]
    outcome: Outcome
    y: NDArray[np.float64]
    patient: NDArray[np.object_]
    subgroups: Mapping[str, NDArray[np.object_]]
    accounting: Accounting
    source_rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the columns of `values`, in order."""
        return tuple(column.name for column in self.columns)
