"""Carry one strategy out on the target cohort, all replicas of the design at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from medgraft.config import FitConfig, Strategy, Target, TrainerConfig, leads
from medgraft.construct import construct, locate
from medgraft.errors import ConfigError
from medgraft.networks.model import Network, build
from medgraft.preparation.arrays import Prepared, seal, write_json, write_table
from medgraft.training import replicas, weights
from medgraft.training.batches import hide
from medgraft.training.classical import fit_one, reader
from medgraft.training.finish import finished
from medgraft.training.fit import HISTORY, outputs
from medgraft.training.guide import Guide, train
from medgraft.training.patients import Patients
from medgraft.training.pretrain import fitted, patients_of
from medgraft.training.reading import read_out
from medgraft.training.replicas import State
from medgraft.training.source_model import check_classes, source_models
from medgraft.training.verification import verify_preparation
from medgraft.transfer.adapter import Unchanged
from medgraft.transfer.baselines.learner import learner
from medgraft.transfer.co_tuning import SourceModel


@dataclass(frozen=True)
class Study:
    """What every strategy of a run shares.

    ``target`` the prepared cohort, ``design`` its replicas, ``parts`` the constructors of input,
    encoder and head, ``pretrained`` the folder of the source networks; ``source_cohort`` and
    ``source_design`` for strategies that see the source's patients again.
    """

    target: Prepared
    design: pl.DataFrame
    parts: dict[str, Target]
    pretrained: Path
    config: FitConfig
    trainer: TrainerConfig
    source_cohort: Prepared | None = None
    source_design: pl.DataFrame | None = None

    @property
    def patients(self) -> Patients:
        """The target's arrays with the parts of every replica."""
        return patients_of(self.target, self.design)

    def source(self) -> tuple[State, dict[str, Any]]:
        """The source network of every replica ``[R, ...]``, and the outcome it predicts."""
        values, description = weights.read(self.pretrained)
        chosen = replicas.select(values, self.design["source_seed"].to_list())
        return chosen, description["schema"]["outcome"]

    def shown(self, name: str, strategy: Strategy) -> Patients:
        """Whose outcomes the strategy learns, and beside them the other cohort if it sees both.

        Raises:
            ConfigError: it learns outcomes the source has not got.
        """
        if not strategy.alignment and strategy.learn_from == "target":
            return self.patients
        if self.source_cohort is None or self.source_design is None:
            raise ConfigError(f"strategy {name} sees the source's patients, but none were given")
        ours, theirs = (c.schema["outcome"] for c in (self.target, self.source_cohort))
        if strategy.learn_from != "target" and ours != theirs:
            raise ConfigError(
                f"strategy {name} learns from the source's outcomes, but the source has another "
                f"outcome ({theirs['name']}, {theirs['task']}) than the target ({ours['name']}, "
                f"{ours['task']}); leave it out"
            )
        source = self.source_patients(self.source_cohort, self.source_design)
        if strategy.learn_from == "source":
            return replace(source, beside=self.patients)
        return replace(self.patients, beside=source)

    def source_patients(self, cohort: Prepared, design: pl.DataFrame) -> Patients:
        """Those each replica's source network was trained on, seen as the target is measured."""
        own = design[self.design["source_seed"].to_list()]
        features = cohort.schema["features"]
        lost = [i for i, feature in enumerate(features) if feature["origin"] == "source_only"]
        hidden = hide(lost, 1.0) if lost else None
        mine = own.with_columns(self.design["init_seed"])
        return replace(patients_of(cohort, mine), question=hidden)

    def source_models(self, name: str) -> Callable[[int], SourceModel]:
        """The source network of every replica as it is.

        Raises:
            ConfigError: its outcome, or the target's, has no classes.
        """
        if self.source_cohort is None or self.source_design is None:
            raise ConfigError(f"strategy {name} sees the source's patients, but none were given")
        values, told = weights.read(self.pretrained)
        check_classes(name, told["schema"]["outcome"], self.target.schema["outcome"])
        chosen = replicas.select(values, self.design["source_seed"].to_list())
        source = self.source_patients(self.source_cohort, self.source_design)
        return source_models(chosen, told, self.target, self.patients, source)

    @property
    def asked(self) -> list[list[int]]:
        """Rows each replica answers: its validation patients, then its test patients."""
        pairs = zip(self.design["validation"].to_list(), self.design["test"].to_list(), strict=True)
        return [validation + test for validation, test in pairs]


@dataclass(frozen=True)
class Result:
    """Values of all replicas, their raw outputs for the rows asked, and how training went."""

    state: State
    network: dict[str, Any]
    answers: list[np.ndarray]
    history: pl.DataFrame
    fitted_parameters: int


def finetune(name: str, strategy: Strategy, study: Study, *, out: Path) -> None:
    """Train, predict and write everything ``work/finetuned/<strategy>/`` holds to ``out``.

    Raises:
        ConfigError: the strategy cannot work on this source and target.
        LeakError: preparation was fitted on others than a replica's training patients.
    """
    run = run_baseline if strategy.baseline else run_network
    result = run(name, strategy, study)
    verify_preparation(
        result.state,
        study.target,
        study.patients.train,
        spec=study.parts["input"],
        source=study.source()[0] if strategy.uses_source else None,
    )
    if leads():
        schema = study.target.schema
        weights.write(out, result.state, {"network": result.network, "schema": schema})
        write_table(predictions(study.design, result.answers), out / "predictions.parquet")
        write_table(result.history, out / "history.parquet")
        write_json(
            {
                "strategy": name,
                "description": strategy.description,
                "uses_source": strategy.uses_source,
                "fitted_parameters": result.fitted_parameters,
            },
            out / "summary.json",
        )
        seal(out)


def run_network(name: str, strategy: Strategy, study: Study) -> Result:
    """Start, train, recalibrate and ask the replicas of a network strategy."""
    spec = study.parts | {"readout": strategy.readout}
    template, state, source = start(name, strategy, study, spec)
    own = [parameter for parameter, _ in template.named_parameters()]
    known = all(one in source and torch.equal(state[one], source[one]) for one in own)
    shown = study.shown(name, strategy)
    guide = Guide(
        strategy,
        shown,
        study.config,
        trainer=study.trainer,
        start_counts=known,
        source=study.source_models(name) if needs_source(strategy) else None,
    )
    state, history, parameters = trained(template, state, guide)
    if strategy.recalibrate:
        rows = study.patients.validation if parameters else study.patients.train
        state |= recalibrated(template, state, study, strategy.recalibrate, rows)
        # Survival: one level for all horizons.
        levels = (
            1 if study.target.schema["outcome"]["task"] == "survival" else template.head.outputs
        )
        parameters += levels + bool((state["recalibration.slope"] != 1).any())
    answers = outputs(template, state, study.target.x, study.asked)
    return Result(state, spec, answers, history, parameters)


def needs_source(strategy: Strategy) -> bool:
    """Whether the penalty goes on using the source's specific layers."""
    kind: Any = locate(strategy.penalty["_target_"]) if strategy.penalty else None
    return bool(kind and kind.needs_source)


def trained(template: Network, state: State, guide: Guide) -> tuple[State, pl.DataFrame, int]:
    """The network's values after training, the history, and how many parameters were fitted."""
    strategy, patients = guide.strategy, guide.patients
    adapter = construct(strategy.adapter) if strategy.adapter else Unchanged()
    adapted, values = adapter.adapt(template, state, patients.seeds)
    names = [parameter for parameter, _ in adapted.named_parameters()]
    phases = construct(strategy.trainable or {}, names=names)
    values, history = train(adapted, values, phases, guide)
    state, moved = adapter.merge(values), set().union(*(phase.names for phase in phases))
    if moved:
        state |= finished(template, state, patients)
    return state, history, sum(adapted.get_parameter(one).numel() for one in moved)


def start(name: str, strategy: Strategy, study: Study, spec: dict) -> tuple[Network, State, State]:
    """A template, the values training starts from and those of the source, both ``[R, ...]``."""
    schema, patients = study.target.schema, study.patients
    template, fresh = replicas.build(lambda seed: build(spec, schema, seed=seed), patients.seeds)
    fresh |= fitted(template, patients)
    source: State = {}
    if strategy.uses_source:
        source, outcome = study.source()
        if outcome != schema["outcome"]:
            source = without_specific_layers(name, strategy, source)
    state = construct(strategy.init or {}, fresh=fresh, source=source)
    return template, state | read_out(template, state, patients), source


def without_specific_layers(name: str, strategy: Strategy, source: State) -> State:
    """The shared layers of a source that was trained for another outcome.

    Raises:
        ConfigError: the strategy would use the source's specific layers untrained.
    """
    if not construct(strategy.trainable or {}, names=["head.linear.weight"]):
        raise ConfigError(
            f"strategy {name} keeps the source's specific layers, but the source predicts another "
            "outcome; use a strategy that trains them, such as linear_probe or fine_tune"
        )
    return {key: value for key, value in source.items() if key.startswith(("input.", "encoder."))}


def recalibrated(
    template: Network, state: State, study: Study, recalibrate: Target, rows: Sequence
) -> State:
    """Intercept ``[R, C]`` and slope ``[R]`` fitted on each replica's own ``rows``."""
    outcome, y = study.target.schema["outcome"], study.target.y
    known = {"task": outcome["task"], "horizons": outcome["horizons"]}
    answers = outputs(template, state, study.target.x, rows)
    pairs = [
        construct(recalibrate, outputs=answer.astype(float), y=y[mine], **known)
        for answer, mine in zip(answers, rows, strict=True)
    ]
    intercepts, slopes = zip(*pairs, strict=True)
    return {
        "recalibration.intercept": torch.tensor(np.stack(intercepts)).float(),
        "recalibration.slope": torch.tensor(slopes).float(),
    }


def run_baseline(name: str, strategy: Strategy, study: Study) -> Result:
    """Fit a classical learner on each replica's own training patients, and the source's if asked.

    Nothing decides when such a learner stops: it learns from all of the source's patients.
    """
    schema, patients, learn_from = study.target.schema, study.patients, strategy.learn_from
    study.shown(name, strategy)  # refuses a source that cannot be learned
    if learn_from != "target" and study.source_cohort and study.source_design is not None:
        source = study.source_patients(study.source_cohort, study.source_design)
        patients = replace(patients, beside=everyone(source))
    recipe = learner(strategy.baseline or {}, schema["outcome"])
    read = reader(study.parts["input"], schema, learn_from=learn_from)
    values, answers, parameters = [], [], []
    for r, asked in enumerate(study.asked):
        model, own = fit_one(recipe, read, patients, r)
        answers.append(model.outputs(read(patients.x[asked])).astype(np.float32))
        parameters.append(model.parameters)
        arrays = {f"baseline.{key}": torch.tensor(value) for key, value in model.arrays.items()}
        values.append({f"input.{key}": value for key, value in own.items()} | arrays)
    state = {key: weights.pad([value[key] for value in values]) for key in values[0]}
    spec = {"input": study.parts["input"], "baseline": strategy.baseline, "learn_from": learn_from}
    return Result(state, spec, answers, pl.DataFrame(schema=HISTORY), int(np.median(parameters)))


def everyone(patients: Patients) -> Patients:
    """The same with validation patients among those to train on."""
    pairs = zip(patients.train, patients.validation, strict=True)
    return replace(patients, train=[[*train, *held] for train, held in pairs])


def predictions(design: pl.DataFrame, answers: list[np.ndarray]) -> pl.DataFrame:
    """Raw outputs as rows (replica, row, part, output_0, …)."""
    parts = [
        design.select("replica", pl.col(part).alias("row"), pl.lit(part).alias("part"))
        for part in ("validation", "test")
    ]
    # Answers come replica by replica, validation before test: number the rows the same way.
    order = {"validation": 0, "test": 1}
    rows = (
        pl.concat(parts)
        .with_columns(pl.col("part").replace_strict(order).alias("order"))
        .sort("replica", "order", maintain_order=True)
        .filter(pl.col("row").list.len() > 0)
        .explode("row")
        .drop("order")
    )
    values = np.concatenate(answers)
    columns = {f"output_{c}": values[:, c].astype(np.float32) for c in range(values.shape[1])}
    return rows.with_columns(pl.col("replica", "row").cast(pl.Int32), **columns)
