"""How long until an event, for patients some of whom are only known to have got so far."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from medgraft.cohorts.cells import Ruled
from medgraft.cohorts.codes import Code, Rule
from medgraft.cohorts.outcomes.outcome import DescribedOutcome, Numbers, classes_differ, coded
from medgraft.cohorts.schema import Outcome

LONGEST = 1e9  # no follow-up lasts this long, in any unit


class Survival(DescribedOutcome):
    """Follow-up `time` in `unit`, and whether it ended with the `event` or was cut off.

    `horizons` are the times, in the same unit, at which survival is predicted.
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
        if not all(a < b for a, b in pairwise((0.0, *self.horizons))):
            raise ValueError(f"expected increasing horizons above 0, got {list(self.horizons)}")
        return self

    def columns(self) -> dict[str, Ruled]:
        """The time in its unit, not negative; the event 0 or 1."""
        codes = coded({"censored": self.censored, "happened": self.happened})
        time = Rule(unit=self.unit, range=(0.0, LONGEST), missing=self.missing_codes)
        return {
            self.time: Ruled(time),
            self.event: Ruled(Rule(codes=codes, missing=self.missing_codes)),
        }

    def y(self, values: Mapping[str, Numbers]) -> Numbers:
        """Time and event, [n, 2]; NaN where not recorded."""
        return np.column_stack([values[self.time], values[self.event]])

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "survival", (), self.unit, self.horizons)
