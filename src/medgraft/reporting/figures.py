from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.summary import Evaluation
from medgraft.preparation.arrays import read_json
from medgraft.reporting.canvas import Figure, house_style
from medgraft.reporting.diagnostics import calibration, predicted, roc
from medgraft.reporting.forest import comparison, performance
from medgraft.reporting.learning import learning


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
            *_of_predictions(study, evaluation, metric, outcome=outcome),
            learning(study, finetuned),
        ]
    figures = {figure.name: figure for figure in drawn if figure is not None}
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures.values():
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
    return figures


def _of_predictions(
    study: Study, evaluation: Evaluation, metric: Metric, *, outcome: Mapping[str, Any]
) -> Iterator[Figure | None]:
    name = outcome["name"]
    if study.task == "regression":
        yield predicted(study, evaluation, outcome=name, unit=outcome["unit"])
        return
    yield calibration(study, evaluation, outcome=name)
    if study.task == "binary":
        yield roc(study, evaluation, metric, outcome=name)
