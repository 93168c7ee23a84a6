"""Cohorts with nothing wrong in them, for tests to spoil."""

from dataclasses import replace
from typing import Any

import numpy as np

from medgraft.cohorts.identifiers import TEXT
from medgraft.cohorts.schema import Accounting, Cohort, Column, Outcome

DISEASE = Outcome("disease", "binary", ("no", "yes"))
STAGE = Outcome("stage", "multiclass", ("one", "two", "three"))
STAY = Outcome("stay", "regression", unit="days")


def cohort(
    name: str,
    *,
    rows: int = 80,
    seed: int = 0,
    outcome: Outcome = DISEASE,
    numbers: int = 6,
    visits: int = 1,
    missing: float = 0.05,
) -> Cohort:
    """`rows` rows of correlated measurements and one category; `visits` rows per patient."""
    stream = np.random.default_rng([seed, *name.encode()])
    health = stream.normal(size=rows)
    x = (health[:, None] + stream.normal(size=(rows, numbers))).round(2)
    sex = stream.integers(0, 2, rows).astype(float)
    values = np.column_stack([x, sex])
    values[stream.random(values.shape) < missing] = np.nan
    columns = tuple(Column(f"m{i}", "number", unit="mg/dl") for i in range(numbers))
    score = health + stream.normal(size=rows)
    return Cohort(
        name=name,
        columns=(*columns, Column("sex", "category", categories=("female", "male"))),
        values=values,
        outcome=outcome,
        y=_labels(score, outcome),
        patient=np.array([f"{name}-secret-{row // visits}" for row in range(rows)], dtype=TEXT),
        subgroups={"sex": np.where(sex == 1, "male", "female").astype(object)},
        accounting=Accounting(
            name, f"{name}.csv", rows + 2, rows, -(-rows // visits), {"no outcome": 2}
        ),
        source_rows=np.arange(2, rows + 2),
    )


def spoil(clean: Cohort, **changes: Any) -> Cohort:
    """A copy of `clean` with fields replaced."""
    return replace(clean, **changes)


def with_column(clean: Cohort, column: Column, values: np.ndarray) -> Cohort:
    """A copy of `clean` that measured one more thing."""
    return replace(
        clean,
        columns=(*clean.columns, column),
        values=np.column_stack([clean.values, values]),
    )


def with_cells(clean: Cohort, rows: Any, values: np.ndarray) -> Cohort:
    """A copy of `clean` with whole rows of measurements replaced."""
    cells = clean.values.copy()
    cells[rows] = values
    return replace(clean, values=cells)


def _labels(score: np.ndarray, outcome: Outcome) -> np.ndarray:
    if outcome.task == "regression":
        return score.round(3)
    bounds = np.quantile(score, np.arange(1, len(outcome.classes)) / len(outcome.classes))
    return np.digitize(score, bounds).astype(float)
