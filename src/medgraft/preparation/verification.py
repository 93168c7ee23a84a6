"""Whether a design table can be believed, whoever drew it."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.errors import LeakError
from medgraft.preparation.findings import SHOWN, count

PARTS = ("train", "validation", "test")

Integers = NDArray[np.int64]


def verify(design: pl.DataFrame, patient: Integers, *, tested: NDArray | None = None) -> None:
    """Check a design against the patients.

    `patient` int [n] codes. `tested` bool [n] marks the rows every run must test once (all by
    default; with a given split, its test rows). A design without `test` column is checked for its
    other parts. Raises LeakError listing replicas in which a patient sits in two parts, rows
    outside the cohort or given twice, empty parts, and runs that do not test every row once.
    """
    parts = [part for part in PARTS if part in design.columns]
    patient = np.asarray(patient, dtype=np.int64)
    problems = [p for index in range(design.height) for p in _torn(design, index, parts, patient)]
    if "test" in parts and not problems:
        marks = np.ones(len(patient), dtype=bool) if tested is None else np.asarray(tested)
        problems.extend(_untested(design, marks.astype(np.int64)))
    if problems:
        more = len(problems) - SHOWN
        shown = problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise LeakError("the design table is not sound:\n- " + "\n- ".join(shown))


def _torn(design: pl.DataFrame, index: int, parts: list[str], patient: Integers) -> Iterator[str]:
    name = f"replica {design['replica'][index]}"
    final = "use" in design.columns and design["use"][index] == "final"
    seat: dict[str, NDArray[np.bool_]] = {}
    for part in parts:
        rows = design[part][index].to_numpy()
        if len(rows) == 0 and not (part == "test" and final):
            yield f"{name}: {part} is empty"
        inside = (rows >= 0) & (rows < len(patient))
        if (np.bincount(rows[inside]) > 1).any():
            yield f"{name}: {part} holds a row twice"
        if not inside.all():
            yield f"{name}: {part} holds row {rows[~inside][0]}, the cohort has {len(patient)}"
        seat[part] = np.zeros(patient.max() + 1, dtype=bool)
        seat[part][patient[rows[inside]]] = True
    for one, other in combinations(parts, 2):
        both = np.flatnonzero(seat[one] & seat[other])
        if len(both):
            yield f"{name}: {count(len(both), 'patient')} in both {one} and {other}"


def _untested(design: pl.DataFrame, expected: Integers) -> Iterator[str]:
    compare = design.filter(pl.col("use") == "compare")
    for run in design["run"].unique(maintain_order=True):
        tested = compare.filter(pl.col("run") == run)["test"].explode().to_numpy()
        times = np.bincount(tested.astype(np.int64), minlength=len(expected))
        wrong = np.flatnonzero(times != expected)
        if len(wrong):
            yield (
                f"run {run}: {count(len(wrong), 'row')} not tested exactly once "
                f"(row {wrong[0]}: {count(int(times[wrong[0]]), 'time')})"
            )
