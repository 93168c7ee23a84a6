from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.summary import Evaluation
from medgraft.preparation.arrays import read_json
from medgraft.reporting import diagnostics, survival
from medgraft.reporting.canvas import Figure, house_style
from medgraft.reporting.forest import comparison, performance
from medgraft.reporting.labels import labels
from medgraft.reporting.learning import learning
from medgraft.reporting.precision import precision_recall
from medgraft.tasks import task as tasks


def draw(
    study: Study,
    evaluation: Evaluation,
    *,
    metrics: Mapping[str, Metric],
    prepared: Path,
    finetuned: Path,
    folder: Path,
) -> dict[str, Figure]:
    """Draw every figure that fits the study, and write each to `folder`/<name>.svg.

    prepared, finetuned: as in docs/architecture.md. Equal inputs give equal bytes. Raises
    StageError when the prepared schema is missing.
    """
    outcome = read_json(prepared / "target" / "schema.json")["outcome"]
    metric = metrics[evaluation.verdict["primary"]]
    with house_style():
        drawn = [
            comparison(study, evaluation, metric),
            performance(study, evaluation, metric),
            *(
                DRAWINGS[name](study, evaluation, metric, outcome)
                for name in tasks.of(study.task).figures
            ),
            learning(study, finetuned),
        ]
    figures = {figure.name: figure for figure in drawn if figure is not None}
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures.values():
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
    return figures


Drawing = Callable[[Study, Evaluation, Metric, Mapping[str, Any]], Figure | None]
"""From a study, its evaluation, the primary metric and the outcome of schema.json."""

DRAWINGS: dict[str, Drawing] = {
    "calibration": lambda s, e, _, o: diagnostics.calibration(s, e, outcome=o["name"]),
    "roc": lambda s, e, metric, o: diagnostics.roc(s, e, metric, outcome=o["name"]),
    "precision_recall": lambda s, e, metric, o: precision_recall(s, e, metric, outcome=o["name"]),
    "predicted": lambda s, e, _, o: diagnostics.predicted(s, e, outcome=o["name"], unit=o["unit"]),
    "labels": lambda s, e, _, __: labels(s, e),
    "kaplan_meier": lambda s, e, _, o: survival.kaplan_meier(s, e, outcome=o),
    "survival_calibration": lambda s, e, _, o: survival.calibration(s, e, outcome=o),
    "over_time": lambda s, e, metric, o: survival.over_time(
        s, diagnostics.of_interest(s, e, metric), outcome=o
    ),
}
"""What a kind of outcome may name as its `figures`."""
