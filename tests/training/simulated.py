"""Cohorts and networks small enough to train within a test."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medgraft.config import FitConfig, PretrainConfig, TrainerConfig
from medgraft.networks.model import build
from medgraft.preparation.arrays import Prepared
from medgraft.training import replicas
from medgraft.training.patients import Patients
from medgraft.training.pretrain import fitted, pretrain

TABLE = {"_target_": "medgraft.networks.inputs.table.TableInput"}
MLP = {"_target_": "medgraft.networks.encoders.mlp.Mlp", "widths": [16, 16]}
RESNET = {
    "_target_": "medgraft.networks.encoders.resnet.TabularResNet",
    "blocks": 2,
    "width": 8,
}
LAST = {"_target_": "medgraft.networks.readout.LastLayer"}
HEADS = {
    "binary": {"_target_": "medgraft.networks.heads.classification.BinaryHead"},
    "multiclass": {"_target_": "medgraft.networks.heads.classification.MulticlassHead"},
    "regression": {"_target_": "medgraft.networks.heads.regression.RegressionHead"},
    "multilabel": {"_target_": "medgraft.networks.heads.multilabel.MultilabelHead"},
    "survival": {"_target_": "medgraft.networks.heads.survival.DiscreteTimeHead"},
    "survival_cox": {"_target_": "medgraft.networks.heads.survival.CoxHead"},
}
CLASSES = {
    "binary": ["no", "yes"],
    "multiclass": ["one", "two", "three"],
    "multilabel": ["fever", "cough"],
}
HORIZONS = {"survival": [1.0, 2.0, 4.0]}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.05, "momentum": 0.9}
ADAM = {"_target_": "torch.optim.Adam", "lr": 0.003}
ADAMW = {"_target_": "torch.optim.AdamW", "lr": 0.003, "weight_decay": 0.01}


def parts(task: str = "binary", encoder: dict[str, Any] = MLP) -> dict[str, Any]:
    """Constructors of input, encoder and head."""
    return {"input": TABLE, "encoder": encoder, "head": HEADS[task]}


def schema(task: str = "binary", numbers: int = 5, *, lost: int = 0) -> dict[str, Any]:
    """A prepared schema of ``numbers`` numbers, the last ``lost`` of them in the source only."""
    origins = ["shared"] * (numbers - lost) + ["source_only"] * lost
    features = [
        {"name": f"m{i}", "kind": "number", "may_be_missing": False, "origin": origin}
        for i, origin in enumerate(origins)
    ]
    outcome = {"name": "disease", "task": task, "classes": CLASSES.get(task, [])}
    outcome |= {"horizons": HORIZONS.get(task, []), "unit": ""}
    return {"modality": "table", "features": features, "outcome": outcome, "sites": ["here"]}


def cohort(rows: int, *, seed: int = 0, task: str = "binary", lost: int = 0) -> Prepared:
    """Five measurements on scales of their own; the outcome follows their sum, with noise."""
    stream = np.random.default_rng([seed, rows])
    z = stream.standard_normal((rows, 5))
    score = z.sum(1) + stream.standard_normal(rows)
    y = OUTCOMES[task](score, stream)
    x = z * [1, 10, 0.1, 3, 100] + [0, 50, 1, -4, 900]
    people = pl.DataFrame({"row": np.arange(rows), "patient": np.arange(rows)})
    return Prepared(x.astype(np.float32), y.astype(np.float32), people, schema(task, 5, lost=lost))


def survival(score: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Times and events [n, 2]; the higher the score the sooner, a third censored."""
    time, cut = stream.exponential(3 * np.exp(-score)), stream.exponential(6, len(score))
    return np.stack([np.minimum(time, cut), time <= cut], axis=1)


def labels(score: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Two labels [n, 2] that follow the score, one in ten not recorded."""
    y = (score[:, None] > [0.0, 1.0]).astype(float)
    return np.where(stream.random(y.shape) < 0.1, np.nan, y)


OUTCOMES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "binary": lambda score, _: np.digitize(score, [0.0]),
    "multiclass": lambda score, _: np.digitize(score, [-1.0, 1.0]),
    "regression": lambda score, _: score,
    "multilabel": labels,
    "survival": survival,
}


def design(sizes: tuple[int, ...], rows: int, *, held: int = 20) -> pl.DataFrame:
    """One replica per size: that many to train, ``held`` to test, as many or fewer to stop."""
    orders = [np.random.default_rng([7, r]).permutation(rows) for r in range(len(sizes))]
    return pl.DataFrame(
        {
            "replica": range(len(sizes)),
            "source_seed": [r % 2 for r in range(len(sizes))],
            "init_seed": [1000 + r for r in range(len(sizes))],
            "validation": [order[: held - 4 * r].tolist() for r, order in enumerate(orders)],
            "test": [order[held : 2 * held].tolist() for order in orders],
            "train": [
                order[2 * held : 2 * held + n].tolist()
                for order, n in zip(orders, sizes, strict=True)
            ],
        }
    )


def start(prepared: Prepared, patients: Patients, spec: dict[str, Any]) -> tuple[Any, Any]:
    """A template and the fresh state of a network per replica, preparation fitted."""
    make = partial(build_one, {"readout": LAST} | spec, prepared.schema)
    template, state = replicas.build(make, patients.seeds)
    return template, state | fitted(template, patients)


def build_one(spec: dict[str, Any], described: dict[str, Any], seed: int) -> Any:
    """One network, seed last."""
    return build(spec, described, seed=seed)


def fit_config(optimizer: dict[str, Any] = ADAMW, batch_size: int = 8) -> FitConfig:
    return FitConfig(optimizer=optimizer, batch_size=batch_size)


def trainer(**changes: Any) -> TrainerConfig:
    """One CPU process, 100 steps, a check every 10, no early stop."""
    given = {
        "accelerator": "cpu",
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "share": "batches",
        "precision": "32",
        "threads": 1,
        "max_steps": 100,
        "check_every": 10,
        "patience": 1000,
        "replicas_at_once": 128,
        "same_bits": False,
    }
    return TrainerConfig(**(given | changes))


def two_sources(out: Path) -> Path:
    """Two source networks of another cohort."""
    pretrain(
        cohort(150, seed=1),
        design((80, 80), 150),
        spec=parts() | {"readout": LAST},
        config=PretrainConfig(optimizer=ADAMW, batch_size=16, hide_probability=0.5),
        trainer=trainer(max_steps=60),
        out=out,
    )
    return out
