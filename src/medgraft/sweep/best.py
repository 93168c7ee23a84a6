"""What came of a sweep: the winner as an experiment, figures, and runs in MLflow."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from medgraft import composition
from medgraft.config import write_if_changed
from medgraft.entries import PIPELINE, Entry
from medgraft.errors import StageError
from medgraft.evaluation.sentence import counted
from medgraft.notes import NOTE
from medgraft.preparation.arrays import write_json
from medgraft.reporting.sweep import figures
from medgraft.stages.made import located
from medgraft.sweep import space as spaces
from medgraft.sweep.run import PLACE, Sweep
from medgraft.sweep.trials import FIRST, LOGGED, REASON, SCORES


def finish(sweep: Sweep) -> dict[str, Any]:
    """Write ``conf/experiment/<name>_best.yaml`` and ``work/sweeps/<name>/``; what they tell.

    Raises:
        StageError: no trial has a score.
        MedgraftError: MLflow cannot be reached; everything else is written.
    """
    folder = sweep.root / PLACE / sweep.asked.name
    with FileLock(f"{folder}.lock"):
        told = summary(sweep)
        experiment = write_experiment(sweep, told)
        write_json(told, folder / "sweep.json")
        drawn = figures(told)
        for figure in drawn:
            write_if_changed(folder / f"{figure.name}.svg", figure.svg)
        study = sweep.trials.study
        if study.user_attrs.get(LOGGED) != len(told["trials"]):
            log(sweep, told, [*folder.glob("*.svg"), folder / "sweep.json", experiment])
            study.set_user_attr(LOGGED, len(told["trials"]))
    return told


def experiment_of(name: str) -> Path:
    """Where the winner of a sweep is written, in the project."""
    return Path("conf") / "experiment" / f"{name}_best.yaml"


def outcome(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a program asks of a sweep; all trials are in its ``sweep.json``."""
    best, trials = told["best"], told["trials"]
    values = dict(zip(told["metrics"], best["values"], strict=True))
    return {
        "sweep": told["name"],
        "best": {"trial": best["trial"], "values": values, "params": best["params"]},
        "finished": len(trials),
        "refused": sum(not one["values"] for one in trials),
        "experiment": str(experiment_of(told["name"])),
        "trials": str(PLACE / told["name"] / "sweep.json"),
    }


def summary(sweep: Sweep) -> dict[str, Any]:
    """Every finished trial, the best of them, and what a score depends on most.

    The first score decides; with a second one, ``front`` tells the trials that no other beats in
    both.
    """
    study, optuna = sweep.trials.study, spaces.optuna()
    trials = [row(one) for one in sweep.trials.finished()]
    scored = [one for one in trials if one["values"]]
    if not scored:
        why = trials[0]["reason"] if trials else "none was carried out"
        raise StageError(f"sweep {sweep.asked.name}: no trial has a score; {why}")
    name, metric = next(iter(sweep.metrics.items()))
    sign = -1 if metric.higher_is_better else 1
    best = min(scored, key=lambda one: (sign * one["values"][0], one["trial"]))
    several = len(sweep.metrics) > 1
    return {
        "name": sweep.asked.name,
        "sweep": sweep.asked.sweep,
        "metrics": list(sweep.metrics),
        "higher_is_better": [bool(one.higher_is_better) for one in sweep.metrics.values()],
        "primary": name,
        "label": metric.label,
        "strategies": sweep.asked.settings.strategies,
        "fixed": sweep.asked.fixed,
        "space": dict(sweep.asked.settings.params),
        "choices": {
            key: list(one.choices) for key, one in sweep.space.items() if hasattr(one, "choices")
        },
        "log": [key for key, one in sweep.space.items() if getattr(one, "log", False)],
        "trials": trials,
        "best": best,
        "front": [one.number for one in study.best_trials] if several else [],
        "importance": importance(study, optuna),
    }


def row(trial: Any) -> dict[str, Any]:
    """A trial in plain values."""
    seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    return {
        "trial": trial.number,
        "values": trial.values,
        "params": trial.params,
        "seconds": round(seconds, 3),
        "scores": trial.user_attrs.get(SCORES, {}),
        "reason": trial.user_attrs.get(REASON),
        "as_it_is": trial.user_attrs.get(FIRST, False),
    }


def importance(study: Any, optuna: Any) -> dict[str, float]:
    """The share of the first score's variance that each setting explains; empty if none does.

    Functional analysis of variance on a random forest: Hutter, Hoos & Leyton-Brown 2014 (ICML).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trials that were refused have no score
        try:
            shares = optuna.importance.get_param_importances(
                study,
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                target=lambda trial: trial.values[0],
            )
        except (ValueError, RuntimeError):  # fewer than two trials, or all scores alike
            return {}
    return {key: float(value) for key, value in shares.items()}


def write_experiment(sweep: Sweep, told: Mapping[str, Any]) -> Path:
    """The winner as an experiment of its own, which composes to what the trial was.

    Raises:
        StageError: it does not; nothing that is used elsewhere was written.
    """
    best, asked = told["best"], sweep.asked
    given = spaces.overrides(best["params"])
    content = composition.experiment(sweep.root, [*asked.fixed, *given], chosen=not asked.fixed)
    path = sweep.root / experiment_of(asked.name)
    scores = ", ".join(f"{m} {v:.4f}" for m, v in zip(told["metrics"], best["values"], strict=True))
    header = (
        "# @package _global_\n"
        f"# Written by `medgraft sweep`: trial {best['trial']}, the best of {len(told['trials'])} "
        f"of conf/sweep/{told['sweep']}.yaml;\n"
        f"# {scores} on validation patients, mean of {', '.join(told['strategies'])}.\n"
    )
    write_if_changed(path, header + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    searched = [one for one in asked.fixed if one.startswith(composition.SEARCHPATH)]
    again = composition.compose(sweep.root, [*searched, f"experiment={path.stem}"])
    if again != sweep.compose(best["params"]):
        path.unlink()
        raise StageError(f"{path.name} does not compose to trial {best['trial']}: {given}")
    return path


def log(sweep: Sweep, told: Mapping[str, Any], files: list[Path]) -> None:
    """One MLflow run for the sweep; its trials, and the winner first, as children."""
    from medgraft import tracking

    found = {PIPELINE: parent(told, files)}
    winner = child(told, told["best"], f"winner: {scored(told, told['best'])}")
    found |= {"winner": winner}
    for one in told["trials"]:
        found[f"trial {one['trial']}"] = child(
            told, one, f"trial {one['trial']}: {scored(told, one)}"
        )
    tracking.track_family(
        found,
        uri=located(sweep.config.tracking.uri, sweep.root),
        experiment=Path(sweep.config.cohort.folder).name,
        work=sweep.root / PLACE / sweep.asked.name,
    )


def scored(told: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """A trial's first score, or that it was refused."""
    return f"{told['primary']} {one['values'][0]:.3f}" if one["values"] else "refused"


def parent(told: Mapping[str, Any], files: list[Path]) -> Entry:
    """The sweep's own run."""
    best, count = told["best"], len(told["trials"])
    own = {f"{told['primary']}_validation": best["values"][0]}
    as_it_is = [one["values"][0] for one in told["trials"] if one["as_it_is"] and one["values"]]
    own |= {f"{told['primary']}_as_it_is": value for value in as_it_is}
    own |= {f"importance/{plain(key)}": value for key, value in told["importance"].items()}
    note = (
        f"{counted(count, 'trial')}; scores are means of {', '.join(told['strategies'])} on "
        f"validation patients. The winner: `medgraft repro experiment={told['name']}_best`"
    )
    return Entry(
        name=f"sweep {told['name']}: {scored(told, best)}, {counted(count, 'trial')}",
        params={plain(key): text for key, text in told["space"].items()},
        tags={"sweep": told["name"], NOTE: note},
        metrics=own,
        artifacts=dict.fromkeys(files),
    )


def child(told: Mapping[str, Any], one: Mapping[str, Any], name: str) -> Entry:
    """A trial's run."""
    values = one["values"] or []
    metrics = {f"{m}_validation": v for m, v in zip(told["metrics"], values, strict=False)}
    for strategy, scores in one["scores"].items():
        metrics |= {f"{m}_validation_{strategy}": value for m, value in scores.items()}
    note = {NOTE: one["reason"]} if one["reason"] else {}
    params = {plain(key): str(value) for key, value in one["params"].items()}
    metrics["seconds"] = one["seconds"]
    return Entry(name, params, {"sweep": told["name"], **note}, metrics)


def plain(key: str) -> str:
    """A key in the characters that MLflow takes."""
    return re.sub(r"[^-\w./ ]", "_", key)
