"""Raw files -> work/prepared: read, check, account for every patient, align, draw the design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgraft.cohorts.load import load
from medgraft.cohorts.schema import Cohort
from medgraft.config import stage_params
from medgraft.construct import construct, printable
from medgraft.errors import ConfigError
from medgraft.preparation.prepare import Summary, prepare
from medgraft.preparation.splits import Plan
from medgraft.stages.run import PREPARED, run


def preprocess() -> None:
    """Write the prepared cohorts, the design table and the audit; print who was used."""
    print(printable(carry_out(stage_params("preprocess"), out=PREPARED).text()))


def carry_out(params: Any, *, out: Path) -> Summary:
    """Read the cohorts that these parameters name and write them, prepared, to ``out``."""
    cohort, design = params.cohort, params.design
    folder, outcome = Path(cohort.folder), cohort.outcome
    on = cohort.read_on
    sources = [load(folder, site, outcome.source, read_on=on) for site in cohort.source]
    targets = [load(folder, site, outcome.target, read_on=on) for site in cohort.target]
    check_task("task@source_task", sources[0], params.source_task.kind)
    check_task("task", targets[0], params.task.kind)
    plan = Plan(
        runs=design.runs,
        folds=design.folds,
        validation_fraction=design.validation_fraction,
        sizes=tuple(design.sizes),
        sources=design.sources,
        seed=params.seed,
    )
    modality = construct(params.preparation.align)
    return prepare(sources, targets, modality=modality, plan=plan, out=out)


def check_task(group: str, cohort: Cohort, chosen: str) -> None:
    """Raise ConfigError where the configuration and the cohort's description disagree."""
    outcome = cohort.outcome
    if outcome.task != chosen:
        raise ConfigError(
            f"{group}={chosen}, but outcome {outcome.name!r} is {outcome.task}; "
            f"use {group}={outcome.task}"
        )


if __name__ == "__main__":
    run(preprocess, name="preprocess")
