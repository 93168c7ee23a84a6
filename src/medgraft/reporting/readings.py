"""What a team reads off a study beside the verdict: figures, and their numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

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
from medgraft.evaluation.metrics.metric import CLASSIFICATION, Metric
from medgraft.evaluation.predictions import Labels, Study, load_sizes, load_subgroups
from medgraft.evaluation.summary import Evaluation, applicable, plain
from medgraft.preparation.arrays import read, read_design, read_json, write_json
from medgraft.reporting.canvas import Figure, house_style
from medgraft.reporting.conformal import sets_figure
from medgraft.reporting.diagnostics import leading, smooth_curves
from medgraft.reporting.figures import draw
from medgraft.reporting.flow import flow_figure
from medgraft.reporting.planning import planning_figure
from medgraft.reporting.recalibration import recalibration_figure
from medgraft.reporting.savings import savings_figure
from medgraft.reporting.shift import drift_figure, shift
from medgraft.reporting.subgroups import subgroups_figure
from medgraft.reporting.text import best_first
from medgraft.reporting.thresholds import thresholds_figure
from medgraft.reporting.utility import utility_figure

Reading = tuple[dict[str, Any], Figure | None]
MOST = 3
"""Strategies in a figure beside the reference."""


@dataclass(frozen=True)
class Asked:
    """How often prediction sets hold the truth, and for what thresholds are chosen.

    published: a checkpoint of others stands for networks trained on the source.
    """

    level: float
    sensitivity: float
    cost: float | None = None
    published: bool = False


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
    """Write every figure the study allows, and `folder`/readings.json with what they show.

    Under `figures` it has the numbers of each as drawn, beside what else is read off.

    Raises StageError as `load_study` does.
    """
    metric = metrics[evaluation.verdict["primary"]]
    groups, places = load_subgroups(prepared), {"prepared": prepared, "finetuned": finetuned}
    drawn = draw(study, evaluation, metrics=metrics, **places, folder=folder / "figures")
    with house_style():
        found = {
            "patients_saved": _saved(
                study, evaluation, metric, sizes=load_sizes(prepared, finetuned), seed=seed
            ),
            "net_benefit": _utility(study, evaluation),
            "subgroups": _subgroups(study, evaluation, metrics, groups=groups, seed=seed),
            "prediction_sets": _sets(study, evaluation, level=asked.level, groups=groups),
            "calibration": (_calibrated(study, evaluation), None),
            "recalibration": _recalibrated(study, evaluation, metrics, seed=seed),
            "threshold": _threshold(
                study, evaluation, thresholds.Sensitivity(asked.sensitivity), seed=seed
            ),
            "threshold_of_least_cost": _cheapest(study, evaluation, asked.cost, seed=seed),
            "flow": _flow(study, prepared, published=asked.published),
            "shift": _shift(study, prepared, seed=seed),
            "sample_size": _plans(study, evaluation, metric),
        }
    more = {figure.name: figure for _, figure in found.values() if figure is not None}
    told = {name: numbers for name, (numbers, _) in found.items()}
    told["figures"] = {name: figure.numbers for name, figure in {**drawn, **more}.items()}
    write_json(plain(told), folder / READINGS)
    for name, figure in more.items():
        (folder / "figures" / f"{name}.svg").write_text(figure.svg, encoding="utf-8")
    return drawn | more


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
    names = transfers(evaluation)
    if found is None or not names:
        return {"why": "no learning curve was drawn: set design.sizes, e.g. [20,40]"}, None
    # Recalibration changes no rank: its curve may be another's, which one line shows.
    apart = {tuple(found.curves[name].value): name for name in reversed(names)}
    best = sorted(apart.values(), key=names.index)[:MOST]
    return savings.told(found), savings_figure(study, found, best[::-1])


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
) -> Reading:
    if study.task not in CLASSIFICATION:
        return {"why": f"corrections are offered for classes, the outcome is {study.task}"}, None
    chosen = applicable(metrics, study.task, primary=evaluation.verdict["primary"])
    chosen = {name: metric for name, metric in chosen.items() if name in CALIBRATION}
    scores, refused = recalibration.recalibration(
        study,
        chosen,
        strategies=leading(study, evaluation),
        draws=evaluation.verdict["draws"],
        seed=seed,
    )
    told = {"scores": [asdict(score) for score in scores], "refused": refused}
    return told, recalibration_figure(study, scores, chosen)


def _threshold(study: Study, evaluation: Evaluation, aim: thresholds.Aim, *, seed: int) -> Reading:
    """Every strategy at its own threshold, the champion first."""
    draws = evaluation.verdict["draws"]
    found = {
        name: thresholds.threshold(study, name, aim=aim, draws=draws, seed=seed)
        for name in dict.fromkeys([*leading(study, evaluation), *study.strategies])
    }
    return thresholds.told(found), thresholds_figure(study, found, aim)


def _cheapest(study: Study, evaluation: Evaluation, cost: float | None, *, seed: int) -> Reading:
    if cost is None:
        return {"why": "no cost is stated: set evaluation.cost, e.g. 5"}, None
    aim = thresholds.Cost(cost)
    told, figure = _threshold(study, evaluation, aim, seed=seed)
    return told | ({"flagging": aim.without_model(study.outcome == 1)} if figure else {}), figure


def _flow(study: Study, prepared: Path, *, published: bool) -> Reading:
    accounting = read_json(prepared / "audit.json")["accounting"]
    sites = read_json(prepared / "target" / "schema.json")["sites"]
    design = read_design(prepared / "design.parquet").filter(pl.col("use") == "compare")
    networks = design["source_seed"].n_unique()
    figure = flow_figure(study, accounting, target=sites, networks=networks, published=published)
    return {"accounting": accounting}, figure


def _shift(study: Study, prepared: Path, *, seed: int) -> Reading:
    audit = read_json(prepared / "audit.json")
    source, target = read(prepared / "source"), read(prepared / "target")
    found = shift(study, audit, source, target, seed=seed)
    figure = drift_figure(
        audit["drift"], audit.get("shift") or {}, source=len(source), target=len(target)
    )
    return found, figure


def _plans(study: Study, evaluation: Evaluation, metric: Metric) -> Reading:
    """Sample-size plans of the strategies compared; drawn where the verdict cannot tell."""
    compared = evaluation.verdict["strategies"]
    unsettled = [
        plan
        for name in transfers(evaluation)
        if (plan := evaluation.plans.get(name)) and compared[name]["verdict"] == "cannot tell"
    ]
    figure = planning_figure(
        study, unsettled[: MOST + 1], metric=metric.label, comparisons=len(compared)
    )
    plans = evaluation.plans.items()
    return {
        "assumption": "the difference and the variances stay as they are",
        "plans": {name: planning.told(one, metric=metric.label) for name, one in plans},
    }, figure
