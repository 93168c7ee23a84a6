"""Cohorts in, everything the later stages read out: `work/prepared/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.schema import Accounting, Cohort
from medgraft.errors import CohortError
from medgraft.preparation.alignment import Aligned, Feature, Mode, Table, align
from medgraft.preparation.arrays import Prepared, replacing, write, write_json, write_table
from medgraft.preparation.audit import Audit, audit
from medgraft.preparation.copies import patient_codes
from medgraft.preparation.findings import count, listed, refuse_leaks
from medgraft.preparation.splits import USES, Plan, draw, draw_source
from medgraft.preparation.verification import verify


@dataclass(frozen=True)
class Summary:
    """What was prepared: the audit, and how many replicas of each use were drawn."""

    audit: Audit
    sources: tuple[str, ...]
    replicas: dict[str, int]

    def text(self) -> str:
        """A few lines for the terminal: every patient, every feature, every finding."""
        lines = [self._accounted(entry) for entry in self.audit.accounting]
        lines.append(self._features())
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

    def _features(self) -> str:
        told = [f"{len(self.audit.alignment['shared'])} shared"]
        for origin in ("source_only", "target_only"):
            names = self.audit.alignment[origin]
            if names:
                told.append(f"{len(names)} {origin.replace('_', ' ')} ({listed(names)})")
        return f"features: {', '.join(told)}; mode {self.audit.alignment['mode']}"


def prepare(
    sources: Sequence[Cohort],
    targets: Sequence[Cohort],
    *,
    mode: Mode,
    plan: Plan,
    out: Path,
    given: NDArray | None = None,
) -> Summary:
    """Align, audit, draw the design and write `out` (`work/prepared`), whole or not at all.

    `given` [rows of all targets] of "train" | "validation" | "test" replaces the drawn folds.
    Raises CohortError when the cohorts cannot be aligned, do not add up or are too small for the
    plan, LeakError when test information could reach training.
    """
    aligned = align(sources, targets, mode)
    source_code, source_joined = patient_codes(aligned.source, aligned.columns)
    target_code, target_joined = patient_codes(aligned.target, aligned.columns)
    report = audit([*sources, *targets], aligned, [*source_joined, *target_joined])
    refuse_leaks(report.findings)
    source_design = _source_design(aligned.source, source_code, plan)
    design = _target_design(aligned.target, target_code, plan, given)
    with replacing(out) as fresh:
        write(fresh / "source", _prepared(aligned, aligned.source, source_code))
        write(fresh / "target", _prepared(aligned, aligned.target, target_code))
        write_table(source_design, fresh / "source_design.parquet")
        write_table(design, fresh / "design.parquet")
        write_json(report.as_json(), fresh / "audit.json")
    uses = {use: int((design["use"] == use).sum()) for use in USES}
    return Summary(report, aligned.source.sites, uses)


def _source_design(table: Table, code: NDArray, plan: Plan) -> pl.DataFrame:
    design = draw_source(code, table.y, table.outcome, plan, where=" + ".join(table.sites))
    verify(design, code)
    return design


def _target_design(table: Table, code: NDArray, plan: Plan, given: NDArray | None) -> pl.DataFrame:
    where = " + ".join(table.sites)
    if given is not None and len(given) != len(table):
        raise CohortError(f"{where} has {count(len(table), 'row')}, the given split {len(given)}")
    design = draw(code, table.y, table.outcome, plan, where=where, given=given)
    verify(design, code, tested=None if given is None else np.asarray(given) == "test")
    return design


def _prepared(aligned: Aligned, table: Table, code: NDArray) -> Prepared:
    with np.errstate(over="ignore"):  # `write` reports what float32 cannot hold
        x, y = table.x.astype(np.float32), table.y.astype(np.float32)
    patients = pl.DataFrame(
        {
            "row": pl.Series(range(len(table)), dtype=pl.Int32),
            "patient": pl.Series(code, dtype=pl.Int32),
            "site": pl.Series(table.site.tolist(), dtype=pl.String),
        }
        | {name: pl.Series(v.tolist(), dtype=pl.String) for name, v in table.subgroups.items()}
    )
    return Prepared(x, y, patients, _schema(aligned, table))


def _schema(aligned: Aligned, table: Table) -> dict[str, Any]:
    outcome = table.outcome
    return {
        "modality": "table",
        "features": [_feature(feature) for feature in aligned.features],
        "outcome": {
            "name": outcome.name,
            "task": outcome.task,
            "classes": list(outcome.classes),
            "unit": outcome.unit,
        },
        "sites": list(table.sites),
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
    }
