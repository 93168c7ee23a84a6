from collections.abc import Callable, Iterator, Mapping
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
            *OF_TASK[study.task](study, evaluation, metric, outcome=outcome),
            learning(study, finetuned),
        ]
    figures = {figure.name: figure for figure in drawn if figure is not None}
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures.values():
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
    return figures


def _of_classes(
    study: Study, evaluation: Evaluation, metric: Metric, *, outcome: Mapping[str, Any]
) -> Iterator[Figure | None]:
    yield diagnostics.calibration(study, evaluation, outcome=outcome["name"])
    if len(study.classes) == 2:
        yield diagnostics.roc(study, evaluation, metric, outcome=outcome["name"])


def _of_values(
    study: Study, evaluation: Evaluation, metric: Metric, *, outcome: Mapping[str, Any]
) -> Iterator[Figure | None]:
    del metric
    name, unit = outcome["name"], outcome["unit"]
    yield diagnostics.predicted(study, evaluation, outcome=name, unit=unit)


def _of_labels(
    study: Study, evaluation: Evaluation, metric: Metric, *, outcome: Mapping[str, Any]
) -> Iterator[Figure | None]:
    del metric
    yield labels(study, evaluation)
    yield diagnostics.calibration(study, evaluation, outcome=outcome["name"])


def _of_survival(
    study: Study, evaluation: Evaluation, metric: Metric, *, outcome: Mapping[str, Any]
) -> Iterator[Figure | None]:
    yield survival.kaplan_meier(study, evaluation, outcome=outcome)
    yield survival.calibration(study, evaluation, outcome=outcome)
    names = diagnostics.of_interest(study, evaluation, metric)
    yield survival.over_time(study, names, outcome=outcome)


OF_TASK: dict[str, Callable[..., Iterator[Figure | None]]] = {
    "binary": _of_classes,
    "multiclass": _of_classes,
    "regression": _of_values,
    "multilabel": _of_labels,
    "survival": _of_survival,
}
