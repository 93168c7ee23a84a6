"""Expression matrices: genes by identifier, whatever the platform measured them with."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.schema import Cohort, Column
from medgraft.errors import CohortError, ConfigError
from medgraft.preparation import genes
from medgraft.preparation.alignment import (
    Aligned,
    Drift,
    Feature,
    Origin,
    check_agreement,
    pool,
    shared_measurements,
)
from medgraft.preparation.copies import identical_rows, patient_codes
from medgraft.preparation.findings import Finding, listed
from medgraft.preparation.table import emptiness, summary

__all__ = ["Expression", "emptiness", "ids", "summary"]

Mode = Literal["shared", "masked"]
UNMEASURED = "no expression measured"


class Expression:
    """One feature per gene.

    Mode `shared` keeps the genes every site measured; `masked` keeps those any site measured and
    leaves NaN where a site did not: the network of two platforms then is larger than either's.
    """

    name: ClassVar[str] = "expression"

    def __init__(self, mode: Mode = "shared") -> None:
        if mode not in get_args(Mode):
            expected = ", ".join(get_args(Mode))
            raise ConfigError(f"alignment mode {mode!r}: expected one of {expected}")
        self.mode: Mode = mode

    def align(self, sources: Sequence[Cohort], targets: Sequence[Cohort]) -> Aligned:
        """Put all cohorts on one list of genes; samples without any value are left out.

        Raises CohortError listing every disagreement, or that no gene is shared.
        """
        cohorts = [*sources, *targets]
        check_agreement(sources, targets, _other_kinds(cohorts))
        told = self._told(sources, targets)
        kept = told["shared"]
        if self.mode == "masked":
            kept = list(dict.fromkeys(gene for cohort in cohorts for gene in ids(cohort)))
        if not told["shared"]:
            raise CohortError(_nothing_shared(cohorts))
        only: dict[str, Origin] = dict.fromkeys(told["source_only"], "source_only")
        only |= dict.fromkeys(told["target_only"], "target_only")
        tables = (
            pool("source", sources, [_values(cohort, kept) for cohort in sources]),
            pool("target", targets, [_values(cohort, kept) for cohort in targets]),
        )
        used = [~np.isnan(table.x).all(axis=1) for table in tables]
        source, target = (table.take(rows) for table, rows in zip(tables, used, strict=True))
        return Aligned(
            features=tuple(
                Feature(Column(gene, "number"), only.get(gene, "shared")) for gene in kept
            ),
            source=source,
            target=target,
            told=told,
            line=_line(told),
            excluded={
                cohort.name: {UNMEASURED: missing}
                for cohort in cohorts
                if (missing := _unmeasured(cohort, kept))
            },
        )

    def group(self, aligned: Aligned) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Finding]]:
        """Rows of one patient, and rows too alike to be two; see `copies`."""
        source, joined = patient_codes(aligned.source, aligned.columns)
        target, more = patient_codes(aligned.target, aligned.columns)
        return source, target, [*joined, *more]

    def findings(self, aligned: Aligned) -> Iterator[Finding]:
        """Identical samples across roles, what single genes give away, what became of probes."""
        yield from identical_rows(aligned)
        yield from genes.findings(aligned)
        for cohort, counts in aligned.told["cohorts"].items():
            said = "; ".join(f"{what} {number}" for what, number in counts.items() if number)
            yield Finding("probes and samples", "note", cohort, 1, f"{cohort}: {said}")

    def drift(self, aligned: Aligned) -> list[Drift]:
        """Gene by gene, on the scale of the matrices: two platforms differ in all of them."""
        return genes.drift(aligned)

    def measurements(self, aligned: Aligned) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give all shared genes."""
        return shared_measurements(aligned)

    def _told(self, sources: Sequence[Cohort], targets: Sequence[Cohort]) -> dict[str, Any]:
        """Which genes whom measured; `partly_measured` by some sites of both roles only."""
        cohorts = [*sources, *targets]
        by_source, by_target = (set().union(*map(ids, group)) for group in (sources, targets))
        names = list(dict.fromkeys(gene for cohort in cohorts for gene in ids(cohort)))
        measured = [set(ids(cohort)) for cohort in cohorts]
        both = [gene for gene in names if gene in by_source and gene in by_target]
        everywhere = [gene for gene in both if all(gene in genes_of for genes_of in measured)]
        shared = everywhere if self.mode == "shared" else both
        in_shared = set(shared)
        return {
            "mode": self.mode,
            "shared": shared,
            "source_only": [gene for gene in names if gene not in by_target],
            "target_only": [gene for gene in names if gene not in by_source],
            "partly_measured": [gene for gene in both if gene not in in_shared],
            "cohorts": {cohort.name: cohort.columns[0].details["told"] for cohort in cohorts},
        }


def ids(cohort: Cohort) -> list[str]:
    """The genes a cohort measured, in the order of the columns of its values."""
    return list(cohort.columns[0].details["genes"])


def _other_kinds(cohorts: Sequence[Cohort]) -> Iterator[str]:
    for cohort in cohorts:
        for column in cohort.columns:
            if column.kind != "expression":
                yield f"{cohort.name}: column {column.name} has kind {column.kind}, not expression"


def _nothing_shared(cohorts: Sequence[Cohort]) -> str:
    each = "; ".join(
        f"{c.name} ({c.accounting.file}) has {len(ids(c))}: {listed(ids(c))}" for c in cohorts
    )
    return (
        f"no gene is measured by every cohort ({each}); are they named by one kind of identifier?"
    )


def _values(cohort: Cohort, kept: Sequence[str]) -> NDArray[np.float64]:
    own = {gene: column for column, gene in enumerate(ids(cohort))}
    place = np.array([own.get(gene, -1) for gene in kept])
    values = np.full((len(cohort), len(kept)), np.nan)
    values[:, place >= 0] = cohort.values[:, place[place >= 0]]
    return values


def _unmeasured(cohort: Cohort, kept: Sequence[str]) -> int:
    return int(np.isnan(_values(cohort, kept)).all(axis=1).sum())


def _line(told: Mapping[str, Any]) -> str:
    parts = [f"{len(told['shared'])} shared"]
    for origin in ("source_only", "target_only"):
        if names := told[origin]:
            parts.append(f"{len(names)} {origin.replace('_', ' ')} ({listed(names)})")
    return f"genes: {', '.join(parts)}; mode {told['mode']}"
