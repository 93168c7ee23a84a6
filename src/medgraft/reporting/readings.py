"""What a team reads off a study beside the verdict: figures, and their numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medgraft.evaluation import (
    calibration_curve,
    conformal,
    planning,
    recalibration,
    savings,
    subgroups,
    thresholds,
    utility,
)
from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Labels, Study, load_sizes, load_subgroups
from medgraft.evaluation.summary import Evaluation, applicable, plain
from medgraft.preparation.arrays import read, read_json, write_json
from medgraft.reporting.canvas import Figure, house_style
from medgraft.reporting.conformal import sets_figure
from medgraft.reporting.diagnostics import leading, smooth_curves
from medgraft.reporting.savings import savings_figure
from medgraft.reporting.shift import drift_figure, shift
from medgraft.reporting.subgroups import subgroups_figure
from medgraft.reporting.text import best_first
from medgraft.reporting.utility import utility_figure

Reading = tuple[dict[str, Any], Figure | None]
MOST = 3
"""Strategies in a figure beside the reference."""


@dataclass(frozen=True)
class Asked:
    """How often prediction sets hold the truth, for which sensitivity a threshold is chosen."""

    level: float
    sensitivity: float


def read_off(
    study: Study,
    evaluation: Evaluation,
    metrics: Mapping[str, Metric],
    *,
    prepared: Path,
    finetuned: Path,
    asked: Asked,
    seed: int,
    folder: Path,
) -> dict[str, Figure]:
    """Write `folder`/readings.json and the figures of what the study allows to be read off it.

    Raises StageError as `load_study` does.
    """
    metric = metrics[evaluation.verdict["primary"]]
    groups = load_subgroups(prepared)
    with house_style():
        found = {
            "patients_saved": _saved(
                study, evaluation, metric, sizes=load_sizes(prepared, finetuned), seed=seed
            ),
            "net_benefit": _utility(study, evaluation),
            "subgroups": _subgroups(study, evaluation, metrics, groups=groups, seed=seed),
            "prediction_sets": _sets(study, evaluation, level=asked.level, groups=groups),
            "calibration": (_calibrated(study, evaluation), None),
            "recalibration": (_recalibrated(study, evaluation, metrics, seed=seed), None),
            "threshold": (_threshold(study, evaluation, asked.sensitivity, seed=seed), None),
            "shift": _shift(study, prepared, seed=seed),
            "sample_size": (_plans(evaluation, metric), None),
        }
    write_json(plain({name: numbers for name, (numbers, _) in found.items()}), folder / READINGS)
    drawn = {figure.name: figure for _, figure in found.values() if figure is not None}
    for name, figure in drawn.items():
        (folder / "figures" / f"{name}.svg").write_text(figure.svg, encoding="utf-8")
    return drawn


READINGS = "readings.json"


def transfers(evaluation: Evaluation) -> list[str]:
    """Name the strategies that use the source, the most helpful first."""
    compared = evaluation.verdict["strategies"]
    ranked = best_first({"name": name, **row} for name, row in compared.items())
    return [row["name"] for row in ranked if row["uses_source"]]


def _saved(
    study: Study, evaluation: Evaluation, metric: Metric, *, sizes: Mapping[int, Study], seed: int
) -> Reading:
    reference, draws = evaluation.verdict["reference"], evaluation.verdict["draws"]
    found = savings.patients_saved(sizes, metric, reference=reference, draws=draws, seed=seed)
    names = transfers(evaluation)[:MOST][::-1]
    if found is None or not names:
        return {"why": "no learning curve was drawn: set design.sizes, e.g. [20,40]"}, None
    return savings.told(found), savings_figure(study, found, names)


def _utility(study: Study, evaluation: Evaluation) -> Reading:
    if study.task != "binary":
        return {"why": f"net benefit needs one event, the outcome is {study.task}"}, None
    curves = utility.decision_curves(study, acted_on(study, evaluation))
    return utility.told(curves), utility_figure(study, curves)


def acted_on(study: Study, evaluation: Evaluation) -> list[str]:
    """Name the champion, the reference, the best with the source and the best baseline."""
    compared = evaluation.verdict["strategies"]
    ranked = best_first({"name": name, **row} for name, row in compared.items())
    baselines = [row["name"] for row in ranked if not row["uses_source"]]
    names = [*leading(study, evaluation), *transfers(evaluation)[:1], *baselines[:1]]
    return list(dict.fromkeys(names))


def _subgroups(
    study: Study,
    evaluation: Evaluation,
    metrics: Mapping[str, Metric],
    *,
    groups: Mapping[str, Labels],
    seed: int,
) -> Reading:
    primary, draws = evaluation.verdict["primary"], evaluation.verdict["draws"]
    chosen = applicable(metrics, study.task, primary=primary)
    names = leading(study, evaluation)
    scores = subgroups.by_subgroup(study, groups, chosen, strategies=names, draws=draws, seed=seed)
    if not scores:
        return {"why": "cohort.yaml declares no subgroups"}, None
    return subgroups.told(scores), subgroups_figure(study, scores, metrics[primary])


def _sets(
    study: Study, evaluation: Evaluation, *, level: float, groups: Mapping[str, Labels]
) -> Reading:
    champion = evaluation.champion.strategy
    found = conformal.conformal(study, champion, level=level, groups=groups)
    if isinstance(found, str):
        return {"why": found}, None
    return conformal.told(found), sets_figure(study, found)


def _calibrated(study: Study, evaluation: Evaluation) -> dict[str, Any]:
    curves = smooth_curves(study, evaluation)
    if not curves:
        return {"why": f"no smooth calibration curve of a {study.task} outcome"}
    return calibration_curve.told(list(curves.values()))


CALIBRATION = ("calibration_slope", "calibration_intercept", "brier", "log_loss", "ece")
"""The metrics a correction of probabilities may move."""


def _recalibrated(
    study: Study, evaluation: Evaluation, metrics: Mapping[str, Metric], *, seed: int
) -> dict[str, Any]:
    if study.task not in ("binary", "multiclass"):
        return {"why": f"corrections are offered for classes, the outcome is {study.task}"}
    chosen = applicable(metrics, study.task, primary=evaluation.verdict["primary"])
    scores, refused = recalibration.recalibration(
        study,
        {name: metric for name, metric in chosen.items() if name in CALIBRATION},
        strategies=leading(study, evaluation),
        draws=evaluation.verdict["draws"],
        seed=seed,
    )
    return {"scores": [asdict(score) for score in scores], "refused": refused}


def _threshold(
    study: Study, evaluation: Evaluation, sensitivity: float, *, seed: int
) -> dict[str, Any]:
    champion, draws = evaluation.champion.strategy, evaluation.verdict["draws"]
    found = thresholds.threshold(study, champion, sensitivity=sensitivity, draws=draws, seed=seed)
    return {"why": found} if isinstance(found, str) else asdict(found)


def _shift(study: Study, prepared: Path, *, seed: int) -> Reading:
    audit = read_json(prepared / "audit.json")
    source, target = read(prepared / "source"), read(prepared / "target")
    found = shift(study, audit, source, target, seed=seed)
    return found, drift_figure(audit["drift"], source=len(source), target=len(target))


def _plans(evaluation: Evaluation, metric: Metric) -> dict[str, Any]:
    """Sample-size plans of the strategies compared."""
    return {
        "assumption": "the difference and the variances stay as they are",
        "plans": {
            name: planning.told(one, metric=metric.label) for name, one in evaluation.plans.items()
        },
    }
