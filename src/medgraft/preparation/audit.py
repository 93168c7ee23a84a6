"""What a careful reader of the data would want to know before believing any result."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.schema import Accounting, Cohort, Outcome
from medgraft.errors import CohortError
from medgraft.preparation.alignment import Aligned, Table
from medgraft.preparation.copies import identical_rows, repeated_patients
from medgraft.preparation.drift import Drift, drift
from medgraft.preparation.findings import Finding, count, listed

# A feature that tells the outcome of every patient is called a leak when shuffled outcomes would do
# so in less than one study in a thousand (all features together).
IMPLAUSIBLE = 1e-3
MISSING_APART = 0.25

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Audit:
    """Everything `audit.json` holds."""

    accounting: tuple[Accounting, ...]
    findings: tuple[Finding, ...]
    drift: tuple[Drift, ...]
    alignment: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists, in the layout of `docs/architecture.md`."""
        return {
            "accounting": [_account(entry) for entry in self.accounting],
            "findings": [asdict(finding) for finding in self.findings],
            "drift": [asdict(entry) for entry in self.drift],
            "alignment": self.alignment,
        }


def audit(cohorts: Sequence[Cohort], aligned: Aligned, joined: Sequence[Finding] = ()) -> Audit:
    """Look for leaks and surprises in the aligned tables; `joined` are findings of the grouping.

    Only the caller decides what a leak means (see `findings.refuse_leaks`). Raises CohortError when
    the accounting of a cohort does not close.
    """
    for cohort in cohorts:
        _check_accounting(cohort)
    changes = drift(aligned)
    findings = [
        *repeated_patients(aligned),
        *identical_rows(aligned),
        *joined,
        *_telling(aligned, aligned.source),
        *_telling(aligned, aligned.target),
        *_dull(aligned, aligned.source),
        *_dull(aligned, aligned.target),
        *_missing_apart(aligned, changes),
        *_partly_measured(aligned),
        *_recorded(cohorts),
        *_classes(aligned.source),
        *_classes(aligned.target),
    ]
    grades = ("leak", "warning", "note")
    return Audit(
        accounting=tuple(cohort.accounting for cohort in cohorts),
        findings=tuple(sorted(findings, key=lambda finding: grades.index(finding.severity))),
        drift=tuple(changes),
        alignment={
            "mode": aligned.mode,
            "shared": list(aligned.shared),
            "source_only": list(aligned.source_only),
            "target_only": list(aligned.target_only),
        },
    )


def _account(entry: Accounting) -> dict[str, Any]:
    fields = ("cohort", "file", "rows_read", "rows_used", "patients")
    return {name: getattr(entry, name) for name in fields} | {"excluded": dict(entry.excluded)}


def _check_accounting(cohort: Cohort) -> None:
    entry = cohort.accounting
    excluded = sum(entry.excluded.values())
    if entry.rows_read != entry.rows_used + excluded or entry.rows_used != len(cohort):
        raise CohortError(
            f"{entry.file}: the accounting does not close: {entry.rows_read} rows read, "
            f"{entry.rows_used} used, {excluded} excluded, {len(cohort)} in the cohort"
        )


def _measured(aligned: Aligned, table: Table) -> Iterator[tuple[str, Numbers]]:
    absent = {"source": "target_only", "target": "source_only"}[table.role]
    for position, feature in enumerate(aligned.features):
        if feature.origin != absent:
            yield feature.column.name, table.x[:, position]


def _dull(aligned: Aligned, table: Table) -> Iterator[Finding]:
    kinds = {name: len(np.unique(values)) for name, values in _measured(aligned, table)}
    empty = [name for name, values in _measured(aligned, table) if np.isnan(values).all()]
    constant = [name for name, number in kinds.items() if number == 1 and name not in empty]
    for check, names, told in (
        ("empty feature", empty, "missing"),
        ("constant feature", constant, "the same value"),
    ):
        if names:
            message = f"{told} for every patient of the {table.role}: {listed(names)}"
            yield Finding(check, "warning", table.role, len(names), message)


def _telling(aligned: Aligned, table: Table) -> Iterator[Finding]:
    outcome, role, y, width = table.outcome, table.role, table.y, table.x.shape[1]
    for name, values in _measured(aligned, table):
        known = ~np.isnan(values)
        rows = int(known.sum())
        if _tells_outcome(outcome, values[known], y[known], width):
            message = f"{name} alone tells {outcome.name} in every {role} row that has it"
            yield Finding("outcome in a feature", "leak", role, rows, message)
        elif _separates(outcome, values[known], y[known], width):
            message = (
                f"{name} alone ranks {outcome.name} without an error in the {role}: "
                "is it known before the outcome is?"
            )
            yield Finding("perfect predictor", "warning", role, rows, message)
        if _tells_outcome(outcome, known.astype(np.float64), y, width):
            message = f"whether {name} was measured tells {outcome.name} in the {role}"
            yield Finding("outcome in missingness", "leak", role, len(table), message)


def _tells_outcome(outcome: Outcome, values: Numbers, y: Numbers, features: int) -> bool:
    """Whether `values` [n] are the outcome under another name, beyond chance.

    Classes: every distinct value belongs to one class. k distinct values can be labelled in at most
    C^k ways, out of n! / prod(n_c!) equally likely shuffles of the outcome, which bounds the
    probability of it happening by chance. Regression: the outcome is a straight line of the values.
    """
    if len(np.unique(y)) < 2 or len(np.unique(values)) < 2:
        return False
    if outcome.task == "regression":
        return len(y) > 2 and abs(np.corrcoef(values, y)[0, 1]) > 1 - 1e-12
    kinds, value = np.unique(values, return_inverse=True)
    classes = np.unique(np.stack([value, y.astype(np.int64)]), axis=1).shape[1]
    if classes > len(kinds):
        return False
    chance = len(kinds) * math.log(len(np.unique(y))) - _log_shuffles(y)
    return chance + math.log(features) < math.log(IMPLAUSIBLE)


def _separates(outcome: Outcome, values: Numbers, y: Numbers, features: int) -> bool:
    """Whether ranking by `values` [n] makes no error, AUROC 0 or 1 for some class, beyond chance.

    Under shuffled outcomes one order in n! / prod(n_c!) separates, in either direction.
    """
    if len(np.unique(y)) < 2:
        return False
    if outcome.task == "regression":
        from scipy.stats import rankdata

        perfect = any(np.array_equal(rankdata(v), rankdata(y)) for v in (values, -values))
        return perfect and math.log(2 * features) - _log_shuffles(y) < math.log(IMPLAUSIBLE)
    return any(_apart(values, y == label, features) for label in np.unique(y))


def _apart(values: Numbers, member: NDArray[np.bool_], features: int) -> bool:
    inside, outside = values[member], values[~member]
    if inside.max() >= outside.min() and outside.max() >= inside.min():
        return False
    return math.log(2 * features) - _log_shuffles(member) < math.log(IMPLAUSIBLE)


def _log_shuffles(y: NDArray) -> float:
    sizes = np.unique(y, return_counts=True)[1]
    return math.lgamma(len(y) + 1) - sum(math.lgamma(size + 1) for size in sizes)


def _missing_apart(aligned: Aligned, changes: Sequence[Drift]) -> Iterator[Finding]:
    """Report features missing much more often in one role than in the other.

    A difference of shares above 0.25 with a p (Fisher) below 0.001 / features is reported.
    """
    from scipy.stats import fisher_exact

    place = {feature.column.name: i for i, feature in enumerate(aligned.features)}
    apart = []
    for entry in changes:
        if abs(entry.missing_difference) <= MISSING_APART:
            continue
        here, there = (
            np.isnan(table.x[:, place[entry.feature]]) for table in (aligned.source, aligned.target)
        )
        p = fisher_exact([[gone.sum(), (~gone).sum()] for gone in (here, there)]).pvalue
        if p < IMPLAUSIBLE / len(changes):
            apart.append(f"{entry.feature} ({here.mean():.0%} and {there.mean():.0%})")
    if apart:
        message = f"missing unequally often in source and target: {listed(apart)}"
        yield Finding("missing apart", "warning", "source and target", len(apart), message)


def _partly_measured(aligned: Aligned) -> Iterator[Finding]:
    names = aligned.partly_measured
    if names:
        message = f"{listed(names)} left out: not every site measured it (mode masked keeps it)"
        yield Finding("partly measured", "note", "source and target", len(names), message)


def _recorded(cohorts: Sequence[Cohort]) -> Iterator[Finding]:
    for cohort in cohorts:
        for note in cohort.accounting.notes:
            yield Finding("recorded values", "note", cohort.name, 1, f"{cohort.name}: {note}")


def _classes(table: Table) -> Iterator[Finding]:
    if table.outcome.task == "regression":
        return
    sizes = Counter(table.y.astype(np.int64).tolist())
    name, total = table.outcome.name, len(table)
    shares = ", ".join(
        f"{label} {sizes[index]} ({sizes[index] / total:.0%})"
        for index, label in enumerate(table.outcome.classes)
    )
    message = f"{name} in the {table.role}, of {count(total, 'row')}: {shares}"
    yield Finding("class balance", "note", table.role, total, message)
    for index, label in enumerate(table.outcome.classes):
        if not sizes[index]:
            message = f"no patient of the {table.role} has {name}={label}"
            yield Finding("absent class", "warning", table.role, 0, message)
