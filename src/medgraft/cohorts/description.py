"""`cohort.yaml`: what a user writes once about a folder of raw files."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medgraft.cohorts.cells import Ruled
from medgraft.cohorts.codes import Code, Rule, Strict
from medgraft.cohorts.kinds import kind as kinds
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.outcomes.listed import MultilabelList
from medgraft.cohorts.outcomes.multilabel import Multilabel
from medgraft.cohorts.outcomes.outcome import DescribedOutcome, classes_differ, coded
from medgraft.cohorts.outcomes.single import Binary, Multiclass, Regression
from medgraft.cohorts.outcomes.survival import Survival
from medgraft.cohorts.schema import PARTS, Part


class Unused(Strict):
    """A column that is in the file and not a measurement; its values are never shown."""

    kind: Literal["identifier", "ignore"]
    description: str = ""


class Format(BaseModel):
    """The function that reads a file, by its dotted name; every other key is handed to it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    reader: str = "medgraft.cohorts.readers.csv.read"

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for the reader."""
        return dict(self.model_extra or {})


class Site(Strict):
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


if TYPE_CHECKING:
    AnyColumn = Measured | Unused
else:  # a kind is found by its module alone
    AnyColumn = Annotated[Union[*kinds.every(), Unused], Field(discriminator="kind")]
AnyOutcome = Annotated[
    Binary | Multiclass | Regression | Multilabel | MultilabelList | Survival,
    Field(discriminator="task"),
]


class Split(Strict):
    """A column that says who trains, who decides when to stop, and who tests."""

    column: str
    train: tuple[Code, ...] = Field(min_length=1)
    validation: tuple[Code, ...] = Field(min_length=1)
    test: tuple[Code, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        classes_differ(self.groups(), 3)
        return self

    def groups(self) -> dict[Part, tuple[Code, ...]]:
        """Part -> raw codes."""
        return {part: getattr(self, part) for part in PARTS}

    def readable(self) -> Ruled:
        """Its column, whose codes become the index of the part."""
        return Ruled(Rule(codes=coded(self.groups()), never_missing=True))


def alternatives(union: Any) -> dict[str, type[BaseModel]]:
    """What tells the members of AnyColumn or AnyOutcome apart -> the member."""
    members, told = get_args(union)
    return {
        tag: member
        for member in get_args(members)
        for tag in get_args(member.model_fields[told.discriminator].annotation)
    }


class CohortDescription(Strict):
    """`cohort.yaml` as written; `catalogue/heart.yaml` is a full example.

    `patient: row` means that every row is a patient of its own, as it is at a site `without` the
    patient column. `missing` are the codes that mean "not recorded" in any column;
    `disguised_missing` of a column are values that look measured and are not: counted, reported,
    and turned into missing. `split` names who tests, where others have decided. `without` lists
    columns and outcomes a site did not record.
    """

    name: str
    description: str = ""
    patient: str = "row"
    subgroups: tuple[str, ...] = ()
    missing: tuple[Code, ...] = ("",)
    split: Split | None = None
    outcomes: dict[str, AnyOutcome] = Field(min_length=1)
    columns: dict[str, AnyColumn] = Field(min_length=1)
    format: Format = Format()
    sites: dict[str, Site] = Field(min_length=1)

    def patient_column(self, site: str) -> str | None:
        """The column that identifies patients at this site; None: every row is its own patient."""
        lacking = self.patient == "row" or self.patient in self.sites[site].without
        return None if lacking else self.patient

    def outcomes_at(self, site: str) -> dict[str, DescribedOutcome]:
        """The outcomes this site recorded."""
        lacking = set(self.sites[site].without)
        return {
            name: outcome
            for name, outcome in self.outcomes.items()
            if not lacking & {name, *outcome.columns()}
        }

    def split_at(self, site: str) -> Split | None:
        """Who tests at this site, where its file says so."""
        lacking = self.split is None or self.split.column in self.sites[site].without
        return None if lacking else self.split

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
        outcomes = (name for outcome in self.outcomes.values() for name in outcome.columns())
        patient = () if self.patient == "row" else (self.patient,)
        split = (self.split.column,) if self.split else ()
        return tuple(dict.fromkeys([*patient, *self.columns, *outcomes, *split]))

    def expected_at(self, site: str) -> tuple[str, ...]:
        """Every column this site's file has to hold."""
        return tuple(name for name in self.named() if name not in self.sites[site].without)
