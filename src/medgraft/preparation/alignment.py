"""Several cohorts become one source table and one target table that one network can read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.identifiers import first_rows
from medgraft.cohorts.schema import Cohort, Column, Outcome
from medgraft.errors import CohortError
from medgraft.preparation.findings import Finding

Role = Literal["source", "target"]
Origin = Literal["shared", "source_only", "target_only"]
Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Summary(NamedTuple):
    """Numbers [n, d] by which rows can be compared; NaN is missing.

    owners: the feature each column is of; empty where there are no features to speak of.
    categories: of how many each column [d] is one: 0 for a number, 2 where 1 means the second.
    """

    values: Numbers
    owners: Sequence[str]
    categories: NDArray[np.int64]


Emptiness = tuple[NDArray[np.bool_], str]
"""Which rows [n] tell nothing that a model could answer from, and in what way."""


def unmeasured(x: NDArray[Any]) -> Emptiness:
    """Rows [n] of x [n, d] without any number."""
    return np.isnan(x).all(axis=1), "every measurement is missing"


def numbers_only(values: Numbers) -> Summary:
    """What has neither categories nor features."""
    return Summary(values, (), np.zeros(values.shape[1], np.int64))


RESERVED = ("row", "patient", "site")


@dataclass(frozen=True)
class Feature:
    """One column of both tables, and which role measured it."""

    column: Column
    origin: Origin


@dataclass(frozen=True, eq=False)
class Table:
    """All rows of one role, site after site.

    `x` [n, ...]: float64 [n, d] for tables (NaN = missing), a block's own array otherwise. `y`
    float64 [n] or [n, k], `patient` and `site` [n] of str, `line` int64 [n] (line in the site's
    file), `subgroups` name -> object [n] ("" where not recorded), `split` object [n] of "train",
    "validation" or "test" where the files say who tests.
    """

    role: Role
    outcome: Outcome
    x: NDArray[Any]
    y: NDArray[np.float64]
    patient: NDArray[Any]
    site: NDArray[np.object_]
    line: NDArray[np.int64]
    subgroups: dict[str, NDArray[np.object_]]
    split: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """Names of the cohorts, in order."""
        return tuple(dict.fromkeys(self.site))

    @cached_property
    def person(self) -> Integers:
        """Number [n] of the first row with the same identifier."""
        return first_rows(self.patient)

    def take(self, rows: NDArray[np.bool_] | Integers) -> "Table":
        """Only these rows: bool [n], or their numbers; all of them without a copy."""
        if rows.dtype == bool and rows.all():
            return self
        return replace(
            self,
            subgroups={name: values[rows] for name, values in self.subgroups.items()},
            split=None if self.split is None else self.split[rows],
            **{name: getattr(self, name)[rows] for name in ("x", "y", "patient", "site", "line")},
        )


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two tables whose rows one network can read.

    `told` is what the audit says of it: `mode`, and the names of `shared`, `source_only` and
    `target_only` features; `line` says it to the reader. `excluded` counts the rows that were left
    out, per site and reason.
    """

    features: tuple[Feature, ...]
    source: Table
    target: Table
    told: Mapping[str, Any]
    line: str
    excluded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of `source.x` and `target.x`, in order."""
        return tuple(feature.column for feature in self.features)

    @property
    def tables(self) -> tuple[Table, Table]:
        """Source and target."""
        return self.source, self.target


@dataclass(frozen=True)
class Drift:
    """Target against source in one feature both measured; None where undefined.

    A number has `standardised_difference` (target mean - source mean, in pooled standard
    deviations: Cohen's d with equal weights, Austin 2009, doi 10.1002/sim.3697), `ks` (two-sample
    Kolmogorov-Smirnov statistic, 0..1) and its asymptotic `p`. A category has `total_variation`
    (half the summed difference of the category shares, 0..1) and the chi-squared `p`. Missing cells
    are left out of all of them; `missing_difference` is the target's missing share minus the
    source's.
    """

    feature: str
    standardised_difference: float | None = None
    ks: float | None = None
    total_variation: float | None = None
    p: float | None = None
    missing_difference: float = 0.0


class Modality(Protocol):
    """How cohorts of one kind of measurement become arrays; named by `preparation.align`."""

    name: str

    def align(self, sources: Sequence[Cohort], targets: Sequence[Cohort]) -> Aligned:
        """Put sources and targets on one list of features.

        Raises CohortError listing every disagreement.
        """

    def group(self, aligned: Aligned) -> tuple[Integers, Integers, list[Finding]]:
        """Code [n] of whoever each source and each target row belongs to, and what was joined.

        Rows with one code never part: one patient's, copies, homologues.
        """

    def findings(self, aligned: Aligned) -> Iterator[Finding]:
        """Leaks and surprises that this kind of measurement can have."""

    def drift(self, aligned: Aligned) -> list[Drift]:
        """How far the target lies from the source."""

    def measurements(self, aligned: Aligned) -> tuple[Numbers, Numbers]:
        """Numbers [n, d] by which a classifier may tell source from target; NaN is missing."""


def shared_measurements(aligned: Aligned) -> tuple[Numbers, Numbers]:
    """Give the features that both roles measured, a column for every category.

    So that no classifier is told who measured what.
    """
    shared = [i for i, feature in enumerate(aligned.features) if feature.origin == "shared"]
    names = [aligned.features[i].column.name for i in shared]
    categories = [len(aligned.features[i].column.categories) for i in shared]
    source, target = (spread_out(t.x[:, shared], names, categories).values for t in aligned.tables)
    return source, target


def spread_out(x: Numbers, names: Sequence[str], categories: Sequence[int]) -> Summary:
    """Give a column for every category of more than two, and one for whatever else there is.

    x: [n, features]; NaN is missing. categories: how many each feature has, 0 for numbers.
    """
    parts, owners, numbers = [np.zeros((len(x), 0))], list[str](), list[int]()
    for place, (name, number) in enumerate(zip(names, categories, strict=True)):
        values = x[:, place, None]
        if number > 2:
            equal = (values == np.arange(number)).astype(np.float64)
            values = np.where(np.isnan(values), np.nan, equal)
        parts.append(values)
        owners += [name] * values.shape[1]
        numbers += [number] * values.shape[1]
    return Summary(np.concatenate(parts, axis=1), owners, np.array(numbers, dtype=np.int64))


def pool(
    role: Role, cohorts: Sequence[Cohort], values: Sequence[NDArray[Any]] | None = None
) -> Table:
    """All rows of one role, site after site; `values` replace those of the cohorts, one by one."""
    groups = dict.fromkeys(name for cohort in cohorts for name in cohort.subgroups)
    return Table(
        role=role,
        outcome=cohorts[0].outcome,
        x=_stacked([cohort.values for cohort in cohorts] if values is None else values),
        y=_stacked([cohort.y for cohort in cohorts]),
        patient=_stacked([cohort.patient for cohort in cohorts]),
        site=_stacked([_repeat(cohort.name, len(cohort)) for cohort in cohorts]),
        line=_stacked([cohort.source_rows for cohort in cohorts]),
        subgroups={name: _stacked([_group(c, name) for c in cohorts]) for name in groups},
        split=_split(cohorts),
    )


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One array of all rows; that of a single cohort as it is, perhaps mapped."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _split(cohorts: Sequence[Cohort]) -> NDArray[np.object_] | None:
    given = [cohort.split for cohort in cohorts if cohort.split is not None]
    return np.concatenate(given) if len(given) == len(cohorts) else None


def _group(cohort: Cohort, name: str) -> NDArray[np.object_]:
    return cohort.subgroups[name] if name in cohort.subgroups else _repeat("", len(cohort))


def _repeat(text: str, times: int) -> NDArray[np.object_]:
    same = np.empty(times, dtype=object)
    same.fill(text)  # one text for all; `np.full` would make one each
    return same


def check_agreement(
    sources: Sequence[Cohort], targets: Sequence[Cohort], more: Iterable[str] = ()
) -> None:
    """Raise CohortError listing every disagreement about sites, rows and outcomes, and `more`."""
    if not sources or not targets:
        raise CohortError("expected at least one source cohort and one target cohort")
    problems = [
        *_same_names([*sources, *targets]),
        *_empty([*sources, *targets]),
        *_outcome_conflicts("source", sources),
        *_outcome_conflicts("target", targets),
        *more,
        *_reserved_groups([*sources, *targets]),
        *_half_split("source", sources),
        *_half_split("target", targets),
    ]
    if problems:
        raise CohortError("the cohorts do not agree:\n- " + "\n- ".join(problems))


def _same_names(cohorts: Sequence[Cohort]) -> Iterator[str]:
    seen = [cohort.name for cohort in cohorts]
    for name in sorted({name for name in seen if seen.count(name) > 1}):
        yield f"{name} is given more than once; a cohort is either a source or a target, once"


def _empty(cohorts: Sequence[Cohort]) -> Iterator[str]:
    for cohort in cohorts:
        if len(cohort) == 0:
            yield f"{cohort.name} has no rows"


def _outcome_conflicts(role: Role, cohorts: Sequence[Cohort]) -> Iterator[str]:
    first = cohorts[0]
    for cohort in cohorts[1:]:
        if cohort.outcome != first.outcome:
            yield (
                f"{role} outcome: {first.name} has {_describe_outcome(first.outcome)}, "
                f"{cohort.name} has {_describe_outcome(cohort.outcome)}"
            )


def _describe_outcome(outcome: Outcome) -> str:
    detail = ", ".join(outcome.classes) or outcome.unit or "no unit"
    return f"{outcome.name} ({outcome.task}: {detail})"


def _reserved_groups(cohorts: Sequence[Cohort]) -> Iterator[str]:
    for name in dict.fromkeys(name for cohort in cohorts for name in cohort.subgroups):
        if name in RESERVED:
            yield f"subgroup {name}: the name is taken; call the column something else"


def _half_split(role: Role, cohorts: Sequence[Cohort]) -> Iterator[str]:
    without = [cohort.name for cohort in cohorts if cohort.split is None]
    if without and len(without) < len(cohorts):
        yield f"{role}: {', '.join(without)} has no split into training and test, the others have"
