"""Saved predictions -> work/evaluation: metrics, intervals, verdict, figures, report."""

from __future__ import annotations

from typing import Any

from medgraft.config import stage_params
from medgraft.construct import construct
from medgraft.evaluation.answers import write_answers
from medgraft.evaluation.predictions import load_study
from medgraft.evaluation.summary import evaluate as judge
from medgraft.preparation.arrays import check_seal
from medgraft.provenance import provenance
from medgraft.reporting import card, checklists, report
from medgraft.reporting.design import Configured
from medgraft.reporting.facts import gather
from medgraft.reporting.readings import Asked, read_off
from medgraft.stages.run import EVALUATION, FINETUNED, PREPARED, run

PLACES = {"prepared": PREPARED, "finetuned": FINETUNED}


def evaluate() -> None:
    """Write what the team reads; no model is loaded."""
    params = stage_params("evaluate")
    metrics = {name: construct(spec) for name, spec in params.metrics.items()}
    asked = params.evaluation
    for folder in (PREPARED, PREPARED / "target", *FINETUNED.glob("*/")):
        check_seal(folder)
    study = load_study(**PLACES)
    result = judge(
        study,
        metrics,
        primary=params.task.primary,
        reference=asked.reference,
        draws=asked.draws,
        seed=params.seed,
        worthwhile=asked.worthwhile_difference,
        ship=asked.shipped,
    )
    result.write(EVALUATION)
    write_answers(EVALUATION, study, result.champion.strategy, level=asked.set_level)
    configured = Configured(params.strategies, params.pretrain.pretext, params.cohort.notice)
    drawn = read_off(
        study,
        result,
        metrics,
        **PLACES,
        asked=Asked(asked.set_level, asked.sensitivity, asked.cost, configured.published),
        seed=params.seed,
        folder=EVALUATION,
    )
    places: dict[str, Any] = {"prepared": PREPARED, "metrics": metrics}
    places["provenance"] = provenance(PREPARED)
    places["configured"] = configured
    page = EVALUATION / "report.html"
    report.write(page, study=study, evaluation=result, figures=drawn, **places)
    facts = gather(EVALUATION, finetuned=FINETUNED, **places)
    card.write(EVALUATION, facts)
    checklists.write(EVALUATION, facts)


if __name__ == "__main__":
    run(evaluate, name="evaluate")
