"""A raw cohort and a pipeline run over it, small enough for a test; no DVC, no configuration."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from medgraft.cohorts.load import load
from medgraft.config import FitConfig, PretrainConfig, Strategy, TrainerConfig
from medgraft.deployment.champion import export
from medgraft.evaluation.answers import write_answers
from medgraft.evaluation.predictions import load_study
from medgraft.preparation.arrays import read, read_design
from medgraft.preparation.prepare import prepare
from medgraft.preparation.splits import Plan
from medgraft.preparation.table import Tables
from medgraft.training.finetune import Study, finetune
from medgraft.training.pretrain import pretrain

CODES = {"binary": ["well", "ill"], "multiclass": ["none", "mild", "grave"], "regression": []}
OUTCOMES = {
    "binary": {"task": "binary", "negative": ["well"], "positive": ["ill"]},
    "multiclass": {"task": "multiclass", "classes": {c: [c] for c in CODES["multiclass"]}},
    "regression": {"task": "regression", "unit": "days"},
    "multilabel": {"task": "multilabel_list", "labels": ["fever", "cough"], "none": ["none"]},
    "survival": {
        "task": "survival",
        "time": "end",
        "event": "ended",
        "happened": [1],
        "censored": [0],
        "unit": "days",
        "horizons": [1, 2, 4],
    },
}
HEADS = {
    "binary": "classification.BinaryHead",
    "multiclass": "classification.MulticlassHead",
    "regression": "regression.RegressionHead",
    "multilabel": "multilabel.MultilabelHead",
    "survival": "survival.CoxHead",
}
NETWORK = {
    "init": {"_target_": "medgraft.transfer.init.source"},
    "trainable": {"_target_": "medgraft.transfer.trainable.everything"},
    "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
    "recalibrate": {"_target_": "medgraft.transfer.recalibrate.intercept_and_slope"},
}
BASELINES = "medgraft.transfer.baselines"
STRATEGIES = {
    "network": NETWORK,
    "logistic": {
        "baseline": {"_target_": "medgraft.transfer.baselines.linear.logistic_regression"}
    },
    "boosting": {"baseline": {"_target_": f"{BASELINES}.trees.gradient_boosting", "trees": 15}},
    "pooled": {
        "baseline": {"_target_": "medgraft.transfer.baselines.linear.logistic_regression"},
        "learn_from": "both",
    },
    "cox": {"baseline": {"_target_": f"{BASELINES}.cox.cox"}},
}
RUNS = [
    *((task, strategy) for task in CODES for strategy in ("network", "logistic", "boosting")),
    ("binary", "pooled"),
    *(("multilabel", strategy) for strategy in ("network", "logistic")),
    *(("survival", strategy) for strategy in ("network", "cox")),
]
INPUT = {"_target_": "medgraft.networks.inputs.table.TableInput"}
ENCODER = {"_target_": "medgraft.networks.encoders.mlp.Mlp", "widths": [8, 8]}
FIT = {"optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01}, "batch_size": 16}
TRAINER = TrainerConfig(
    accelerator="cpu",
    devices=1,
    num_nodes=1,
    strategy="auto",
    precision="32",
    threads=1,
    max_steps=40,
    check_every=10,
    patience=10,
    replicas_at_once=100,
)
MADE = {"data": "d", "design": "e", "versions": "f"}
VERDICT = "Transfer learning helps."
DESCRIPTION = {
    "name": "ward",
    "patient": "id",
    "missing": ["", "?", -9],
    "columns": {
        "name": {"kind": "identifier"},
        "age": {"kind": "number", "unit": "years", "range": [0, 110], "missing": "never"},
        "lab": {"kind": "number", "range": [0, 1000], "disguised_missing": [0]},
        "sex": {"kind": "category", "categories": {0: "female", 1: "male"}},
        "marker": {"kind": "number"},
        "extra": {"kind": "number"},
    },
    "sites": {
        "big": {"file": "big.csv", "without": ["extra"]},
        "small": {"file": "small.csv", "without": ["marker"]},
    },
}


@dataclass(frozen=True)
class Run:
    """Where a pipeline run left its results, and the champion exported from them."""

    work: Path
    cohort: Path
    champion: Path
    strategy: str

    @property
    def raw(self) -> pl.DataFrame:
        """The target's file as text."""
        return pl.read_csv(self.cohort / "small.csv", infer_schema=False).fill_null("")


def write_cohort(folder: Path, task: str) -> Path:
    """A big and a small site, missing cells and identifiers included."""
    folder.mkdir(parents=True)
    outcome = OUTCOMES[task] | ({} if task == "survival" else {"column": "end"})
    description = DESCRIPTION | {"outcomes": {"fate": outcome}}
    (folder / "cohort.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    rows(300, task, seed=1).drop("extra").write_csv(folder / "big.csv")
    rows(60, task, seed=2).drop("marker").write_csv(folder / "small.csv")
    return folder


def rows(n: int, task: str, *, seed: int) -> pl.DataFrame:
    """Raw records; the outcome follows age and lab."""
    rng = np.random.default_rng(seed)
    age, lab = rng.uniform(20, 90, n).round(1), rng.uniform(50, 300, n).round(1)
    score = (age - 55) / 20 + (lab - 175) / 70 + rng.normal(0, 0.7, n)
    end = ENDS[task](score)
    cells = [str(x) for x in lab]
    for row, wrong in zip(range(0, n, 9), ["?", "0", ""] * n, strict=False):
        cells[row] = wrong
    return pl.DataFrame(
        {
            "id": [f"ID{seed}{row:04}" for row in range(n)],
            "name": [f"Ms Secret {row}" for row in range(n)],
            "age": age,
            "lab": cells,
            "sex": rng.integers(0, 2, n),
            "marker": rng.normal(0, 1, n).round(3),
            "extra": rng.normal(5, 1, n).round(3),
            "end": end,
        }
        | ({"ended": rng.integers(0, 2, n)} if task == "survival" else {})
    )


def classes(task: str, bounds: list[float]) -> Callable[[np.ndarray], list[str]]:
    """What is written of the class a score falls into."""
    return lambda score: [CODES[task][k] for k in np.digitize(score, bounds)]


def named(score: np.ndarray) -> list[str]:
    """The labels that hold, in one cell."""
    return ["fever|cough" if s > 0.7 else "fever" if s > 0 else "none" for s in score]


ENDS: dict[str, Callable[[np.ndarray], Any]] = {
    "binary": classes("binary", [0.0]),
    "multiclass": classes("multiclass", [-0.8, 0.8]),
    "regression": lambda score: score.round(4),
    "multilabel": named,
    "survival": lambda score: np.exp(1 - score).round(4),
}


def run_pipeline(folder: Path, task: str, strategy: str, *, mode: str = "masked") -> Run:
    """Prepare, pretrain, finetune one strategy, and export it as the champion."""
    work, cohort = folder / "work", write_cohort(folder / "cohort", task)
    sites = [load(cohort, site, "fate") for site in ("big", "small")]
    plan = Plan(runs=2, folds=2, validation_fraction=0.25, sizes=(), sources=2, seed=5)
    prepare(sites[:1], sites[1:], modality=Tables(mode), plan=plan, out=work / "prepared")
    head = {"_target_": f"medgraft.networks.heads.{HEADS[task]}"}
    parts = {"input": INPUT, "encoder": ENCODER, "head": head}
    pretrain(
        read(work / "prepared" / "source"),
        read_design(work / "prepared" / "source_design.parquet"),
        spec=parts | {"readout": NETWORK["readout"]},
        config=PretrainConfig.model_validate(FIT | {"hide_probability": 0.5}),
        trainer=TRAINER,
        out=work / "pretrained",
    )
    study = Study(
        target=read(work / "prepared" / "target"),
        design=read_design(work / "prepared" / "design.parquet"),
        parts=parts,
        pretrained=work / "pretrained",
        config=FitConfig.model_validate(FIT),
        trainer=TRAINER,
        source_cohort=read(work / "prepared" / "source"),
        source_design=read_design(work / "prepared" / "source_design.parquet"),
    )
    chosen = STRATEGIES[strategy]
    alone = "baseline" in chosen and "learn_from" not in chosen
    told = {"description": "simulated", "uses_source": not alone}
    finetune(
        strategy,
        Strategy.model_validate(told | chosen),
        study,
        out=work / "finetuned" / strategy,
    )
    write_verdict(work, strategy)
    export_run(work, cohort, out=work / "champion")
    return Run(work, cohort, work / "champion", strategy)


def write_verdict(work: Path, strategy: str) -> None:
    told = {"champion": {"strategy": strategy, "reason": "It won."}, "sentence": VERDICT}
    (work / "evaluation").mkdir(exist_ok=True)
    (work / "evaluation" / "verdict.json").write_text(json.dumps(told))
    study = load_study(work / "prepared", work / "finetuned")
    write_answers(work / "evaluation", study, strategy, level=0.9)


def export_run(work: Path, cohort: Path, *, out: Path) -> str:
    return export(
        evaluation=work / "evaluation",
        finetuned=work / "finetuned",
        design=work / "prepared" / "design.parquet",
        target=work / "prepared" / "target",
        cohort=cohort,
        sites=["small"],
        made=MADE,
        out=out,
    )
