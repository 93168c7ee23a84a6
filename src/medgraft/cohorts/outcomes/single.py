"""Outcomes read from one column: two classes, several classes, a value."""

from abc import abstractmethod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medgraft.cohorts.cells import Ruled
from medgraft.cohorts.codes import Code, Distinct, Label, Range, Rule
from medgraft.cohorts.outcomes.outcome import DescribedOutcome, classes_differ, coded
from medgraft.cohorts.schema import Outcome


class _OneColumn(DescribedOutcome):
    column: str
    missing_codes: tuple[Code, ...] = ()


class _Classes(_OneColumn):
    @abstractmethod
    def groups(self) -> dict[str, tuple[Code, ...]]: ...

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        classes_differ(self.groups(), 2)
        return self

    def columns(self) -> dict[str, Ruled]:
        """Its column, whose codes become class indices."""
        return {self.column: Ruled(Rule(codes=coded(self.groups()), missing=self.missing_codes))}


class Binary(_Classes):
    """Two classes, each a group of raw codes; labels are the codes unless written."""

    task: Literal["binary"]
    negative: tuple[Code, ...] = Field(min_length=1)
    positive: tuple[Code, ...] = Field(min_length=1)
    labels: tuple[Label, Label] | None = None

    def groups(self) -> dict[str, tuple[Code, ...]]:
        """Class label -> raw codes, the negative class first."""
        both = (self.negative, self.positive)
        names = self.labels or tuple(" or ".join(map(str, codes)) for codes in both)
        return dict(zip(names, both, strict=True))

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "binary", tuple(self.groups()))


class Multiclass(_Classes):
    """Three or more classes, each a group of raw codes."""

    task: Literal["multiclass"]
    classes: Annotated[dict[Label, tuple[Code, ...]], Distinct] = Field(min_length=3)

    def groups(self) -> dict[str, tuple[Code, ...]]:
        """Class label -> raw codes, in the order written."""
        return dict(self.classes)

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "multiclass", tuple(self.classes))


class Regression(_OneColumn):
    """A number to predict, in `unit`."""

    task: Literal["regression"]
    unit: str = ""
    range: Range | None = None

    def columns(self) -> dict[str, Ruled]:
        """Its column of numbers."""
        return {
            self.column: Ruled(Rule(unit=self.unit, range=self.range, missing=self.missing_codes))
        }

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "regression", (), self.unit)
