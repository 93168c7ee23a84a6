"""A study as the earlier stages would leave it, with simulated patients and predictions."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, softmax

from medgraft.config import Strategy
from medgraft.evaluation.metrics.calibration import CalibrationIntercept, CalibrationSlope, Ece
from medgraft.evaluation.metrics.confusion import F1, Accuracy, Mcc, Precision, Recall, Specificity
from medgraft.evaluation.metrics.error import R2, Mae, Rmse
from medgraft.evaluation.metrics.multilabel import MacroAuroc, MacroLogLoss
from medgraft.evaluation.metrics.proper import Brier, LogLoss
from medgraft.evaluation.metrics.ranking import Auprc, Auroc
from medgraft.evaluation.metrics.survival import (
    CIndex,
    GridLogLoss,
    IntegratedBrier,
    TimeAuroc,
)
from medgraft.evaluation.predictions import StrategyResult, Study
from medgraft.evaluation.summary import Evaluation, evaluate
from medgraft.preparation.arrays import Prepared, write, write_json, write_table
from medgraft.reporting.canvas import Figure
from medgraft.reporting.design import Configured
from medgraft.reporting.figures import draw
from medgraft.reporting.report import write as write_report

METRICS = {
    metric.name: metric()
    for metric in (
        Auroc, Auprc, Brier, LogLoss, Ece, CalibrationSlope, CalibrationIntercept, Accuracy,
        Precision, Recall, Specificity, F1, Mcc, Rmse, Mae, R2,
        MacroAuroc, MacroLogLoss, CIndex, TimeAuroc, IntegratedBrier, GridLogLoss,
    )
}  # fmt: skip
PRIMARY = {
    "binary": "auroc",
    "multiclass": "log_loss",
    "regression": "rmse",
    "multilabel": "macro_auroc",
    "survival": "c_index",
}
CLASSES: dict[str, tuple[str, ...]] = {
    "binary": ("no", "yes"),
    "multiclass": ("none", "mild", "severe"),
    "regression": (),
    "multilabel": ("effusion", "oedema", "fracture"),
    "survival": (),
}
HORIZONS = (6.0, 12.0, 24.0, 36.0)
NAMES = {"regression": "blood pressure", "multilabel": "findings", "survival": "relapse"}
UNITS = {"regression": "mm Hg", "survival": "months"}
FOLDS = 5
# How well a strategy sees the truth, whether it uses the source, its parameters, what it is.
STRATEGIES = {
    "scratch": (0.6, False, 3_201, "The network from random weights, on the target cohort alone."),
    "fine_tune": (1.3, True, 3_201, "All layers go on training from the source weights."),
    "linear_probe": (1.0, True, 33, "The source layers stay fixed; only the last one is trained."),
    "source_only": (0.8, True, 0, "The source model as it is."),
}
PRETEXT = {"_target_": "medgraft.training.pretexts.supervised.Supervised"}
LOGISTIC = {"_target_": "medgraft.transfer.baselines.linear.logistic_regression"}
# What strategies of these names are, beside networks that start at random or from the source.
CONFIGURED = {
    "joint": {"learn_from": "both"},
    "pooled": {"learn_from": "both", "baseline": LOGISTIC},
}


@dataclass(frozen=True)
class Simulated:
    """A study, its evaluation, and where its files are."""

    study: Study
    evaluation: Evaluation
    folder: Path

    @property
    def prepared(self) -> Path:
        return self.folder / "prepared"

    @cached_property
    def figures(self) -> dict[str, Figure]:
        return self.draw()

    @cached_property
    def html(self) -> str:
        return self.report()

    def configured(self, notice: str) -> Configured:
        found = self.study.strategies.items()
        return Configured({name: _strategy(name, one) for name, one in found}, PRETEXT, notice)

    def draw(self, into: str = "figures") -> dict[str, Figure]:
        return draw(
            self.study,
            self.evaluation,
            metrics=METRICS,
            prepared=self.prepared,
            finetuned=self.folder / "finetuned",
            folder=self.folder / into,
        )

    def report(self, name: str = "report.html", *, notice: str = "Simulated patients.") -> str:
        path = self.folder / name
        write_report(
            path,
            study=self.study,
            evaluation=self.evaluation,
            metrics=METRICS,
            prepared=self.prepared,
            figures=self.figures,
            configured=self.configured(notice),
            provenance={"git_commit": "0123abc", "reproduce": "medgraft repro"},
        )
        return path.read_text(encoding="utf-8")


def simulate(
    folder: Path,
    *,
    task: str = "binary",
    strategies: dict[str, tuple[float, bool, int, str]] = STRATEGIES,
    site: str = "va",
    patients: int = 48,
    runs: int = 3,
    draws: int = 60,
    outcome: np.ndarray | None = None,
    tested: int | None = None,
) -> Simulated:
    """Cross-validated, or with a given split, of which the first `tested` patients test."""
    generator = np.random.default_rng(3)
    truth = generator.normal(size=patients)
    if outcome is None:
        outcome = _outcome(task, truth, generator)
    fold = np.stack([generator.permutation(patients) % FOLDS for _ in range(runs)])
    if tested:
        fold, seen = np.zeros((runs, tested), dtype=int), truth[:tested]
    else:
        seen = truth
    blur = generator.normal(size=fold.shape)
    results = {
        name: _result(
            task, seen * sight + blur + 0.5 * generator.normal(size=blur.shape), fold, about
        )
        for name, (sight, *about) in strategies.items()
    }
    everyone = (outcome, np.arange(patients))
    times = HORIZONS if task == "survival" else ()
    study = Study(
        *(one[:tested] for one in everyone), *everyone, task, CLASSES[task], results, times
    )
    _write_prepared(folder / "prepared", study, site=site)
    _write_histories(folder / "finetuned", study, generator)
    evaluation = evaluate(
        study, METRICS, primary=PRIMARY[task], reference="scratch", draws=draws, seed=1
    )
    evaluation.write(folder)
    return Simulated(study, evaluation, folder)


def _outcome(task: str, truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if task == "regression":
        return 130 + 15 * truth + generator.normal(size=len(truth)) * 5
    if task == "multilabel":
        shown = truth[:, None] + 0.5 * generator.normal(size=(len(truth), 3)) > [0.0, 0.5, 9.0]
        return np.where(generator.random(shown.shape) < 0.1, np.nan, shown)
    if task == "survival":
        time = generator.exponential(30 * np.exp(-truth))
        censored = generator.uniform(10, 60, size=len(truth))
        return np.stack([np.minimum(time, censored), time <= censored], axis=1)
    edges = (0.0,) if task == "binary" else (-0.5, 0.7)
    return np.digitize(truth + 0.5 * generator.normal(size=len(truth)), edges).astype(float)


def _result(task: str, seen: np.ndarray, fold: np.ndarray, about: list[Any]) -> StrategyResult:
    if task == "binary":
        test = np.stack([expit(-seen), expit(seen)], axis=2)
    elif task == "multiclass":
        test = softmax(np.stack([-seen, 0.3 - np.abs(seen), seen], axis=2), axis=2)
    elif task == "multilabel":
        test = expit(seen[:, :, None] - [0.0, 0.5, 3.0])
    elif task == "survival":
        test = np.exp(-np.exp(seen[:, :, None] / 2) * np.array(HORIZONS) / 40)
    else:
        test = 130 + 10 * seen[:, :, None]
    uses_source, fitted_parameters, description = about
    runs, patients = fold.shape
    # In a given split others validate than test; here, those that come next.
    first = 0 if fold.any() else patients
    return StrategyResult(
        test=test,
        fold=fold,
        validation_run=np.repeat(np.arange(runs), patients),
        validation_row=np.tile(first + np.arange(patients), runs),
        validation_fold=(fold.ravel() + 1) % FOLDS,
        validation=test.reshape(runs * patients, -1),
        uses_source=uses_source,
        fitted_parameters=fitted_parameters,
        description=description,
    )


def _write_prepared(folder: Path, study: Study, *, site: str) -> None:
    generator = np.random.default_rng(4)
    outcome = {
        "name": NAMES.get(study.task, "heart disease"),
        "task": study.task,
        "classes": list(study.classes),
        "unit": UNITS.get(study.task, ""),
        "horizons": list(study.horizons),
    }
    features = [
        _feature("age", "number", unit="years"),
        _feature("sex", "category", categories=["female", "male"]),
        _feature("slope", "number", origin="source_only"),
    ]
    rows = len(study.everyone)
    y = {
        "source": np.resize(study.everyone, (3 * rows, *study.everyone.shape[1:])),
        "target": study.everyone,
    }
    for role, sites in (("source", ["cleveland"]), ("target", [site])):
        n = len(y[role])
        x = np.stack([generator.normal(55, 9, n), np.arange(n) % 2, np.zeros(n)], axis=1)
        x[0, 0] = np.nan
        x[:, 2] = np.nan if role == "target" else 1.0
        who = pl.DataFrame({"row": range(n), "patient": range(n), "site": sites * n})
        schema = {"modality": "table", "features": features, "outcome": outcome, "sites": sites}
        write(folder / role, Prepared(x.astype("f4"), y[role].astype("f4"), who, schema))
    write_json(_audit(site, rows), folder / "audit.json")
    _write_design(folder / "design.parquet", study)


def _feature(name: str, kind: str, **more: Any) -> dict[str, Any]:
    plain = {"categories": [], "unit": "", "may_be_missing": True, "origin": "shared"}
    return {"name": name, "kind": kind, **plain, **more}


def _audit(site: str, rows: int) -> dict[str, Any]:
    def entry(cohort: str, used: int, excluded: dict[str, int]) -> dict[str, Any]:
        read = used + sum(excluded.values())
        counts = {"rows_read": read, "rows_used": used, "patients": used, "excluded": excluded}
        return {"cohort": cohort, "file": f"{cohort}.data", **counts}

    return {
        "accounting": [entry("cleveland", 3 * rows, {}), entry(site, rows, {"no outcome": 7})],
        "findings": [
            {
                "check": "recorded values",
                "severity": "note",
                "where": site,
                "count": 1,
                "message": "chol: 49 zeros were turned into missing",
            }
        ],
        "drift": [
            {"feature": "sex", "total_variation": 0.28, "p": 1e-6, "missing_difference": 0.0,
             "standardised_difference": None, "ks": None},
            {"feature": "age", "total_variation": None, "p": 0.04, "missing_difference": 0.01,
             "standardised_difference": 0.31, "ks": 0.19},
        ],
        "alignment": {
            "mode": "masked",
            "shared": ["age", "sex"],
            "source_only": ["slope"],
            "target_only": [],
        },
    }  # fmt: skip


def _write_design(path: Path, study: Study) -> None:
    result, rows = next(iter(study.strategies.values())), []
    everyone = np.arange(len(study.everyone))
    for run, folds in enumerate(result.fold):
        for fold in [*np.unique(folds).tolist(), -1]:
            test = np.flatnonzero(folds == fold)
            rest = np.roll(np.setdiff1d(everyone, test), -10 * run).tolist()
            parts = {"train": rest[10:], "validation": rest[:10], "test": test.tolist()}
            use = "compare" if fold >= 0 else "final"
            names = {"replica": len(rows), "use": use, "run": run, "source_seed": run}
            rows.append({**names, "fold": fold, "init_seed": run, **parts})
    write_table(pl.DataFrame(rows, schema_overrides={"test": pl.List(pl.Int64)}), path)


def _strategy(name: str, result: StrategyResult) -> Strategy:
    told = {"description": result.description, "uses_source": result.uses_source}
    start = "source" if result.uses_source else "random"
    parts = {
        "init": {"_target_": f"medgraft.transfer.init.{start}"},
        "trainable": {"_target_": "medgraft.transfer.trainable.everything"},
        "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
    }
    own = CONFIGURED.get(name, {})
    return Strategy(**told, **({} if "baseline" in own else parts), **own)


def _write_histories(folder: Path, study: Study, generator: np.random.Generator) -> None:
    for name, result in study.strategies.items():
        if result.fitted_parameters == 0:
            continue
        step = np.tile(np.arange(10, 310, 10), 5)
        noise = generator.normal(scale=0.01, size=(2, len(step)))
        frame = pl.DataFrame(
            {
                "replica": np.repeat(np.arange(5), 30),
                "step": step,
                "train_loss": 0.2 + 0.5 * np.exp(-step / 80) + noise[0],
                "validation_loss": 0.45 + 0.25 * np.exp(-step / 40) + step / 2500 + noise[1],
            }
        )
        write_table(frame, folder / name / "history.parquet")
