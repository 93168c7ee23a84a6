"""A cohort whose files have been read and checked: who, what was measured, what happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Column:
    """One measurement as it appears in `Cohort.values`.

    `kind` is that of `cohort.yaml`. `range` is the plausible closed interval in `unit` (None: not
    stated); `categories` are the labels a category's index points into (empty for numbers);
    `details` is what else a network must know of a block: an alphabet, a height, gene names.
    """

    name: str
    kind: str
    unit: str = ""
    range: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    may_be_missing: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What is to be predicted.

    `classes` are the labels `Cohort.y` indexes (negative, positive for a binary outcome), or the
    labels any of which may hold; empty for regression and survival. `horizons` are the times, in
    `unit`, at which survival is predicted.
    """

    name: str
    task: str
    classes: tuple[str, ...] = ()
    unit: str = ""
    horizons: tuple[float, ...] = ()


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
    as the index into its labels, NaN where missing; where the only column is a block, it is the
    block's own array [n, ...]. `y` is float64 [n]: class index, or the value for regression; [n, L]
    of 0, 1 or NaN for several labels; [n, 2] time and event for survival. `patient` is an
    array [n] of str identifiers (several rows may share one); where the file has none it is
    "<site>:<row>". `subgroups` maps a name to an object array [n] of str labels ("" where missing).
    `source_rows` is int64 [n], the line in the file where the record begins. `split` is an object
    array [n] of "train", "validation" or "test" where the file says who is to test, else None.
    """

    name: str
    columns: tuple[Column, ...]
    values: NDArray[Any]
    outcome: Outcome
    y: NDArray[np.float64]
    patient: NDArray[Any]
    subgroups: Mapping[str, NDArray[np.object_]]
    accounting: Accounting
    source_rows: NDArray[np.int64]
    split: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the columns of `values`, in order."""
        return tuple(column.name for column in self.columns)
