"""Several cohorts become one source table and one target table with the same features."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.schema import Cohort, Column, Outcome
from medgraft.errors import CohortError, ConfigError

Mode = Literal["shared", "masked"]
Role = Literal["source", "target"]
Origin = Literal["shared", "source_only", "target_only"]
RESERVED = ("row", "patient", "site")


@dataclass(frozen=True)
class Feature:
    """One column of both tables, and which role measured it."""

    column: Column
    origin: Origin


@dataclass(frozen=True, eq=False)
class Table:
    """All rows of one role, site after site.

    `x` float64 [n, d] (NaN = missing), `y` float64 [n], `patient`, `site` object [n] of str, `line`
    int64 [n] (line in the site's file), `subgroups` name -> object [n] ("" where not recorded).
    """

    role: Role
    outcome: Outcome
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    patient: NDArray[np.object_]
    site: NDArray[np.object_]
    line: NDArray[np.int64]
    subgroups: dict[str, NDArray[np.object_]]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the cohorts, in order."""
        return tuple(dict.fromkeys(self.site))


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two tables over one feature list.

    `shared`, `source_only` and `target_only` name features by the roles that measured them;
    `partly_measured` names what mode `shared` left out because only some sites of both roles
    measured it.
    """

    mode: Mode
    features: tuple[Feature, ...]
    source: Table
    target: Table
    shared: tuple[str, ...]
    source_only: tuple[str, ...]
    target_only: tuple[str, ...]
    partly_measured: tuple[str, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of `source.x` and `target.x`, in order."""
        return tuple(feature.column for feature in self.features)


def align(sources: Sequence[Cohort], targets: Sequence[Cohort], mode: Mode) -> Aligned:
    """Put sources and targets on one feature list.

    Mode `shared` keeps what every site measured; `masked` keeps what any site measured and leaves
    NaN where a site did not. Numbers come before categories, each in the order in which the sites
    first name them: networks slice the two apart.

    Raises CohortError listing every disagreement: a name with two units, kinds or category lists,
    two outcomes within a role, the same site twice, a site without rows, or no feature left;
    ConfigError for an unknown mode.
    """
    if mode not in get_args(Mode):
        raise ConfigError(f"alignment mode {mode!r}: expected one of {', '.join(get_args(Mode))}")
    cohorts = [*sources, *targets]
    _check_agreement(sources, targets)
    by_source, by_target = _measured(sources), _measured(targets)
    names = list(dict.fromkeys(name for cohort in cohorts for name in cohort.measured))
    both = [name for name in names if name in by_source and name in by_target]
    everywhere = [name for name in both if all(name in cohort.measured for cohort in cohorts)]
    kept = everywhere if mode == "shared" else names
    if not kept:
        raise CohortError(f"no feature is measured by all of {_names(cohorts)}")
    merged = {name: _merged(name, cohorts) for name in kept}
    kept = sorted(kept, key=lambda name: merged[name].kind == "category")
    features = tuple(Feature(merged[name], _origin(name, by_source, by_target)) for name in kept)
    return Aligned(
        mode=mode,
        features=features,
        source=_table("source", sources, kept),
        target=_table("target", targets, kept),
        shared=tuple(everywhere if mode == "shared" else both),
        source_only=tuple(name for name in names if name not in by_target),
        target_only=tuple(name for name in names if name not in by_source),
        partly_measured=tuple(name for name in both if name not in kept),
    )


def _measured(cohorts: Iterable[Cohort]) -> set[str]:
    return {name for cohort in cohorts for name in cohort.measured}


def _names(cohorts: Iterable[Cohort]) -> str:
    return ", ".join(cohort.name for cohort in cohorts)


def _origin(name: str, by_source: set[str], by_target: set[str]) -> Origin:
    if name not in by_target:
        return "source_only"
    return "shared" if name in by_source else "target_only"


def _columns(name: str, cohorts: Iterable[Cohort]) -> list[tuple[str, Column]]:
    return [(c.name, column) for c in cohorts for column in c.columns if column.name == name]


def _merged(name: str, cohorts: Sequence[Cohort]) -> Column:
    columns = [column for _, column in _columns(name, cohorts)]
    missing = len(columns) < len(cohorts) or any(column.may_be_missing for column in columns)
    first = columns[0]
    return Column(
        name, first.kind, unit=first.unit, categories=first.categories, may_be_missing=missing
    )


def _table(role: Role, cohorts: Sequence[Cohort], names: Sequence[str]) -> Table:
    groups = dict.fromkeys(name for cohort in cohorts for name in cohort.subgroups)
    return Table(
        role=role,
        outcome=cohorts[0].outcome,
        x=np.concatenate([_values(cohort, names) for cohort in cohorts]),
        y=np.concatenate([cohort.y for cohort in cohorts]),
        patient=np.concatenate([cohort.patient for cohort in cohorts]),
        site=np.concatenate([_repeat(cohort.name, len(cohort)) for cohort in cohorts]),
        line=np.concatenate([cohort.source_rows for cohort in cohorts]),
        subgroups={name: np.concatenate([_group(c, name) for c in cohorts]) for name in groups},
    )


def _values(cohort: Cohort, names: Sequence[str]) -> NDArray[np.float64]:
    place = {name: position for position, name in enumerate(cohort.measured)}
    values = np.full((len(cohort), len(names)), np.nan)
    for column, name in enumerate(names):
        if name in place:
            values[:, column] = cohort.values[:, place[name]]
    return values


def _group(cohort: Cohort, name: str) -> NDArray[np.object_]:
    return cohort.subgroups.get(name, _repeat("", len(cohort)))


def _repeat(text: str, times: int) -> NDArray[np.object_]:
    return np.full(times, text, dtype=object)


def _check_agreement(sources: Sequence[Cohort], targets: Sequence[Cohort]) -> None:
    if not sources or not targets:
        raise CohortError("expected at least one source cohort and one target cohort")
    problems = [
        *_same_names([*sources, *targets]),
        *_empty([*sources, *targets]),
        *_outcome_conflicts("source", sources),
        *_outcome_conflicts("target", targets),
        *_column_conflicts([*sources, *targets]),
        *_reserved_groups([*sources, *targets]),
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


def _column_conflicts(cohorts: Sequence[Cohort]) -> Iterator[str]:
    first: dict[str, tuple[str, Column]] = {}
    for cohort in cohorts:
        for column in cohort.columns:
            site, known = first.setdefault(column.name, (cohort.name, column))
            for fact in ("kind", "unit", "categories"):
                here, there = getattr(column, fact), getattr(known, fact)
                if here != there:
                    yield f"{column.name}: {fact} is {there!r} in {site}, {here!r} in {cohort.name}"


def _reserved_groups(cohorts: Sequence[Cohort]) -> Iterator[str]:
    for name in dict.fromkeys(name for cohort in cohorts for name in cohort.subgroups):
        if name in RESERVED:
            yield f"subgroup {name}: the name is taken; call the column something else"
