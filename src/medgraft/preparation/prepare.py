"""Cohorts in, everything the later stages read out: `work/prepared/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.schema import Accounting, Cohort, Outcome
from medgraft.preparation.alignment import Aligned, Feature, Modality, Table
from medgraft.preparation.arrays import Prepared, replacing, seal, write, write_json, write_table
from medgraft.preparation.audit import Audit, audit
from medgraft.preparation.cohort_shift import cohort_shift
from medgraft.preparation.findings import count, refuse_leaks
from medgraft.preparation.splits import USES, Plan, draw, draw_source
from medgraft.preparation.verification import verify


@dataclass(frozen=True)
class Summary:
    """What was prepared: the audit, and how many replicas of each use were drawn."""

    audit: Audit
    sources: tuple[str, ...]
    features: str
    replicas: dict[str, int]

    def text(self) -> str:
        """A few lines for the terminal: every patient, every feature, every finding."""
        lines = [self._accounted(entry) for entry in self.audit.accounting]
        lines.append(self.features)
        uses = ", ".join(f"{number} {use}" for use, number in self.replicas.items())
        lines.append(f"replicas: {uses}")
        lines.extend(f"{f.severity}: {f.message}" for f in self.audit.findings)
        return "\n".join(lines)

    def _accounted(self, entry: Accounting) -> str:
        role = "source" if entry.cohort in self.sources else "target"
        reasons = ", ".join(f"{reason} {number}" for reason, number in entry.excluded.items())
        excluded = sum(entry.excluded.values())
        return (
            f"{role} {entry.cohort} ({entry.file}): {count(entry.rows_read, 'row')} read, "
            f"{entry.rows_used} used ({count(entry.patients, 'patient')}), {excluded} excluded"
            + (f" ({reasons})" if excluded else "")
        )


def prepare(
    sources: Sequence[Cohort],
    targets: Sequence[Cohort],
    *,
    modality: Modality,
    plan: Plan,
    out: Path,
) -> Summary:
    """Align, audit, draw the design and write `out` (`work/prepared`), whole or not at all.

    Where the target's files say who tests, that split replaces the drawn folds. Raises CohortError
    when the cohorts cannot be aligned, do not add up or are too small for the plan, LeakError when
    test information could reach training.
    """
    aligned = modality.align(sources, targets)
    source_code, target_code, joined = modality.group(aligned)
    found = [*modality.findings(aligned), *joined]
    shift = cohort_shift(
        aligned,
        modality.measurements,
        patient=(source_code, target_code),
        seed=plan.seed,
    )
    report = audit([*sources, *targets], aligned, found, modality.drift(aligned), shift)
    refuse_leaks(report.findings)
    source_design = _source_design(aligned.source, source_code, plan)
    design = _target_design(aligned.target, target_code, plan)
    with replacing(out) as fresh:
        for table, code in ((aligned.source, source_code), (aligned.target, target_code)):
            write(fresh / table.role, _prepared(modality.name, aligned, table, code))
        write_table(source_design, fresh / "source_design.parquet")
        write_table(design, fresh / "design.parquet")
        write_json(report.as_json(), fresh / "audit.json")
        seal(fresh)
    uses = {use: int((design["use"] == use).sum()) for use in USES}
    return Summary(report, aligned.source.sites, aligned.line, uses)


def _source_design(table: Table, code: NDArray, plan: Plan) -> pl.DataFrame:
    design = draw_source(code, table.y, table.outcome, plan, where=" + ".join(table.sites))
    verify(design, code)
    return design


def _target_design(table: Table, code: NDArray, plan: Plan) -> pl.DataFrame:
    where = " + ".join(table.sites)
    design = draw(code, table.y, table.outcome, plan, where=where, given=table.split)
    verify(design, code, tested=None if table.split is None else table.split == "test")
    return design


def _prepared(modality: str, aligned: Aligned, table: Table, code: NDArray) -> Prepared:
    with np.errstate(over="ignore"):  # `write` reports what float32 cannot hold
        y = table.y.astype(np.float32)
    patients = pl.DataFrame(
        {
            "row": pl.Series(np.arange(len(table)), dtype=pl.Int32),
            "patient": pl.Series(code, dtype=pl.Int32),
            "site": pl.Series(table.site.tolist(), dtype=pl.String),
        }
        | {name: pl.Series(v.tolist(), dtype=pl.String) for name, v in table.subgroups.items()}
    )
    return Prepared(table.x, y, patients, _schema(modality, aligned, table))


def _schema(modality: str, aligned: Aligned, table: Table) -> dict[str, Any]:
    return {
        "modality": modality,
        "features": [_feature(feature) for feature in aligned.features],
        "outcome": _outcome(table.outcome),
        "sites": list(table.sites),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "task": outcome.task,
        "classes": list(outcome.classes),
        "unit": outcome.unit,
        "horizons": list(outcome.horizons),
    }


def _feature(feature: Feature) -> dict[str, Any]:
    column = feature.column
    return {
        "name": column.name,
        "kind": column.kind,
        "categories": list(column.categories),
        "unit": column.unit,
        "may_be_missing": column.may_be_missing,
        "origin": feature.origin,
        **column.details,
    }
