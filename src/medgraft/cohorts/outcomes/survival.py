"""How long until an event, for patients some of whom are only known to have got so far."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from medgraft.cohorts.cells import Reading, Ruled, got
from medgraft.cohorts.codes import Code, Rule
from medgraft.cohorts.outcomes.outcome import DescribedOutcome, Numbers, classes_differ, coded
from medgraft.cohorts.schema import Outcome

LONGEST = 1e9  # no follow-up lasts this long, in any unit


class Time(Ruled):
    """A follow-up time."""

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What came instead of a time."""
        expected = f"a time in {self.rule.unit}, 0 or more"
        return f"column {name}: {got(cells, reading, row)}, expected {expected}"


class Survival(DescribedOutcome):
    """Follow-up `time` in `unit`, and whether it ended with the `event` or was cut off.

    `horizons` are the times, in the same unit, at which survival is predicted. Every row needs a
    time and an event, unless `missing_codes` says which cells mean that a patient was not followed.
    """

    task: Literal["survival"]
    time: str
    event: str
    happened: tuple[Code, ...] = Field(min_length=1)
    censored: tuple[Code, ...] = Field(min_length=1)
    unit: str
    horizons: tuple[float, ...] = Field(min_length=1)
    missing_codes: tuple[Code, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        classes_differ({"censored": self.censored, "happened": self.happened}, 2)
        if self.time == self.event:
            raise ValueError("time and event name the same column")
        if not all(a < b <= LONGEST for a, b in pairwise((0.0, *self.horizons))):
            raise ValueError(
                f"expected increasing horizons above 0, up to {LONGEST:g}, got "
                f"{list(self.horizons)}"
            )
        return self

    def columns(self) -> dict[str, Ruled]:
        """The time in its unit, not negative; the event 0 or 1."""
        codes = coded({"censored": self.censored, "happened": self.happened})
        missing: dict[str, Any] = {
            "missing": self.missing_codes,
            "never_missing": not self.missing_codes,
        }
        return {
            self.time: Time(Rule(unit=self.unit, range=(0.0, LONGEST), **missing)),
            self.event: Ruled(Rule(codes=codes, **missing)),
        }

    def y(self, values: Mapping[str, Numbers]) -> Numbers:
        """Time and event, [n, 2]; NaN where not recorded."""
        return np.column_stack([values[self.time], values[self.event]])

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "survival", (), self.unit, self.horizons)
