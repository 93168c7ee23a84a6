"""Several yes-or-no outcomes of one patient, any number of which may hold."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from medgraft.cohorts.cells import Ruled
from medgraft.cohorts.codes import Code, Distinct, Label, Rule
from medgraft.cohorts.outcomes.outcome import DescribedOutcome, Numbers, classes_differ, coded
from medgraft.cohorts.schema import Outcome


class Multilabel(DescribedOutcome):
    """Label -> the column that records it; all columns share their codes."""

    task: Literal["multilabel"]
    labels: Annotated[dict[Label, str], Distinct] = Field(min_length=2)
    negative: tuple[Code, ...] = Field(min_length=1)
    positive: tuple[Code, ...] = Field(min_length=1)
    missing_codes: tuple[Code, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        classes_differ({"negative": self.negative, "positive": self.positive}, 2)
        if len(set(self.labels.values())) < len(self.labels):
            raise ValueError("two labels name the same column")
        return self

    def columns(self) -> dict[str, Ruled]:
        """The labels' columns, 0 or 1 each."""
        codes = coded({"negative": self.negative, "positive": self.positive})
        rule = Rule(codes=codes, missing=self.missing_codes)
        return {column: Ruled(rule) for column in self.labels.values()}

    def y(self, values: Mapping[str, Numbers]) -> Numbers:
        """One column per label, [n, L]; NaN where not recorded."""
        return np.column_stack([values[column] for column in self.labels.values()])

    def known(self, y: Numbers) -> NDArray[np.bool_]:
        """Rows [n] with at least one label recorded."""
        return np.asarray(~np.isnan(y).all(axis=1))

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "multilabel", tuple(self.labels))
