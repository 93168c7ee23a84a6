"""Tables: numbers and categories under names that two cohorts share, or do not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts import identifiers
from medgraft.cohorts.schema import Cohort, Column
from medgraft.errors import CohortError, ConfigError
from medgraft.preparation import features
from medgraft.preparation.alignment import (
    Aligned,
    Drift,
    Emptiness,
    Feature,
    Origin,
    Summary,
    check_agreement,
    pool,
    shared_measurements,
    spread_out,
    unmeasured,
)
from medgraft.preparation.copies import identical_rows, patient_codes
from medgraft.preparation.drift import drift
from medgraft.preparation.findings import Finding, listed

Mode = Literal["shared", "masked"]
Overlap = Literal["refuse", "leave_out"]


class Tables:
    """Features by name; `mode` says what becomes of those that only some sites measured.

    `overlap` says what becomes of source rows of patients who are in the target too: the audit
    refuses them, or they are left out of the source and counted.
    """

    name: ClassVar[str] = "table"

    def __init__(self, mode: Mode = "shared", overlap: Overlap = "refuse") -> None:
        for name, value, choices in (("mode", mode, Mode), ("overlap", overlap, Overlap)):
            if value not in get_args(choices):
                expected = ", ".join(get_args(choices))
                raise ConfigError(f"alignment {name} {value!r}: expected one of {expected}")
        self.mode: Mode = mode
        self.overlap: Overlap = overlap

    def align(self, sources: Sequence[Cohort], targets: Sequence[Cohort]) -> Aligned:
        """One feature list; see `align`."""
        aligned = align(sources, targets, self.mode)
        return aligned if self.overlap == "refuse" else without_overlap(aligned)

    def group(self, aligned: Aligned) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Finding]]:
        """Rows of one patient, and rows too alike to be two; see `copies`."""
        source, joined = patient_codes(aligned.source, aligned.columns)
        target, more = patient_codes(aligned.target, aligned.columns)
        return source, target, [*joined, *more]

    def findings(self, aligned: Aligned) -> Iterator[Finding]:
        """Identical rows across roles, and what single features give away."""
        yield from identical_rows(aligned)
        yield from features.findings(aligned)

    def drift(self, aligned: Aligned) -> list[Drift]:
        """Feature by feature."""
        return drift(aligned)

    def measurements(self, aligned: Aligned) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give all shared features."""
        return shared_measurements(aligned)


def summary(x: NDArray[Any], features: Sequence[Mapping[str, Any]]) -> Summary:
    """Give prepared rows as numbers; `features` of schema.json."""
    names = [feature["name"] for feature in features]
    return spread_out(x, names, [len(feature["categories"]) for feature in features])


def emptiness(x: NDArray[Any], features: Sequence[Mapping[str, Any]]) -> Emptiness:
    """Say which prepared rows tell nothing, and how."""
    del features
    return unmeasured(x)


def align(sources: Sequence[Cohort], targets: Sequence[Cohort], mode: Mode) -> Aligned:
    """Put sources and targets on one feature list.

    Mode `shared` keeps what every site measured; `masked` keeps what any site measured and leaves
    NaN where a site did not. Numbers come before categories, each in the order in which the sites
    first name them: networks slice the two apart.

    Raises CohortError listing every disagreement: a name with two units, kinds or category lists,
    two outcomes within a role, the same site twice, a site without rows, or no feature left.
    """
    cohorts = [*sources, *targets]
    check_agreement(sources, targets, _column_conflicts(cohorts))
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
    only_source = [name for name in names if name not in by_target]
    only_target = [name for name in names if name not in by_source]
    told = {
        "mode": mode,
        "shared": everywhere if mode == "shared" else both,
        "source_only": only_source,
        "target_only": only_target,
        "partly_measured": [name for name in both if name not in kept],
    }
    return Aligned(
        features=features,
        source=pool("source", sources, [_values(cohort, kept) for cohort in sources]),
        target=pool("target", targets, [_values(cohort, kept) for cohort in targets]),
        told=told,
        line=_line(told),
    )


def without_overlap(aligned: Aligned) -> Aligned:
    """Leave every row of the source out whose patient is in the target too, and count it.

    Raises CohortError when no source row is left.
    """
    crossing = identifiers.among(aligned.source.patient, set(aligned.target.patient))
    if crossing.all():
        raise CohortError("every patient of the source is in the target too: none is left")
    sites = Counter(aligned.source.site[crossing])
    return replace(
        aligned,
        source=aligned.source.take(~crossing),
        excluded={site: {"patient also in the target": rows} for site, rows in sites.items()},
    )


def _line(told: Mapping[str, Any]) -> str:
    parts = [f"{len(told['shared'])} shared"]
    for origin in ("source_only", "target_only"):
        if names := told[origin]:
            parts.append(f"{len(names)} {origin.replace('_', ' ')} ({listed(names)})")
    return f"features: {', '.join(parts)}; mode {told['mode']}"


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


def _values(cohort: Cohort, names: Sequence[str]) -> NDArray[np.float64]:
    if tuple(names) == cohort.measured:
        return cohort.values  # of many patients mapped from a file: not to be copied into memory
    place = {name: position for position, name in enumerate(cohort.measured)}
    values = np.full((len(cohort), len(names)), np.nan)
    for column, name in enumerate(names):
        if name in place:
            values[:, column] = cohort.values[:, place[name]]
    return values


def _column_conflicts(cohorts: Sequence[Cohort]) -> Iterator[str]:
    first: dict[str, tuple[str, Column]] = {}
    for cohort in cohorts:
        for column in cohort.columns:
            site, known = first.setdefault(column.name, (cohort.name, column))
            for fact in ("kind", "unit", "categories"):
                here, there = getattr(column, fact), getattr(known, fact)
                if here != there:
                    yield f"{column.name}: {fact} is {there!r} in {site}, {here!r} in {cohort.name}"
