"""`cohort.yaml`: what a user writes once about a folder of raw files."""

import datetime
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from medgraft.cohorts.schema import Column, Outcome


def _unread(value: object) -> None:
    """YAML turns an unquoted `no` into False and 2020-01-01 into a date: the file says neither."""
    if value is None or isinstance(value, bool | datetime.date):
        raise ValueError(f"YAML reads this as {value!r}: put it in quotes")


def _code(value: object) -> int | float | str:
    _unread(value)
    if not isinstance(value, int | float | str):
        raise ValueError("expected a code: a number, or a text exactly as in the file")
    return value


def _label(value: object) -> str:
    return str(_code(value))


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        raise ValueError(f"expected [lowest, highest], got [{value[0]:g}, {value[1]:g}]")
    return value


# A number matches every spelling of it (1, 1.0, 01); a text matches exactly.
Code = Annotated[int | float | str, PlainValidator(_code)]
Label = Annotated[str, PlainValidator(_label)]
Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


@dataclass(frozen=True)
class Rule:
    """How the cells of one column become numbers; `codes` None: they are numbers already."""

    codes: Mapping[int | float | str, float] | None = None
    unit: str = ""
    range: tuple[float, float] | None = None
    missing: tuple[int | float | str, ...] = ()
    disguised: tuple[int | float | str, ...] = ()
    never_missing: bool = False


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Measured(_Strict):
    description: str = ""
    missing: Literal["allowed", "never"] = "allowed"
    missing_codes: tuple[Code, ...] = ()
    disguised_missing: tuple[Code, ...] = ()


class Number(_Measured):
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

    def column(self, name: str) -> Column:
        """The column as the validated cohort states it."""
        return Column(name, "number", self.unit, self.range, (), self.missing == "allowed")


class Category(_Measured):
    """A measurement with named values; several raw codes may share a label."""

    kind: Literal["category"]
    categories: dict[Code, Label] = Field(min_length=1)

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

    def column(self, name: str) -> Column:
        """The column as the validated cohort states it."""
        return Column(name, "category", "", None, self.labels, self.missing == "allowed")


class Unused(_Strict):
    """A column that is in the file and not a measurement; its values are never shown."""

    kind: Literal["identifier", "ignore"]
    description: str = ""


class _OutcomeDescription(_Strict):
    column: str
    description: str = ""
    missing_codes: tuple[Code, ...] = ()


class _Classes(_OutcomeDescription):
    @abstractmethod
    def groups(self) -> dict[str, tuple[Code, ...]]: ...

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        counts = Counter(code for codes in self.groups().values() for code in codes)
        if repeated := [code for code, count in counts.items() if count > 1]:
            raise ValueError(f"{repeated[0]!r} belongs to more than one class")
        if len(self.groups()) < 2:
            raise ValueError(
                "the two classes have the same label; write labels: [negative, positive]"
            )
        return self

    def rule(self, missing: tuple[Code, ...]) -> Rule:
        """How its cells are read, given the codes that mean missing in every column."""
        groups = enumerate(self.groups().values())
        codes = {code: float(index) for index, values in groups for code in values}
        return Rule(codes=codes, missing=missing + self.missing_codes)


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
    classes: dict[Label, tuple[Code, ...]] = Field(min_length=3)

    def groups(self) -> dict[str, tuple[Code, ...]]:
        """Class label -> raw codes, in the order written."""
        return dict(self.classes)

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "multiclass", tuple(self.classes))


class Regression(_OutcomeDescription):
    """A number to predict, in `unit`."""

    task: Literal["regression"]
    unit: str = ""
    range: Range | None = None

    def rule(self, missing: tuple[Code, ...]) -> Rule:
        """How its cells are read, given the codes that mean missing in every column."""
        return Rule(unit=self.unit, range=self.range, missing=missing + self.missing_codes)

    def outcome(self, name: str) -> Outcome:
        """The outcome as the validated cohort states it."""
        return Outcome(name, "regression", (), self.unit)


class Format(BaseModel):
    """The function that reads a file, by its dotted name; every other key is handed to it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    reader: str = "medgraft.cohorts.readers.csv.read"

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for the reader."""
        return dict(self.model_extra or {})


class Site(_Strict):
    """One file, one cohort. `without` names the columns or outcomes it lacks."""

    file: str
    description: str = ""
    format: Format | None = None
    header: tuple[str, ...] | None = Field(default=None, min_length=1)
    without: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _stays_in_folder(self) -> Self:
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"file {self.file!r} lies outside the cohort's folder")
        return self


AnyColumn = Annotated[Number | Category | Unused, Field(discriminator="kind")]
AnyOutcome = Annotated[Binary | Multiclass | Regression, Field(discriminator="task")]
Measured = Number | Category


class CohortDescription(_Strict):
    """`cohort.yaml` as written; `catalogue/heart.yaml` is a full example.

    `patient: row` means that every row is a patient of its own, as it is at a site `without` the
    patient column. `missing` are the codes that mean "not recorded" in any column;
    `disguised_missing` of a column are values that look measured and are not: counted, reported,
    and turned into missing. `without` lists columns and outcomes a site did not record.
    """

    name: str
    description: str = ""
    patient: str = "row"
    subgroups: tuple[str, ...] = ()
    missing: tuple[Code, ...] = ("",)
    outcomes: dict[str, AnyOutcome] = Field(min_length=1)
    columns: dict[str, AnyColumn] = Field(min_length=1)
    format: Format = Format()
    sites: dict[str, Site] = Field(min_length=1)

    def patient_column(self, site: str) -> str | None:
        """The column that identifies patients at this site; None: every row is its own patient."""
        lacking = self.patient == "row" or self.patient in self.sites[site].without
        return None if lacking else self.patient

    def outcomes_at(self, site: str) -> dict[str, Binary | Multiclass | Regression]:
        """The outcomes this site recorded."""
        lacking = self.sites[site].without
        return {
            name: outcome
            for name, outcome in self.outcomes.items()
            if name not in lacking and outcome.column not in lacking
        }

    def measured_at(self, site: str) -> dict[str, Measured]:
        """The measurements this site has, in the order declared."""
        lacking = self.sites[site].without
        return {
            name: column
            for name, column in self.columns.items()
            if isinstance(column, Measured) and name not in lacking
        }

    def named(self) -> tuple[str, ...]:
        """Every column the description speaks of."""
        outcomes = (outcome.column for outcome in self.outcomes.values())
        patient = () if self.patient == "row" else (self.patient,)
        return tuple(dict.fromkeys([*patient, *self.columns, *outcomes]))

    def expected_at(self, site: str) -> tuple[str, ...]:
        """Every column this site's file has to hold."""
        return tuple(name for name in self.named() if name not in self.sites[site].without)
