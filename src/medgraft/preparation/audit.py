"""What a careful reader of the data would want to know before believing any result."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from medgraft.cohorts import identifiers
from medgraft.cohorts.schema import Accounting, Cohort
from medgraft.errors import CohortError
from medgraft.preparation.alignment import Aligned, Drift, Table
from medgraft.preparation.copies import repeated_patients
from medgraft.preparation.findings import Finding, count
from medgraft.tasks import task as tasks


@dataclass(frozen=True)
class Audit:
    """Everything `audit.json` holds."""

    accounting: tuple[Accounting, ...]
    findings: tuple[Finding, ...]
    drift: tuple[Drift, ...]
    alignment: dict[str, Any]
    shift: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists, in the layout of `docs/architecture.md`."""
        return {
            "accounting": [_account(entry) for entry in self.accounting],
            "findings": [asdict(finding) for finding in self.findings],
            "drift": [asdict(entry) for entry in self.drift],
            "alignment": self.alignment,
            "shift": dict(self.shift),
        }


def audit(
    cohorts: Sequence[Cohort],
    aligned: Aligned,
    found: Sequence[Finding] = (),
    drift: Sequence[Drift] = (),
    shift: Mapping[str, Any] | None = None,
) -> Audit:
    """Add what can be said of any cohort to the findings of its modality.

    Only the caller decides what a leak means (see `findings.refuse_leaks`). Raises CohortError when
    the accounting of a cohort does not close, or nobody of the target was followed to a horizon.
    """
    findings = [*repeated_patients(aligned), *found, *_recorded(cohorts)]
    for table in aligned.tables:
        findings.extend(_outcomes(table))
    findings.extend(_unseen_horizons(aligned))
    grades = ("leak", "warning", "note")
    return Audit(
        accounting=tuple(_closed(cohort, aligned) for cohort in cohorts),
        findings=tuple(sorted(findings, key=lambda finding: grades.index(finding.severity))),
        drift=tuple(drift),
        alignment=dict(aligned.told),
        shift=shift or {},
    )


def _account(entry: Accounting) -> dict[str, Any]:
    fields = ("cohort", "file", "rows_read", "rows_used", "patients")
    return {name: getattr(entry, name) for name in fields} | {"excluded": dict(entry.excluded)}


def _closed(cohort: Cohort, aligned: Aligned) -> Accounting:
    """The cohort's accounting with what the alignment left out."""
    entry, reasons = cohort.accounting, aligned.excluded.get(cohort.name, {})
    used = [table.patient[table.site == cohort.name] for table in aligned.tables]
    rows = sum(map(len, used))
    left_out = sum(reasons.values())
    excluded = sum(entry.excluded.values())
    if entry.rows_read != entry.rows_used + excluded or entry.rows_used != rows + left_out:
        raise CohortError(
            f"{entry.file}: the accounting does not close: {entry.rows_read} rows read, "
            f"{entry.rows_used} used, {excluded + left_out} excluded, {rows} in the cohort"
        )
    patients = identifiers.count(np.concatenate(used)) if left_out else entry.patients
    both = Counter(entry.excluded) + Counter(reasons)
    return replace(entry, rows_used=rows, patients=patients, excluded=dict(both))


def _recorded(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    for cohort in cohorts:
        for note in cohort.accounting.notes:
            yield Finding("recorded values", "note", cohort.name, 1, f"{cohort.name}: {note}")


def _unseen_horizons(aligned: Aligned) -> Iterator[Finding]:
    """Horizons that nobody was followed to; the target's could never be judged."""
    for table in aligned.tables:
        longest = table.y[:, 0].max() if table.outcome.horizons else np.inf
        beyond = [horizon for horizon in table.outcome.horizons if horizon > longest]
        if not beyond:
            continue
        outcome = table.outcome
        message = (
            f"outcomes.{outcome.name}.horizons: got {', '.join(f'{one:g}' for one in beyond)}, "
            f"expected at most {longest:g} {outcome.unit}, the longest follow-up of "
            f"{' + '.join(table.sites)}"
        )
        if table.role == "target":
            raise CohortError(message)
        yield Finding("horizon beyond follow-up", "warning", "source", len(beyond), message)


def _outcomes(table: Table) -> Iterator[Finding]:
    """How often each class, label or event occurs in a role."""
    sizes = tasks.of(table.outcome.task).sizes(table.y, table.outcome.classes)
    total = len(table)
    if not sizes:
        return
    name = table.outcome.name
    shares = ", ".join(f"{label} {size} ({size / total:.0%})" for label, size in sizes.items())
    message = f"{name} in the {table.role}, of {count(total, 'row')}: {shares}"
    yield Finding("class balance", "note", table.role, total, message)
    for label, size in sizes.items():
        if not size:
            message = f"no patient of the {table.role} has {name}={label}"
            yield Finding("absent class", "warning", table.role, 0, message)
