"""Saved predictions -> work/evaluation: metrics, intervals, verdict, figures, report."""

from __future__ import annotations

from medgraft.config import stage_params
from medgraft.construct import construct
from medgraft.evaluation.predictions import load_study
from medgraft.evaluation.summary import evaluate as judge
from medgraft.preparation.arrays import check_seal
from medgraft.reporting import figures, report
from medgraft.reporting.readings import Asked, read_off
from medgraft.stages.provenance import provenance
from medgraft.stages.run import EVALUATION, FINETUNED, PREPARED, run


def evaluate() -> None:
    """Write what the team reads; no model is loaded."""
    params = stage_params("evaluate")
    metrics = {name: construct(spec) for name, spec in params.metrics.items()}
    for folder in (PREPARED, PREPARED / "target", *FINETUNED.glob("*/")):
        check_seal(folder)
    study = load_study(PREPARED, FINETUNED)
    result = judge(
        study,
        metrics,
        primary=params.task.primary,
        reference=params.evaluation.reference,
        draws=params.evaluation.draws,
        seed=params.seed,
        worthwhile=params.evaluation.worthwhile_difference,
    )
    result.write(EVALUATION)
    places = {"prepared": PREPARED, "finetuned": FINETUNED}
    drawn = figures.draw(study, result, metrics=metrics, **places, folder=EVALUATION / "figures")
    drawn |= read_off(
        study,
        result,
        metrics,
        **places,
        asked=Asked(params.evaluation.set_level, params.evaluation.sensitivity),
        seed=params.seed,
        folder=EVALUATION,
    )
    report.write(
        EVALUATION / "report.html",
        study=study,
        evaluation=result,
        metrics=metrics,
        prepared=PREPARED,
        figures=drawn,
        notice=params.cohort.notice,
        provenance=provenance(),
    )


if __name__ == "__main__":
    run(evaluate, name="evaluate")
